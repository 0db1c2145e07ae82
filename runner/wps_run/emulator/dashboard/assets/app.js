// Entry point: connects the live updates to the sections of the page.

import { initClient } from "/_local/page/client.js";
import { $, el, formatNumber, setText, syncChildren } from "/_local/page/dom.js";
import { initFaults } from "/_local/page/faults.js";
import { subscribe } from "/_local/page/live.js";
import { initListings } from "/_local/page/listings.js";
import { initTraffic } from "/_local/page/traffic.js";

const STATES = {
  live: "Live",
  lost: "Not connected: the data is outdated. Reconnecting …",
  over: "The session has ended: open the link that wps-run serve prints",
};
const COUNTS = {
  requests: "requests",
  refused: "refused (4xx)",
  failed: "failed (5xx)",
  unanswered: "no response",
  struck: "with faults",
  messages: "messages",
  deliveries: "deliveries",
  closed: "closed",
};
const ERRORS = new Set(["refused", "failed", "unanswered"]);

function showCards(list, numbers, labels) {
  const rows = Object.entries(labels).map(([key, label]) =>
    [key, numbers[key] === 1 ? label.replace(/ies$/, "y").replace(/s$/, "") : label, numbers[key]]);
  syncChildren(list, rows, ([key]) => key, ([key, label, value]) => {
    const card = el("li", ERRORS.has(key) && value ? "bad" : "", el("span", "", label), el("strong", "", formatNumber(value)));
    card.id = `of-${key}`;
    return card;
  });
}

function showUpdate(update) {
  if (update.totals) {
    const kinds = { hubs: "hubs", connections: "connections", users: "users", groups: "groups" };
    showCards($("totals"), update.totals, kinds);
    listings.showHubs(update.totals);
  }
  if (update.counts) showCards($("counts"), update.counts, COUNTS);
  if (update.people) listings.showPage(update.people);
  if (update.faults) showFaults(update.faults);
  if (update.traffic) showTraffic(update.traffic);
  $("main").hidden = false;
}

function showState(state) {
  $("state").className = `state ${state}`;
  setText($("state"), STATES[state]);
}

setText($("place"), location.origin);
initClient();
const updateQuery = subscribe(showUpdate, showState);
const listings = initListings(updateQuery);
const showTraffic = initTraffic(updateQuery);
const showFaults = initFaults();
