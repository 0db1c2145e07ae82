// The table of actions: filters, search, sorting, pages and details, from the data in the page.
// The fragment of the address has the filters, so that links and the back button set them.
// Names are untrusted, so they are added to the page as text only, never as HTML.
"use strict";

const STATUSES = ["ok", "failed", "unknown", "skipped"];
const PAGE_ROWS = 100;
const MAX_PRINTED_ROWS = 5000;
const MAX_KINDS = 100;
const THROTTLING = new Set([429, 503]);
const HIDDEN = /[\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

const data = JSON.parse(document.getElementById("run").textContent);
const actions = data.rows.map((row) => ({
  index: row[0],
  status: STATUSES[row[1]],
  actionName: data.actions[row[2]],
  name: row[3] < 0 ? "" : data.names[row[3]],
  target: targetText(row[4]),
  source: row[5],
  httpStatus: row[6],
  attempts: row[7],
  duration: row[8],
  started: row[9],
  waitedFor: row[10],
  requestId: row[11],
  error: row[12] < 0 ? null : data.errors[row[12]],
  tries: row[13],
  isEarlier: row[14] === 1,
}));
const byIndex = new Map(actions.map((action) => [action.index, action]));

// Actions of one kind have the same status, error code and hint: [first action, number of actions].
const kinds = new Map();
for (const action of actions) {
  if (!action.error) continue;
  action.kind = JSON.stringify([action.status, action.error[0], action.error[2]]);
  const kind = kinds.get(action.kind);
  if (kind) kind[1] += 1;
  else kinds.set(action.kind, [action, 1]);
}

const ONLY = {
  retried: (action) => action.tries.length > 0,
  throttled: (action) => [action.httpStatus, ...action.tries.map(([, http]) => http)].some((http) => THROTTLING.has(http)),
  earlier: (action) => action.isEarlier,
};
const FIELDS = { action: "by-action", like: "by-kind", only: "by-only", target: "by-target", text: "by-text" };

const view = { filtered: actions, page: 0, sort: "index", descending: false, opened: new Set(), listeners: [] };

function targetText(target) {
  const text = (value) => (Array.isArray(value) ? `[${value.join(", ")}]` : value);
  return Object.entries(target).map(([name, value]) => `${name}=${text(value)}`).join(" ");
}

function $(id) {
  return document.getElementById(id);
}

// Return an element with a class and children; strings become text.
function make(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children.filter((child) => child !== null && child !== ""));
  return element;
}

// Return a text whose direction is isolated from the text beside it, hidden characters escaped.
function value(text, className) {
  return make("bdi", className, visible(text));
}

// Return a message the same way, with what is in backticks as code.
function message(text, className) {
  const parts = visible(text).split(/`([^`]+)`/);
  return make("bdi", className, ...parts.map((part, index) => (index % 2 ? make("code", "", part) : part)));
}

function visible(text) {
  return String(text).replace(HIDDEN, (character) =>
    `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

function milliseconds(number) {
  return number === null ? "" : number.toLocaleString("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
}

function countOf(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

const COLUMNS = [
  { key: "index", title: "#", number: true },
  { key: "status", title: "Status" },
  { key: "actionName", title: "Action" },
  { key: "target", title: "Target" },
  { key: "source", title: "Source" },
  { key: "httpStatus", title: "HTTP", number: true },
  { key: "tries", title: "Tries", number: true, sortBy: (action) => action.tries.length },
  { key: "started", title: "Start, ms", number: true },
  { key: "duration", title: "Time, ms", number: true },
];

function cells(action) {
  const button = make("button", "", `${action.index}`);
  button.type = "button";
  button.setAttribute("aria-expanded", String(view.opened.has(action.index)));
  button.setAttribute("aria-label", `Details of action ${action.index}`);
  button.addEventListener("click", () => toggle(action, button));
  const targetCell = make("td", "target", value(action.target, "clip"));
  if (action.error) targetCell.append(message(`${action.error[0]}: ${action.error[1]}`, `label clip ${action.status}`));
  const nameCell = make("td", "", action.actionName);
  if (action.name) nameCell.append(value(action.name, "label clip"));
  return [
    make("td", "number", button),
    make("td", "", make("span", `status ${action.status}`, action.status), action.isEarlier ? " earlier" : ""),
    nameCell,
    targetCell,
    make("td", "source", value(action.source)),
    make("td", "number", action.httpStatus === null ? "" : String(action.httpStatus)),
    make("td", "number", action.started === null ? "" : String(action.tries.length + 1)),
    make("td", "number", milliseconds(action.started)),
    make("td", "number", action.started === null ? "" : milliseconds(action.duration)),
  ];
}

function details(action) {
  const list = make("dl", "");
  const addDetail = (term, ...description) => list.append(make("dt", "", term), make("dd", "", ...description));
  addDetail("Target", value(action.target));
  if (action.name) addDetail("Name", value(action.name));
  if (action.error) {
    addDetail("Why", message(`${action.error[0]}: ${action.error[1]}`));
    if (action.error[2]) addDetail("What to do", message(action.error[2]));
  }
  if (action.waitedFor !== null) addDetail("Waited for", linkTo(action.waitedFor));
  if (action.tries.length) {
    addDetail("Attempts", make("ol", "", ...action.tries.map((attempt) => make("li", "", attemptText(attempt))),
      make("li", "", `the last: ${action.httpStatus ?? "no response"}`)));
  }
  if (action.requestId) addDetail("Request ID", value(action.requestId));
  const cell = make("td", "", list);
  cell.colSpan = COLUMNS.length;
  const row = make("tr", "details", cell);
  row.id = `details-${action.index}`;
  return row;
}

function attemptText([at, http, error, pause]) {
  const response = [http ?? "no response", error ?? ""].filter(String).join(" ");
  return `at ${milliseconds(at)} ms: ${response}, then ${milliseconds(pause)} ms of pause`;
}

function linkTo(index) {
  if (!byIndex.has(index)) return `#${index}`;
  const button = make("button", "", `#${index}`);
  button.type = "button";
  button.addEventListener("click", () => reveal(byIndex.get(index)));
  return button;
}

function toggle(action, button) {
  const row = button.closest("tr");
  if (view.opened.delete(action.index)) {
    row.nextElementSibling.remove();
  } else {
    view.opened.add(action.index);
    row.after(details(action));
  }
  button.setAttribute("aria-expanded", String(view.opened.has(action.index)));
}

function render(from, to) {
  const rows = [];
  for (const action of view.filtered.slice(from, to)) {
    const row = make("tr", "", ...cells(action));
    row.id = `action-${action.index}`;
    rows.push(row);
    if (view.opened.has(action.index)) rows.push(details(action));
  }
  $("rows").replaceChildren(...rows);
}

function showPage(page) {
  const pages = Math.max(1, Math.ceil(view.filtered.length / PAGE_ROWS));
  view.page = Math.min(Math.max(0, page), pages - 1);
  render(view.page * PAGE_ROWS, (view.page + 1) * PAGE_ROWS);
  $("page").textContent = `Page ${view.page + 1} of ${pages.toLocaleString("en")}`;
  $("pages").hidden = pages === 1;
  $("before").disabled = view.page === 0;
  $("after").disabled = view.page === pages - 1;
}

function searchText(action) {
  action.searchText ??= [action.actionName, action.name, action.target, action.source, action.requestId, ...(action.error ?? [])]
    .join("\n").toLowerCase();
  return action.searchText;
}

function filter() {
  const statuses = new Set([...$("statuses").querySelectorAll("input:checked")].map((box) => box.value));
  const actionName = $("by-action").value;
  const kind = byIndex.get(Number($("by-kind").value || -1))?.kind;
  const isOnly = ONLY[$("by-only").value];
  const target = $("by-target").value.trim().toLowerCase();
  const terms = $("by-text").value.toLowerCase().split(/\s+/).filter(Boolean);
  view.filtered = actions.filter((action) =>
    statuses.has(action.status)
    && (!actionName || action.actionName === actionName)
    && (!kind || action.kind === kind)
    && (!isOnly || isOnly(action))
    && (!target || action.target.toLowerCase().includes(target))
    && terms.every((term) => searchText(action).includes(term)));
  sort();
  $("count").textContent = `${view.filtered.length.toLocaleString("en")} of ${countOf(actions.length, "action")}`;
  for (const listener of view.listeners) listener();
}

function sort() {
  const { key, sortBy } = COLUMNS.find((column) => column.key === view.sort);
  const valueOf = sortBy ?? ((action) => action[key] ?? -1);
  const order = view.descending ? -1 : 1;
  view.filtered = view.filtered.slice().sort((a, b) => {
    const [left, right] = [valueOf(a), valueOf(b)];
    return left < right ? -order : left > right ? order : a.index - b.index;
  });
  for (const cell of $("heads").children) {
    const direction = view.descending ? "descending" : "ascending";
    cell.setAttribute("aria-sort", cell.dataset.key === view.sort ? direction : "none");
  }
  showPage(0);
}

// Show the details of an action in the table; clear the filters if they hide it.
function reveal(action) {
  if (!view.filtered.includes(action)) {
    resetFilters();
    writeFragment();
  }
  view.opened.add(action.index);
  showPage(Math.floor(view.filtered.indexOf(action) / PAGE_ROWS));
  const row = $(`action-${action.index}`);
  row.scrollIntoView({ block: "center" });
  row.querySelector("button").focus({ preventScroll: true });
}

function buildHeader() {
  for (const column of COLUMNS) {
    const button = make("button", "", column.title);
    button.type = "button";
    button.addEventListener("click", () => {
      view.descending = view.sort === column.key && !view.descending;
      view.sort = column.key;
      sort();
    });
    const cell = make("th", column.number ? "number" : "", button);
    cell.scope = "col";
    cell.dataset.key = column.key;
    $("heads").append(cell);
  }
}

function buildFilters() {
  for (const status of STATUSES) {
    const count = actions.reduce((sum, action) => sum + (action.status === status), 0);
    const box = make("input", "");
    Object.assign(box, { type: "checkbox", value: status, defaultChecked: true, checked: true });
    $("statuses").append(make("label", "", box, `${status} (${count.toLocaleString("en")})`));
  }
  for (const name of [...data.actions].sort()) addOption($("by-action"), name, name);
  const largest = [...kinds.values()].sort((a, b) => b[1] - a[1]);
  for (const [first, count] of largest.slice(0, MAX_KINDS)) addKind(first, count);
  for (const [only, applies] of Object.entries(ONLY)) if (actions.some(applies)) addOption($("by-only"), only, only);
  for (const id of ["by-action", "by-kind", "by-only"]) $(id).parentElement.hidden = $(id).options.length < 2;
  const form = $("filters");
  form.addEventListener("input", () => {
    filter();
    writeFragment();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(() => {
    filter();
    writeFragment();
  }));
}

function addOption(select, optionValue, label) {
  const option = make("option", "", visible(label));
  option.value = optionValue;
  select.append(option);
}

function addKind(first, count) {
  const [code, , hint] = first.error;
  addOption($("by-kind"), String(first.index), `${code} (${count.toLocaleString("en")}) ${hint}`.slice(0, 80));
}

function boxes() {
  return [...$("statuses").querySelectorAll("input")];
}

function resetFilters() {
  for (const box of boxes()) box.checked = true;
  for (const id of Object.values(FIELDS)) $(id).value = "";
  filter();
}

// Write the filters to the address, in place of the last ones.
function writeFragment() {
  const parameters = new URLSearchParams();
  const checked = boxes().filter((box) => box.checked).map((box) => box.value);
  if (checked.length < STATUSES.length) for (const status of checked.length ? checked : ["none"]) parameters.append("status", status);
  for (const [key, id] of Object.entries(FIELDS)) if ($(id).value) parameters.set(key, $(id).value);
  history.replaceState(null, "", `#${parameters}`);
}

// Set the filters from the address; return whether it has some. Other fragments change nothing.
function readFragment() {
  const parameters = new URLSearchParams(location.hash.slice(1));
  const hasFilters = ["status", ...Object.keys(FIELDS)].some((key) => parameters.has(key));
  if (location.hash.length > 1 && !hasFilters) return false;
  const statuses = new Set(parameters.getAll("status"));
  for (const box of boxes()) box.checked = !statuses.size || statuses.has("all") || statuses.has(box.value);
  const [first, count] = kinds.get(byIndex.get(Number(parameters.get("like") || -1))?.kind) ?? [];
  for (const [key, id] of Object.entries(FIELDS)) {
    const text = key === "like" ? String(first?.index ?? "") : parameters.get(key) ?? "";
    $(id).value = text;
    if ($(id).value === text) continue;
    if (key === "like") addKind(first, count); // it is not one of the largest
    $(id).value = key === "like" ? text : "";
  }
  filter();
  return hasFilters;
}

function showTable() {
  $("actions").scrollIntoView();
  $("actions").focus({ preventScroll: true });
}

// Links to rows set the filters; the back button restores the filters and the position from before.
function addFragmentListeners() {
  let isLinkFollowed = false;
  for (const link of document.querySelectorAll("a.rows")) {
    link.addEventListener("click", () => {
      isLinkFollowed = link.hash !== location.hash;
      if (!isLinkFollowed) showTable();
    });
  }
  window.addEventListener("hashchange", () => {
    readFragment();
    if (isLinkFollowed) showTable();
    isLinkFollowed = false;
  });
}

buildHeader();
buildFilters();
for (const id of ["filters", "count", "table"]) $(id).hidden = false;
addFragmentListeners();
if (location.hash.length > 1 && readFragment()) window.addEventListener("load", showTable);
else filter();
$("before").addEventListener("click", () => showPage(view.page - 1));
$("after").addEventListener("click", () => showPage(view.page + 1));
window.addEventListener("beforeprint", () => render(0, MAX_PRINTED_ROWS));
window.addEventListener("afterprint", () => showPage(view.page));
