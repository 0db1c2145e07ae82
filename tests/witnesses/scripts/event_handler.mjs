// @azure/web-pubsub-express as an event handler, with the official clients, and with `ws` for the
// subprotocols that these do not have. Prints its port, reads the connection string of the service,
// and prints the results as JSON.
import { createRequire } from "node:module";
import { createInterface } from "node:readline/promises";

const require = createRequire(`${process.env.WPS_RUN_NODE_MODULES}/`);
const express = require("express");
const { WebPubSubServiceClient } = require("@azure/web-pubsub");
const { WebPubSubEventHandler } = require("@azure/web-pubsub-express");
const clients = require("@azure/web-pubsub-client");
const WebSocket = require("ws");

process.on("unhandledRejection", () => {});

const application = express();
const server = await new Promise((resolve) => {
  const listening = application.listen(0, "127.0.0.1", () => resolve(listening));
});
console.log(server.address().port);
const settings = await createInterface(process.stdin).question("");

const events = [];
const waiting = [];

function record(...event) {
  events.push(event);
  waiting.splice(0).forEach((check) => check());
}

async function recorded(matches) {
  for (;;) {
    const found = events.find(matches);
    if (found) return found;
    await new Promise((resolve) => waiting.push(resolve));
  }
}

const handler = new WebPubSubEventHandler("chat", {
  path: "/events",
  allowedEndpoints: [/Endpoint=([^;]*)/.exec(settings)[1]],
  handleConnect(request, response) {
    const { userId } = request.context;
    record("connect", userId, request.queries.room ?? null, Object.keys(request.claims).includes("sub"));
    if (userId === "mallory") return response.fail(401, "not you");
    response.setState("visits", 1);
    response.success({ userId: `${userId}!`, groups: ["red"], roles: ["webpubsub.sendToGroup.red"] });
  },
  handleUserEvent(request, response) {
    const { eventName, userId, states } = request.context;
    const data = request.dataType === "binary" ? [...new Uint8Array(request.data)] : request.data;
    record("event", userId, eventName, request.dataType, data, states.visits);
    response.setState("visits", states.visits + 1);
    if (eventName === "silent") return response.success();
    if (eventName === "failing") return response.fail(500, "private");
    if (request.dataType === "json") return response.success(JSON.stringify({ echo: data }), "json");
    if (request.dataType === "binary") return response.success(request.data, "binary");
    response.success(`echo ${data}`, "text");
  },
  onConnected: ({ context }) => record("connected", context.userId, context.states.visits),
  onDisconnected: ({ context, reason }) => record("disconnected", context.userId, reason),
});

application.use(handler.getMiddleware());

const hub = new WebPubSubServiceClient(settings, "chat");
const urlFor = async (userId) => (await hub.getClientAccessToken({ userId })).url;

async function official(userId, protocol) {
  const received = [];
  const client = new clients.WebPubSubClient(
    { getClientAccessUrl: async () => `${await urlFor(userId)}&room=lobby` },
    { protocol, autoReconnect: false, messageRetryOptions: { maxRetries: 0 } },
  );
  const plain = (data) => (data instanceof ArrayBuffer ? [...new Uint8Array(data)] : data);
  client.on("server-message", ({ message }) => received.push([message.dataType, plain(message.data)]));
  const group = new Promise((resolve) => client.on("group-message", ({ message }) => resolve(message.data)));
  const connected = new Promise((resolve) => client.on("connected", resolve));
  const stopped = new Promise((resolve) => client.on("stopped", resolve));
  await client.start();
  const user = (await connected).userId;
  await client.sendToGroup("red", "to the group", "text");
  const message = await group; // a member without having joined
  await client.sendEvent("hello", "text", "text");
  await client.sendEvent("hello", { a: [1, null] }, "json");
  await client.sendEvent("hello", new Uint8Array([0, 255]).buffer, "binary");
  await client.sendEvent("silent", "no answer", "text");
  const failed = await client.sendEvent("failing", "x", "text").catch((error) => error.errorDetail?.name);
  await stopped; // dropped, since its event failed
  return { user, message, received, failed };
}

// A client of `ws` that sends frames one after the other, and returns what it receives.
async function bare(userId, subprotocol, frames) {
  const socket = new WebSocket(await urlFor(userId), subprotocol ? [subprotocol] : []);
  const received = [];
  const arrived = [];
  socket.on("message", (data, isBinary) => {
    received.push([isBinary, isBinary ? data.toString("hex") : data.toString()]);
    arrived.splice(0).forEach((check) => check());
  });
  const until = async (count) => {
    while (received.length < count) await new Promise((resolve) => arrived.push(resolve));
  };
  await new Promise((resolve) => socket.on("open", resolve));
  if (subprotocol) await until(1);
  for (const [frame, answers] of frames) {
    const before = received.length;
    socket.send(frame);
    await until(before + answers);
  }
  const closed = new Promise((resolve) => socket.on("close", resolve));
  socket.close(1000, "done");
  await closed;
  return received.slice(subprotocol ? 1 : 0);
}

// The field of a protobuf message that holds bytes.
const bytes = (field, content) => Buffer.concat([Buffer.from([(field << 3) | 2, content.length]), content]);
// UpstreamMessage { event_message { event: "hello", data { text_data: "text" }, ack_id: 9 } }
const event = bytes(
  5,
  Buffer.concat([bytes(1, Buffer.from("hello")), bytes(2, bytes(1, Buffer.from("text"))), Buffer.from([3 << 3, 9])]),
);

const results = {
  json: await official("json", clients.WebPubSubJsonProtocol()),
  reliable: await official("reliable", clients.WebPubSubJsonReliableProtocol()),
  protobuf: await bare("protobuf", "protobuf.webpubsub.azure.v1", [[event, 2]]),
  simple: await bare("simple", "", [["text", 1], [Buffer.from([7]), 1]]),
};
const refused = new WebSocket(await urlFor("mallory"));
results.refused = await new Promise((resolve) =>
  refused.on("unexpected-response", (_, response) => {
    let body = "";
    response.on("data", (chunk) => (body += chunk));
    response.on("end", () => resolve([response.statusCode, body]));
  }),
);
for (const user of ["json", "reliable", "protobuf", "simple"]) {
  await recorded(([kind, userId]) => kind === "disconnected" && userId === `${user}!`);
}
results.events = events;
console.log(JSON.stringify(results));
server.close();
process.exit(0);
