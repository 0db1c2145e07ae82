// A client of one's own: the browser's WebSocket with json.webpubsub.azure.v1.

import { $, ask, el, name } from "/_local/page/dom.js";

const SUBPROTOCOL = "json.webpubsub.azure.v1";
const MOST = 200;

const words = (id) => $(id).value.split(",").map((word) => word.trim()).filter(Boolean);

export function client() {
  let socket = null;
  let acks = 0;

  function say(text, failed = false) {
    $("client-said").classList.toggle("failed", failed);
    $("client-said").textContent = text;
  }

  function note(way, text) {
    const time = new Date().toLocaleTimeString("en-GB");
    $("frames").prepend(el("li", "", el("span", "label", `${time} ${way}`), el("span", "mono", name(text))));
    while ($("frames").childElementCount > MOST) $("frames").lastElementChild.remove();
  }

  function send(frame) {
    const text = JSON.stringify({ ...frame, ackId: (acks += 1) });
    socket.send(text);
    note("sent", text);
  }

  function turn(open) {
    $("connect").disabled = open;
    $("close").disabled = !open;
    $("send-fields").disabled = !open;
  }

  async function connect() {
    const asked = {
      hub: $("client-hub").value.trim(),
      userId: $("client-user").value.trim() || null,
      groups: words("client-groups"),
      roles: words("client-roles"),
    };
    turn(true);
    let given;
    try {
      given = await ask("POST", "/_local/token", JSON.stringify(asked));
    } catch (error) {
      turn(false);
      say(error.message, true);
      return;
    }
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const token = encodeURIComponent(given.token);
    const mine = new WebSocket(`${scheme}//${location.host}${given.path}?access_token=${token}`, SUBPROTOCOL);
    socket = mine;
    mine.addEventListener("message", (event) => hear(event.data));
    mine.addEventListener("close", (event) => {
      note("closed", `${event.code} ${event.reason}`.trim());
      say(`Closed: ${event.code} ${event.reason}`.trim());
      turn(false);
    });
  }

  function hear(text) {
    note("heard", text);
    const frame = JSON.parse(text);
    if (frame.type === "system" && frame.event === "connected") {
      say(`Connected as ${frame.userId || "nobody"}.`);
    }
    if (frame.type === "ack" && !frame.success) say(frame.error?.message ?? "Refused.", true);
  }

  const group = () => $("client-group").value;

  $("connect-form").addEventListener("submit", (event) => {
    event.preventDefault();
    if (!$("connect").disabled) connect();
  });
  $("close").addEventListener("click", () => socket?.close(1000));
  $("join").addEventListener("click", () => send({ type: "joinGroup", group: group() }));
  $("leave").addEventListener("click", () => send({ type: "leaveGroup", group: group() }));
  $("send-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const dataType = $("type").value;
    let data = $("message").value;
    try {
      if (dataType === "json") data = JSON.parse(data);
    } catch (error) {
      say(`The message is not JSON: ${error.message}`, true);
      return;
    }
    send({ type: "sendToGroup", group: group(), dataType, data });
  });
}
