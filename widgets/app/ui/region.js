// A region as a picture: degrees as a grid, and the box in it. No coastline: nothing comes from outside, and the numbers
// beside it are what counts.

import { h, svg, put } from "./dom.js";

export function makeMap(say, bounds) {
  const [west, south, east, north] = bounds;
  const width = 240, height = Math.max(60, Math.min(180, (240 * (north - south)) / (east - west)));
  const x = (degrees) => ((degrees - west) / (east - west)) * width;
  const y = (degrees) => ((north - degrees) / (north - south)) * height;
  const every = (span) => [1, 2, 5, 10, 15, 30, 45].find((step) => span / step <= 8) ?? 60;
  const lines = [];
  const [across, down] = [every(east - west), every(north - south)];
  for (let at = Math.ceil(west / across) * across; at <= east; at += across) lines.push(svg("path", { class: at === 0 ? "pja-axis" : "pja-grid", d: `M${x(at)} 0V${height}` }));
  for (let at = Math.ceil(south / down) * down; at <= north; at += down) lines.push(svg("path", { class: at === 0 ? "pja-axis" : "pja-grid", d: `M0 ${y(at)}H${width}` }));
  const box = svg("rect", { class: "pja-box", rx: 1 });
  const node = svg("svg", { class: "pja-Map", viewBox: `-1 -1 ${width + 2} ${height + 2}`, role: "img" }, svg("rect", { class: "pja-sea", width, height }), ...lines, box);
  const words = h("figcaption", { class: "pja-Help" });
  const { _ } = say;
  const size = (value) => say.fmt.number(Math.abs(value), 1);
  const along = (value) => (value < 0 ? _("{n}° W", { n: size(value) }) : _("{n}° E", { n: size(value) }));
  const across_ = (value) => (value < 0 ? _("{n}° S", { n: size(value) }) : _("{n}° N", { n: size(value) }));

  function draw(value) {
    const good = value.every((one) => typeof one === "number") && value[0] < value[2] && value[1] < value[3];
    box.toggleAttribute("hidden", !good);
    if (!good) return put(words, "");
    const clamp = (at, low, high) => Math.min(high, Math.max(low, at));
    const [left, right] = [x(clamp(value[0], west, east)), x(clamp(value[2], west, east))];
    const [top, bottom] = [y(clamp(value[3], south, north)), y(clamp(value[1], south, north))];
    for (const [name, number] of Object.entries({ x: left, y: top, width: Math.max(2, right - left), height: Math.max(2, bottom - top) })) box.setAttribute(name, number);
    const ends = { west: along(value[0]), east: along(value[2]), south: across_(value[1]), north: across_(value[3]) };
    const text = _("{west} to {east}, {south} to {north}", ends);
    node.setAttribute("aria-label", text);
    put(words, text);
  }
  return { node: h("figure", { class: "pja-Figure" }, node, words), draw };
}
