// The start form: prices and reasons follow what is typed; Enter in a field starts as it does in any form.
import { announce, xsrf } from "./live.js";

export function start(form) {
  if (!form) return;
  const offers = document.getElementById("offers");
  let timer = 0, asked = 0;
  const ask = async () => {
    const mine = ++asked;
    const body = new URLSearchParams(new FormData(form));
    try {
      const answer = await fetch(form.dataset.offers, { method: "POST", body, headers: xsrf() });
      if (mine !== asked || !answer.ok) return;
      const focused = offers.contains(document.activeElement) ? document.activeElement.id : "";
      offers.innerHTML = await answer.text();
      if (focused) document.getElementById(focused)?.focus();
    } catch { return; }
    for (const template of offers.querySelectorAll("template[data-fault]")) {
      const name = template.dataset.fault, input = document.getElementById(`f-${name}`);
      const place = form.querySelector(`[data-error="${name}"]`);
      if (name === "server") continue;
      place.replaceChildren(template.content.cloneNode(true));
      const wrong = place.childElementCount > 0;
      input.classList.toggle("is-invalid", wrong);
      if (wrong) input.setAttribute("aria-invalid", "true"); else input.removeAttribute("aria-invalid");
    }
    announce(offers.firstElementChild.dataset.offersState);
  };
  form.addEventListener("input", (event) => {
    if (event.target.type === "radio" || event.target.name === "server") return;
    clearTimeout(timer);
    timer = setTimeout(ask, 300);
  });
  let sent = false;
  form.addEventListener("submit", (event) => {
    if (sent) event.preventDefault();  // a double click starts one session
    sent = true;
  });
  window.addEventListener("pageshow", () => { sent = false; });
  form.querySelector('[aria-invalid="true"]')?.focus();
}
