// "Tell me when it runs": asked for by a button, never unasked, and remembered for this tab alone.
const key = "perijove-notify";

function wanted() { try { return sessionStorage.getItem(key) === "yes"; } catch { return false; } }
function remember(yes) { try { sessionStorage.setItem(key, yes ? "yes" : "no"); } catch { /* private window */ } }

function show(button) {
  const on = wanted() && Notification.permission === "granted";
  button.setAttribute("aria-pressed", String(on));
  button.dataset.words ??= button.querySelector("span").textContent;
  button.querySelector("span").textContent =
    on ? button.dataset.on : Notification.permission === "denied" ? button.dataset.denied : button.dataset.words;
  button.disabled = Notification.permission === "denied";
  button.hidden = false;
}

let words = null;  // what is said at the end: the button is gone by then

export function prepareNotice(root) {
  const button = root.querySelector("#notify");
  if (!button || !("Notification" in window)) return;
  words = { ready: button.dataset.ready, over: button.dataset.over };
  show(button);
  button.addEventListener("click", async () => {
    if (wanted()) remember(false);
    else if ((await Notification.requestPermission()) === "granted") remember(true);
    show(button);
  });
}

export function notice(part) {
  if (!words || !("Notification" in window) || !wanted() || Notification.permission !== "granted") return;
  const text = part.dataset.go ? words.ready : part.dataset.done !== undefined ? words.over : "";
  if (!text) return;
  words = null;
  try { new Notification(document.title, { body: text, tag: location.pathname }); } catch { /* phones want a worker */ }
}
