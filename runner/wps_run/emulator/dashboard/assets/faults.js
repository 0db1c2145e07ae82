// Faults on demand: put in force, switched off and on again.

import { $, ask, el, fill, name, number, visible, write } from "/_local/page/dom.js";

export function faults() {
  let inForce = [];
  let off = [];

  async function act(method, path, body, done) {
    $("fault-said").classList.remove("failed");
    try {
      await ask(method, path, body);
      $("fault-said").textContent = done;
      return true;
    } catch (error) {
      $("fault-said").classList.add("failed");
      $("fault-said").textContent = visible(error.message);
      return false;
    }
  }

  const putInForce = (text) =>
    act("POST", "/_local/faults", JSON.stringify({ faults: [text] }), `In force: ${visible(text)}`);

  $("fault-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = $("fault").value.trim();
    if (text && await putInForce(text)) $("fault").value = "";
  });
  $("clear-faults").addEventListener("click", async () => {
    if (await act("DELETE", "/_local/faults", undefined, "No fault is in force.")) {
      off = [];
      draw();
    }
  });

  async function turn(row, box) {
    box.disabled = true;
    if (row.on) {
      off.push(row.fault);
      const path = `/_local/faults?fault=${encodeURIComponent(row.fault)}`;
      if (!await act("DELETE", path, undefined, `Off: ${visible(row.fault)}`)) off.pop();
    } else if (await putInForce(row.fault)) {
      off = off.filter((one) => one !== row.fault);
    }
    draw();
  }

  function item(row) {
    const box = el("input");
    box.type = "checkbox";
    box.setAttribute("role", "switch");
    box.checked = row.on;
    box.addEventListener("change", () => turn(row, box));
    const struck = row.on ? `struck ${number(row.struck)} of ${number(row.meant)}` : "off";
    return el("li", row.on ? "" : "off",
      el("label", "mono", box, name(row.fault)), el("span", "label", struck));
  }

  function draw() {
    const on = inForce.map((one) => ({ ...one, on: true }));
    const rows = [...on, ...off.map((fault) => ({ fault, on: false }))];
    const seen = new Map();
    for (const row of rows) {
      row.place = seen.get(row.fault) ?? 0;
      seen.set(row.fault, row.place + 1);
    }
    fill($("fault-list"), rows, (row) => `${row.place} ${row.on} ${row.fault}`, item);
    $("no-faults").hidden = rows.length > 0;
  }

  return (part) => {
    inForce = part.faults;
    write($("seed"), String(part.seed));
    draw();
  };
}
