// Sending a file of the person's own into their home at the centre: in pieces, so that it goes on after a lost
// connection, a pause, or a reload of the page (the same file is chosen again; a page may not keep hold of one).
//
// Draws into `place`. `say` has the words, `base` is the address of the session's own part, `formats` are the endings of
// files that are wanted, and `done(path, facts)` hears of the file that is in place: its path below the home directory.

import { h, newId, put } from "./dom.js";

const PIECE = 4 * 2 ** 20;
// A file of at most so many bytes goes with its digest, which has all of it in memory at once; none above does.
const DIGESTED = 64 * 2 ** 20;
// Seconds between two tries while the session cannot be reached: doubled from the first to the last.
const RETRY = [1, 15];
const STORE = "perijove-uploads";

const xsrfToken = () => decodeURIComponent(document.cookie.match(/(?:^|; )_xsrf=([^;]*)/)?.[1] ?? "");

// What was begun in this browser and is not at its end: `{ key: { name, size } }`.
const begun = {
  all() {
    try {
      return JSON.parse(localStorage.getItem(STORE)) ?? {};
    } catch {
      return {};
    }
  },
  set(key, value) {
    const all = begun.all();
    if (value) all[key] = value;
    else delete all[key];
    try {
      localStorage.setItem(STORE, JSON.stringify(all));
    } catch {
      // A browser that keeps nothing: the file is resumed all the same when it is chosen again.
    }
  },
};

async function digestOf(file) {
  if (file.size > DIGESTED || !globalThis.crypto?.subtle) return "";
  const digest = await crypto.subtle.digest("SHA-256", await file.arrayBuffer());
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// Which file of its name and size it is: when it was changed, and a mark (FNV-1a) of how it begins and ends.
async function markOf(file) {
  const ends = new Blob([file.slice(0, 65536), file.slice(Math.max(0, file.size - 65536))]);
  let mark = 0x811c9dc5;
  for (const byte of new Uint8Array(await ends.arrayBuffer())) mark = Math.imul(mark ^ byte, 0x01000193);
  return `${file.lastModified}-${(mark >>> 0).toString(16)}`;
}

class Refused extends Error {}
class Lost extends Error {}

export function makeUpload(place, { say, base, formats = [], done = () => {}, label = "" }) {
  const { _, fmt } = say;
  const id = newId("upload"), help = newId("upload-help");
  const input = h("input", { id, type: "file", class: "pju-Input", accept: formats.map((one) => `.${one}`).join(",") || null, "aria-describedby": help });
  const hint = h("p", { id: help, class: "pju-Help" });
  const bar = h("progress", { class: "pju-Bar", max: "1", value: "0", "aria-label": _("How much is sent") });
  const far = h("p", { class: "pju-Far" });
  // Said aloud: not each piece, but each tenth and each change.
  const live = h("p", { class: "pju-hidden", role: "status" });
  const pause = h("button", { type: "button", class: "pju-Button" }, _("Pause"));
  const forget = h("button", { type: "button", class: "pju-Button pju-is-bad" }, _("Stop and remove what was sent"));
  const going = h("div", { class: "pju-Going", hidden: true }, bar, far, h("div", { class: "pju-Actions" }, pause, forget));
  const box = h("div", { class: "pju" }, h("label", { for: id }, label || _("Send a file from this computer")), input, hint, going, live);
  let now = null;
  const plain = formats.length ? _("Or drop a file here. It may be as large as your room at the centre; files that end in {formats}.", { formats: formats.join(", ") }) : _("Or drop a file here. It may be as large as your room at the centre.");

  function remember() {
    const open = Object.values(begun.all()).at(-1);
    put(hint, open ? _("“{name}” was not sent to its end. Choose it again, and it goes on where it stopped.", { name: open.name }) : plain);
  }

  function tell(words, aloud = true) {
    put(far, words);
    if (aloud) put(live, words);
  }

  function draw(sent, file, words = "") {
    const part = file.size ? sent / file.size : 1;
    bar.value = part;
    const amount = _("{sent} of {total} sent ({percent})", { sent: fmt.bytes(sent), total: fmt.bytes(file.size), percent: fmt.percent(part) });
    tell(words ? `${words} ${amount}` : amount, Boolean(words) || Math.floor(part * 10) !== Math.floor((now?.told ?? -1) * 10));
    if (now) now.told = part;
  }

  const refusals = (found) => ({
    "disk-full": _("There is no room left for this file: the disk or your quota at the centre is full. Remove files, or ask the centre for more room."),
    "too-large": _("A file may have at most {most} here.", { most: fmt.bytes(Number(found.values?.most ?? 0)) }),
    busy: _("This file is being sent in another window."),
    checksum: _("The file arrived changed. Send it again."),
    "no-folder": _("Files cannot be written at the centre: {why}", { why: found.values?.detail ?? "" }),
  })[found.error] ?? found.message ?? found.error;

  // One request. Raises Lost where trying again helps, Refused where it does not.
  async function ask(method, file, query, body) {
    const all = new URLSearchParams({ total: file.size, key: now.mark, ...query });
    const address = `${base}upload/${encodeURIComponent(file.name)}?${all}`;
    let response;
    try {
      response = await fetch(address, { method, body, credentials: "same-origin", redirect: "manual", headers: { "X-XSRFToken": xsrfToken() }, signal: now.stop.signal });
    } catch (error) {
      if (now?.stop.signal.aborted) throw error;
      throw new Lost();
    }
    if (response.type === "opaqueredirect" || [401, 403].includes(response.status) && !response.headers.has("Upload-Offset") && response.headers.get("Content-Type")?.includes("html"))
      throw new Refused(_("You are signed out. Reload this page, choose the file again, and it goes on where it stopped."));
    if ([404, 429, 502, 503, 504].includes(response.status)) throw new Lost();
    return response;
  }

  // The offset to go on at; the answer's words where the file cannot be taken. An empty piece asks for both.
  async function start(file) {
    const offset = Number((await ask("HEAD", file, {})).headers.get("Upload-Offset") ?? 0);
    return piece(file, offset, 0);
  }

  async function piece(file, offset, length, more = {}) {
    const response = await ask("PUT", file, { offset, ...more }, file.slice(offset, offset + length));
    const found = await response.json().catch(() => ({}));
    if (response.ok) return found;
    if (found.error === "offset") return { offset: Number(response.headers.get("Upload-Offset") ?? 0), done: null };
    throw new Refused(refusals(found));
  }

  async function send(file) {
    const mine = (now = { stop: new AbortController(), paused: false, wake: () => {}, told: -1, mark: "" });
    const key = JSON.stringify([file.name, file.size, file.lastModified]);
    const rest = (seconds) => new Promise((resolve) => {
      const timer = seconds ? setTimeout(resolve, seconds * 1000) : 0;
      mine.wake = () => { clearTimeout(timer); resolve(); };
    });
    begun.set(key, { name: file.name, size: file.size });
    going.hidden = false;
    input.disabled = true;
    put(pause, _("Pause"));
    put(hint, file.name);
    let offset = 0, known = false, wait = RETRY[0];
    try {
      mine.mark = await markOf(file);
      const sha256 = await digestOf(file);
      draw(0, file);
      for (;;) {
        if (mine.stop.signal.aborted) throw new DOMException("", "AbortError");
        if (mine.paused) {
          draw(offset, file, _("Paused."));
          await rest(0);
          continue;
        }
        try {
          const length = Math.min(PIECE, file.size - offset);
          const last = sha256 && offset + length === file.size ? { sha256 } : {};
          const found = known ? await piece(file, offset, length, last) : await start(file);
          [offset, known, wait] = [found.offset, true, RETRY[0]];
          draw(offset, file);
          if (found.done) {
            begun.set(key, null);
            tell(_("“{name}” is at the centre: {path}", found.done));
            done(found.done.path.replace(/^~\//, ""), found.done);
            return;
          }
        } catch (error) {
          if (!(error instanceof Lost)) throw error;
          draw(offset, file, _("The connection is lost; it goes on by itself."));
          known = false;
          await rest(wait);
          wait = Math.min(2 * wait, RETRY[1]);
        }
      }
    } catch (error) {
      if (mine.stop.signal.aborted) {
        begun.set(key, null);
        mine.stop = new AbortController();
        await ask("DELETE", file, {}).catch(() => null);
        tell(_("Stopped; what was sent is removed."));
      } else {
        tell(error instanceof Refused ? error.message : _("The file cannot be read: {why}", { why: error.message }));
        box.classList.add("pju-is-refused");
      }
    } finally {
      now = null;
      input.disabled = false;
      input.value = "";
      pause.hidden = forget.hidden = true;
      remember();
      if (!document.activeElement || document.activeElement === document.body) input.focus();
    }
  }

  function take(file) {
    if (!file || now) return;
    box.classList.remove("pju-is-refused");
    pause.hidden = forget.hidden = false;
    if (formats.length && !formats.some((one) => file.name.toLowerCase().endsWith(`.${one.toLowerCase()}`))) {
      input.value = "";
      going.hidden = pause.hidden = forget.hidden = true;
      put(hint, _("“{name}” is no file of this kind: {formats} are read here.", { name: file.name, formats: formats.join(", ") }));
      return put(live, hint.textContent);
    }
    return send(file);
  }

  input.addEventListener("change", () => take(input.files[0]));
  pause.addEventListener("click", () => {
    if (!now) return;
    now.paused = !now.paused;
    put(pause, now.paused ? _("Go on") : _("Pause"));
    now.wake();
  });
  forget.addEventListener("click", () => {
    now?.stop.abort();
    now?.wake();
  });
  addEventListener("online", () => now?.wake());
  box.addEventListener("dragover", (event) => {
    event.preventDefault();
    box.classList.add("pju-is-over");
  });
  for (const name of ["dragleave", "drop"]) box.addEventListener(name, () => box.classList.remove("pju-is-over"));
  box.addEventListener("drop", (event) => {
    event.preventDefault();
    take(event.dataTransfer.files[0]);
  });
  remember();
  // In a notebook's widget the script has no address, and the sheet is there already.
  const sheet = import.meta.url.startsWith("http") ? new URL("./upload.css", import.meta.url).href : "";
  if (sheet && ![...document.styleSheets].some((one) => one.href === sheet)) document.head.append(h("link", { rel: "stylesheet", href: sheet }));
  place.replaceChildren(box);
}
