// One line under the bar: what was just decided, how it stands, and what could not be done.
// Owns that line, and what else frames an item: title, and whether writing is stopped.
// What it says of a decision comes from the server.

import * as live from "./live.js";

const WORDS = { APPROVE: "Approved", REJECT: "Rejected", NEED_INFO: "Asked" };
let latest = null;

const place = () => document.querySelector("#sent");

const line = (tone, parts) => {
  const box = document.createElement("div");
  box.className = `progress ${tone}`;
  box.setAttribute("role", "status");
  const text = document.createElement("p");
  text.append(...parts);
  box.append(text);
  return box;
};

const strong = (text) => Object.assign(document.createElement("b"), { textContent: text });

const put = (box) => {
  place().replaceChildren(box);
  place().hidden = false;
};

// A page that is not loaded anew takes over what is around the item as well.
export const frame = (page) => {
  document.title = page.title;
  document.body.className = page.body.className;
  const [now, next] = [document, page].map((one) => one.querySelector("#stopped"));
  if (now && next && !now.isEqualNode(next)) now.replaceWith(document.adoptNode(next));
};

export const say = (text) => put(line("warn", [text]));

export const clear = () => {
  latest = null;
  place().replaceChildren();
  place().hidden = true;
};

export const waiting = (order, why) => {
  latest = order;
  put(line(why ? "warn" : "", [strong(WORDS[order.verb]), ` ${order.title} ${why}`]));
};

export const done = async (order, told) => {
  if (latest !== order) return; // another decision is on the line by now
  if (told.control_item) {
    const { expected, right } = told.control_item;
    return put(line(right ? "good" : "bad", [
      strong(right ? "It was a control item, and you were right." : "It was a control item."),
      ` ${order.title}: its known answer is ${expected}. Nothing is written.`,
    ]));
  }
  if (!told.decision_id) {
    return put(line("", [strong("First approval given"), ` ${order.title}`]));
  }
  const way = location.search;
  const answer = await fetch(`/review/decisions/${told.decision_id}/state${way}`).catch(() => null);
  if (!answer?.ok || latest !== order) return;
  const holder = document.createElement("template");
  holder.innerHTML = await answer.text(); // our own page, escaped by the server
  const box = holder.content.querySelector("#progress");
  if (!box) return;
  box.querySelector("p").prepend(`${order.title}: `);
  box.dataset.title = order.title;
  put(box);
  live.follow(box);
};

export const refused = (order, problem, again) => {
  latest = null;
  const box = line("bad", [
    strong(`${problem.title}.`),
    ` ${order.title}: ${problem.detail} What you typed is kept. ${problem.code} · request ${problem.request_id}`,
  ]);
  const button = Object.assign(document.createElement("button"), { textContent: "Open it again" });
  button.addEventListener("click", () => (clear(), again()));
  box.setAttribute("role", "alert");
  box.append(button);
  put(box);
};
