// Keeps a part of the page fresh: fetches it again and again, and says a change of state once to screen readers.
import { notice } from "./notify.js";

export const xsrf = () => ({ "X-XSRFToken": document.querySelector('meta[name="xsrf"]')?.content ?? "" });
const sleep = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));

export function announce(text) {
  const announcer = document.getElementById("announcer");
  if (text && announcer.textContent !== text) announcer.textContent = text;
}

// What a person is on stays under the keyboard: the same id, or the same words in the same place of their kind.
function alike(box, node) {
  return [...box.querySelectorAll(node.localName)].filter((other) => other.textContent === node.textContent);
}

function put(box, html) {
  const active = box.contains(document.activeElement) ? document.activeElement : null;
  const place = active ? alike(box, active).indexOf(active) : -1;
  const folds = new Map([...box.querySelectorAll("details")].map((node) => [node.id, node.open]));
  box.innerHTML = html;
  for (const node of box.querySelectorAll("details")) node.open = folds.get(node.id) ?? node.open;
  if (active) ((active.id && document.getElementById(active.id)) || alike(box, active)[place])?.focus({ preventScroll: true });
}

export async function follow(box, prepare) {
  if (!box) return;
  const every = Number(box.dataset.every);
  let seen = "", last = box.dataset.last ?? "", onward = box.dataset.onward !== undefined;
  let wasOpen = !onward && Boolean(box.querySelector("[data-go]"));
  let said = box.querySelector("[data-announce]")?.dataset.announce ?? "";
  for (let failures = 0; ; ) {
    try {
      const query = new URLSearchParams({ seen, ...(last !== "" && { after: last }) });
      const join = box.dataset.live.includes("?") ? "&" : "?";
      const answer = await fetch(`${box.dataset.live}${join}${query}`, { headers: xsrf(), redirect: "manual" });
      if (box.dataset.follow !== undefined) {
        if (answer.type === "opaqueredirect") return location.reload();
      } else if (answer.status === 401) {
        return location.reload();
      } else if (answer.status === 200 || answer.status === 204) {
        last = answer.headers.get("X-Last") ?? last;
        if (answer.status === 200) {
          seen = answer.headers.get("X-Mark") ?? "";
          put(box, await answer.text());
          prepare(box);
        }
        const part = box.firstElementChild;
        if (part.dataset.title) document.title = part.dataset.title;
        notice(part);
        if (part.dataset.announce !== said) announce((said = part.dataset.announce));
        if (part.dataset.go && !wasOpen) {
          wasOpen = true;
          if (onward) await sleep(1.5);  // the hub sent the browser here because its route is not there yet
          location.assign(part.dataset.go);
        }
        if (part.dataset.done !== undefined) return;
      }
      failures = 0;
    } catch {
      failures += 1;  // the gateway restarts, or the network is away: what is shown stays
    }
    // A tab in the background goes on, slower: its title says the state.
    await sleep(Math.min(30, every * (1 + failures) * (document.hidden ? 3 : 1)));
  }
}
