// What every page does: the person's own time, clocks that run, questions before a stop, and fresh fragments.
// The words all come from the server; a script only puts them into place.
import { follow } from "./live.js";
import { start } from "./start.js";

const pad = (n) => String(n).padStart(2, "0");
const clock = (ms) => {
  const s = Math.max(0, Math.floor(ms / 1000));
  return `${Math.floor(s / 3600)}:${pad(Math.floor(s / 60) % 60)}:${pad(s % 60)}`;
};

export function localise(root) {
  const format = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" });
  for (const node of root.querySelectorAll("time[data-local]")) node.textContent = format.format(new Date(node.dateTime));
  for (const log of root.querySelectorAll("pre.pj-log")) log.scrollTop = log.scrollHeight;
  tick(root);
}

function tick(root) {
  const now = Date.now();
  for (const node of root.querySelectorAll("[data-since]")) node.textContent = clock(now - Date.parse(node.dataset.since));
  for (const node of root.querySelectorAll("[data-until]")) node.textContent = clock(Date.parse(node.dataset.until) - now);
}

document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !window.confirm(question)) event.preventDefault();
});
localise(document);
setInterval(() => tick(document), 1000);
follow(document.querySelector("[data-live]"), localise);
start(document.getElementById("start"));
