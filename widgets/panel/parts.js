// Small things that the panel's other files are made of.

// An element: `h("button", { class: "a", onclick: f }, "words", other)`.
function h(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  // JupyterLab has commands on plain keys, such as arrows and Enter: they are not for who is in the panel.
  if (["a", "button", "input", "summary"].includes(tag) || properties.tabindex) made.dataset.lmSuppressShortcuts = "true";
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// Set text only where it differs: what somebody selects or hears is not disturbed.
function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const ICONS = {
  ok: "M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zm3.4 4.9L7.3 10.9 4.7 8.4l1-1 1.6 1.4 3.1-3.4z",
  wait: "M3.5 1.5h9v1.4c0 2.2-1.2 4-3 5.1 1.8 1.1 3 2.9 3 5.1v1.4h-9v-1.4c0-2.2 1.2-4 3-5.1-1.8-1.1-3-2.9-3-5.1z",
  bad: "M8 1.2 15.2 14H.8zM7.2 5.8v4.1h1.6V5.8zm0 5.1v1.6h1.6v-1.6z",
  calm: "M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM5.5 5.5h5v5h-5z",
  out: "M6 2.5H2.5v11h11V10H12v2H4V4h2zm3-1h5.5V7L12.6 5.1 8 9.7 6.3 8l4.6-4.6z",
  stop: "M3.5 3.5h9v9h-9z",
};

function icon(name) {
  const path = svg("path", { d: ICONS[name], "fill-rule": "evenodd", fill: "currentColor" });
  return svg("svg", { viewBox: "0 0 16 16", width: 14, height: 14, "aria-hidden": "true", focusable: "false" }, path);
}

let made = 0;
const newId = (name) => `pjc-${name}-${(made += 1)}`;

// Whether the page behind an element is dark: JupyterLab, Voila and their themes say it each in their own way, but all
// have a colour there.
function isDark(element) {
  const [r, g, b] = (getComputedStyle(element).backgroundColor.match(/[\d.]+/g) ?? [255, 255, 255]).map(Number);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b < 110;
}

// Ask in place, and not in a window of its own: who uses the keyboard or a screen reader stays where they are.
function question(words, yes, no) {
  const id = newId("ask");
  const accept = h("button", { type: "button", class: "pjc-Button pjc-is-filled" }, yes);
  const refuse = h("button", { type: "button", class: "pjc-Button" }, no);
  const box = h("div", { class: "pjc-Ask", role: "group", "aria-labelledby": id },
    h("p", { id }, words), h("div", { class: "pjc-Actions" }, accept, refuse));
  const back = document.activeElement;
  const answer = new Promise((resolve) => {
    const done = (value) => {
      box.remove();
      if (back?.isConnected) back.focus();
      resolve(value);
    };
    accept.addEventListener("click", () => done(true));
    refuse.addEventListener("click", () => done(false));
    box.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      done(false);
    });
    queueMicrotask(() => refuse.focus());
  });
  return { box, answer };
}
