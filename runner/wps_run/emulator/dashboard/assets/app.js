// The page: what the service tells, shown where it belongs.

import { client } from "/_local/page/client.js";
import { $, el, fill, number, write } from "/_local/page/dom.js";
import { faults } from "/_local/page/faults.js";
import { watch } from "/_local/page/live.js";
import { people } from "/_local/page/listings.js";
import { traffic } from "/_local/page/traffic.js";

const STATES = {
  live: "Live",
  lost: "Not connected: what is shown is old. Trying again …",
  over: "This session is over: open the link that wps-run serve prints",
};
const COUNTS = {
  requests: "requests",
  refused: "refused (4xx)",
  failed: "failed (5xx)",
  unanswered: "without answer",
  struck: "struck by faults",
  messages: "messages",
  deliveries: "deliveries",
  closed: "closed",
};
const BAD = new Set(["refused", "failed", "unanswered"]);

function cards(list, numbers, labels) {
  const rows = Object.entries(labels).map(([key, label]) =>
    [key, numbers[key] === 1 ? label.replace(/ies$/, "y").replace(/s$/, "") : label, numbers[key]]);
  fill(list, rows, ([key]) => key, ([key, label, value]) => {
    const card = el("li", BAD.has(key) && value ? "bad" : "", el("span", "", label), el("strong", "", number(value)));
    card.id = `of-${key}`;
    return card;
  });
}

function hear(news) {
  if (news.totals) {
    const kinds = { hubs: "hubs", connections: "connections", users: "users", groups: "groups" };
    cards($("totals"), news.totals, kinds);
    whoIsThere.hubs(news.totals);
  }
  if (news.counts) cards($("counts"), news.counts, COUNTS);
  if (news.people) whoIsThere.page(news.people);
  if (news.faults) showFaults(news.faults);
  if (news.traffic) showTraffic(news.traffic);
  $("main").hidden = false;
}

function tell(state) {
  $("state").className = `state ${state}`;
  write($("state"), STATES[state]);
}

write($("place"), location.origin);
client();
const see = watch(hear, tell);
const whoIsThere = people(see);
const showTraffic = traffic(see);
const showFaults = faults();
