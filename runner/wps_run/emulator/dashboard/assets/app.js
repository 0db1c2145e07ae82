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
// The label of each number, and what it counts.
const TOTALS = {
  hubs: ["hubs", "with at least one connection"],
  connections: ["connections", "open WebSockets and simulated clients"],
  users: ["users", "with at least one connection"],
  groups: ["groups", "with at least one member"],
};
const COUNTS = {
  requests: ["requests", "to the REST API, with any outcome"],
  refused: ["refused (4xx)", "requests with an error of the caller"],
  failed: ["failed (5xx)", "requests with an error of the service"],
  unanswered: ["no response", "requests without a complete response"],
  struck: ["with faults", "requests that a fault was injected into"],
  messages: ["messages", "accepted from requests and clients"],
  deliveries: ["deliveries", "recipients of all messages together"],
  closed: ["closed", "connections that requests closed"],
};
const ERRORS = new Set(["refused", "failed", "unanswered"]);

function showCards(list, numbers, labels) {
  const rows = Object.entries(labels).map(([key, [label, meaning]]) =>
    [key, numbers[key] === 1 ? label.replace(/ies$/, "y").replace(/s$/, "") : label, numbers[key], meaning]);
  syncChildren(list, rows, ([key]) => key, ([key, label, value, meaning]) => {
    const card = el("li", ERRORS.has(key) && value ? "bad" : "",
      el("span", "", label), el("strong", "", formatNumber(value)), el("small", "", meaning));
    card.id = `of-${key}`;
    card.title = `${label}: ${meaning}`;
    return card;
  });
}

function showUpdate(update) {
  if (update.totals) {
    showCards($("totals"), update.totals, TOTALS);
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
