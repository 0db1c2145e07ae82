// Helpers for the DOM. Elements are created without markup, so names stay plain text.

const INVISIBLE =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]/gu;

export const $ = (id) => document.getElementById(id);

/** Escape invisible characters, and those that change the text's direction. */
export function escapeInvisible(text) {
  return String(text).replace(INVISIBLE, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** Create an element with a class and children: nodes or texts. */
export function el(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

/** Create an element for a name that a user chose, isolated from the direction of the text around it. */
export const name = (text) => el("bdi", "", escapeInvisible(text));

/** Create a button with a name on it. */
export function nameButton(text, label, onClick) {
  const button = el("button", "", name(text));
  button.type = "button";
  button.setAttribute("aria-label", label);
  button.addEventListener("click", onClick);
  return button;
}

export const formatNumber = (value) => value.toLocaleString("en");

/** Set a text only if it has changed, to avoid a new layout and a new announcement by screen readers. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * Make the children of a list match its rows. The child of an unchanged row is kept, and with it
 * focus and selection.
 */
export function syncChildren(list, rows, keyOf, create) {
  const existing = new Map([...list.children].map((child) => [child.dataset.key, child]));
  let next = list.firstElementChild;
  const kept = new Set();
  for (const row of rows) {
    const [key, content] = [keyOf(row), JSON.stringify(row)];
    let child = existing.get(key);
    if (!child || child.content !== content) {
      const created = create(row);
      [created.dataset.key, created.content] = [key, content];
      if (child) {
        replaceKeepingFocus(child, created);
        if (next === child) next = created;
      }
      child = created;
    }
    kept.add(child);
    if (child === next) next = next.nextElementSibling;
    else list.insertBefore(child, next);
  }
  for (const child of [...list.children]) if (!kept.has(child)) child.remove();
}

function replaceKeepingFocus(old, replacement) {
  const controls = (row) => [...row.querySelectorAll("button, input")];
  const index = controls(old).indexOf(document.activeElement);
  old.replaceWith(replacement);
  if (index >= 0) controls(replacement)[index]?.focus();
}

/** Send a request; return the JSON of the response, or throw an Error with its message. */
export async function request(method, path, body) {
  const response = await fetch(path, { method, body });
  const text = await response.text();
  if (response.ok) return text ? JSON.parse(text) : null;
  let message = "";
  try {
    message = JSON.parse(text).message;
  } catch {
    // not every error response has a JSON body
  }
  throw new Error(message || `The emulator answered ${response.status}.`);
}
