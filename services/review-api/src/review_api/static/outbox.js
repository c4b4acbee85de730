// Decisions that have no answer yet. They are kept in the browser until there is one, so that a closed
// tab loses none: whoever made them opens the desk again, and each is sent under its own key, which
// the server counts once. A password is never kept.

const PREFIX = "placet.unsent.";
const NOT_KEPT = new Set(["csrf", "password"]);

const mine = () => `${PREFIX}${document.querySelector(".me")?.dataset.username ?? ""}.`;
const name = (order) => mine() + new URLSearchParams(order.body).get("key");

export const keep = (order) => {
  const body = order.body.filter(([field]) => !NOT_KEPT.has(field));
  try {
    localStorage.setItem(name(order), JSON.stringify({ ...order, body }));
  } catch {
    // No storage in this browser, or it is full: leaving the page asks first, as ever.
  }
};

export const drop = (order) => localStorage.removeItem(name(order));

// What was left behind, in no order: decisions of different items do not depend on each other.
export const left = () =>
  Object.keys(localStorage)
    .filter((one) => one.startsWith(mine()))
    .map((one) => JSON.parse(localStorage.getItem(one)));
