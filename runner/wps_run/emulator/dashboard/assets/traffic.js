// The traffic list: requests with their outcome, messages and client events, the newest first.

import { $, el, escapeInvisible, formatNumber, name, nameButton, request, setText, syncChildren } from "/_local/page/dom.js";

const ROW_LIMIT = 100;

export function initTraffic(updateQuery) {
  let rows = [];
  let isPaused = false;
  let isElsewhere = false;
  const body = document.querySelector("#traffic-table tbody");

  $("kinds").addEventListener("change", (event) => updateQuery({ traffic: event.target.value }));
  $("text").addEventListener("input", () => updateQuery({ text: $("text").value }));
  $("traffic-form").addEventListener("submit", (event) => event.preventDefault());
  $("pause").addEventListener("click", () => {
    isPaused = !isPaused;
    $("pause").setAttribute("aria-pressed", String(isPaused));
    if (!isPaused) draw();
  });

  function draw() {
    syncChildren(body, rows, (row) => String(row.sequence), createRow);
    $("no-traffic").hidden = rows.length > 0;
    $("elsewhere").hidden = !isElsewhere;
    const isFiltered = isElsewhere || $("text").value || document.querySelector("input[name=kind]:checked").value !== "all";
    setText($("no-traffic"), isFiltered ? "No matching traffic." :
      "No traffic yet. Run a playbook against this emulator, or connect the test client below.");
  }

  return (update) => {
    isElsewhere = update.elsewhere;
    rows = update.fresh ? update.rows : [...update.rows, ...rows].slice(0, ROW_LIMIT);
    if (!isPaused || update.fresh) draw();
  };
}

const cell = (...children) => el("td", "", ...children);

const separated = (separator, texts) => texts.flatMap((text, index) => [index ? separator : "", name(text)]);

function createRow(row) {
  const button = nameButton(String(row.sequence), `Details of entry ${row.sequence}`, () => showEntry(row));
  return el("tr", "",
    el("td", "number still", button),
    el("td", "still", formatTime(row.at)),
    cell(row.kind === "client" ? `client ${row.what}` : name(row.what)),
    cell(row.hub ? name(row.hub) : ""),
    cell(...separated(" · ", row.names.filter(Boolean))),
    cell(...outcome(row)),
    cell(...effect(row)));
}

function formatTime(milliseconds) {
  const time = new Date(milliseconds);
  return `${time.toLocaleTimeString("en-GB")}.${String(time.getMilliseconds()).padStart(3, "0")}`;
}

function outcome(row) {
  const faults = (row.faults ?? []).map((fault) => el("span", "label", "fault ", name(fault)));
  if (row.kind === "client" && row.status === undefined) {
    return row.trouble ? [el("span", "status failed", "refused")] : [];
  }
  if (!row.status) return [el("span", "status unknown", "no response"), ...faults];
  return [el("span", `status ${row.status < 300 ? "ok" : "failed"}`, String(row.status)), ...faults];
}

function effect(row) {
  const recipients = row.who ?? [];
  const others = (row.reached ?? row.closed ?? 0) - recipients.length;
  const list = [...separated(", ", recipients), others > 0 ? ` and ${formatNumber(others)} more` : ""];
  if (row.closed !== undefined) {
    return [el("span", "clip", name(row.text || "no reason")),
      el("span", "label", `closed ${formatNumber(row.closed)}`, row.closed ? ": " : "", ...list)];
  }
  if (row.reached === undefined) return [];
  const size = `${row.dataType}, ${formatNumber(row.bytes)} bytes, reached ${formatNumber(row.reached)}`;
  return [el("span", "clip", name(row.text)),
    el("span", "label", size, row.reached ? ": " : "", ...list)];
}

/** Show everything that the request log has of one entry. */
async function showEntry(row) {
  $("entry-title").textContent = `Entry ${row.sequence}`;
  try {
    const log = await request("GET", `/_local/ledger?after=${row.sequence - 1}&limit=1&reached=1000`);
    const entry = log.entries.find((candidate) => candidate.sequence === row.sequence);
    $("entry-text").textContent = entry
      ? JSON.stringify(entry, null, 2).split("\n").map(escapeInvisible).join("\n")
      : "This entry is no longer in the request log: it keeps only the newest ones.";
  } catch (error) {
    $("entry-text").textContent = error.message;
  }
  $("entry").showModal();
}
