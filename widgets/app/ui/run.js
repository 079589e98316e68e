// One run: how far it is, in words and as a bar; its steps; its log; how to stop it; what came out.

import { pause } from "./api.js";
import { h, icon, newId, put, question } from "./dom.js";
import { drawResults } from "./results.js";
import { trouble } from "./words.js";

const OVER = new Set(["done", "failed", "cancelled", "interrupted"]);
const LOOKS = { starting: "move", running: "move", done: "ok", kept: "ok", failed: "bad", cancelled: "calm", interrupted: "wait", waiting: "calm" };

// `moved` is called whenever its state is another one.
export function makeRun(say, facts, ask, first, { again, moved }) {
  const { _, ngettext, text, fmt } = say;
  const words = {
    starting: _("Starting"), running: _("Running"), done: _("Finished"), failed: _("Failed"), cancelled: _("Stopped"),
    interrupted: _("Interrupted"), waiting: _("waits"), kept: _("done before"),
  };
  const stepWords = { ...words, done: _("done"), running: _("runs"), failed: _("failed"), cancelled: _("stopped") };
  let run = first, told = "", left = false;
  const title = newId("run");
  const heading = h("h2", { id: title, tabindex: "-1" }, run.label || text(facts.app.title));
  const state = h("span", { class: "pja-State" });
  const bar = h("progress", { class: "pja-Progress", max: "1", "aria-labelledby": title });
  const far = h("p", { class: "pja-Far" });
  const live = h("p", { class: "pja-hidden", role: "status" });
  const note = h("p", { class: "pja-Note", hidden: true });
  const steps = h("ol", { class: "pja-Steps", "aria-label": _("Steps") });
  const log = h("pre", { class: "pja-Log", tabindex: "0", "aria-label": _("Log") });
  const more = h("details", { class: "pja-More" }, h("summary", {}, _("Log")), log);
  const place = h("div"), failure = h("div"), results = h("div");
  const stop = h("button", { type: "button", class: "pja-Button pja-is-bad" }, _("Stop this run"));
  const page = facts.runs_page ? h("a", { class: "pja-Button", href: facts.runs_page + encodeURIComponent(run.id), target: "_blank", rel: "noopener" }, _("The run’s own page")) : null;
  const change = h("button", { type: "button", class: "pja-Button" }, _("Change a value and run again"));
  const resume = h("button", { type: "button", class: "pja-Button", hidden: true }, _("Go on with this run"));
  const node = h("section", { class: "pja-Panel pja-Run", "aria-labelledby": title },
    h("div", { class: "pja-Head" }, heading, state), bar, far, live, note, failure, results, steps, more,
    h("div", { class: "pja-Actions" }, stop, resume, change, page), place);

  change.addEventListener("click", () => again(run.inputs ?? {}, run.id));
  stop.addEventListener("click", async () => {
    if (!(await question(place, _("Stop this run? What its finished steps made is kept; what runs now is lost."), _("Yes, stop it"), _("No")))) return;
    const found = await ask("DELETE", `runs/${encodeURIComponent(run.id)}`);
    if (found.error) say_(trouble(found, say));
    else say_(_("It is being stopped."));
  });
  resume.addEventListener("click", async () => {
    resume.hidden = true;
    const found = await ask("POST", `runs/${encodeURIComponent(run.id)}/resume`);
    if (found.error) {
      resume.hidden = false;
      return say_(trouble(found, say));
    }
    first = run = found;
    drawn = "";
    failure.replaceChildren();
    results.replaceChildren();
    say_("");
    draw();
    heading.focus();
    follow();
  });
  more.addEventListener("toggle", readLog);

  function say_(message) {
    put(note, message);
    note.hidden = !message;
  }
  async function readLog() {
    if (!more.open) return;
    const found = await ask("GET", `runs/${encodeURIComponent(run.id)}/log`);
    if (!found.error) {
      const down = log.scrollTop + log.clientHeight >= log.scrollHeight - 8;
      put(log, found.log || _("Nothing has been said yet."));
      if (down) log.scrollTop = log.scrollHeight;
    }
  }

  function drawState() {
    const name = run.state;
    if (state.dataset.state !== name) {
      state.dataset.state = name;
      state.dataset.look = LOOKS[name] ?? "calm";
      state.replaceChildren(icon(LOOKS[name] ?? "calm"), words[name] ?? name);
    }
    const report = run.report, over = OVER.has(name);
    bar.hidden = over;
    stop.hidden = over;
    resume.hidden = !over || name === "done";
    if (over || !report) bar.removeAttribute("value");
    else bar.value = report.progress ?? 0;
    const now = (report?.steps ?? []).filter((one) => one.state === "running");
    const doing = now.map((one) => [text(one.title), one.words].filter(Boolean).join(": ")).join("; ");
    let words_ = "";
    if (over) words_ = report?.ended && report?.started ? _("It took {time}.", { time: fmt.span(report.ended - report.started) }) : "";
    else if (report) words_ = fmt.commas([fmt.percent(report.progress ?? 0), doing, report.left ? _("about {time} left", { time: fmt.span(report.left) }) : ""].filter(Boolean));
    else words_ = _("It is being started.");
    put(far, words_);
    // Told are news, not each number that moves.
    const news = over ? `${words[name] ?? name}. ${words_}` : now.map((one) => text(one.title)).join(", ");
    if (news && news !== told) { told = news; put(live, news); }
  }

  function drawSteps() {
    const all = run.report?.steps ?? [];
    if (steps.childElementCount !== all.length) {
      steps.replaceChildren(...all.map(() => h("li", {}, h("span", { class: "pja-Mark" }), h("span", { class: "pja-StepName" }), h("span", { class: "pja-quiet pja-StepMore" }))));
    }
    all.forEach((one, at) => {
      const [mark, name, rest] = steps.children[at].children;
      if (mark.dataset.state !== one.state) {
        mark.dataset.state = one.state;
        mark.dataset.look = LOOKS[one.state] ?? "calm";
        mark.replaceChildren(icon(LOOKS[one.state] ?? "calm"));
      }
      put(name, text(one.title));
      const parts = one.parts?.total > 1 ? _("{done} of {total} parts", { done: one.parts.done, total: one.parts.total }) : "";
      const cost = [one.seconds ? fmt.span(one.seconds) : "", one.memory ? fmt.bytes(one.memory) : "", one.tries > 1 ? ngettext("{count} try", "{count} tries", one.tries) : ""];
      put(rest, fmt.commas([stepWords[one.state] ?? one.state, one.state === "running" && one.progress ? fmt.percent(one.progress) : "", parts, ...cost].filter(Boolean)));
    });
  }

  function drawFailure() {
    const bad = run.report?.failure;
    failure.replaceChildren();
    if (!bad || run.state !== "failed") return;
    const step = (run.report.steps ?? []).find((one) => one.name === bad.step);
    const input = facts.app.inputs.find((one) => one.name === bad.input);
    failure.append(h("div", { class: "pja-Note pja-is-bad", role: "alert" },
      h("p", { class: "pja-Strong" }, text(bad.message)),
      step ? h("p", {}, _("It happened in the step “{step}”.", { step: text(step.title) })) : "",
      input ? h("p", {}, _("Look at “{input}”.", { input: text(input.title) })) : "",
      text(bad.advice) ? h("p", {}, text(bad.advice)) : "",
      bad.command || bad.lines?.length ? h("details", {}, h("summary", {}, _("What the program said")), h("pre", { class: "pja-Log", tabindex: "0" }, [bad.command ? `$ ${bad.command.join(" ")}` : "", ...(bad.lines ?? [])].filter(Boolean).join("\n"))) : ""));
  }

  let drawn = "";
  function draw() {
    drawState();
    drawSteps();
    readLog();
    if (!OVER.has(run.state) || drawn === run.state) return;
    drawn = run.state;
    drawFailure();
    results.replaceChildren(...drawResults(say, facts, run, `runs/${encodeURIComponent(run.id)}/`));
  }

  // Follow it until it is over, through whatever cuts the connection.
  async function follow() {
    while (!left && !OVER.has(run.state)) {
      const found = await ask("GET", `runs/${encodeURIComponent(run.id)}?after=${run.version ?? -1}&wait=20`);
      if (left) return;
      if (found.error) {
        say_(trouble(found, say));
        await pause(2);
        continue;
      }
      if (note.textContent === trouble({ error: "offline" }, say)) say_("");
      const before = run.state;
      run = found;
      draw();
      if (run.state !== before) moved();
    }
    say_("");
  }

  draw();
  follow();
  return { node, id: run.id, focus: () => heading.focus(), leave() { left = true; } };
}
