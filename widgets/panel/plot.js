// The workers of the last ten minutes by state, as steps one upon the other, and what was asked for as a dashed line.
// Numbers stand beside it in words; its own text alternative says how it went.

const SPAN = 600;
const STATES = ["running", "queued", "requested", "lost"];
const HIGH = 104;

// A number at least `value` with which an axis ends well.
function ceiling(value) {
  for (let size = 1; ; size *= 10)
    for (const step of [1, 2, 4, 5, 10]) if (step * size >= value && step * size >= 4) return step * size;
}

// The corners of the steps of `value(point)`, from left to right, up to now.
function steps(points, now, top, wide, value) {
  const found = [];
  const x = (time) => (Math.max(0, 1 - (now - time) / SPAN) * wide).toFixed(1);
  const y = (number) => (HIGH - (number / top) * HIGH).toFixed(1);
  points.forEach((point, n) => {
    const end = n + 1 < points.length ? points[n + 1][0] : now;
    found.push(`${x(point[0])},${y(value(point))}`, `${x(end)},${y(value(point))}`);
  });
  return found;
}

function makePlot(say) {
  const { _, fmt } = say;
  const patterns = svg("defs");
  const names = {};
  // Hatched one way, hatched the other way, dotted: no colour is needed to tell them apart.
  for (const [state, turn, high] of [["queued", 45, 6], ["lost", -45, 6], ["requested", 0, 1.5]]) {
    names[state] = newId(state);
    patterns.append(svg("pattern", { id: names[state], width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: `rotate(${turn})` },
      svg("rect", { width: 6, height: 6, class: `pjc-ground-${state}` }),
      svg("rect", { width: high === 6 ? 2.5 : 1.5, height: high, class: `pjc-line-${state}` })));
  }
  const areas = Object.fromEntries(STATES.map((state) => [state, svg("path", { class: `pjc-area-${state}` })]));
  for (const state of Object.keys(names)) areas[state].setAttribute("fill", `url(#${names[state]})`);
  const grid = [0, 0.5, 1].map((part) => svg("line", { x1: 0, x2: "100%", y1: HIGH * part, y2: HIGH * part, class: "pjc-grid" }));
  const asked = svg("path", { class: "pjc-asked" });
  const picture = svg("svg", { role: "img", class: "pjc-Plot" },
    patterns, ...grid, ...STATES.map((state) => areas[state]), asked);
  const most = h("span"), half = h("span");
  const node = h("div", { class: "pjc-Chart" },
    h("div", { class: "pjc-Scale", "aria-hidden": "true" }, most, half, h("span", {}, "0")),
    picture,
    h("div", { class: "pjc-Times", "aria-hidden": "true" }, h("span", {}, _("10 minutes ago")), h("span", {}, _("now"))));

  function draw(points, now) {
    // In pixels, so that neither hatching nor lines are stretched.
    const wide = picture.clientWidth || 600;
    const sum = (point) => point[1] + point[2] + point[3] + point[4];
    const top = ceiling(Math.max(1, ...points.map((point) => Math.max(sum(point), point[5]))));
    put(most, fmt.number(top));
    put(half, fmt.number(top / 2));
    STATES.forEach((state, n) => {
      const to = (level) => (point) => point.slice(1, 1 + level).reduce((all, one) => all + one, 0);
      const upper = steps(points, now, top, wide, to(n + 1)), lower = steps(points, now, top, wide, to(n)).reverse();
      areas[state].setAttribute("d", points.length ? `M${upper.join("L")}L${lower.join("L")}Z` : "");
    });
    asked.setAttribute("d", points.length ? `M${steps(points, now, top, wide, (point) => point[5]).join("L")}` : "");
    const last = points.at(-1) ?? [0, 0, 0, 0, 0, 0];
    const values = { running: last[1], queued: last[2], requested: last[3], lost: last[4], most: Math.max(0, ...points.map((point) => point[1])) };
    const words = _("Workers in the last 10 minutes: at most {most} ran. Now {running} run, {queued} are queued, {requested} are requested and {lost} are lost.", values);
    if (picture.getAttribute("aria-label") !== words) picture.setAttribute("aria-label", words);
  }
  return { node, draw };
}
