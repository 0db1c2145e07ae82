// Elements made without markup: whatever a name holds, it stays text.

const HIDDEN =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]/gu;

export const $ = (id) => document.getElementById(id);

/** A text with what nobody sees, or what turns its direction, written by its number. */
export function visible(text) {
  return String(text).replace(HIDDEN, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** An element with a class and children: nodes, or texts. */
export function el(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

/** A name that somebody chose. */
export const name = (text) => el("bdi", "", visible(text));

/** A name that can be pressed. */
export function pressable(text, label, act) {
  const button = el("button", "", name(text));
  button.type = "button";
  button.setAttribute("aria-label", label);
  button.addEventListener("click", act);
  return button;
}

export const number = (value) => value.toLocaleString("en");

/** Write a text where it has changed, so that nothing is laid out or read aloud anew. */
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * Bring the children of a list in line with its rows. A child stays where its row has not changed,
 * so that focus and selection stay, too.
 */
export function fill(list, rows, key, make) {
  const known = new Map([...list.children].map((child) => [child.dataset.key, child]));
  let at = list.firstElementChild;
  const kept = new Set();
  for (const row of rows) {
    const [id, seen] = [key(row), JSON.stringify(row)];
    let child = known.get(id);
    if (!child || child.seen !== seen) {
      const fresh = make(row);
      [fresh.dataset.key, fresh.seen] = [id, seen];
      if (child) {
        replace(child, fresh);
        if (at === child) at = fresh;
      }
      child = fresh;
    }
    kept.add(child);
    if (child === at) at = at.nextElementSibling;
    else list.insertBefore(child, at);
  }
  for (const child of [...list.children]) if (!kept.has(child)) child.remove();
}

/** Put a new row where an old one was; what had the focus in it has it again. */
function replace(old, fresh) {
  const inside = (row) => [...row.querySelectorAll("button, input")];
  const place = inside(old).indexOf(document.activeElement);
  old.replaceWith(fresh);
  if (place >= 0) inside(fresh)[place]?.focus();
}

/** Ask a path of the service; the JSON of its answer, or an Error in its words. */
export async function ask(method, path, body) {
  const answer = await fetch(path, { method, body });
  const text = await answer.text();
  if (answer.ok) return text ? JSON.parse(text) : null;
  let told = "";
  try {
    told = JSON.parse(text).message;
  } catch {
    // an answer without words
  }
  throw new Error(told || `The service answered ${answer.status}.`);
}
