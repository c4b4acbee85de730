// Decisions that have no answer yet. They are kept in the browser until there is one, so that a closed
// tab loses none: whoever made them opens the desk again, and each is sent under its own key, which
// the server counts once. A password is never kept.

const PREFIX = "placet.unsent.";
const NOT_KEPT = new Set(["csrf", "password"]);

const mine = () => `${PREFIX}${document.querySelector(".me")?.dataset.username ?? ""}.`;
const name = (order) => mine() + new URLSearchParams(order.body).get("key");

// A browser without storage, or with a full one, keeps nothing: leaving the page asks first, as ever.
const stored = (use) => {
  try {
    return use(localStorage);
  } catch {
    return undefined;
  }
};

export const keep = (order) => {
  const body = order.body.filter(([field]) => !NOT_KEPT.has(field));
  stored((storage) => storage.setItem(name(order), JSON.stringify({ ...order, body })));
};

export const drop = (order) => stored((storage) => storage.removeItem(name(order)));

// What was left behind, in no order: decisions of different items do not depend on each other.
export const left = () =>
  stored((storage) =>
    Object.keys(storage)
      .filter((one) => one.startsWith(mine()))
      .map((one) => JSON.parse(storage.getItem(one))),
  ) ?? [];
