// The form: presets, fields in their groups, what a run will take, and the button.

import { h, newId, put } from "./dom.js";
import { newKey } from "./api.js";
import { makeField } from "./fields.js";
import { trouble } from "./words.js";

// Seconds after the last change until the server is asked what it would take.
const CALM = 0.35;

export function makeForm(say, facts, ask, started) {
  const { _, ngettext, text, fmt } = say, app = facts.app;
  let timer = 0, asked = 0, from = null, estimate = null, key = newKey();
  const tools = { ask, data: app.data ?? {}, found: facts.found.data ?? {}, upload: facts.upload };
  const fields = app.inputs.map((input) => makeField(say, input, changed, tools));
  const byName = Object.fromEntries(fields.map((field) => [field.name, field]));

  const heading = newId("form");
  const presets = app.presets?.length
    ? h("div", { class: "pja-Presets", role: "group", "aria-label": _("Cases to begin with") }, app.presets.map((preset) => h("button", { type: "button", class: "pja-Button", title: text(preset.help), onclick: () => preset_(preset) }, text(preset.title))))
    : null;
  const news = h("p", { class: "pja-hidden", role: "status" });
  const groups = [];
  for (const field of fields.filter((one) => !one.input.advanced)) {
    const title = text(field.input.group);
    const last = groups.at(-1);
    if (last && last.title === title) last.fields.push(field.node);
    else groups.push({ title, fields: [field.node] });
  }
  const shown = groups.map((group) => (group.title ? h("section", { class: "pja-Group", "aria-label": group.title }, h("h3", {}, group.title), group.fields) : h("div", { class: "pja-Group" }, group.fields)));
  const advanced = fields.filter((one) => one.input.advanced).map((one) => one.node);
  const more = advanced.length ? h("details", { class: "pja-More" }, h("summary", {}, _("More settings")), h("div", { class: "pja-Group" }, advanced)) : null;
  const takes = h("dl", { class: "pja-Takes" });
  const note = h("p", { class: "pja-quiet pja-TakesNote" });
  const where = h("div", { class: "pja-Options pja-Places" });
  const fault = h("p", { class: "pja-Fault", role: "alert" });
  const run = h("button", { type: "submit", class: "pja-Button pja-is-filled pja-is-large" }, _("Run"));
  const node = h("form", { class: "pja-Panel pja-Form", novalidate: true, "aria-labelledby": heading },
    h("h2", { id: heading }, _("Your case")), presets, news, shown, more,
    h("div", { class: "pja-Bar" }, h("div", { class: "pja-Estimate", role: "status" }, takes, note), where, fault, h("div", { class: "pja-Actions" }, run)));

  const read = () => Object.fromEntries(fields.filter((field) => !field.node.hidden).map((field) => [field.name, field.read()]).filter(([, value]) => value !== null));
  function write(values) {
    for (const field of fields) if (field.name in values) field.write(values[field.name]);
  }
  function folds() {
    for (const field of fields) {
      const only = field.input.shown_if;
      if (only) field.show(!byName[only.input].node.hidden && byName[only.input].read() === only.equals);
    }
  }
  function preset_(preset) {
    write(Object.fromEntries(app.inputs.map((input) => [input.name, input.default ?? null])));
    write(preset.inputs);
    from = null;
    put(news, _("Filled in: {name}. {help}", { name: text(preset.title), help: text(preset.help) }));
    changed();
  }

  function changed() {
    folds();
    key = newKey();
    put(fault, "");
    clearTimeout(timer);
    timer = setTimeout(look, CALM * 1000);
  }

  // What is wrong, in place; gives the first field that is.
  function tell(faults) {
    let first = null;
    for (const field of fields) {
      const mine = faults.filter((one) => one.field === field.name);
      field.fault(mine.map((one) => one.message).join(" "));
      if (mine.length && !first) first = field;
    }
    const others = faults.filter((one) => !(one.field in byName));
    if (others.length) put(fault, others.map((one) => one.message).join(" "));
    return first;
  }

  function fact(name, value) {
    return value ? h("div", {}, h("dt", {}, name), h("dd", {}, value)) : null;
  }

  async function look() {
    const mine = (asked += 1);
    const found = await ask("POST", "app/estimate", { inputs: read() });
    if (mine !== asked) return;
    if (found.error) return put(note, trouble(found, say));
    tell(found.faults);
    estimate = found.faults.length ? null : found;
    if (!estimate) {
      takes.replaceChildren();
      where.replaceChildren();
      return put(note, _("Something above needs another value."));
    }
    drawEstimate(found);
  }

  function drawEstimate(found) {
    const needs = found.needs;
    const cost = places(found).find((one) => isBest(found, one))?.cost ?? null;
    takes.replaceChildren(...[
      fact(_("It takes about"), fmt.span(needs.seconds)),
      fact(_("Cores"), fmt.number(found.small ? Math.min(needs.cores, facts.cores || needs.cores) : needs.cores)),
      fact(_("Workers"), needs.workers && !found.small ? fmt.number(needs.workers) : ""),
      fact(_("Memory"), fmt.bytes(needs.memory * 2 ** 20)),
      fact(_("It costs"), found.small ? _("nothing beyond this session") : cost === null ? "" : fmt.money(cost)),
    ].filter(Boolean));
    put(note, found.small ? _("It runs in this session, at once.") : _("It is large: it gets a job of its own, and goes on when you close this page."));
    drawPlaces(found);
  }

  // Where a large run could go: the best first, and no place that is known to lack a code.
  function places(found) {
    const fit = (found.offers ?? []).filter((one) => one.fits && one.place !== "missing");
    return [...fit.filter((one) => isBest(found, one)), ...fit.filter((one) => !isBest(found, one))].slice(0, 4);
  }
  const isBest = (found, one) => one.centre === found.recommended?.centre && one.queue === found.recommended?.queue;

  function drawPlaces(found) {
    const group = newId("place");
    const before = where.querySelector("input:checked")?.value;
    const rows = (found.small ? [] : places(found)).map((one, at) => {
      const radio = h("input", { type: "radio", name: group, value: `${one.centre} · ${one.queue}` });
      radio.checked = before ? radio.value === before : at === 0;
      radio.offer = one;
      return h("label", { class: "pja-Option" }, radio, h("span", {}, fmt.commas([radio.value, one.cost ? fmt.money(one.cost) : ""].filter(Boolean))));
    });
    where.replaceChildren(...rows);
    if (!found.small && found.gateway && !rows.length) put(note, _("No centre can take a run of this size now: make it smaller."));
  }

  // JupyterLab and Voila may take Enter for themselves.
  node.addEventListener("keydown", (event) => { if (event.key === "Enter" && event.target.tagName === "INPUT") event.stopPropagation(); });
  node.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (run.getAttribute("aria-disabled")) return;
    run.setAttribute("aria-disabled", "true");
    put(run, _("Starting …"));
    clearTimeout(timer);
    await look();
    const body = { inputs: read(), key, ...(from ? { parent: from, relation: "rerun" } : {}) };
    const place = where.querySelector("input:checked")?.offer;
    if (estimate && !estimate.small && place) body.request = { centre: place.centre, queue: place.queue };
    const made = estimate || !fields.some((field) => field.node.querySelector("[aria-invalid]")) ? await ask("POST", "runs", body) : { faults: null };
    run.removeAttribute("aria-disabled");
    put(run, _("Run"));
    if (made.faults !== undefined || made.error) {
      const first = made.faults ? tell(made.faults) : fields.find((field) => field.node.querySelector("[aria-invalid]"));
      if (first) {
        const folded = first.node.closest("details");
        if (folded) folded.open = true;
        return first.focus();
      }
      return put(fault, trouble(made, say));
    }
    key = newKey();
    started(made);
  });

  // Fill in what an earlier run had, to change one value of it.
  function again(inputs, parent) {
    write({ ...Object.fromEntries(app.inputs.map((input) => [input.name, input.default ?? null])), ...inputs });
    from = parent;
    if (more && app.inputs.some((input) => input.advanced && JSON.stringify(inputs[input.name]) !== JSON.stringify(input.default))) more.open = true;
    changed();
    put(news, _("The values of that run are filled in: change one, and run again."));
    node.scrollIntoView({ block: "start" });
    fields[0]?.focus();
  }

  write(Object.fromEntries(app.inputs.map((input) => [input.name, input.default ?? null])));
  const given = facts.given ?? {};
  write(given);
  folds();
  look();
  return { node, again };
}
