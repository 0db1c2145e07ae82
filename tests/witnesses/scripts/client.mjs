// @azure/web-pubsub-client as applications use it: groups, acks, server messages, recovery, closes.
// Prints what it saw, as JSON, once for each of the JSON subprotocols.
import { createRequire } from "node:module";

const require = createRequire(`${process.env.WPS_RUN_NODE_MODULES}/`);
const { WebPubSubServiceClient } = require("@azure/web-pubsub");
const clients = require("@azure/web-pubsub-client");

// The library begins to wait for an answer when its request has been written. Over loopback a
// refusal can be there before, which Node takes for an error that nobody will handle.
process.on("unhandledRejection", () => {});

const settings = process.env.WEBPUBSUB_CONNECTION_STRING;
const text = { contentType: "text/plain" };
const all = ["webpubsub.joinLeaveGroup", "webpubsub.sendToGroup"];

class Ear {
  constructor(hub, userId, options, roles = all) {
    this.heard = [];
    this.checks = [];
    const getClientAccessUrl = async () => (await hub.getClientAccessToken({ userId, roles })).url;
    this.client = new clients.WebPubSubClient({ getClientAccessUrl }, options);
    for (const event of ["connected", "disconnected", "stopped", "server-message", "group-message"]) {
      this.client.on(event, (told) => {
        this.heard.push([event, told]);
        this.checks.splice(0).forEach((check) => check());
      });
    }
  }

  // What came with the nth event of a kind, waiting for it.
  async next(event, nth = 1) {
    for (;;) {
      const found = this.heard.filter(([kind]) => kind === event);
      if (found.length >= nth) return found[nth - 1][1];
      await new Promise((resolve) => this.checks.push(resolve));
    }
  }

  messages(event) {
    return this.heard.filter(([kind]) => kind === event).map(([, { message }]) => plain(message));
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
  const seen = {};
  const hub = new WebPubSubServiceClient(settings, protocol.isReliableSubProtocol ? "Reliable" : "Plain");
  const options = { protocol, messageRetryOptions: { maxRetries: 0 }, reconnectRetryOptions: { retryDelayInMs: 20 } };
  const ada = new Ear(hub, "ada", options);
  const bob = new Ear(hub, "bob", options);
  const mute = new Ear(hub, "mute", options, []);
  const adaId = await ada.start();
  const bobId = await bob.start();
  const muteId = await mute.start();
  seen.users = await Promise.all([ada, bob, mute].map(async (one) => (await one.next("connected")).userId));

  await ada.client.joinGroup("red");
  await bob.client.joinGroup("red");
  const sent = await ada.client.sendToGroup("red", "to both", "text", { ackId: 4711 });
  seen.ack = [sent.ackId, sent.isDuplicated];
  seen.again = (await ada.client.sendToGroup("red", "never", "text", { ackId: 4711 })).isDuplicated;
  await ada.client.sendToGroup("red", { only: ["bob", 1.5, null] }, "json", { noEcho: true });
  await bob.client.sendToGroup("red", new Uint8Array([0, 127, 255]).buffer, "binary");
  await ada.client.sendToGroup("red", "sent without waiting", "text", { fireAndForget: true });
  await ada.next("group-message", 3);
  await bob.next("group-message", 4);
  seen["ada hears"] = ada.messages("group-message");
  seen["bob hears"] = bob.messages("group-message");

  await bob.client.leaveGroup("red");
  await ada.client.sendToGroup("red", "bob has left", "text");
  await hub.group("red").sendToAll("from a service", text);
  await hub.sendToAll({ to: "all" });
  await hub.sendToUser("bob", "to bob", text);
  await hub.sendToConnection(adaId, new Uint8Array([1, 2]).buffer);
  await ada.next("server-message", 2);
  await bob.next("server-message", 2);
  await ada.next("group-message", 5);
  seen["ada hears later"] = [...ada.messages("group-message").slice(3), ...ada.messages("server-message")];
  seen["bob hears later"] = [...bob.messages("group-message").slice(4), ...bob.messages("server-message")];

  seen["mute may not join"] = await refused(() => mute.client.joinGroup("red"));
  seen["mute may not send"] = await refused(() => mute.client.sendToGroup("red", "x", "text"));
  await hub.grantPermission(muteId, "sendToGroup", { targetName: "red" });
  seen["mute may send now"] = (await mute.client.sendToGroup("red", "at last", "text")).isDuplicated;
  seen["nobody handles events"] = (await refused(() => ada.client.sendEvent("hello", "x", "text")))?.[0];
  await ada.next("group-message", 6);

  // A socket that drops: a reliable client comes back as itself, a plain one as another.
  const before = bob.messages("server-message").length;
  bob.client._wsClient._socket.terminate();
  await hub.sendToConnection(bobId, "sent while away", text);
  if (protocol.isReliableSubProtocol) {
    await bob.next("server-message", before + 1);
    seen["after a drop"] = ["the same", bob.messages("server-message").slice(before)];
  } else {
    const { connectionId } = await bob.next("connected", 2);
    seen["after a drop"] = [connectionId === bobId ? "the same" : "another", bob.messages("server-message").slice(before)];
  }

  // A close by REST: the client is told, connects anew, and joins its groups again.
  await hub.closeConnection(adaId, { reason: "tidying up" });
  seen["ada is told"] = (await ada.next("disconnected")).message.message;
  const back = await ada.next("connected", 2);
  const members = [];
  while (!members.length) for await (const one of await hub.group("red").listConnections()) members.push(one);
  seen["ada is back"] = [back.connectionId !== adaId, members.map((one) => one.connectionId === back.connectionId)];
  await hub.group("red").sendToAll("welcome back", text);
  await ada.next("group-message", 7);
  seen["ada hears again"] = ada.messages("group-message").slice(5);

  for (const one of [ada, bob, mute]) one.client.stop();
  await Promise.all([ada, bob, mute].map((one) => one.next("stopped")));
  // The library stops without a close code, which leaves a reliable client its time to come back.
  const stays = protocol.isReliableSubProtocol;
  while ((await hub.userExists("ada")) !== stays); // the close frame may still be on its way
  seen["ada stays for a while"] = await hub.userExists("ada");
  return seen;
}

console.log(
  JSON.stringify({
    reliable: await session(clients.WebPubSubJsonReliableProtocol()),
    plain: await session(clients.WebPubSubJsonProtocol()),
  }),
);
process.exit(0);
