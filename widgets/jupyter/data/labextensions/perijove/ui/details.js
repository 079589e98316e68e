// The dialog behind the status bar's button: where the session runs, what it has, and what can be done.
import { hours } from "./clock.js";

const size = (bytes, tag) =>
  `${new Intl.NumberFormat(tag, { maximumFractionDigits: 1 }).format(bytes / 2 ** 30)} GiB`;

function rows(facts, left, lang, _) {
  const tag = lang === "zh" ? "zh-CN" : "en-GB";
  const used = facts.used.memory;
  const found = [
    [_("Centre"), facts.centre[lang] || facts.centre.id],
    [_("Queue"), facts.queue[lang] || facts.queue.id],
    [_("Node"), facts.node],
    [_("Job"), facts.job],
    [_("Cores"), facts.cores],
    [_("GPUs"), facts.gpus || ""],
    [_("Memory in use"), facts.memory ? _("{used} of {all}", { used: size(used, tag), all: size(facts.memory, tag) }) : size(used, tag)],
  ];
  if (left !== null) {
    const ends = new Date(facts.ends * 1000).toLocaleString(tag, { dateStyle: "medium", timeStyle: "short" });
    found.push([_("Time left"), hours(left)], [_("Ends at"), ends]);
  }
  return found.filter(([, value]) => value !== "" && value !== 0);
}

// The name of what the person chose: "save", "follow", or "" for neither.
export async function show({ apputils, widgets }, facts, left, lang, _) {
  const node = document.createElement("div");
  const list = document.createElement("dl");
  list.className = "pj-Facts";
  for (const [name, value] of rows(facts, left, lang, _)) {
    const term = document.createElement("dt"), description = document.createElement("dd");
    term.textContent = name;
    description.textContent = value;
    list.append(term, description);
  }
  const note = document.createElement("p");
  note.textContent = _("When the time is up, everything open is saved and the session ends. What runs in notebooks is lost then; files stay.");
  node.append(list, ...(left === null ? [] : [note]));
  const body = new widgets.Widget({ node });
  const button = (name, label, accept) =>
    apputils.Dialog.createButton({ label, accept, className: `pj-Choice-${name}`, actions: [name] });
  const buttons = [button("close", _("Close"), false), button("save", _("Save all now"), true)];
  if (facts.start_page) buttons.push(button("follow", _("Continue in a new session"), true));
  const chosen = await apputils.showDialog({ title: _("This session"), body, buttons, defaultButton: 0 });
  return chosen.button.accept ? chosen.button.actions[0] : "";
}
