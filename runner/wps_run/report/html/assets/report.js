// The table of actions: filters, search, sorting, pages and details, from the data in the page.
// Names come from strangers, so nothing is ever put into the page as HTML, only as text.
"use strict";

const STATUSES = ["ok", "failed", "unknown", "skipped"];
const PAGE = 100; // rows in the page at once, whatever the number of actions
const PRINTED = 5000; // rows on paper
const HIDDEN = /[\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

const data = JSON.parse(document.getElementById("run").textContent);
const actions = data.rows.map((row) => ({
  index: row[0],
  status: STATUSES[row[1]],
  action: data.actions[row[2]],
  name: row[3] < 0 ? "" : data.names[row[3]],
  target: targetText(row[4]),
  source: row[5],
  http: row[6],
  attempts: row[7],
  took: row[8],
  started: row[9],
  waitedFor: row[10],
  request: row[11],
  error: row[12] < 0 ? null : data.errors[row[12]],
  tries: row[13],
}));
const byIndex = new Map(actions.map((one) => [one.index, one]));

const view = { shown: actions, page: 0, sort: "index", down: false, open: new Set(), listeners: [] };

function targetText(target) {
  const text = (value) => (Array.isArray(value) ? `[${value.join(", ")}]` : value);
  return Object.entries(target).map(([name, value]) => `${name}=${text(value)}`).join(" ");
}

function $(id) {
  return document.getElementById(id);
}

// An element with a class and children; strings become text. `value` is isolated, so that a name
// in Arabic leaves what stands beside it alone; what nobody sees is written by its number.
function make(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children.filter((one) => one !== null && one !== ""));
  return element;
}

function value(text, className) {
  return make("bdi", className, String(text).replace(HIDDEN, (found) =>
    `\\u${found.charCodeAt(0).toString(16).padStart(4, "0")}`));
}

function milliseconds(number) {
  return number === null ? "" : number.toLocaleString("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
}

function count(number, word) {
  return `${number.toLocaleString("en")} ${word}${number === 1 ? "" : "s"}`;
}

const COLUMNS = [
  { key: "index", title: "#", number: true },
  { key: "status", title: "Status" },
  { key: "action", title: "Action" },
  { key: "target", title: "Target" },
  { key: "source", title: "Place" },
  { key: "http", title: "HTTP", number: true },
  { key: "tries", title: "Tries", number: true, by: (one) => one.tries.length },
  { key: "started", title: "Start, ms", number: true },
  { key: "took", title: "Time, ms", number: true },
];

function cells(one) {
  const open = make("button", "", `${one.index}`);
  open.type = "button";
  open.setAttribute("aria-expanded", String(view.open.has(one.index)));
  open.setAttribute("aria-label", `Details of action ${one.index}`);
  open.addEventListener("click", () => toggle(one, open));
  const target = make("td", "target", value(one.target, "clip"));
  if (one.error) target.append(value(`${one.error[0]}: ${one.error[1]}`, `label clip ${one.status}`));
  const action = make("td", "", one.action);
  if (one.name) action.append(value(one.name, "label clip"));
  return [
    make("td", "number", open),
    make("td", "", make("span", `status ${one.status}`, one.status)),
    action,
    target,
    make("td", "place", value(one.source)),
    make("td", "number", one.http === null ? "" : String(one.http)),
    make("td", "number", one.started === null ? "" : String(one.tries.length + 1)),
    make("td", "number", milliseconds(one.started)),
    make("td", "number", one.started === null ? "" : milliseconds(one.took)),
  ];
}

function details(one) {
  const list = make("dl", "");
  const fact = (term, ...described) => list.append(make("dt", "", term), make("dd", "", ...described));
  fact("Target", value(one.target));
  if (one.name) fact("Name", value(one.name));
  if (one.error) {
    fact("Why", value(`${one.error[0]}: ${one.error[1]}`));
    if (one.error[2]) fact("What to do", value(one.error[2]));
  }
  if (one.waitedFor !== null) fact("Waited for", jump(one.waitedFor));
  if (one.tries.length) {
    fact("Attempts", make("ol", "", ...one.tries.map((attempt) => make("li", "", attemptText(attempt))),
      make("li", "", `the last: ${one.http ?? "no answer"}`)));
  }
  if (one.request) fact("Request ID", value(one.request));
  const cell = make("td", "", list);
  cell.colSpan = COLUMNS.length;
  const row = make("tr", "details", cell);
  row.id = `details-${one.index}`;
  return row;
}

function attemptText([at, http, error, pause]) {
  const answer = [http ?? "no answer", error ?? ""].filter(String).join(" ");
  return `at ${milliseconds(at)} ms: ${answer}, then ${milliseconds(pause)} ms of pause`;
}

function jump(index) {
  if (!byIndex.has(index)) return `#${index}`;
  const button = make("button", "", `#${index}`);
  button.type = "button";
  button.addEventListener("click", () => reveal(byIndex.get(index)));
  return button;
}

function toggle(one, button) {
  const row = button.closest("tr");
  if (view.open.delete(one.index)) {
    row.nextElementSibling.remove();
  } else {
    view.open.add(one.index);
    row.after(details(one));
  }
  button.setAttribute("aria-expanded", String(view.open.has(one.index)));
}

function render(from, to) {
  const rows = [];
  for (const one of view.shown.slice(from, to)) {
    const row = make("tr", "", ...cells(one));
    row.id = `action-${one.index}`;
    rows.push(row);
    if (view.open.has(one.index)) rows.push(details(one));
  }
  $("rows").replaceChildren(...rows);
}

function showPage(page) {
  const pages = Math.max(1, Math.ceil(view.shown.length / PAGE));
  view.page = Math.min(Math.max(0, page), pages - 1);
  render(view.page * PAGE, (view.page + 1) * PAGE);
  $("page").textContent = `Page ${view.page + 1} of ${pages.toLocaleString("en")}`;
  $("pages").hidden = pages === 1;
  $("before").disabled = view.page === 0;
  $("after").disabled = view.page === pages - 1;
}

function haystack(one) {
  one.text ??= [one.action, one.name, one.target, one.source, one.request, ...(one.error ?? [])]
    .join("\n").toLowerCase();
  return one.text;
}

function filter() {
  const statuses = new Set([...$("statuses").querySelectorAll("input:checked")].map((box) => box.value));
  const action = $("by-action").value;
  const target = $("by-target").value.trim().toLowerCase();
  const words = $("by-text").value.toLowerCase().split(/\s+/).filter(Boolean);
  view.shown = actions.filter((one) =>
    statuses.has(one.status)
    && (!action || one.action === action)
    && (!target || one.target.toLowerCase().includes(target))
    && words.every((word) => haystack(one).includes(word)));
  sort();
  $("count").textContent = `${view.shown.length.toLocaleString("en")} of ${count(actions.length, "action")}`;
  for (const listener of view.listeners) listener();
}

function sort() {
  const { key, by } = COLUMNS.find((column) => column.key === view.sort);
  const of = by ?? ((one) => one[key] ?? -1);
  const order = view.down ? -1 : 1;
  view.shown = view.shown.slice().sort((a, b) => {
    const [left, right] = [of(a), of(b)];
    return left < right ? -order : left > right ? order : a.index - b.index;
  });
  for (const head of $("heads").children) {
    const direction = view.down ? "descending" : "ascending";
    head.setAttribute("aria-sort", head.dataset.key === view.sort ? direction : "none");
  }
  showPage(0);
}

// Show an action in the table, opened; the filters are cleared if they hide it.
function reveal(one) {
  if (!view.shown.includes(one)) {
    $("filters").reset();
    filter();
  }
  view.open.add(one.index);
  showPage(Math.floor(view.shown.indexOf(one) / PAGE));
  const row = $(`action-${one.index}`);
  row.scrollIntoView({ block: "center" });
  row.querySelector("button").focus({ preventScroll: true });
}

function buildHeads() {
  for (const column of COLUMNS) {
    const button = make("button", "", column.title);
    button.type = "button";
    button.addEventListener("click", () => {
      view.down = view.sort === column.key && !view.down;
      view.sort = column.key;
      sort();
    });
    const head = make("th", column.number ? "number" : "", button);
    head.scope = "col";
    head.dataset.key = column.key;
    $("heads").append(head);
  }
}

function buildFilters() {
  for (const status of STATUSES) {
    const number = actions.reduce((sum, one) => sum + (one.status === status), 0);
    const box = make("input", "");
    Object.assign(box, { type: "checkbox", value: status, defaultChecked: true, checked: true });
    $("statuses").append(make("label", "", box, `${status} (${number.toLocaleString("en")})`));
  }
  for (const action of [...data.actions].sort()) {
    const option = make("option", "", action);
    option.value = action;
    $("by-action").append(option);
  }
  const form = $("filters");
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(filter));
}

buildHeads();
buildFilters();
for (const id of ["filters", "count", "table"]) $(id).hidden = false;
filter();
$("before").addEventListener("click", () => showPage(view.page - 1));
$("after").addEventListener("click", () => showPage(view.page + 1));
window.addEventListener("beforeprint", () => render(0, PRINTED));
window.addEventListener("afterprint", () => showPage(view.page));
