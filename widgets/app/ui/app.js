// An app's page: its question, the form, the run that is looked at, and earlier runs.
//
// The page's own script calls `mount` before any kernel is asked (`page.js`), and the notebook's widget does where there
// is no such page. Whoever comes first draws; the other one finds it drawn.

import { client } from "./api.js";
import { h } from "./dom.js";
import { makeForm } from "./form.js";
import { makeRun } from "./run.js";
import { speech } from "./words.js";

let drawn = null;

// Draw the app into `el`; `base` is the address of the session's own part. Resolves once the form can be used.
export function mount(el, base) {
  drawn ??= draw(el, base);
  return drawn;
}

async function facts_(ask, base) {
  const facts = await ask("GET", "app");
  if (facts.error) throw Object.assign(new Error(facts.message || facts.error), { code: facts.error });
  facts.base = base;
  const query = new URLSearchParams(location.search);
  try {
    facts.given = JSON.parse(query.get("inputs") || facts.options.inputs || "{}");
  } catch {
    facts.given = {};
  }
  facts.rerun = query.get("rerun") || facts.options.rerun || "";
  facts.run = query.get("run") || facts.options.run || "";
  // Sending files from the browser, where this session can take them.
  facts.upload = facts.can_upload ? await import("./upload.js").then((found) => (place, more) => found.makeUpload(place, { ...more, ask, base })) : null;
  return facts;
}

async function draw(el, base) {
  const ask = client(base), facts = await facts_(ask, base);
  const say = speech(facts.language, facts.words ?? {});
  const { _, text, fmt } = say, app = facts.app;
  document.title = text(app.question);
  const where = [facts.centre, facts.queue].map((one) => text(one) || one.id).filter(Boolean).join(" · ");
  const runs = h("div", { class: "pja-Runs" }), earlier = h("div");
  const form = makeForm(say, facts, ask, (run) => show(run, true));
  let shown = null;

  function show(run, focus) {
    if (run.here === false) return elsewhere(run, focus);
    shown?.leave();
    shown = makeRun(say, facts, ask, run, { again: form.again, moved: list });
    runs.replaceChildren(shown.node);
    if (focus) {
      shown.focus();
      shown.node.scrollIntoView({ block: "start" });
    }
    list();
  }
  function elsewhere(run, focus) {
    const link = facts.runs_page ? h("a", { class: "pja-Button pja-is-filled", href: facts.runs_page + encodeURIComponent(run.id) }, _("Follow it there")) : "";
    const note = h("section", { class: "pja-Panel", tabindex: "-1", "aria-label": _("Your run") }, h("p", { class: "pja-Strong" }, _("Your run has a job of its own now.")), h("p", {}, _("It goes on when you close this page. Its own page shows how far it is, and its results.")), link);
    runs.replaceChildren(note);
    if (focus) note.focus();
    list();
  }

  async function list() {
    const found = await ask("GET", "runs");
    if (found.error) return [];
    const words = { starting: _("Starting"), running: _("Running"), done: _("Finished"), failed: _("Failed"), cancelled: _("Stopped"), interrupted: _("Interrupted") };
    const rows = found.runs.slice(0, 12).map((run) => {
      const name = run.label || text(app.title), when = fmt.when(run.created);
      const open = run.here
        ? h("button", { type: "button", class: "pja-Link", onclick: () => show(run, true) }, name, when ? ` · ${when}` : "")
        : h("a", { href: facts.runs_page + encodeURIComponent(run.id) }, name, when ? ` · ${when}` : "");
      const again = h("button", { type: "button", class: "pja-Link", onclick: () => form.again(run.inputs ?? {}, run.id), "aria-label": _("Run again: {name}", { name: `${name} ${when}` }) }, _("Run again"));
      return h("li", {}, open, h("span", { class: "pja-quiet" }, words[run.state] ?? run.state), again);
    });
    earlier.replaceChildren(...(rows.length ? [h("section", { class: "pja-Panel", "aria-label": _("Runs of this app") }, h("h2", {}, _("Runs of this app")), h("ul", { class: "pja-Files" }, rows))] : []));
    return found.runs;
  }

  const ways = [[facts.gallery, _("Apps")], [facts.runs_page, _("All my runs")]].filter(([address]) => address);
  const ends = facts.ends_by ? _("This session ends at {time}.", { time: fmt.when(new Date(facts.ends_by * 1000).toISOString()) }) : "";
  const back = ways.length ? h("nav", { class: "pja-Ways", "aria-label": _("Back to the gateway") }, ways.map(([address, words]) => h("a", { href: address }, words))) : "";
  const lack = facts.found.way === null && facts.found.missing?.length ? missing(say, facts) : "";
  const root = h("div", { class: "pja", lang: fmt.tag },
    h("header", { class: "pja-Top" }, back, h("h1", {}, text(app.question)), h("p", { class: "pja-Lead" }, text(app.about)), h("p", { class: "pja-quiet" }, [where, ends].filter(Boolean).join(" · ")), text(app.limits) ? h("p", { class: "pja-quiet" }, text(app.limits)) : ""),
    lack, form.node, runs, earlier);
  el.replaceChildren(root);
  // What goes on is shown again to who comes back.
  list().then((all) => {
    const wanted = all.find((run) => run.id === facts.run) ?? all.find((run) => run.here && run.live);
    if (wanted) show(wanted, false);
    const again = all.find((run) => run.id === facts.rerun);
    if (again) form.again(again.inputs ?? {}, again.id);
  });
  return root;
}

// What this centre lacks for the app, and how it would get it.
function missing(say, facts) {
  const { _ } = say;
  const ways = { apt: (name) => `apt-get install ${name}`, module: (name) => `module load ${name}`, pypi: (name) => `pip install ${name}`, container: (name) => name };
  const rows = facts.found.missing.map((one) => h("li", {}, `${one.code}: `, h("code", {}, Object.entries(one.how ?? {}).filter(([kind, name]) => ways[kind] && name).map(([kind, name]) => ways[kind](name)).join(" · "))));
  return h("div", { class: "pja-Note pja-is-wait" }, h("p", { class: "pja-Strong" }, _("This centre lacks something that the app needs; runs here will fail.")), h("ul", {}, rows));
}

