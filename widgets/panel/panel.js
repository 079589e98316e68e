// The panel: what the cluster is, how its workers are, what they cost, and what can be done.

// Seconds between two messages that somebody looks.
const LOOK = 30;
// Seconds after which it is said that the kernel does not hear.
const LATE = 2;

// How the cluster is, in a word, with the icon and colour that say the same.
function lookOf(counts, seen, ended, problem, _) {
  if (ended) return ["calm", _("Ended")];
  if (problem.error) return ["wait", _("Unknown")];
  const target = seen.target ?? 0;
  if (counts.lost && counts.running < target) return ["bad", _("{lost} lost, {running} of {target} run", { ...counts, target })];
  if (!target && !counts.running) return ["calm", seen.adaptive ? _("No work at the moment") : _("No workers")];
  return [Math.min(counts.running, counts.connected) >= target ? "ok" : "wait", _("{running} of {target} workers run", { running: counts.running, target: Math.max(target, counts.running) })];
}

function count(rows, given) {
  const found = { running: 0, connected: 0, queued: 0, requested: 0, lost: 0, reasons: new Map() };
  if (!rows) return { ...found, ...given, running: Math.max(given?.running ?? 0, given?.connected ?? 0) };
  for (const row of rows) {
    const state = stateOf(row);
    if (state in found) found[state] += 1;
    found.connected += row.connected ? 1 : 0;
    if (state === "queued" && row.reason) found.reasons.set(row.reason, [...(found.reasons.get(row.reason) ?? []), row]);
  }
  return found;
}

// News of the head as a sentence; a code that is not listed comes with a message or stands for itself.
function newsOf(said, say) {
  const { _ } = say, values = said.values ?? {};
  const worker = values.worker ?? "";
  const why = { ended: _("its job has ended"), "out-of-touch": _("it is no longer in touch"), silent: _("it never connected") };
  switch (said.code) {
    case "worker-lost":
      return _("{worker} was lost: {reason}", { worker, reason: why[values.reason] ?? reasons(_)[values.reason] ?? values.reason ?? "" });
    case "worker-silent": {
      const log = (values.log ?? "").trim().split("\n").slice(-3).join(" / ").slice(-300);
      return _("{worker} runs on {node} but has not connected. The end of its log: {log}", { worker, node: values.node || "?", log: log || "-" });
    }
    case "worker-retires": return _("{worker} retires before its time is up; another one takes its place.", { worker });
    case "workers-stopped": return _("No more workers are asked for: too many were lost. The log of {worker} may say why.", { worker });
    case "refused": return _("The gateway refused more workers: {why}", { why: refusal({ error: values.code ?? said.code, message: values.message, values }, say) });
    case "broker-silent": return _("The gateway does not answer. Workers that run go on; new ones must wait.");
    case "broker-back": return _("The gateway answers again.");
    default: return values.message ?? said.message ?? said.code;
  }
}

function render({ model, el }) {
  const language = languageOf(model);
  const { _, ngettext } = translator(model, language);
  const fmt = formats(language, _);
  const say = { _, ngettext, fmt };
  const waiting = new Map();
  let number = 0, skew = 0, told = "";

  const act = (content) => new Promise((resolve) => {
    const id = `${model.model_id ?? ""}-${(number += 1)}-${Math.random()}`;
    // A kernel that computes hears nothing until its cell has ended.
    const late = setTimeout(() => { later.hidden = false; }, LATE * 1000);
    waiting.set(id, (answer) => { clearTimeout(late); later.hidden = true; resolve(answer); });
    model.send({ ...content, id });
  });
  const heard = (message) => { waiting.get(message?.id)?.(message); waiting.delete(message?.id); };
  const place = h("div");
  const ask = async (...words) => {
    const { box, answer } = question(...words);
    place.replaceChildren(box);
    return answer;
  };

  const title = newId("title");
  const state = h("span", { class: "pjc-State" });
  const where = h("p", { class: "pjc-quiet pjc-Where" });
  const board = h("a", { class: "pjc-Button", target: "_blank", rel: "noopener" }, icon("out"), _("Dashboard"));
  const stop = h("button", { type: "button", class: "pjc-Button pjc-is-bad" }, icon("stop"), _("Stop"));
  const trouble = h("p", { class: "pjc-Note pjc-is-wait" });
  const later = h("p", { class: "pjc-Note", role: "status", hidden: true }, _("The notebook is computing. What you asked for is done as soon as its cell has ended."));
  const live = h("div", { class: "pjc-hidden", role: "status" });
  const figure = (name, words) => {
    const value = h("strong"), more = h("small");
    return { value, more, node: h("div", {}, h("dt", {}, h("span", { class: `pjc-Key pjc-key-${name}`, "aria-hidden": "true" }), words), h("dd", {}, value, more)) };
  };
  const figures = { running: figure("running", _("Running")), queued: figure("queued", _("Queued")), requested: figure("requested", _("Requested")), lost: figure("lost", _("Lost")) };
  const fact = (words) => { const value = h("dd"); return { value, node: h("div", {}, h("dt", {}, words), value) }; };
  const facts = { cost: fact(_("Cost now")), spent: fact(_("Cost so far")), all: fact(_("All your workers here")), head: fact(_("Time left")), first: fact(_("First worker ends in")) };
  const plot = makePlot(say), workers = makeWorkers(say, act), controls = makeControls(say, act, ask);
  const news = h("ul", { class: "pjc-News" });
  const body = h("div", { class: "pjc-Body" },
    h("section", { class: "pjc-Part", "aria-label": _("States of the workers") }, h("dl", { class: "pjc-Figures" }, ...Object.values(figures).map((f) => f.node)), plot.node),
    h("section", { class: "pjc-Part", "aria-label": _("How many workers") }, controls.node),
    h("dl", { class: "pjc-Part pjc-Facts" }, ...Object.values(facts).map((f) => f.node)),
    h("div", { class: "pjc-Part" }, workers.node, news));
  const root = h("section", { class: "pjc", lang: fmt.tag, "aria-labelledby": title },
    h("div", { class: "pjc-Head" },
      h("div", {}, h("div", { class: "pjc-Name" }, h("h3", { id: title }, model.get("name")), state), where),
      h("div", { class: "pjc-Actions" }, board, stop)),
    trouble, later, place, body, live);
  el.append(root);

  stop.addEventListener("click", async () => {
    const words = _("Stop {name}? Its workers end, and what they have in memory is lost.", { name: model.get("name") });
    if (!(await ask(words, _("Yes, stop it"), _("No")))) return;
    stop.setAttribute("aria-busy", "true");
    const answer = await act({ action: "stop" });
    stop.removeAttribute("aria-busy");
    draw();
    if (!answer.error) return;
    put(trouble, refusal(answer, say));
    trouble.hidden = false;
  });

  // Told are news, not each number that moves: a worker more or less while others still come is none.
  function tell(words) {
    if (words !== told) { told = words; put(live, words); }
  }

  function drawHead(seen, counts) {
    const ended = model.get("ended"), problem = model.get("problem");
    const [colour, words] = lookOf(counts, seen, ended, problem, _);
    if (state.dataset.words !== words) state.replaceChildren(icon(colour), words);
    Object.assign(state.dataset, { colour, words });
    const shape = seen.shape ?? {};
    const each = [];
    if (shape.cores) each.push(ngettext("{count} core", "{count} cores", shape.cores));
    if (shape.memory) each.push(fmt.memory(shape.memory));
    if (shape.gpus) each.push(ngettext("{count} GPU", "{count} GPUs", shape.gpus));
    const named = (kind) => model.get("names")[kind]?.[seen[kind]]?.[language] || seen[kind];
    const site = [named("centre"), named("queue")].filter(Boolean).join(" · ");
    put(where, [site, each.length ? _("each worker: {what}", { what: fmt.commas(each) }) : ""].filter(Boolean).join(" · "));
    board.hidden = ended || !seen.dashboard;
    if (seen.dashboard) board.href = seen.dashboard;
    stop.hidden = body.hidden = ended;
    if (!stop.hasAttribute("aria-busy")) drawTrouble(seen, ended, problem);
    return words;
  }

  function drawTrouble(seen, ended, problem) {
    let words = "";
    if (ended) words = _("This cluster has ended. Its workers are gone; files stay where they were written.");
    else if (problem.error) words = _("No answer from the cluster since {time}: {why}", { time: fmt.time(new Date(problem.since * 1000)), why: problem.message });
    else if (seen.stopped) words = newsOf({ code: "workers-stopped", values: { worker: seen.stopped } }, say);
    else if (seen.broker && seen.broker !== "ok") words = _("The gateway does not answer. Workers that run go on; new ones must wait.");
    put(trouble, words);
    trouble.hidden = !words;
    trouble.classList.toggle("pjc-is-wait", !ended);
  }

  function draw() {
    const seen = model.get("seen") ?? {}, now = Date.now() / 1000 - skew;
    const counts = count(seen.workers, seen.counts);
    const words = drawHead(seen, counts);
    for (const [name, each] of Object.entries(figures)) put(each.value, fmt.number(counts[name]));
    const idle = counts.running - counts.connected;
    put(figures.running.more, idle > 0 ? _("{n} not yet connected", { n: idle }) : "");
    const common = [...counts.reasons ?? []].sort((a, b) => b[1].length - a[1].length)[0];
    put(figures.queued.more, common ? reasonOf(common[1][0], _) : "");
    root.classList.toggle("pjc-has-lost", counts.lost > 0);
    plot.draw(model.get("history") ?? [], now);
    workers.draw(seen, now);
    controls.draw(seen);
    drawFacts(seen, now);
    const last = (seen.said ?? []).slice(-3);
    const text = last.map((each) => newsOf(each, say));
    if (news.dataset.text !== text.join("\n")) news.replaceChildren(...text.map((line) => h("li", {}, line)));
    news.dataset.text = text.join("\n");
    const settled = counts.running >= (seen.target ?? 0) || counts.lost || model.get("ended") || model.get("problem").error;
    if (settled && seen.now) tell([words, text.at(-1) ?? ""].filter(Boolean).join(". "));
  }

  function drawFacts(seen, now) {
    const hour = (micro) => _("{cost} an hour", { cost: fmt.money(micro ?? 0) });
    put(facts.cost.value, hour(seen.cost_per_hour));
    facts.spent.node.hidden = seen.money?.spent === undefined;
    put(facts.spent.value, fmt.money(seen.money?.spent ?? 0));
    const all = seen.used?.cost_per_hour;
    facts.all.node.hidden = !(all > (seen.cost_per_hour ?? 0));
    put(facts.all.value, hour(all));
    const left = (text) => (Number.isNaN(Date.parse(text ?? "")) ? null : Date.parse(text) / 1000 - now);
    const head = left(seen.ends_by);
    facts.head.node.hidden = head === null;
    put(facts.head.value, fmt.clock(head ?? 0));
    const ends = (seen.workers ?? []).filter((row) => stateOf(row) === "running").map((row) => left(row.ends_by)).filter((one) => one !== null);
    facts.first.node.hidden = !ends.length;
    put(facts.first.value, ends.length ? fmt.clock(Math.min(...ends)) : "");
  }

  const theme = () => root.toggleAttribute("data-dark", isDark(root));
  const seeing = new MutationObserver(() => requestAnimationFrame(theme));
  for (const node of [document.body, document.documentElement]) seeing.observe(node, { attributes: true });
  const look = () => { if (!document.hidden && !model.get("ended")) model.send({ action: "look" }); };
  const fresh = () => {
    const now = model.get("seen")?.now;
    if (now) skew = Date.now() / 1000 - now;
    draw();
  };
  const tick = setInterval(() => { if (!document.hidden && !model.get("ended")) draw(); }, 1000);
  const beat = setInterval(look, LOOK * 1000);
  document.addEventListener("visibilitychange", look);
  const sized = new ResizeObserver(() => requestAnimationFrame(draw));
  sized.observe(root);
  const events = ["change:seen", "change:history", "change:problem", "change:ended"];
  for (const event of events) model.on(event, fresh);
  model.on("msg:custom", heard);
  requestAnimationFrame(theme);
  look();
  fresh();
  return () => {
    for (const event of events) model.off(event, fresh);
    model.off("msg:custom", heard);
    document.removeEventListener("visibilitychange", look);
    clearInterval(tick);
    clearInterval(beat);
    seeing.disconnect();
    sized.disconnect();
  };
}

export default { render };
