// Every worker with its state, the reason of it, and its log.

const ORDER = { lost: 0, running: 1, queued: 2, requested: 3, ended: 4 };

// The same as `state_of` of history.py: who is connected runs; of whom a silent centre says nothing is what it was.
function stateOf(row) {
  if (row.connected) return "running";
  return row.state === "unknown" ? row.before || "requested" : row.state;
}

const stateWords = (_) => ({
  running: _("running"), queued: _("queued"), requested: _("requested"), lost: _("lost"), ended: _("ended"),
});

// What goes with the state of one worker.
function about(row, state, _) {
  if (row.state === "unknown" && !row.connected) return _("the centre does not answer");
  if (state === "running" && !row.connected) return _("not yet connected");
  return state === "running" ? "" : reasonOf(row, _);
}

function makeWorkers(say, act) {
  const { _, fmt } = say;
  const body = h("tbody");
  const columns = [_("Worker"), _("State"), _("Node"), _("Memory"), _("Time left"), _("Log")];
  const table = h("table", {}, h("thead", {}, h("tr", {}, ...columns.map((name) => h("th", { scope: "col" }, name)))), body);
  const scroll = h("div", { class: "pjc-Scroll", role: "region", tabindex: "0", "aria-label": _("All workers") }, table);
  const none = h("p", { class: "pjc-quiet" }, _("No worker has been asked for yet."));
  const logs = h("div", { class: "pjc-Logs" });
  const everything = h("button", { type: "button", class: "pjc-Button pjc-is-small", onclick: () => open(null, everything) }, _("Logs of all"));
  const words = h("span");
  const node = h("details", { class: "pjc-Fold" }, h("summary", {}, words),
    none, scroll, h("div", { class: "pjc-Actions" }, everything), logs);
  const rows = new Map();

  async function open(worker, button) {
    button.setAttribute("aria-busy", "true");
    const answer = await act({ action: "log", worker });
    button.removeAttribute("aria-busy");
    const title = h("h4", { tabindex: "-1" }, worker ? _("Log of {worker}", { worker }) : _("Logs of all"));
    const shut = h("button", { type: "button", class: "pjc-Button pjc-is-small" }, _("Close"));
    shut.addEventListener("click", () => { logs.replaceChildren(); if (button.isConnected) button.focus(); });
    const parts = answer.error ? [["", refusal(answer, say)]] : answer.done;
    const texts = parts.map(([name, text]) => [parts.length > 1 ? h("h5", {}, name) : null,
      h("pre", { tabindex: "0", role: "region", "aria-label": _("Log of {worker}", { worker: name || worker || "" }) }, text.trim() || _("It has written nothing yet."))]).flat();
    logs.replaceChildren(h("div", { class: "pjc-Row" }, title, shut), ...texts.filter(Boolean));
    // The newest lines are what one opens a log for, and they stand at its end.
    for (const text of logs.querySelectorAll("pre")) text.scrollTop = text.scrollHeight;
    title.focus();
  }

  function makeRow(name) {
    const cells = columns.map((label, n) => h(n ? "td" : "th", n ? { "data-label": label } : { scope: "row" }));
    const button = h("button", { type: "button", class: "pjc-Link", onclick: () => open(name, button) },
      _("Log"), h("span", { class: "pjc-hidden" }, ` ${name}`));
    const state = h("span", { class: "pjc-Dot" }), reason = h("small");
    put(cells[0], name);
    cells[1].append(state, reason);
    cells[5].append(button);
    return { row: h("tr", {}, ...cells), cells, state, reason };
  }

  function draw(seen, now) {
    const found = [...(seen.workers ?? [])].sort((a, b) =>
      ORDER[stateOf(a)] - ORDER[stateOf(b)] || String(a.name).localeCompare(String(b.name), "en", { numeric: true }));
    put(words, _("Workers: {n}", { n: fmt.number(found.filter((row) => stateOf(row) !== "ended").length) }));
    none.hidden = found.length > 0;
    scroll.hidden = everything.hidden = !none.hidden;
    const names = new Set(found.map((row) => row.name));
    for (const [name, kept] of rows) if (!names.has(name)) { kept.row.remove(); rows.delete(name); }
    found.forEach((row, place) => {
      if (!rows.has(row.name)) rows.set(row.name, makeRow(row.name));
      const { row: line, cells, state, reason } = rows.get(row.name);
      // Moving a row takes the focus from the button in it: only what stands in a wrong place is moved.
      if (body.children[place] !== line) body.insertBefore(line, body.children[place] ?? null);
      const code = stateOf(row), end = Date.parse(row.ends_by ?? "");
      state.className = `pjc-Dot pjc-dot-${code}`;
      put(state, stateWords(_)[code] ?? code);
      put(reason, about(row, code, _));
      reason.title = row.raw_reason || row.detail || "";
      put(cells[2], row.node ?? "–");
      const all = seen.shape?.memory;
      put(cells[3], row.connected && row.memory_used !== undefined && row.memory_used !== null
        ? _("{used} of {all}", { used: fmt.memory(row.memory_used / 2 ** 20), all: fmt.memory(all ?? 0) }) : "–");
      put(cells[4], code === "running" && !Number.isNaN(end) ? fmt.clock(end / 1000 - now) : "–");
    });
  }
  return { node, draw };
}
