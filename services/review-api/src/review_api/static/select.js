// Picks rows of the queue: `x` for the row that has the focus, else for the item that is open.
// Owns the count in the bar. What becomes of them is asked, confirmed and told on pages of their
// own: nothing is decided from here.

const rows = () => [...document.querySelectorAll(".rows li")];

export const count = () => {
  const place = document.querySelector("#picked");
  if (!place) return;
  let many = 0;
  for (const row of rows()) {
    const box = row.querySelector(".pick input");
    if (box && row.querySelector(".row[data-done]")) box.checked = false; // decided meanwhile
    if (box?.checked) many += 1;
  }
  const text = `${many} selected`;
  if (place.textContent !== text) place.textContent = text;
};

export const toggle = () => {
  const row =
    document.activeElement?.closest?.(".rows li") ??
    document.querySelector(".rows .row[aria-current]")?.closest("li");
  const box = row?.querySelector(".pick input");
  if (!box) return false;
  box.checked = !box.checked;
  count();
  return true;
};

export const start = () => {
  addEventListener("change", (event) => event.target.closest?.(".pick") && count());
  addEventListener("reset", () => setTimeout(count)); // after the boxes are empty
  addEventListener("pageshow", count); // a browser that goes back ticks them again
};
