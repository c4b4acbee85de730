// The way through the queue: the next three items are fetched ahead, a decision is sent while the
// next item is on screen already, and the list stays as it is under the reader's eyes.
// A decision is sent with one key until there is an answer; what is refused comes back, typed text
// and all. Leaving while something is unsent asks first.

import * as claim from "./claim.js";
import * as drafts from "./drafts.js";
import * as outbox from "./outbox.js";
import { pause } from "./patience.js";
import * as session from "./session.js";
import * as strip from "./strip.js";

const AHEAD = 3;
const FRESH = 45_000;

const SIGNED_OUT = new Error("signed out");
const pages = new Map(); // address -> { at, page: Promise<Document> }
const unsent = new Set();
let begin = () => {};

const main = () => document.querySelector("main");
const address = (url) => url.pathname + url.search;

const get = async (place, headers = {}) => {
  const answer = await fetch(place, { headers: { Accept: "text/html", ...headers } });
  if (answer.redirected && answer.url.includes("/sign-in")) throw SIGNED_OUT;
  return new DOMParser().parseFromString(await answer.text(), "text/html");
};

const rows = () => [...document.querySelectorAll(".rows .row")];
const free = (row) => !row.dataset.done && !row.dataset.taken;

export const neighbour = (step) => {
  const all = rows();
  const at = all.findIndex((row) => row.hasAttribute("aria-current"));
  if (at < 0) return all.find(free);
  for (let i = at + step; i >= 0 && i < all.length; i += step) if (free(all[i])) return all[i];
  return undefined;
};

const fetchAhead = () => {
  const all = rows();
  const at = all.findIndex((row) => row.hasAttribute("aria-current"));
  for (const row of all.slice(at + 1).filter(free).slice(0, AHEAD)) {
    const place = address(row);
    if (Date.now() - (pages.get(place)?.at ?? 0) < FRESH) continue;
    const page = get(place, { "X-Placet-Ahead": "1" });
    page.catch(() => pages.delete(place));
    pages.set(place, { at: Date.now(), page });
  }
};

const fetched = async (place) => {
  for (let attempt = 0; ; attempt++) {
    try {
      return await get(place);
    } catch (error) {
      if (error === SIGNED_OUT) await session.signIn();
      else {
        if (!unsent.size) strip.say("The next item is not here yet: Placet does not answer.");
        await pause(attempt);
      }
    }
  }
};

// Shows the item at `place` without loading the page anew; false: the browser has to.
export const show = async (place, push = true) => {
  const known = pages.get(place);
  pages.delete(place);
  const fresh = known && Date.now() - known.at < FRESH;
  drafts.flush();
  const page = await (fresh ? known.page.catch(() => fetched(place)) : fetched(place));
  const next = page.querySelector("main");
  if (!next?.dataset.item) return location.assign(place);
  main().replaceWith(document.adoptNode(next));
  strip.frame(page);
  if (push) history.pushState({}, "", place);
  for (const row of rows()) {
    if (address(row) === place) row.setAttribute("aria-current", "true");
    else row.removeAttribute("aria-current");
  }
  rows().find((row) => row.hasAttribute("aria-current"))?.scrollIntoView({ block: "nearest" });
  scrollTo(0, 0);
  main().querySelector("h1")?.focus();
  begin(main());
  setTimeout(fetchAhead);
  return main();
};

// The end of the list: what the queue holds now, under the same line.
const refill = async () => {
  const place = `/review${location.search}`;
  const going = new Set([...unsent].map((order) => order.place.split("?")[0]));
  const page = await fetched(place);
  document.querySelector(".desk").replaceWith(document.adoptNode(page.querySelector(".desk")));
  for (const row of rows()) if (going.has(row.pathname)) row.dataset.done = "sent"; // not known there yet
  strip.frame(page);
  history.pushState({}, "", place);
  main().querySelector("h1").tabIndex = -1;
  main().querySelector("h1").focus();
  begin(main());
};

const advance = () => {
  const row = neighbour(1) ?? rows().find((one) => free(one) && !one.hasAttribute("aria-current"));
  return row ? show(address(row)) : refill();
};

const typed = (form) => {
  const sent = new FormData(form);
  return [...sent].filter(([name]) => name === "comment" || name.startsWith("field:"));
};

// Opens a refused item again and puts back what was typed.
const reopen = async (order) => {
  const at = await show(order.place);
  const form = at?.querySelector?.("#decide");
  for (const [name, value] of form ? order.typed : []) {
    const field = form.elements.namedItem(name);
    if (!field) continue;
    field.value = value;
    field.dispatchEvent(new Event("input", { bubbles: true }));
    if (name.startsWith("field:") && field.value !== field.defaultValue) {
      field.closest("details").open = true;
    }
  }
};

// A password that was taken is not asked for again for a while: neither here nor on what was fetched.
const proved = () => {
  pages.clear();
  for (const one of document.querySelectorAll("form > .prove")) one.remove();
};

const send = async (order) => {
  for (let attempt = 0; ; attempt++) {
    let answer, told;
    try {
      answer = await fetch(order.action, {
        method: "POST",
        keepalive: true, // a tab that is closed now has sent it
        headers: { Accept: "application/json", "X-CSRF-Token": session.csrf() },
        body: new URLSearchParams(order.body),
      });
      told = await answer.json();
    } catch {
      answer = undefined;
    }
    if (answer?.ok) {
      outbox.drop(order);
      if (order.proves) proved();
      return strip.done(order, told);
    }
    const again = !answer || answer.status >= 500 || told.code === "IDEMPOTENCY_KEY_IN_USE";
    if (answer && !again) {
      if (told.code !== "NOT_SIGNED_IN" && told.code !== "BAD_CSRF") {
        outbox.drop(order);
        return strip.refused(order, told, () => reopen(order));
      }
      strip.waiting(order, "Sign in, and it is sent.");
      await session.signIn();
      continue;
    }
    strip.waiting(order, "Not sent yet: Placet does not answer. It is kept and tried again.");
    await pause(attempt);
  }
};

const dispatch = (order, why) => {
  unsent.add(order);
  strip.waiting(order, why);
  send(order).finally(() => unsent.delete(order));
};

export const decide = (form, action) => {
  const place = main();
  if (place.dataset.sent) return; // a double click is one decision
  place.dataset.sent = "yes";
  const body = [...new FormData(form)].filter(([name]) => name !== "action");
  const order = {
    action: form.getAttribute("action"),
    body: [...body, ["action", action]],
    place: location.pathname + location.search,
    title: place.querySelector("h1").textContent,
    verb: action,
    typed: typed(form),
    proves: Boolean(form.elements.password?.value),
  };
  claim.keep();
  const row = rows().find((one) => one.hasAttribute("aria-current"));
  if (row) row.dataset.done = action;
  outbox.keep(order);
  dispatch(order, "");
  advance();
};

export const takeBack = async (form) => {
  const headers = { Accept: "application/json", "X-CSRF-Token": session.csrf() };
  let told;
  try {
    const answer = await fetch(form.getAttribute("action"), { method: "POST", headers });
    told = await answer.json();
    if (!answer.ok) return strip.say(`${told.title}. ${told.detail}`);
  } catch {
    return strip.say("Not taken back: Placet does not answer. Press again.");
  }
  const row = rows().find((one) => one.pathname.endsWith(told.item_id));
  if (row) delete row.dataset.done;
  strip.clear();
  return show(`/review/items/${told.item_id}${location.search}`);
};

export const start = (beginning) => {
  begin = beginning;
  addEventListener("popstate", () => show(location.pathname + location.search, false));
  addEventListener("beforeunload", (event) => unsent.size && event.preventDefault());
  setTimeout(fetchAhead, 200);
  for (const order of outbox.left()) dispatch(order, "Not answered before the page was left: sent again.");
};
