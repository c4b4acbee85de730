// Saves what is typed within a second, to the server: another tab, another machine and the next
// shift find it again. Nothing is kept in the browser.

import * as session from "./session.js";

const AFTER = 400;
const AGAIN = 2000;

let timer = 0;
let dirty = null; // the form that holds text the server does not have yet

const say = (form, text) => {
  const line = form.closest("main")?.querySelector("#draft");
  if (line) line.textContent = text;
};

const text = (form) => {
  const fields = {};
  for (const one of form.elements) {
    if (one.name?.startsWith("field:") && one.value !== one.dataset.proposed) {
      fields[one.name.slice("field:".length)] = one.value;
    }
  }
  const { comment, reason_code, revision } = form.elements;
  return JSON.stringify({
    revision: Number(revision.value),
    fields,
    comment: comment.value,
    reason_code: reason_code.value,
  });
};

const save = async (keepalive = false) => {
  clearTimeout(timer);
  const form = dirty;
  if (!form) return;
  dirty = null;
  let answer;
  try {
    answer = await fetch(`/api/items/${form.dataset.item}/draft`, {
      method: "PUT",
      keepalive,
      headers: { "Content-Type": "application/json", "X-CSRF-Token": session.csrf() },
      body: text(form),
    });
  } catch {
    answer = undefined;
  }
  if (answer?.ok) return say(form, "Saved");
  if (answer?.status === 401 && !keepalive) await session.signIn();
  else if (answer && answer.status < 500) return say(form, "Not saved: too long, or not text");
  say(form, "Not saved yet");
  dirty ??= form;
  timer = setTimeout(save, AGAIN);
};

// What was typed on an item that is left is saved at once.
export const flush = () => save();

export const start = () => {
  addEventListener("input", (event) => {
    const form = event.target.form;
    if (form?.id !== "decide") return;
    if (dirty && dirty !== form) save();
    dirty = form;
    say(form, "");
    clearTimeout(timer);
    timer = setTimeout(save, AFTER);
  });
  addEventListener("pagehide", () => save(true));
};
