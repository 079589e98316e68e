// A file: one of the app's data sets, or the person's own at the centre, found by looking through their folders.

import { h, newId, put } from "./dom.js";
import { trouble } from "./words.js";

export function makeFile(say, label, input, changed, described, tools) {
  const { _, ngettext, text, fmt } = say;
  const group = newId("file");
  const names = (input.data?.length ? input.data : Object.keys(tools.data)).filter((name) => tools.data[name]);
  const options = names.map((name) => {
    const set = tools.data[name], here = tools.found[name] !== null;
    const radio = h("input", { type: "radio", name: group, value: `data:${name}`, onchange: update });
    const more = [set.licence, set.note ? text(set.note) : "", here ? "" : _("not at this centre")].filter(Boolean);
    return { radio, node: h("label", { class: "pja-Option" }, radio, h("span", {}, text(set.title), h("small", { class: "pja-quiet" }, ` ${fmt.commas(more)}`))) };
  });
  const own = h("input", { type: "radio", name: group, value: "own", onchange: update });
  const id = newId("path");
  const path = h("input", { id, class: "pja-Text", type: "text", autocomplete: "off", spellcheck: "false", oninput: changed, ...described });
  const list = h("div", { class: "pja-Browser" });
  const browse = h("button", { type: "button", class: "pja-Button", "aria-expanded": "false" }, _("Choose a file …"));
  const upload = h("div", { class: "pja-Upload" });
  const mine = h("div", { class: "pja-Own" }, h("label", { for: id }, _("Path below your home at this centre")), h("div", { class: "pja-Actions" }, path, browse), list, upload);
  let looking = false;

  function update() {
    mine.hidden = !own.checked;
    changed();
  }
  function chosen(value) {
    path.value = value;
    own.checked = true;
    close();
    update();
    browse.focus();
  }
  function close() {
    list.replaceChildren();
    browse.setAttribute("aria-expanded", "false");
  }

  async function open(folder) {
    if (looking) return;
    looking = true;
    const query = new URLSearchParams({ path: folder, formats: (input.formats ?? []).join(",") });
    const found = await tools.ask("GET", `files?${query}`);
    looking = false;
    browse.setAttribute("aria-expanded", "true");
    if (found.error) return list.replaceChildren(h("p", { class: "pja-Fault" }, _("Your files cannot be read: {why}", { why: trouble(found, say) })));
    const into = (name, to) => h("li", {}, h("button", { type: "button", class: "pja-Link", onclick: () => open(to) }, name));
    const up = found.parent === null ? null : into(_("↑ one folder up"), found.parent);
    const folders = found.folders.map((name) => into(`${name}/`, found.path ? `${found.path}/${name}` : name));
    const files = found.files.map((one) => h("li", {}, h("button", { type: "button", class: "pja-Link", onclick: () => chosen(one.path) }, one.name), h("span", { class: "pja-quiet" }, fmt.bytes(one.bytes))));
    const empty = !folders.length && !files.length;
    const title = h("p", { tabindex: "-1", class: "pja-Where" }, found.path ? `~/${found.path}` : _("Your home"));
    list.replaceChildren(title, h("ul", {}, up, folders, files), empty ? h("p", { class: "pja-quiet" }, input.formats?.length ? _("Nothing here that ends in {formats}.", { formats: input.formats.join(", ") }) : _("This folder is empty.")) : "",
      found.more ? h("p", { class: "pja-quiet" }, ngettext("{count} more is not shown: type its path.", "{count} more are not shown: type the path.", found.more)) : "");
    title.focus();
  }

  browse.addEventListener("click", () => (browse.getAttribute("aria-expanded") === "true" ? close() : open("")));
  list.addEventListener("keydown", (event) => { if (event.key === "Escape") { close(); browse.focus(); } });
  tools.upload?.(upload, { say, formats: input.formats ?? [], done: chosen });
  const rows = [...options.map((one) => one.node), h("label", { class: "pja-Option" }, own, h("span", {}, _("A file of mine")))];
  return {
    legend: label, control: h("div", {}, h("div", { class: "pja-Options" }, rows), mine), targets: [path],
    read: () => (own.checked ? path.value.trim() || null : options.find((one) => one.radio.checked)?.radio.value ?? null),
    write(value) {
      const set = options.find((one) => one.radio.value === value);
      for (const one of options) one.radio.checked = one === set;
      own.checked = !set && (value !== null && value !== undefined || !options.length);
      path.value = set ? "" : value ?? "";
      mine.hidden = !own.checked;
    },
  };
}
