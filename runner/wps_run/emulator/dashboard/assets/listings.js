// The list of clients: connections, users, groups or hubs, one page at a time; and the hub that is
// shown, by default one that is in use.

import { $, el, formatNumber, name, nameButton, setText, syncChildren } from "/_local/page/dom.js";

const COLUMNS = {
  connections: ["Connection", "Hub", "User", "Groups", "Permissions", "Subprotocol"],
  users: ["User", "Hub", "Connections"],
  groups: ["Group", "Hub", "Connections"],
  hubs: ["Hub", "Connections", "Users", "Groups"],
};
const NUMERIC_COLUMNS = new Set(["Connections", "Users", "Groups"]);
const VERBS = { sendToGroup: "send to", joinLeaveGroup: "join and leave" };

export function initListings(updateQuery) {
  const query = { listing: "connections", hub: "", search: "", user: "", group: "", page: 0 };
  const body = document.querySelector("#clients-table tbody");
  let shownListing = "";
  let isHubChosen = false;

  function change(changes) {
    Object.assign(query, { page: 0 }, changes);
    updateQuery(query);
    for (const radio of document.getElementsByName("listing")) radio.checked = radio.value === query.listing;
    $("hub").value = query.hub;
    if (query.hub && !$("client-hub").dataset.isEdited) $("client-hub").value = query.hub;
    const filters = ["user", "group"].filter((kind) => query[kind]).map((kind) => [kind, query[kind]]);
    syncChildren($("active-filters"), filters, ([kind]) => kind, createFilterChip);
  }

  function createFilterChip([kind, value]) {
    const button = nameButton(`${kind}: ${value} ✕`, `Remove the filter ${kind} ${value}`, () => {
      change({ [kind]: "" });
      $("search").focus();
    });
    return el("span", "", button);
  }

  $("listing").addEventListener("change", (event) =>
    change({ listing: event.target.value, user: "", group: "" }));
  $("hub").addEventListener("change", () => chooseHub($("hub").value));
  $("hub-form").addEventListener("submit", (event) => event.preventDefault());
  $("all-hubs").addEventListener("click", () => {
    chooseHub("");
    $("hub").focus();
  });
  $("search").addEventListener("input", () => change({ search: $("search").value }));
  $("clients-form").addEventListener("submit", (event) => event.preventDefault());
  $("previous-page").addEventListener("click", () => change({ page: query.page - 1 }));
  $("next-page").addEventListener("click", () => change({ page: query.page + 1 }));

  function chooseHub(hub) {
    isHubChosen = true;
    change({ hub });
  }

  const openConnections = (changes) => {
    isHubChosen = true;
    $("search").value = "";
    change({ listing: "connections", user: "", group: "", search: "", ...changes });
    $("clients").focus();
  };

  const cell = (...children) => el("td", "", ...children);
  const numberCell = (value) => el("td", "number", formatNumber(value));

  function createRow(row) {
    if (shownListing === "connections") return createConnectionRow(row);
    if (shownListing === "hubs") {
      const hub = nameButton(row.name, `Connections of hub ${row.name}`, () => openConnections({ hub: row.name }));
      return el("tr", "", cell(hub), numberCell(row.connections), numberCell(row.users), numberCell(row.groups));
    }
    const kind = shownListing === "users" ? "user" : "group";
    const label = `Connections of ${kind} ${row.name} in hub ${row.hub}`;
    const button = nameButton(row.name, label, () => openConnections({ hub: row.hub, [kind]: row.name }));
    return el("tr", "", cell(button), cell(name(row.hub)), numberCell(row.connections));
  }

  function createConnectionRow(row) {
    return el("tr", "",
      el("td", "mono", name(row.connectionId)),
      cell(name(row.hub)),
      cell(row.userId === null ? "none" : name(row.userId)),
      cell(...nameList(row.groups, row.groupCount)),
      cell(...permissionLabels(row.permissions)),
      cell(row.protocol ? name(row.protocol) : "none"));
  }

  function showPage(update) {
    if (update.list !== shownListing) {
      shownListing = update.list;
      const headers = COLUMNS[shownListing].map((text) => {
        const isNumeric = NUMERIC_COLUMNS.has(text) && shownListing !== "connections";
        const header = el("th", isNumeric ? "number" : "", text);
        header.scope = "col";
        return header;
      });
      document.querySelector("#clients-table thead").replaceChildren(el("tr", "", ...headers));
      body.replaceChildren();
    }
    const keyOf = (row) => JSON.stringify([row.hub, row.connectionId ?? row.name]);
    syncChildren(body, update.rows, keyOf, createRow);
    const matches = update.matches === update.all ? "" : `${formatNumber(update.matches)} of `;
    const noun = update.all === 1 ? update.list.slice(0, -1) : update.list;
    setText($("matches"), `${matches}${formatNumber(update.all)} ${noun}`);
    $("no-clients").hidden = update.matches > 0;
    setText($("no-clients"), update.all ? `No ${update.list} match the search.` : `No ${update.list}.`);
    query.page = update.page;
    $("pages").hidden = update.pages < 2;
    setText($("page"), `Page ${formatNumber(update.page + 1)} of ${formatNumber(update.pages)}`);
    $("previous-page").disabled = update.page === 0;
    $("next-page").disabled = update.page + 1 >= update.pages;
  }

  function showHubs(totals) {
    const selected = query.hub && !totals.named.includes(query.hub) ? [query.hub] : [];
    const choices = ["", ...totals.named, ...selected];
    syncChildren($("hub"), choices, (hub) => `=${hub}`, (hub) => {
      const option = el("option", "", hub || "all");
      option.value = hub;
      return option;
    });
    $("hub").value = query.hub;
    if (!isHubChosen && isOutOfUse(totals)) change({ hub: totals.busiest });
  }

  function isOutOfUse({ named, hubs, busiest }) {
    return busiest !== "" && (query.hub === "" || (hubs === named.length && !named.includes(query.hub)));
  }

  updateQuery(query);
  return { showPage, showHubs };
}

function nameList(names, count) {
  const parts = names.flatMap((text, index) => [index ? ", " : "", name(text)]);
  return count > names.length ? [...parts, ` and ${formatNumber(count - names.length)} more`] : parts;
}

function permissionLabels(permissions) {
  return Object.entries(permissions).map(([permission, rules]) => {
    const names = nameList([...rules.patterns, ...rules.allowed], rules.patterns.length + rules.allowedCount);
    const everywhere = rules.everywhere ? ["every group", names.length ? ", " : ""] : [];
    const allowed = rules.everywhere || names.length ? [...everywhere, ...names] : ["no group"];
    const denied = rules.deniedCount ? [" · not ", ...nameList(rules.denied, rules.deniedCount)] : [];
    return el("span", "label", `${VERBS[permission] ?? permission}: `, ...allowed, ...denied);
  });
}
