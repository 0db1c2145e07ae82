// @azure/web-pubsub-client as applications use it: groups, acks, server messages, recovery, closes.
// Prints the results as JSON, once for each of the JSON subprotocols.
import { createRequire } from "node:module";

const require = createRequire(`${process.env.WPS_RUN_NODE_MODULES}/`);
const { WebPubSubServiceClient } = require("@azure/web-pubsub");
const clients = require("@azure/web-pubsub-client");

// The library waits for a response only after it has written the request. Over loopback a refusal
// can be received before, which Node reports as an unhandled rejection.
process.on("unhandledRejection", () => {});

const settings = process.env.WEBPUBSUB_CONNECTION_STRING;
const text = { contentType: "text/plain" };
const all = ["webpubsub.joinLeaveGroup", "webpubsub.sendToGroup"];

class Recorder {
  constructor(hub, userId, options, roles = all) {
    this.received = [];
    this.checks = [];
    const getClientAccessUrl = async () => (await hub.getClientAccessToken({ userId, roles })).url;
    this.client = new clients.WebPubSubClient({ getClientAccessUrl }, options);
    for (const event of ["connected", "disconnected", "stopped", "server-message", "group-message"]) {
      this.client.on(event, (argument) => {
        this.received.push([event, argument]);
        this.checks.splice(0).forEach((check) => check());
      });
    }
  }

  // Wait for the nth event of a kind and return its argument.
  async next(event, nth = 1) {
    for (;;) {
      const matching = this.received.filter(([kind]) => kind === event);
      if (matching.length >= nth) return matching[nth - 1][1];
      await new Promise((resolve) => this.checks.push(resolve));
    }
  }

  messages(event) {
    return this.received.filter(([kind]) => kind === event).map(([, { message }]) => plain(message));
  }

  async start() {
    await this.client.start();
    return (await this.next("connected")).connectionId;
  }
}

function plain({ group, fromUserId, dataType, data }) {
  const value = data instanceof ArrayBuffer ? [...new Uint8Array(data)] : data;
  return [group ?? "server", fromUserId ?? null, dataType, value];
}

async function refused(call) {
  try {
    await call();
  } catch (error) {
    return [error.errorDetail?.name, error.errorDetail?.message];
  }
}

async function session(protocol) {
  const results = {};
  const hub = new WebPubSubServiceClient(settings, protocol.isReliableSubProtocol ? "Reliable" : "Plain");
  const options = { protocol, messageRetryOptions: { maxRetries: 0 }, reconnectRetryOptions: { retryDelayInMs: 20 } };
  const ada = new Recorder(hub, "ada", options);
  const bob = new Recorder(hub, "bob", options);
  const mute = new Recorder(hub, "mute", options, []);
  const adaId = await ada.start();
  const bobId = await bob.start();
  const muteId = await mute.start();
  results.users = await Promise.all([ada, bob, mute].map(async (client) => (await client.next("connected")).userId));

  await ada.client.joinGroup("red");
  await bob.client.joinGroup("red");
  const sent = await ada.client.sendToGroup("red", "to both", "text", { ackId: 4711 });
  results.ack = [sent.ackId, sent.isDuplicated];
  results.again = (await ada.client.sendToGroup("red", "never", "text", { ackId: 4711 })).isDuplicated;
  await ada.client.sendToGroup("red", { only: ["bob", 1.5, null] }, "json", { noEcho: true });
  await bob.client.sendToGroup("red", new Uint8Array([0, 127, 255]).buffer, "binary");
  await ada.client.sendToGroup("red", "sent without waiting", "text", { fireAndForget: true });
  await ada.next("group-message", 3);
  await bob.next("group-message", 4);
  results["ada received"] = ada.messages("group-message");
  results["bob received"] = bob.messages("group-message");

  await bob.client.leaveGroup("red");
  await ada.client.sendToGroup("red", "bob has left", "text");
  await hub.group("red").sendToAll("from a service", text);
  await hub.sendToAll({ to: "all" });
  await hub.sendToUser("bob", "to bob", text);
  await hub.sendToConnection(adaId, new Uint8Array([1, 2]).buffer);
  await ada.next("server-message", 2);
  await bob.next("server-message", 2);
  await ada.next("group-message", 5);
  results["ada received later"] = [...ada.messages("group-message").slice(3), ...ada.messages("server-message")];
  results["bob received later"] = [...bob.messages("group-message").slice(4), ...bob.messages("server-message")];

  results["mute cannot join"] = await refused(() => mute.client.joinGroup("red"));
  results["mute cannot send"] = await refused(() => mute.client.sendToGroup("red", "x", "text"));
  await hub.grantPermission(muteId, "sendToGroup", { targetName: "red" });
  results["mute can send after a grant"] = (await mute.client.sendToGroup("red", "at last", "text")).isDuplicated;
  results["events have no handler"] = (await refused(() => ada.client.sendEvent("hello", "x", "text")))?.[0];
  await ada.next("group-message", 6);

  // A lost socket: a reliable client recovers its connection, a plain one gets a new one.
  const before = bob.messages("server-message").length;
  bob.client._wsClient._socket.terminate();
  await hub.sendToConnection(bobId, "sent while away", text);
  if (protocol.isReliableSubProtocol) {
    await bob.next("server-message", before + 1);
    results["after a drop"] = ["the same", bob.messages("server-message").slice(before)];
  } else {
    const { connectionId } = await bob.next("connected", 2);
    results["after a drop"] = [connectionId === bobId ? "the same" : "another", bob.messages("server-message").slice(before)];
  }

  // A close by REST: the client receives the reason, reconnects, and joins its groups again.
  await hub.closeConnection(adaId, { reason: "tidying up" });
  results["ada's close reason"] = (await ada.next("disconnected")).message.message;
  const back = await ada.next("connected", 2);
  const members = [];
  while (!members.length) for await (const member of await hub.group("red").listConnections()) members.push(member);
  results["ada is connected again"] = [back.connectionId !== adaId, members.map((member) => member.connectionId === back.connectionId)];
  await hub.group("red").sendToAll("welcome back", text);
  await ada.next("group-message", 7);
  results["ada received again"] = ada.messages("group-message").slice(5);

  for (const recorder of [ada, bob, mute]) recorder.client.stop();
  await Promise.all([ada, bob, mute].map((recorder) => recorder.next("stopped")));
  // The library stops without a close code, so that a reliable client may still recover.
  const stays = protocol.isReliableSubProtocol;
  while ((await hub.userExists("ada")) !== stays); // the close frame may not have been received yet
  results["ada is kept for recovery"] = await hub.userExists("ada");
  return results;
}

console.log(
  JSON.stringify({
    reliable: await session(clients.WebPubSubJsonReliableProtocol()),
    plain: await session(clients.WebPubSubJsonProtocol()),
  }),
);
process.exit(0);
