// Small things that the other files are made of.

// An element: `h("button", { class: "a", onclick: f }, "words", other)`.
export function h(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

export function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// Set text only where it differs: what somebody selects or hears is not disturbed.
export function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const ICONS = {
  ok: "M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zm3.4 4.9L7.3 10.9 4.7 8.4l1-1 1.6 1.4 3.1-3.4z",
  wait: "M3.5 1.5h9v1.4c0 2.2-1.2 4-3 5.1 1.8 1.1 3 2.9 3 5.1v1.4h-9v-1.4c0-2.2 1.2-4 3-5.1-1.8-1.1-3-2.9-3-5.1z",
  bad: "M8 1.2 15.2 14H.8zM7.2 5.8v4.1h1.6V5.8zm0 5.1v1.6h1.6v-1.6z",
  calm: "M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM5.5 5.5h5v5h-5z",
  move: "M4.5 2.5v11l8.5-5.5z",
};

export function icon(name) {
  const path = svg("path", { d: ICONS[name], "fill-rule": "evenodd", fill: "currentColor" });
  return svg("svg", { viewBox: "0 0 16 16", width: 14, height: 14, "aria-hidden": "true", focusable: "false" }, path);
}

let made = 0;
export const newId = (name) => `pja-${name}-${(made += 1)}`;

// Ask in place, and not in a window of its own: who uses the keyboard or a screen reader stays where they are.
export function question(place, words, yes, no) {
  const id = newId("ask"), back = document.activeElement;
  const accept = h("button", { type: "button", class: "pja-Button pja-is-filled" }, yes);
  const refuse = h("button", { type: "button", class: "pja-Button" }, no);
  const box = h("div", { class: "pja-Ask", role: "group", "aria-labelledby": id }, h("p", { id }, words), h("div", { class: "pja-Actions" }, accept, refuse));
  return new Promise((resolve) => {
    const done = (value) => {
      box.remove();
      if (back?.isConnected) back.focus();
      resolve(value);
    };
    accept.addEventListener("click", () => done(true));
    refuse.addEventListener("click", () => done(false));
    box.addEventListener("keydown", (event) => { if (event.key === "Escape") done(false); });
    place.replaceChildren(box);
    refuse.focus();
  });
}
