// What happens: requests with their outcome, messages, and what clients do, the newest first.

import { $, ask, el, fill, name, number, pressable, visible, write } from "/_local/page/dom.js";

const MOST = 100;

export function traffic(see) {
  let rows = [];
  let paused = false;
  const body = document.querySelector("#traffic-table tbody");

  $("kinds").addEventListener("change", (event) => see({ traffic: event.target.value }));
  $("text").addEventListener("input", () => see({ text: $("text").value }));
  $("traffic-form").addEventListener("submit", (event) => event.preventDefault());
  $("pause").addEventListener("click", () => {
    paused = !paused;
    $("pause").setAttribute("aria-pressed", String(paused));
    if (!paused) draw();
  });

  function draw() {
    fill(body, rows, (row) => String(row.sequence), line);
    $("nothing").hidden = rows.length > 0;
    const none = $("text").value || document.querySelector("input[name=kind]:checked").value !== "all";
    write($("nothing"), none ? "Nothing of that kind." :
      "Nothing yet. Run a playbook against this service, or connect the client below.");
  }

  return (part) => {
    rows = part.fresh ? part.rows : [...part.rows, ...rows].slice(0, MOST);
    if (!paused || part.fresh) draw();
  };
}

const cell = (...children) => el("td", "", ...children);

function line(row) {
  const open = pressable(String(row.sequence), `All about number ${row.sequence}`, () => whole(row));
  return el("tr", "",
    el("td", "number still", open),
    el("td", "still", clock(row.at)),
    cell(row.kind === "client" ? `client ${row.what}` : name(row.what)),
    cell(row.hub ? name(row.hub) : ""),
    cell(...row.names.filter(Boolean).flatMap((one, place) => [place ? " · " : "", name(one)])),
    cell(...outcome(row)),
    cell(...noticed(row)));
}

function clock(at) {
  const time = new Date(at);
  return `${time.toLocaleTimeString("en-GB")}.${String(time.getMilliseconds()).padStart(3, "0")}`;
}

function outcome(row) {
  const struck = (row.faults ?? []).map((fault) => el("span", "label", "fault ", name(fault)));
  if (row.kind === "client") return row.trouble ? [el("span", "status failed", "refused")] : [];
  if (!row.status) return [el("span", "status unknown", "no answer"), ...struck];
  return [el("span", `status ${row.status < 400 ? "ok" : "failed"}`, String(row.status)), ...struck];
}

function noticed(row) {
  const who = row.who ?? [];
  const rest = (row.reached ?? row.closed ?? 0) - who.length;
  const to = [
    ...who.flatMap((one, place) => [place ? ", " : "", name(one)]),
    rest > 0 ? ` and ${number(rest)} more` : "",
  ];
  if (row.closed !== undefined) {
    return [el("span", "clip", name(row.text || "no reason")),
      el("span", "label", `closed ${number(row.closed)}`, row.closed ? ": " : "", ...to)];
  }
  if (row.reached === undefined) return [];
  const size = `${row.dataType}, ${number(row.bytes)} bytes, reached ${number(row.reached)}`;
  return [el("span", "clip", name(row.text)),
    el("span", "label", size, row.reached ? ": " : "", ...to)];
}

/** All that the ledger has of one entry. */
async function whole(row) {
  $("entry-title").textContent = `Number ${row.sequence}`;
  try {
    const told = await ask("GET", `/_local/ledger?after=${row.sequence - 1}&limit=1&reached=1000`);
    const entry = told.entries.find((one) => one.sequence === row.sequence);
    $("entry-text").textContent = entry
      ? JSON.stringify(entry, null, 2).split("\n").map(visible).join("\n")
      : "It has made room for newer ones.";
  } catch (error) {
    $("entry-text").textContent = error.message;
  }
  $("entry").showModal();
}
