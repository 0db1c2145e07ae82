// Who is there: connections, users, groups or hubs, a page of rows at a time.

import { $, el, fill, name, number, pressable, write } from "/_local/page/dom.js";

const HEADS = {
  connections: ["Connection", "Hub", "User", "Groups", "Permissions", "Subprotocol"],
  users: ["User", "Hub", "Connections"],
  groups: ["Group", "Hub", "Connections"],
  hubs: ["Hub", "Connections", "Users", "Groups"],
};
const VERBS = { sendToGroup: "send to", joinLeaveGroup: "join and leave" };
const NONE = { connections: "Nobody", users: "No user", groups: "No group", hubs: "No hub" };

export function people(see) {
  const view = { listing: "connections", hub: "", search: "", user: "", group: "", page: 0 };
  let listed = "";

  function show(changes) {
    Object.assign(view, { page: 0 }, changes);
    see(view);
    for (const one of document.getElementsByName("listing")) one.checked = one.value === view.listing;
    $("hub").value = view.hub;
    fill($("only"), ["user", "group"].filter((kind) => view[kind]).map((kind) => [kind, view[kind]]),
      ([kind]) => kind, chip);
  }

  function chip([kind, value]) {
    const button = pressable(`${kind}: ${value} ✕`, `No longer only ${kind} ${value}`, () => {
      show({ [kind]: "" });
      $("search").focus();
    });
    return el("span", "", button);
  }

  $("listing").addEventListener("change", (event) =>
    show({ listing: event.target.value, user: "", group: "" }));
  $("hub").addEventListener("change", () => show({ hub: $("hub").value }));
  $("search").addEventListener("input", () => show({ search: $("search").value }));
  $("people-form").addEventListener("submit", (event) => event.preventDefault());
  $("before").addEventListener("click", () => show({ page: view.page - 1 }));
  $("after").addEventListener("click", () => show({ page: view.page + 1 }));

  const open = (changes) => {
    $("search").value = "";
    show({ listing: "connections", user: "", group: "", search: "", ...changes });
    $("people").focus();
  };

  const cell = (...children) => el("td", "", ...children);
  const sum = (value) => el("td", "number", number(value));

  function rowOf(list) {
    return (row) => {
      if (list === "connections") return connection(row);
      if (list === "hubs") {
        const hub = pressable(row.name, `Connections of hub ${row.name}`, () => open({ hub: row.name }));
        return el("tr", "", cell(hub), sum(row.connections), sum(row.users), sum(row.groups));
      }
      const kind = list === "users" ? "user" : "group";
      const label = `Connections of ${kind} ${row.name} in hub ${row.hub}`;
      const one = pressable(row.name, label, () => open({ hub: row.hub, [kind]: row.name }));
      return el("tr", "", cell(one), cell(name(row.hub)), sum(row.connections));
    };
  }

  function connection(row) {
    return el("tr", "",
      el("td", "mono", name(row.connectionId)),
      cell(name(row.hub)),
      cell(row.userId === null ? "nobody" : name(row.userId)),
      cell(...names(row.groups, row.groupCount)),
      cell(...permissions(row.permissions)),
      cell(row.protocol ? name(row.protocol) : "none"));
  }

  function page(part) {
    if (part.list !== listed) {
      listed = part.list;
      const numeric = new Set(["Connections", "Users", "Groups"]);
      const heads = HEADS[listed].map((text) => {
        const right = numeric.has(text) && listed !== "connections";
        const head = el("th", right ? "number" : "", text);
        head.scope = "col";
        return head;
      });
      document.querySelector("#people-table thead").replaceChildren(el("tr", "", ...heads));
      document.querySelector("#people-table tbody").replaceChildren();
    }
    const key = (row) => JSON.stringify([row.hub, row.connectionId ?? row.name]);
    fill(document.querySelector("#people-table tbody"), part.rows, key, rowOf(listed));
    const found = part.matches === part.all ? "" : `${number(part.matches)} of `;
    write($("matches"), `${found}${number(part.all)} ${part.list}`);
    $("nobody").hidden = part.matches > 0;
    write($("nobody"), part.all ? `${NONE[listed]} by that name.` : `${NONE[listed]} is there.`);
    view.page = part.page;
    $("pages").hidden = part.pages < 2;
    write($("page"), `Page ${number(part.page + 1)} of ${number(part.pages)}`);
    $("before").disabled = part.page === 0;
    $("after").disabled = part.page + 1 >= part.pages;
  }

  function hubs(totals) {
    const kept = view.hub && !totals.named.includes(view.hub) ? [view.hub] : [];
    const choices = ["", ...totals.named, ...kept];
    fill($("hub"), choices, (hub) => `=${hub}`, (hub) => {
      const option = el("option", "", hub || "all");
      option.value = hub;
      return option;
    });
    $("hub").value = view.hub;
  }

  see(view);
  return { page, hubs };
}

function names(known, count) {
  const parts = known.flatMap((one, place) => [place ? ", " : "", name(one)]);
  return count > known.length ? [...parts, ` and ${number(count - known.length)} more`] : parts;
}

function permissions(rules) {
  return Object.entries(rules).map(([permission, rule]) => {
    const given = rule.everywhere ? ["every group"] : [];
    const parts = [
      ...given,
      ...names([...rule.patterns, ...rule.allowed],
        rule.patterns.length + rule.allowedCount).map((one) => one),
    ];
    if (rule.everywhere && parts.length > 1) parts.splice(1, 0, ", ");
    const denied = rule.deniedCount ? [" · not ", ...names(rule.denied, rule.deniedCount)] : [];
    return el("span", "label", `${VERBS[permission] ?? permission}: `, ...(parts.length ? parts : ["no group"]), ...denied);
  });
}
