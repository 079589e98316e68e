// Apps and runs: the gallery's filter, forms that show what counts and what it costs, and links that are copied.
// The words all come from the server; a script only puts them into place.
import { announce, xsrf } from "./live.js";

export function gallery(form) {
  if (!form) return;
  const cards = [...document.querySelectorAll(".pj-app")], none = document.getElementById("gallery-none");
  function show() {
    const words = form.elements.q.value.toLowerCase().split(/\s+/).filter(Boolean), domain = form.elements.domain.value;
    let many = 0;
    for (const card of cards) {
      const fits = (!domain || card.dataset.domain === domain) && words.every((word) => card.dataset.words.includes(word));
      card.hidden = !fits;
      many += fits;
    }
    none.hidden = many > 0;
    announce(many === 0 ? none.querySelector("h2").textContent : many === 1 ? form.dataset.one : form.dataset.many.replace("{n}", many));
    const query = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
    history.replaceState(null, "", query.size ? `?${query}` : location.pathname);
  }
  form.addEventListener("input", show);
  form.addEventListener("submit", (event) => { event.preventDefault(); show(); });
}

// What is chosen among the places is said beside the button.
function says(form) {
  const say = form.querySelector("[data-says]");
  const chosen = form.querySelector('[name="place"]:checked');
  if (say) say.textContent = chosen ? chosen.dataset.say : "";
}

export function places(form) {
  form?.addEventListener("input", (event) => { if (event.target.name === "place") says(form); });
}

// An input that another one decides about is shown only when it counts.
function conditions(form) {
  for (const part of form.querySelectorAll("[data-shown-if]")) {
    const values = [...form.querySelectorAll(`[name="${CSS.escape(part.dataset.shownIf)}"]`)]
      .filter((field) => !["radio", "checkbox"].includes(field.type) || field.checked).map((field) => field.value);
    part.hidden = values.at(-1) !== part.dataset.equals;
  }
  // Where own files lie matters only if there is one.
  const where = form.querySelector("[data-own-files]");
  if (where) where.hidden = ![...form.querySelectorAll('[name^="in."][name$=".path"]')].some((path) => {
    const own = form.querySelector(`[name="${CSS.escape(path.name.slice(0, -5))}"][value="own"]`);
    return path.value.trim() && (!own || own.checked) && !path.closest("[data-shown-if][hidden]");
  });
}

function faults(form, estimate) {
  for (const template of estimate.querySelectorAll("template[data-fault]")) {
    const place = form.querySelector(`[data-error="${template.dataset.fault}"]`);
    place.replaceChildren(template.content.cloneNode(true));
    for (const input of place.parentElement.querySelectorAll(".form-control")) {
      const wrong = place.childElementCount > 0;
      input.classList.toggle("is-invalid", wrong);
      if (wrong) input.setAttribute("aria-invalid", "true"); else input.removeAttribute("aria-invalid");
    }
  }
}

export function runForm(form) {
  if (!form) return;
  const estimate = document.getElementById("estimate");
  let timer = 0, asked = 0;
  async function ask() {
    const mine = ++asked;
    try {
      const answer = await fetch(form.dataset.estimate, { method: "POST", body: new URLSearchParams(new FormData(form)), headers: xsrf() });
      if (mine !== asked || !answer.ok) return;
      const focused = estimate.contains(document.activeElement) ? document.activeElement.id : "";
      const open = Boolean(estimate.querySelector("details")?.open);
      estimate.innerHTML = await answer.text();
      for (const fold of estimate.querySelectorAll("details")) fold.open = open;
      if (focused) document.getElementById(focused)?.focus();
    } catch { return; }  // the gateway is away: what is shown stays
    faults(form, estimate);
    says(form);
    announce(estimate.firstElementChild.dataset.estimateState);
  }
  form.addEventListener("input", (event) => {
    if (event.target.name === "place") return says(form);
    // A path that is typed is the file that is meant.
    if (event.target.name.endsWith(".path")) {
      const own = form.querySelector(`[name="${CSS.escape(event.target.name.slice(0, -5))}"][value="own"]`);
      if (own) own.checked = Boolean(event.target.value) || own.checked;
    }
    conditions(form);
    if (["label", "files_at"].includes(event.target.name)) return;
    clearTimeout(timer);
    timer = setTimeout(ask, 300);
  });
  conditions(form);
  form.querySelector('[aria-invalid="true"]')?.focus();
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  const field = document.getElementById(button.dataset.copy);
  field.select();
  try { await navigator.clipboard.writeText(field.value); } catch { document.execCommand("copy"); }
  button.querySelector("span").textContent = button.dataset.said;
  announce(button.dataset.said);
});
