// Starts what an open item needs, and again for each item that comes into the page.
// Every page works without it; nothing is decided by loading it.

import * as claim from "./claim.js";
import * as live from "./live.js";

const begin = (main) => {
  claim.attach(main);
  live.attach(main);
};

begin(document.querySelector("main"));
document.querySelector("#problem")?.focus();
