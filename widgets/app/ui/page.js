// The page's own script: draws the form at once, says what is wrong where it cannot, and has Voila begin after that.

import { xsrf } from "./api.js";
import { mount } from "./app.js";

// Seconds after which it is said that it takes long.
const SLOW = 6;

const main = document.getElementById("app");
const said = document.getElementById("loading_text");
const loading = document.getElementById("loading");
const slow = setTimeout(() => { said.textContent = main.dataset.slow; }, SLOW * 1000);

// Voila's script looks for these, and would show its own words.
window.voila_heartbeat = window.voila_process = window.update_loading_text = () => {};
window.display_cells = window.voila_finish = () => {};

// The notebook's other widgets. Without them the form works.
function voila() {
  const all = JSON.parse(document.getElementById("perijove-voila")?.textContent ?? "[]");
  for (const src of all) document.body.append(Object.assign(document.createElement("script"), { src, async: false }));
}

// Who leaves gives the kernel back at once: others may wait for one. What is lost on the way is culled later.
addEventListener("pagehide", () => {
  const kernel = JSON.parse(document.getElementById("jupyter-config-data")?.textContent ?? "{}").kernelId;
  if (!kernel) return;
  const address = new URL(`../voila/api/shutdown/${kernel}`, new URL(main.dataset.base, location.href));
  fetch(address, { method: "POST", keepalive: true, credentials: "same-origin", headers: { "X-XSRFToken": xsrf() } }).catch(() => {});
});
// From the browser's memory a page would come back without its kernel: it is made anew.
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

try {
  await mount(document.getElementById("perijove-app"), main.dataset.base);
  loading.remove();
  performance.mark("perijove-usable");
} catch (error) {
  // The words of the script came with what did not come.
  const known = { "signed-out": main.dataset.out, offline: main.dataset.offline };
  said.textContent = known[error.code] ?? main.dataset.failed.replace("{why}", error.message);
} finally {
  clearTimeout(slow);
}
// The form is painted first: what follows is a hundred files. The end of the page comes once its kernel is there.
const begin = () => requestAnimationFrame(() => setTimeout(voila, 50));
if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
else begin();
