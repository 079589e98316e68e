// The start form: offers and prices follow what is typed; until a place is chosen by hand, the recommended one is.
import { announce, xsrf } from "./live.js";

export function start(form, prepare) {
  if (!form) return;
  const offers = document.getElementById("offers"), say = document.getElementById("say"), pay = document.getElementById("pay");
  let timer = 0, asked = 0;
  const byHand = () => form.dataset.chosen !== undefined;

  const body = (choice) => {
    const data = new URLSearchParams(new FormData(form));
    if (!choice) data.delete("place");
    return data;
  };
  const post = (address, data) => fetch(address, { method: "POST", body: data, headers: xsrf() });

  function tell() {
    const chosen = form.querySelector('[name="place"]:checked');
    say.textContent = chosen ? chosen.dataset.say : offers.firstElementChild.dataset.none;
    pay.textContent = chosen?.dataset.pay || pay.dataset.usual;
    const lacks = chosen?.dataset.lacks !== undefined;
    pay.classList.toggle("pj-ink-bad", lacks);
    pay.classList.toggle("pj-quiet", !lacks);
  }
  function mark() {
    for (const chip of form.querySelectorAll("a.pj-chip")) {
      const same = Object.entries(JSON.parse(chip.dataset.set)).every(([name, value]) => form.elements[name].value.trim() === value);
      if (same) chip.setAttribute("aria-current", "true"); else chip.removeAttribute("aria-current");
    }
  }
  function faults() {
    for (const template of offers.querySelectorAll("template[data-fault]")) {
      const name = template.dataset.fault, input = document.getElementById(`f-${name}`);
      if (name === "server") continue;
      const place = form.querySelector(`[data-error="${name}"]`);
      place.replaceChildren(template.content.cloneNode(true));
      const wrong = place.childElementCount > 0;
      input.classList.toggle("is-invalid", wrong);
      if (wrong) input.setAttribute("aria-invalid", "true"); else input.removeAttribute("aria-invalid");
    }
  }
  async function ask() {
    const mine = ++asked;
    try {
      const answer = await post(form.dataset.offers, body(byHand()));
      if (mine !== asked || !answer.ok) return;
      const focused = offers.contains(document.activeElement) ? document.activeElement.id : "";
      const folds = new Map([...offers.querySelectorAll("details")].map((fold) => [fold.id, fold.open]));
      offers.innerHTML = await answer.text();
      for (const fold of offers.querySelectorAll("details")) fold.open = fold.open || Boolean(folds.get(fold.id));
      if (focused) document.getElementById(focused)?.focus();
    } catch { return; }
    prepare(offers);
    faults();
    tell();
    announce(offers.firstElementChild.dataset.offersState);
  }

  form.addEventListener("input", (event) => {
    const { name } = event.target;
    if (name === "place") { form.dataset.chosen = ""; tell(); }
    if (["place", "server"].includes(name)) return;
    if (name === "prefer") delete form.dataset.chosen;  // what matters chooses anew
    mark();
    clearTimeout(timer);
    timer = setTimeout(ask, name === "prefer" ? 0 : 300);
  });

  // A preset or "what would make it fit" is a link to the filled-in page; here it fills in this very one.
  form.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-set]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    for (const [name, value] of Object.entries(JSON.parse(link.dataset.set))) form.elements[name].value = value;
    mark();
    if (link.dataset.place) {
      form.dataset.chosen = "";
      const place = document.getElementById(`p-${link.dataset.place.replace("/", "--")}`);
      place.disabled = false;
      place.checked = true;
      place.focus();
    }
    ask();
  });

  document.getElementById("preview").addEventListener("click", async (event) => {
    event.preventDefault();
    const script = document.getElementById("script");
    try {
      const answer = await post(form.dataset.preview, body(true));
      if (answer.ok) script.innerHTML = await answer.text();
    } catch { /* the gateway is away: what is shown stays */ }
  });

  form.querySelector('[aria-invalid="true"]')?.focus();
}
