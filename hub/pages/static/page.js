// What every page does: the person's own time, clocks that run, questions before a stop, and fresh fragments.
// The words all come from the server; a script only puts them into place.
import { gallery, places, runForm } from "./apps.js";
import { follow } from "./live.js";
import { prepareNotice } from "./notify.js";
import { start } from "./start.js";

const pad = (n) => String(n).padStart(2, "0");
const clock = (ms) => {
  const s = Math.max(0, Math.floor(ms / 1000));
  return `${Math.floor(s / 3600)}:${pad(Math.floor(s / 60) % 60)}:${pad(s % 60)}`;
};

export function localise(root) {
  const { lang } = document.documentElement, today = new Date().toDateString();
  const clock = new Intl.DateTimeFormat(lang, { timeStyle: "short" });
  const date = new Intl.DateTimeFormat(lang, { dateStyle: "medium", timeStyle: "short" });
  for (const node of root.querySelectorAll("time[data-local]")) {
    const when = new Date(node.dateTime);
    node.textContent = (when.toDateString() === today ? clock : date).format(when);
    node.title = date.format(when);
  }
  for (const log of root.querySelectorAll("pre.pj-log")) log.scrollTop = log.scrollHeight;
  prepareNotice(root);
  tick(root);
}

function tick(root) {
  const now = Date.now();
  for (const node of root.querySelectorAll("[data-since]")) node.textContent = clock(now - Date.parse(node.dataset.since));
  for (const mark of root.querySelectorAll("[data-marker]")) {
    mark.setAttribute("x", 240 * Math.min(1, (now - Date.parse(mark.dataset.marker)) / 1000 / Number(mark.dataset.end)));
  }
  for (const bar of root.querySelectorAll("[data-left]")) {
    const part = (Date.parse(bar.dataset.left) - now) / 1000 / Number(bar.dataset.whole);
    bar.setAttribute("width", 240 * Math.min(1, Math.max(0, part)));
  }
  for (const node of root.querySelectorAll("[data-until]")) node.textContent = clock(Date.parse(node.dataset.until) - now);
}

document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !window.confirm(question)) event.preventDefault();
  else if (event.target.dataset.sent) event.preventDefault();  // a double click starts one session
  else if (event.target.dataset.once !== undefined) event.target.dataset.sent = "yes";
});
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});
localise(document);
setInterval(() => tick(document), 1000);
follow(document.querySelector("[data-live]"), localise);
start(document.getElementById("start"), localise);
gallery(document.getElementById("gallery"));
places(document.getElementById("open-app"));
runForm(document.getElementById("runform"));
