// How long to wait before the next attempt: longer each time, and no longer than the network is away.

const PAUSES = [500, 1000, 2000, 4000, 8000, 15_000];

export const pause = (attempt) =>
  new Promise((go) => {
    const done = () => (removeEventListener("online", done), clearTimeout(timer), go());
    const timer = setTimeout(done, PAUSES[Math.min(attempt, PAUSES.length - 1)]);
    addEventListener("online", done);
  });
