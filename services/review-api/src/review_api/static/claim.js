// Claims the open item and keeps it while somebody looks at it: a lease of 90 s, renewed every 30.
// Leaving gives it back. The server decides who holds what; this shows it and sends the token along.

import * as session from "./session.js";

const BEAT = 30_000;
const AGAIN = 10_000;

let held = null; // { item, token, until, csrf } while the claim is ours
let timer = 0;
let main = null;

const send = (item, what, csrf, body, keepalive = false) =>
  fetch(`/api/items/${item}/${what}`, {
    method: "POST",
    keepalive,
    headers: { "Content-Type": "application/json", "X-CSRF-Token": csrf },
    body: JSON.stringify(body),
  });

const say = (text, warn) => {
  const line = main?.querySelector("#claim");
  if (!line) return;
  if (line.textContent !== text) line.textContent = text;
  line.classList.toggle("warn", warn);
};

const clock = (iso) => `${iso.slice(11, 19)} UTC`;

const mark = (token) => {
  const field = main?.querySelector("#decide input[name=claim_token]");
  if (field) field.value = token ?? "";
};

const refused = (problem) => {
  held = null;
  mark(null);
  if (problem.code === "CLAIMED") say(`Claimed by ${problem.by} until ${clock(problem.until)}`, true);
  else if (problem.code === "NOT_POSSIBLE") say("Decided meanwhile", true);
};

const beat = async () => {
  clearTimeout(timer);
  const item = main?.dataset.item;
  const csrf = session.csrf();
  if (!item || !main.querySelector("#claim")) return;
  const at = main;
  let pause = AGAIN;
  try {
    const body = held?.item === item ? { claim_token: held.token } : {};
    const answer = await send(item, "claim", csrf, body);
    const told = await answer.json();
    if (at !== main) return; // another item is open by now
    if (answer.ok) {
      held = { item, csrf, token: told.claim_token, until: told.until };
      mark(held.token);
      say(`Yours until ${clock(told.until)}`, false);
      pause = BEAT;
    } else if (told.code === "CLAIM_STALE") {
      held = null;
      pause = 0; // somebody had it in between, and has left: claim anew
    } else if (told.code !== "UNAVAILABLE") refused(told);
    if (told.code === "NOT_POSSIBLE") return;
    if (told.code === "NOT_SIGNED_IN") {
      await session.signIn();
      pause = 0;
    }
  } catch {
    say("No connection: kept, and tried again", true);
  }
  timer = setTimeout(() => document.visibilityState === "visible" && beat(), pause);
};

export const release = () => {
  clearTimeout(timer);
  // With its end: should the next page have claimed it by now, this gives back nothing.
  const { item, csrf, token: claim_token, until } = held ?? {};
  if (held) send(item, "release", csrf, { claim_token, until }, true).catch(() => {});
  held = null;
};

// A decision gives the claim back by itself; to give it back, or to claim anew, would make it stale.
// So a beat that is under way now is the last for this item.
export const keep = () => {
  clearTimeout(timer);
  held = null;
  main = null;
};

export const attach = (place) => {
  if (held && held.item !== place?.dataset.item) release();
  main = place;
  if (main?.querySelector("#claim")) beat();
};

addEventListener("pagehide", release);
addEventListener("pageshow", (event) => event.persisted && beat());
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible" && main?.querySelector("#claim")) beat();
});
