// Keeps the line that says how a write stands up to date. Without it the page reloads itself.
// Owns nothing: the server says what is so, in the same words that a reload would show.

const PAUSE = 700;

const show = (place, seconds) => {
  const text = place.querySelector("b");
  if (text && seconds > 0) text.textContent = text.textContent.replace(/\d+ s$/, `${seconds} s`);
};

const next = async (place) => {
  const answer = await fetch(place.dataset.state, { headers: { Accept: "text/html" } });
  if (!answer.ok || answer.redirected) return place;
  const holder = document.createElement("template");
  holder.innerHTML = await answer.text(); // our own page, escaped by the server
  const fresh = holder.content.querySelector("#progress");
  if (!fresh || fresh.isEqualNode(place)) return place;
  if (place.dataset.title) {
    fresh.dataset.title = place.dataset.title;
    fresh.querySelector("p").prepend(`${place.dataset.title}: `);
  }
  const focused = place.contains(document.activeElement);
  place.replaceWith(fresh);
  if (focused) (fresh.querySelector("button") ?? document.querySelector("h1")).focus?.();
  return fresh;
};

export const follow = async (place) => {
  let seconds = Number(place.dataset.seconds);
  const tick = setInterval(() => show(place, (seconds = Math.max(seconds - 1, 0))), 1000);
  await new Promise((go) => setTimeout(go, seconds > 1 ? (seconds - 1) * 1000 : PAUSE));
  clearInterval(tick);
  let now = place;
  try {
    now = await next(place);
  } catch {
    // Away for a moment: the page still shows what it knew, and asks again.
  }
  if (now.dataset.live === "yes") return follow(now);
  // The end of it: the history and the state in the heading have more to say now.
  if (now !== place && now.closest("main")) location.replace(location.pathname.replace(/\/decision$/, "") + location.search);
};

export const attach = (main) => {
  const place = main?.querySelector("#progress[data-live=yes]");
  if (place) follow(place);
};
