// One field for each input of an app: native controls with a label, a help text and a place for what is wrong.
//
// A field is `{ name, node, read, write, fault, show }`: `read()` gives the value as the server takes it, whatever is in
// it; what is wrong with it the server says, in the person's language.

import { h, newId, put } from "./dom.js";
import { makeFile } from "./file.js";
import { makeMap } from "./region.js";

const digits = (step) => (String(step ?? 1).split(".")[1] ?? "").length;

// A number as a reader would have typed it; what is no number stays as it is, for the server to say so.
function numeric(text) {
  const plain = text.trim().replace(",", ".");
  return plain !== "" && Number.isFinite(Number(plain)) ? Number(plain) : text.trim() || null;
}

// A slider and a number box that say the same. The box has the label; the slider is named after it.
function pair(say, label, input, changed, more = {}) {
  const id = newId("number");
  const step = input.step ?? (input.type === "integer" ? 1 : (input.max - input.min) / 100);
  const bounded = { min: input.min, max: input.max, step };
  const box = h("input", { id, class: "pja-Number", type: "text", inputmode: step % 1 === 0 && input.min >= 0 ? "numeric" : "decimal", autocomplete: "off", ...more });
  const slider = h("input", { class: "pja-Slider", type: "range", ...bounded, "aria-label": say._("{name}, by a slider", { name: label }) });
  slider.addEventListener("input", () => { box.value = Number(slider.value).toFixed(digits(step)).replace(/\.0+$/, ""); changed(); });
  box.addEventListener("input", () => {
    const value = numeric(box.value);
    if (typeof value === "number") slider.value = String(value);
    changed();
  });
  const write = (value) => {
    box.value = value === null || value === undefined ? "" : String(value);
    slider.value = String(value ?? input.min);
  };
  const unit = input.unit ? h("span", { class: "pja-Unit", "aria-hidden": "true" }, input.unit) : null;
  return { id, box, write, read: () => numeric(box.value), node: h("div", { class: "pja-Pair" }, slider, h("span", { class: "pja-Boxed" }, box, unit)) };
}

const withUnit = (label, input) => (input.unit ? `${label} (${input.unit})` : label);

function makeNumber(say, label, input, changed, described) {
  const both = pair(say, label, input, changed, described);
  return { label: h("label", { for: both.id, class: "pja-Label" }, withUnit(label, input)), control: both.node, targets: [both.box], read: both.read, write: both.write };
}

function makeRange(say, label, input, changed, described) {
  const { _ } = say;
  const ends = [_("From"), _("To")].map((words) => {
    const both = pair(say, `${label}: ${words}`, { ...input, unit: "", step: input.step ?? 1 }, changed, described);
    return { ...both, row: h("div", { class: "pja-End" }, h("label", { for: both.id }, words), both.node) };
  });
  return {
    legend: withUnit(label, input), control: h("div", { class: "pja-Ends" }, ends.map((end) => end.row)), targets: ends.map((end) => end.box),
    read: () => ends.map((end) => end.read()),
    write: (value) => ends.forEach((end, place) => end.write(value?.[place])),
  };
}

function makeBox(say, label, input, changed, described) {
  const { _ } = say;
  const names = [_("West"), _("South"), _("East"), _("North")];
  const map = makeMap(say, input.bounds);
  const sides = names.map((words) => {
    const id = newId("side");
    const box = h("input", { id, class: "pja-Number", type: "text", inputmode: "decimal", autocomplete: "off", ...described });
    box.addEventListener("input", () => { map.draw(read()); changed(); });
    return { box, row: h("div", { class: "pja-Side" }, h("label", { for: id }, words), h("span", { class: "pja-Boxed" }, box, h("span", { class: "pja-Unit", "aria-hidden": "true" }, "°"))) };
  });
  const read = () => sides.map((side) => numeric(side.box.value));
  return {
    legend: label, control: h("div", { class: "pja-Region" }, h("div", { class: "pja-Sides" }, sides.map((side) => side.row)), map.node), targets: sides.map((side) => side.box), read,
    write(value) {
      sides.forEach((side, place) => { side.box.value = value?.[place] ?? ""; });
      map.draw(read());
    },
  };
}

function makeChoice(say, label, input, changed, described) {
  if (input.choices.length > 6) {
    const id = newId("choice");
    const select = h("select", { id, class: "pja-Select", onchange: changed, ...described }, input.choices.map((one) => h("option", { value: one.value }, say.text(one.title))));
    return { label: h("label", { for: id, class: "pja-Label" }, label), control: select, targets: [select], read: () => select.value, write: (value) => { select.value = value ?? input.choices[0].value; } };
  }
  return makeButtons(say, label, input, changed, "radio", (boxes) => boxes.find((box) => box.checked)?.value ?? null, (box, value) => box.value === value);
}

const makeChoices = (say, label, input, changed) =>
  makeButtons(say, label, input, changed, "checkbox", (boxes) => boxes.filter((box) => box.checked).map((box) => box.value), (box, value) => (value ?? []).includes(box.value));

function makeButtons(say, label, input, changed, type, read, chosen) {
  const group = newId("group");
  const boxes = input.choices.map((one) => h("input", { type, name: group, value: one.value, onchange: changed }));
  const rows = input.choices.map((one, place) => h("label", { class: "pja-Option" }, boxes[place], h("span", {}, say.text(one.title))));
  return { legend: label, control: h("div", { class: "pja-Options" }, rows), targets: boxes, read: () => read(boxes), write: (value) => boxes.forEach((box) => { box.checked = chosen(box, value); }) };
}

function makeBoolean(say, label, input, changed, described) {
  const box = h("input", { type: "checkbox", onchange: changed, ...described });
  return { label: null, control: h("label", { class: "pja-Option" }, box, h("span", {}, label)), targets: [box], read: () => box.checked, write: (value) => { box.checked = value === true; } };
}

function makeText(say, label, input, changed, described) {
  const id = newId("text");
  const box = h("input", { id, class: "pja-Text", type: "text", maxlength: input.max_length, autocomplete: "off", oninput: changed, ...described });
  return { label: h("label", { for: id, class: "pja-Label" }, withUnit(label, input)), control: box, targets: [box], read: () => box.value.trim() || null, write: (value) => { box.value = value ?? ""; } };
}

const KINDS = { number: makeNumber, integer: makeNumber, range: makeRange, box: makeBox, choice: makeChoice, choices: makeChoices, boolean: makeBoolean, text: makeText, file: makeFile };

export function makeField(say, input, changed, tools) {
  const label = say.text(input.title), help = newId("help"), wrong = newId("fault");
  const described = { "aria-describedby": `${help} ${wrong}` };
  const made = KINDS[input.type](say, label, input, changed, described, tools);
  const optional = input.optional ? h("span", { class: "pja-quiet" }, " ", say._("(optional)")) : null;
  const fault = h("p", { id: wrong, class: "pja-Fault", "aria-live": "polite" });
  const hint = h("p", { id: help, class: "pja-Help" }, say.text(input.help));
  const inside = [made.control, hint, fault];
  (made.label ?? null)?.append(optional ?? "");
  const node = made.legend
    ? h("fieldset", { class: "pja-Field", "aria-describedby": `${help} ${wrong}` }, h("legend", { class: "pja-Label" }, made.legend, optional), inside)
    : h("div", { class: "pja-Field" }, made.label, inside);
  return {
    name: input.name, input, node, read: made.read, write: made.write,
    show(visible) { node.hidden = !visible; },
    focus() { made.targets[0]?.focus(); },
    fault(words) {
      put(fault, words);
      for (const target of made.targets) if (words) target.setAttribute("aria-invalid", "true"); else target.removeAttribute("aria-invalid");
    },
  };
}
