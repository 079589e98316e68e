// Where am I, and how long still: an item of the status bar, warnings, "save all", and the way to a follow-up session.
import { Clock, due, hours } from "./clock.js";
import { show } from "./details.js";
import { followUp } from "./links.js";
import { language, words } from "./words.js";

const EVENT = "urn:perijove:time-left";
//: Milliseconds: how often the shown time is brought up to date, and how often the server is asked.
const TICK = 5_000, ASK = 300_000;
const TITLE = /^\(\d+:\d\d\) /;

// Resolves once our stylesheet is there (or cannot be had).
const dressed = () => new Promise((resolve) => {
  const link = Object.assign(document.createElement("link"), { rel: "stylesheet", onload: resolve, onerror: resolve });
  link.href = new URL("style.css", import.meta.url).href;
  document.head.append(link);
});

class Session {
  #clock = new Clock();
  #said = null;
  #note = "";
  #asked = 0;

  constructor(lab, app, parts) {
    this.lab = lab;
    this.app = app;
    Object.assign(this, parts);  // docs, translator
    this.settings = app.serviceManager.serverSettings;
  }

  // The facts from our server extension; false where this server has none (or is gone).
  async ask() {
    this.#asked = performance.now();
    const { ServerConnection } = this.lab.services;
    try {
      const answer = await ServerConnection.makeRequest(`${this.settings.baseUrl}perijove/session`, {}, this.settings);
      if (!answer.ok) return false;
      this.facts = await answer.json();
    } catch { return false; }
    this.#clock.set(this.facts.left);
    return true;
  }

  async begin() {
    if (!(await this.ask()) || !this.facts.session) return;
    this.lang = language(this.translator, this.facts);
    [this._] = await Promise.all([words(this.lang), dressed()]);
    this.build();
    this.look();
    setInterval(() => this.tick(), TICK);
    new MutationObserver(() => this.title()).observe(document.querySelector("title"), { childList: true });
    document.addEventListener("visibilitychange", () => { if (!document.hidden) this.again(); });
    this.app.serviceManager.events.stream.connect((_, event) => { if (event.schema_id === EVENT) this.again(); });
  }

  build() {
    const { widgets } = this.lab, _ = this._;
    this.button = Object.assign(document.createElement("button"), { type: "button", className: "pj-Session" });
    this.button.append(document.createElement("span"), document.createElement("span"));
    this.live = Object.assign(document.createElement("span"), { className: "pj-Live" });
    this.live.setAttribute("role", "status");
    this.button.addEventListener("click", () => this.open());
    this.item = new widgets.Widget({ node: document.createElement("div") });
    this.item.node.append(this.button, this.live);
    this.status?.registerStatusItem("perijove:session", { item: this.item, align: "left", rank: 10 });
    const add = (id, label, execute) => {
      this.app.commands.addCommand(`perijove:${id}`, { label, execute });
      this.palette?.addItem({ command: `perijove:${id}`, category: _("Session") });
    };
    add("details", _("This session"), () => this.open());
    add("save-all", _("Save all now"), () => this.save());
    if (this.facts.start_page) add("follow-up", _("Continue in a new session"), () => this.follow());
  }

  async again() {
    if (await this.ask()) this.look();
  }

  tick() {
    if (performance.now() - this.#asked > ASK) this.again();
    else this.look();
  }

  // Show the time that is left, and say what is due; saying it once.
  look() {
    const left = this.#clock.left, { facts, lang, _ } = this;
    const now = facts.ending || left === 0 ? "ending" : due(facts.warnings, left);
    const centre = facts.centre[lang] || facts.centre.id, queue = facts.queue[lang] || facts.queue.id;
    const time = left === null ? "" : hours(left);
    const label = time ? _("Session at {centre}, queue {queue}, time left {time}. Details", { centre, queue, time })
      : _("Session at {centre}, queue {queue}. Details", { centre, queue });
    if (label !== this.button.title) {
      this.button.title = label;  // a description; the name is what is seen
      const [where, when] = this.button.children;
      where.textContent = `${centre} · ${queue}`;
      when.textContent = time && ` · ${time}`;
    }
    this.button.classList.toggle("pj-mod-soon", now !== null);
    this.mark = now === null || now === "ending" ? "" : `(${time}) `;
    this.title();
    if (now !== this.#said) {
      this.#said = now;
      if (now !== null) this.say(now, left);
    }
  }

  // In the last minutes the tab says how long; JupyterLab writes its title anew whenever something changes.
  title() {
    const wanted = this.mark + document.title.replace(TITLE, "");
    if (wanted !== document.title) document.title = wanted;
  }

  say(now, left) {
    const { Notification } = this.lab.apputils, _ = this._;
    const ending = now === "ending";
    const text = ending ? _("The time is up. Everything open is being saved; then the session ends.")
      : _("This session ends in {minutes} min. Save your work, or continue in a new session.", { minutes: Math.ceil(left / 60) });
    const actions = ending ? [] : [{ label: _("Save all now"), callback: () => this.save(), displayType: "accent" }];
    if (this.facts.start_page) {
      actions.push({ label: _("Continue in a new session"), callback: () => this.follow(), displayType: "link" });
    }
    if (this.#note) Notification.dismiss(this.#note);
    this.#note = Notification.emit(text, "warning", { autoClose: false, actions });
    this.live.textContent = text;
    if (ending) this.save(true);
  }

  #contexts() {
    const open = [...this.app.shell.widgets("main")].map((widget) => this.docs.contextForWidget(widget));
    return open.filter(Boolean);
  }

  async save(quietly = false) {
    const { Notification } = this.lab.apputils, _ = this._;
    await this.app.commands.execute("docmanager:save-all");
    const unsaved = this.#contexts().filter((context) => context.model.dirty).map((context) => context.path);
    if (unsaved.length) {
      Notification.error(_("Not saved: {files}", { files: [...new Set(unsaved)].join(", ") }), { autoClose: false });
    } else if (!quietly) {
      Notification.success(_("Everything open is saved."), { autoClose: 4000 });
    }
  }

  // The path of the notebook in front, as the follow-up session will find it.
  #path() {
    const widget = this.app.shell.currentWidget;
    const context = widget ? this.docs.contextForWidget(widget) : undefined;
    return context ? this.app.serviceManager.contents.localPath(context.path) : "";
  }

  follow() {
    const address = followUp(this.facts, this.#path());
    if (address) window.open(address, "_blank", "noopener");
  }

  async open() {
    await this.ask();
    this.look();
    const chosen = await show(this.lab, this.facts, this.#clock.left, this.lang, this._);
    if (chosen === "save") await this.save();
    if (chosen === "follow") this.follow();
  }
}

export function make(lab) {
  return {
    id: "perijove:session",
    description: "Where the session runs, how long it still has, and its end in good order.",
    autoStart: true,
    requires: [lab.docmanager.IDocumentManager],
    optional: [lab.translation.ITranslator, lab.statusbar.IStatusBar, lab.apputils.ICommandPalette],
    activate: (app, docs, translator, status, palette) => {
      const session = new Session(lab, app, { docs, translator, status, palette });
      app.restored.then(() => session.begin());
    },
  };
}
