// How many workers: a fixed number (a slider and a number box that say the same), or as many as the work needs.

function makeControls(say, act, ask) {
  const { _, fmt } = say;
  const group = newId("mode");
  const field = (name, words, value) => {
    const id = newId(name);
    const box = h("input", { type: "number", id, min: "0", step: "1", inputmode: "numeric", value, class: "pjc-Number" });
    return { box, node: h("div", { class: "pjc-Field" }, h("label", { for: id }, words), box) };
  };
  const count = field("count", _("Workers"), "0");
  const slider = h("input", { type: "range", min: "0", max: "20", step: "1", value: "0", class: "pjc-Slider", "aria-label": _("Workers, by a slider") });
  const least = field("least", _("At least"), "0"), most = field("most", _("At most"), "0");
  const button = h("button", { type: "submit", class: "pjc-Button" }, _("Apply"));
  const cost = h("p", { class: "pjc-quiet pjc-Cost" });
  const fault = h("p", { class: "pjc-Fault", role: "alert" });
  const choice = (value, words) => {
    const input = h("input", { type: "radio", name: group, value });
    return { input, node: h("label", {}, input, h("span", {}, words)) };
  };
  const fixed = choice("fixed", _("A fixed number")), needed = choice("needed", _("As many as needed"));
  fixed.input.checked = true;
  const numbers = h("div", { class: "pjc-Size" }, slider, count.node);
  const bounds = h("div", { class: "pjc-Size", hidden: true }, least.node, most.node);
  const node = h("form", { class: "pjc-Form", novalidate: true },
    h("div", { class: "pjc-Row" },
      h("fieldset", { class: "pjc-Segments" }, h("legend", { class: "pjc-hidden" }, _("How many workers")), fixed.node, needed.node)),
    h("div", { class: "pjc-Inputs" }, numbers, bounds, button), cost, fault);

  let seen = {}, touched = false;
  const byNeed = () => needed.input.checked;
  const read = (input) => (/^\d{1,6}$/.test(input.value.trim()) ? Number(input.value) : null);
  const wanted = () => (byNeed() ? read(most.box) : read(count.box));

  function differs() {
    if (byNeed()) return read(least.box) !== seen.adaptive?.minimum || read(most.box) !== seen.adaptive?.maximum;
    return Boolean(seen.adaptive) || read(count.box) !== seen.target;
  }

  function say_cost() {
    numbers.hidden = byNeed();
    bounds.hidden = !byNeed();
    button.classList.toggle("pjc-is-filled", differs());
    const n = wanted();
    if (n === null || !seen.price) return put(cost, "");
    const each = fmt.money(seen.price), all = fmt.money(seen.price * n);
    put(cost, byNeed() ? _("At most {all} an hour; a worker costs {each}.", { all, each }) : _("{all} an hour; a worker costs {each}.", { all, each }));
  }

  function reach(n) {
    const limit = seen.limits?.workers ?? Infinity;
    slider.max = String(Math.min(limit, Math.max(20, Math.ceil((1.5 * Math.max(n, seen.target ?? 0)) / 10) * 10)));
  }

  const typed = () => {
    touched = true;
    put(fault, "");
    say_cost();
  };
  slider.addEventListener("input", () => { count.box.value = slider.value; typed(); });
  count.box.addEventListener("input", () => {
    const n = read(count.box);
    if (n !== null) { reach(n); slider.value = String(n); }
    typed();
  });
  for (const input of [least.box, most.box, fixed.input, needed.input]) input.addEventListener("input", typed);

  function wish() {
    if (!byNeed()) return { action: "scale", n: read(count.box) };
    return { action: "adapt", minimum: read(least.box), maximum: read(most.box) };
  }

  function wrong(values) {
    const bad = (input, is) => { input.toggleAttribute("aria-invalid", is); if (is) input.setAttribute("aria-invalid", "true"); return is; };
    const inputs = byNeed() ? [least.box, most.box] : [count.box];
    if (inputs.map((input) => bad(input, read(input) === null)).some(Boolean)) return _("Please give a whole number.");
    if (byNeed() && bad(most.box, values.minimum > values.maximum)) return _("“At most” must not be less than “at least”.");
    return "";
  }

  // JupyterLab takes Enter away from fields in outputs.
  node.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.target.type !== "number") return;
    event.preventDefault();
    node.requestSubmit(button);
  });

  node.addEventListener("submit", async (event) => {
    event.preventDefault();
    const values = wish(), words = wrong(values);
    put(fault, words);
    if (words || button.getAttribute("aria-busy")) return;
    button.setAttribute("aria-busy", "true");
    let answer = await act(values);
    if (answer.error === "confirm-cost") {
      const { limit } = answer.values, sum = answer.values.cost ?? answer.values.cost_per_hour;
      const money = fmt.money(sum ?? 0);
      const text = _("Your clusters at this centre would then cost {cost} an hour. That is more than {limit}, from which you are asked.", { cost: money, limit: fmt.money(limit ?? 0) });
      button.removeAttribute("aria-busy");
      if (!(await ask(text, _("Yes, {cost} an hour", { cost: money }), _("No")))) return;
      answer = await act({ ...values, confirmed: true });
    }
    button.removeAttribute("aria-busy");
    if (answer.error) put(fault, refusal(answer, say));
    else touched = false;
  });

  // What holds at the head is shown, unless somebody is about to change it.
  function draw(status) {
    seen = status;
    if (!touched && !node.contains(node.getRootNode().activeElement)) {
      const { adaptive, target } = status;
      needed.input.checked = Boolean(adaptive);
      fixed.input.checked = !adaptive;
      count.box.value = String(target ?? 0);
      least.box.value = String(adaptive?.minimum ?? 0);
      most.box.value = String(adaptive?.maximum ?? Math.max(target ?? 0, 1));
      reach(target ?? 0);
      slider.value = count.box.value;
    }
    if (status.limits?.workers) for (const input of [count.box, least.box, most.box]) input.max = String(status.limits.workers);
    say_cost();
  }
  return { node, draw };
}
