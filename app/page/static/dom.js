// Elements by hand: text stays text, whatever stands in a prompt.

export const byId = (id) => document.getElementById(id);

/** An element. Properties that begin with "on" are listeners; null and undefined leave things out. */
export function el(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key in element && !key.includes("-")) element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Sets the text only where it is another one, so that nothing is read out or painted twice. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function announce(text) {
  say(byId("announcer"), text);
}

const toasts = byId("toast");
let toastTimer;

/** Says it in passing, in front of whatever dialog is open. */
export function toast(text) {
  (document.querySelector("dialog[open]") ?? document.body).append(toasts);
  toasts.textContent = text;
  toasts.classList.add("shown");
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => toasts.classList.remove("shown"), 3500);
}

/** What stands on a button while it does something, and stops it from being pressed twice. */
export async function busy(button, work) {
  if (button.getAttribute("aria-disabled") === "true") return;
  button.setAttribute("aria-disabled", "true");
  try {
    return await work();
  } finally {
    button.removeAttribute("aria-disabled");
  }
}
