// Fault injection: faults are added, and switched off and on.

import { $, el, escapeInvisible, formatNumber, name, request, setText, syncChildren } from "/_local/page/dom.js";

export function initFaults() {
  let active = [];
  let disabled = [];

  async function change(method, path, body, success) {
    $("fault-status").classList.remove("failed");
    try {
      await request(method, path, body);
      $("fault-status").textContent = success;
      return true;
    } catch (error) {
      $("fault-status").classList.add("failed");
      $("fault-status").textContent = escapeInvisible(error.message);
      return false;
    }
  }

  const addFault = (fault) =>
    change("POST", "/_local/faults", JSON.stringify({ faults: [fault] }), `Added: ${escapeInvisible(fault)}`);

  $("fault-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const fault = $("fault").value.trim();
    if (fault && await addFault(fault)) $("fault").value = "";
  });
  $("clear-faults").addEventListener("click", async () => {
    if (await change("DELETE", "/_local/faults", undefined, "All faults were removed.")) {
      disabled = [];
      draw();
    }
  });

  async function toggle(row, checkbox) {
    checkbox.disabled = true;
    if (row.isActive) {
      disabled.push(row.fault);
      const path = `/_local/faults?fault=${encodeURIComponent(row.fault)}`;
      if (!await change("DELETE", path, undefined, `Off: ${escapeInvisible(row.fault)}`)) disabled.pop();
    } else if (await addFault(row.fault)) {
      disabled = disabled.filter((fault) => fault !== row.fault);
    }
    draw();
  }

  function createItem(row) {
    const checkbox = el("input");
    checkbox.type = "checkbox";
    checkbox.setAttribute("role", "switch");
    checkbox.checked = row.isActive;
    checkbox.addEventListener("change", () => toggle(row, checkbox));
    const counts = row.isActive
      ? `injected into ${formatNumber(row.struck)} of ${formatNumber(row.meant)} requests`
      : "off";
    return el("li", row.isActive ? "" : "off",
      el("label", "mono", checkbox, name(row.fault)), el("span", "label", counts));
  }

  function draw() {
    const rows = [
      ...active.map((fault) => ({ ...fault, isActive: true })),
      ...disabled.map((fault) => ({ fault, isActive: false })),
    ];
    const occurrences = new Map();
    for (const row of rows) {
      row.occurrence = occurrences.get(row.fault) ?? 0;
      occurrences.set(row.fault, row.occurrence + 1);
    }
    syncChildren($("fault-list"), rows, (row) => `${row.occurrence} ${row.isActive} ${row.fault}`, createItem);
    $("no-faults").hidden = rows.length > 0;
  }

  return (update) => {
    active = update.faults;
    setText($("seed"), String(update.seed));
    draw();
  };
}
