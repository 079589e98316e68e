// What came out: pictures first, then what they say in words, numbers, tables, files.

import { h } from "./dom.js";

// A name of a result as a part of an address.
const quoted = (file) => file.split("/").map(encodeURIComponent).join("/");

export function drawResults(say, facts, run, at) {
  const { _, ngettext, text, fmt } = say, results = run.report?.results;
  if (!results) return [];
  const address = (file) => `${facts.base}${at}files/${quoted(file)}`;
  const figures = (results.figures ?? []).map((one) => h("figure", { class: "pja-Result" },
    h("img", { src: address(one.file), alt: text(one.alt) || text(one.title), width: one.width, height: one.height, loading: "lazy" }),
    h("figcaption", {}, h("span", {}, text(one.title)), h("a", { href: `${address(one.file)}?save=1`, download: "" }, _("Save the picture")))));
  const reading = text(results.reading) ? h("div", { class: "pja-Reading" }, h("h3", {}, _("In words")), h("p", {}, text(results.reading)), text(results.limits) ? h("p", { class: "pja-quiet" }, text(results.limits)) : "") : "";
  const numbers = results.numbers?.length ? h("dl", { class: "pja-Numbers" }, results.numbers.map((one) => h("div", {}, h("dt", {}, text(one.title)), h("dd", {}, `${fmt.figure(one.value)}${one.unit ? ` ${one.unit}` : ""}`)))) : "";
  const tables = (results.tables ?? []).map((one) => drawTable(say, one, address));
  const files = (results.files ?? []).map((one) => h("li", {}, h("a", { href: `${address(one.file)}?save=1`, download: "" }, text(one.title) || one.file), h("span", { class: "pja-quiet" }, fmt.commas([one.title ? one.file : "", fmt.bytes(one.bytes)].filter(Boolean)))));
  const all = h("a", { class: "pja-Button", href: `${facts.base}${at}download`, download: "" }, _("Download everything (zip)"));
  return [...figures, reading, numbers, ...tables, h("h3", {}, _("Files")), files.length ? h("ul", { class: "pja-Files" }, files) : "", h("div", { class: "pja-Actions" }, all)].filter((one) => one !== "");
}

function drawTable(say, one, address) {
  const { _, ngettext, text, fmt } = say;
  const cell = (value, first) => {
    const numeric = value !== "" && value !== null && Number.isFinite(Number(value));
    return h(first ? "th" : "td", { scope: first ? "row" : null, class: numeric ? "pja-is-number" : null }, numeric ? fmt.cell(Number(value)) : String(value ?? ""));
  };
  const numeric = (at) => (one.rows ?? []).every((row) => row[at] === "" || Number.isFinite(Number(row[at])));
  const table = h("table", {}, h("caption", {}, text(one.title)),
    h("thead", {}, h("tr", {}, (one.columns ?? []).map((name, at) => h("th", { scope: "col", class: numeric(at) ? "pja-is-number" : null }, String(name))))),
    h("tbody", {}, (one.rows ?? []).map((row) => h("tr", {}, row.map((value, at) => cell(value, at === 0))))));
  const rest = (one.count ?? 0) - (one.rows?.length ?? 0);
  return h("div", { class: "pja-Table" }, h("div", { class: "pja-Scroll", tabindex: "0", role: "region", "aria-label": text(one.title) }, table),
    h("p", { class: "pja-quiet" }, rest > 0 ? ngettext("{count} more row is in the file.", "{count} more rows are in the file.", rest) : "", " ", h("a", { href: `${address(one.file)}?save=1`, download: "" }, _("Save the table (CSV)"))));
}
