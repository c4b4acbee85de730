// Starts what an open item needs, and again for each item that comes into the page.
// Every page works without it; nothing is decided by loading it.

import * as claim from "./claim.js";
import * as drafts from "./drafts.js";
import * as keys from "./keys.js";
import * as live from "./live.js";
import * as queue from "./queue.js";
import * as select from "./select.js";

const begin = (main) => {
  claim.attach(main);
  live.attach(main);
  select.count();
};

addEventListener("submit", (event) => {
  const form = event.target;
  if (event.submitter?.hasAttribute("formaction")) return; // says something, decides nothing
  if (form.id === "decide") {
    event.preventDefault();
    const action = event.submitter?.value;
    if (!action) return; // Enter in a field decides nothing
    if (action !== "APPROVE" && !form.elements.reason_code.value) keys.reason(form, action);
    else queue.decide(form, action);
  } else if (form.getAttribute("action")?.includes("/take-back")) {
    event.preventDefault();
    queue.takeBack(form);
  }
});

addEventListener("click", (event) => {
  const link = event.target.closest?.("a.row, a.next");
  if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
  if (!document.querySelector("main[data-item]")) return;
  event.preventDefault();
  queue.show(link.pathname + link.search);
});

drafts.start();
keys.start();
select.start();
queue.start(begin);
begin(document.querySelector("main"));
document.querySelector("#problem")?.focus();
