// A test client: the browser's WebSocket with json.webpubsub.azure.v1.

import { $, el, name, request } from "/_local/page/dom.js";

const SUBPROTOCOL = "json.webpubsub.azure.v1";
const FRAME_LIMIT = 200;

const listValue = (id) => $(id).value.split(",").map((item) => item.trim()).filter(Boolean);

export function initClient() {
  let socket = null;
  let lastAckId = 0;

  function showStatus(text, isError = false) {
    $("client-status").classList.toggle("failed", isError);
    $("client-status").textContent = text;
  }

  function logFrame(direction, text) {
    const time = new Date().toLocaleTimeString("en-GB");
    $("frames").prepend(el("li", "", el("span", "label", `${time} ${direction}`), el("span", "mono", name(text))));
    while ($("frames").childElementCount > FRAME_LIMIT) $("frames").lastElementChild.remove();
  }

  function send(frame) {
    const text = JSON.stringify({ ...frame, ackId: (lastAckId += 1) });
    socket.send(text);
    logFrame("sent", text);
  }

  function enableForms(isConnected) {
    $("connect").disabled = isConnected;
    $("close").disabled = !isConnected;
    $("send-fields").disabled = !isConnected;
  }

  async function connect() {
    const identity = {
      hub: $("client-hub").value.trim(),
      userId: $("client-user").value.trim() || null,
      groups: listValue("client-groups"),
      roles: listValue("client-roles"),
    };
    enableForms(true);
    let credentials;
    try {
      credentials = await request("POST", "/_local/token", JSON.stringify(identity));
    } catch (error) {
      enableForms(false);
      showStatus(error.message, true);
      return;
    }
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const token = encodeURIComponent(credentials.token);
    socket = new WebSocket(`${scheme}//${location.host}${credentials.path}?access_token=${token}`, SUBPROTOCOL);
    socket.addEventListener("message", (event) => receive(event.data));
    socket.addEventListener("close", (event) => {
      logFrame("closed", `${event.code} ${event.reason}`.trim());
      showStatus(`Closed: ${event.code} ${event.reason}`.trim());
      enableForms(false);
    });
  }

  function receive(text) {
    logFrame("received", text);
    const frame = JSON.parse(text);
    if (frame.type === "system" && frame.event === "connected") {
      showStatus(frame.userId ? `Connected as ${frame.userId}.` : "Connected without a user.");
    }
    if (frame.type === "ack" && !frame.success) showStatus(frame.error?.message ?? "The request failed.", true);
  }

  $("client-hub").addEventListener("input", () => { $("client-hub").dataset.isEdited = "true"; });

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
      showStatus(`The message is not JSON: ${error.message}`, true);
      return;
    }
    send({ type: "sendToGroup", group: group(), dataType, data });
  });
}
