// One key, one thing: the buttons and fields that carry `data-key`, moving, and help.
// Keys are ignored while somebody types, with modifiers, on repeat and in an input method; they can
// be switched off and are their own (WCAG 2.1.4): the page says which. A key never decides more than
// the item on screen.

import * as queue from "./queue.js";
import * as session from "./session.js";
import * as select from "./select.js";

const root = document.documentElement;
const KEYS = JSON.parse(document.body.dataset.keys ?? "[]"); // [name, key, words] of each
const keyOf = Object.fromEntries(KEYS);
let enabled = document.body.dataset.keysOn !== "no";

const on = () => enabled;
const typing = (target) =>
  target.closest?.("input:not([type=hidden], [type=checkbox]), textarea, select, [contenteditable]");

const make = (name, text, more = {}) =>
  Object.assign(document.createElement(name), { textContent: text, ...more });

const open = (head, ...content) => {
  const dialog = document.createElement("dialog");
  const title = make("h2", head, { id: "dialog-head" });
  dialog.setAttribute("aria-labelledby", "dialog-head");
  dialog.append(title, ...content);
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
};

const close = () => Object.assign(make("button", "Close"), { onclick: (e) => e.target.closest("dialog").close() });

const help = () => {
  const list = document.createElement("dl");
  list.className = "keylist";
  for (const [, key, words] of KEYS) {
    if (!key) continue;
    const term = document.createElement("dt");
    term.append(make("kbd", key));
    list.append(term, make("dd", words));
  }
  const label = document.createElement("label");
  const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: on() });
  box.addEventListener("change", () => {
    enabled = box.checked;
    root.classList.toggle("keys", enabled);
    const body = new URLSearchParams({ what: "switch", ...(enabled && { on: "yes" }) });
    const headers = { "X-CSRF-Token": session.csrf() };
    fetch("/review/settings", { method: "POST", headers, body }).catch(() => {}); // as long as this page
  });
  label.className = "check";
  label.append(box, " Single keys are on");
  const change = make("a", "Choose other keys", { href: "/review/settings", className: "button" });
  open("Keys", list, label, close(), " ", change);
};

// Asks for the reason: one key, or a click.
export const reason = (form, action) => {
  const select = form.elements.reason_code;
  const codes = [...select.options].map((one) => one.value).filter(Boolean);
  const list = document.createElement("div");
  list.className = "reasons";
  const choose = (code) => {
    dialog.close();
    select.value = code;
    queue.decide(form, action);
  };
  codes.forEach((code, n) => {
    const button = make("button", "", { onclick: () => choose(code) });
    button.append(code, make("kbd", String(n + 1)));
    list.append(button);
  });
  const head = action === "REJECT" ? "Reject: why?" : "Ask: what is missing?";
  const dialog = open(head, list, close());
  dialog.addEventListener("keydown", (event) => {
    const code = codes[Number(event.key) - 1];
    if (code && on() && !event.repeat && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      choose(code);
    }
  });
};

const press = (key) => {
  const found = document.querySelector(`[data-key="${CSS.escape(key)}"]`);
  if (!found || found.disabled) return false;
  if (found.matches("input, textarea")) {
    if (found.closest("details")) found.closest("details").open = true;
    found.focus();
  } else {
    found.click();
    found.closest("details[open]")?.querySelector("select")?.focus();
  }
  return true;
};

const move = (step) => {
  const row = queue.neighbour(step);
  if (row) queue.show(row.pathname + row.search);
  return Boolean(row);
};

const keydown = (event) => {
  if (!on() || event.defaultPrevented || event.repeat || event.isComposing) return;
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
  if (document.querySelector("dialog[open]")) return;
  const { key } = event;
  const done =
    key === keyOf.help
      ? (help(), true)
      : key === keyOf.next
        ? move(1)
        : key === keyOf.previous
          ? move(-1)
          : key === keyOf.select
            ? select.toggle()
            : press(key);
  if (done) event.preventDefault();
};

export const start = () => {
  root.classList.add("js");
  root.classList.toggle("keys", on());
  addEventListener("keydown", keydown);
  document.querySelector("#help")?.addEventListener("click", help);
};
