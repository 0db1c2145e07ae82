// Each operation of @azure/web-pubsub, on known and unknown targets.
// Prints the library's result of each as JSON: the status, and the value or the error.
import { createRequire } from "node:module";

const require = createRequire(`${process.env.WPS_RUN_NODE_MODULES}/`);
const { WebPubSubServiceClient, odata } = require("@azure/web-pubsub");
const { WebPubSubClient } = require("@azure/web-pubsub-client");

const settings = process.env.WEBPUBSUB_CONNECTION_STRING;
const hub = new WebPubSubServiceClient(settings, "Node");
const results = {};

// Run a call; return the status of its last response, and its value or error.
async function run(call) {
  let status;
  const onResponse = (response) => (status = response.status);
  try {
    const value = await call({ onResponse });
    return (JSON.stringify(value) ?? "{}") === "{}" ? status : [status, value];
  } catch (error) {
    return [error.statusCode, error.code, error.message.split("\n")[0]];
  }
}

async function record(name, call) {
  results[name] = await run(call);
}

// Connect a client that records its messages.
async function connect(userId) {
  const { url } = await hub.getClientAccessToken({ userId, roles: ["webpubsub.joinLeaveGroup"] });
  const client = new WebPubSubClient(url, { autoReconnect: false });
  const received = [];
  const connected = new Promise((resolve) => client.on("connected", resolve));
  const closed = new Promise((resolve) => client.on("disconnected", resolve));
  const waiting = [];
  for (const kind of ["server-message", "group-message"]) {
    client.on(kind, ({ message }) => {
      const { fromUserId, group, dataType, data } = message;
      const plain = data instanceof ArrayBuffer ? [...new Uint8Array(data)] : data;
      received.push([group ?? "server", fromUserId ?? null, dataType, plain]);
      waiting.splice(0).forEach((check) => check());
    });
  }
  await client.start();
  const { connectionId } = await connected;
  const receive = (count) =>
    new Promise((resolve) => {
      const check = () => (received.length >= count ? resolve(received) : waiting.push(check));
      check();
    });
  return { client, connectionId, received, receive, closed };
}

const nobody = hub.group("nobody");
const text = { contentType: "text/plain" };

await record("sendToAll, nobody", (o) => hub.sendToAll("hi", { ...text, ...o }));
await record("sendToUser, unknown", (o) => hub.sendToUser("nobody", "hi", { ...text, ...o }));
await record("sendToConnection, unknown", (o) => hub.sendToConnection("x", { a: 1 }, o));
await record("group.sendToAll, nobody", (o) => nobody.sendToAll("hi", { ...text, ...o }));
await record("group.addUser, unknown", (o) => nobody.addUser("nobody", o));
await record("group.removeUser, unknown", (o) => nobody.removeUser("nobody", o));
await record("group.addConnection, unknown", (o) => nobody.addConnection("x", o));
await record("group.removeConnection, unknown", (o) => nobody.removeConnection("x", o));
await record("group.closeAllConnections, nobody", (o) => nobody.closeAllConnections(o));
await record("removeUserFromAllGroups, unknown", (o) => hub.removeUserFromAllGroups("nobody", o));
await record("removeConnectionFromAllGroups, unknown", (o) => hub.removeConnectionFromAllGroups("x", o));
await record("closeConnection, unknown", (o) => hub.closeConnection("x", o));
await record("closeUserConnections, unknown", (o) => hub.closeUserConnections("nobody", o));
await record("closeAllConnections, nobody", (o) => hub.closeAllConnections(o));
await record("connectionExists, unknown", (o) => hub.connectionExists("x", o));
await record("userExists, unknown", (o) => hub.userExists("nobody", o));
await record("groupExists, unknown", (o) => hub.groupExists("nobody", o));
const red = { targetName: "red" };
await record("grantPermission, unknown", (o) => hub.grantPermission("x", "sendToGroup", { ...red, ...o }));
await record("grantPermission, no group", (o) => hub.grantPermission("x", "sendToGroup", o));
await record("revokePermission, unknown", (o) => hub.revokePermission("x", "sendToGroup", { ...red, ...o }));
await record("hasPermission, unknown", (o) => hub.hasPermission("x", "sendToGroup", { ...red, ...o }));
await record("addConnectionsToGroups, nobody", (o) => hub.addConnectionsToGroups(["a"], "userId eq null", o));
await record("removeConnectionsFromGroups, nobody", (o) => hub.removeConnectionsFromGroups(["a"], "", o));
await record("addConnectionsToGroups, wrong filter", (o) => hub.addConnectionsToGroups(["a"], "invalid filter", o));
await record("addConnectionsToGroups, no groups", (o) => hub.addConnectionsToGroups([], "", o));
await record("sendToAll, wrong filter", (o) => hub.sendToAll("hi", { ...text, filter: "invalid filter", ...o }));
await record("sendToAll, TTL", (o) => hub.sendToAll("hi", { ...text, messageTtlSeconds: 300, ...o }));
await record("sendToAll, TTL too long", (o) => hub.sendToAll("hi", { ...text, messageTtlSeconds: 301, ...o }));

const ada = await connect("ada b%c+d#é");
const bob = await connect("bob");
const group = hub.group("red/team");
await record("userExists", (o) => hub.userExists("bob", o));
await record("connectionExists", (o) => hub.connectionExists(bob.connectionId, o));
await record("group.addUser", (o) => group.addUser("bob", o));
await record("group.addConnection", (o) => group.addConnection(ada.connectionId, o));
await record("groupExists", (o) => hub.groupExists("red/team", o));
await record("addConnectionsToGroups", (o) => hub.addConnectionsToGroups(["blue", "green"], odata`userId eq ${"bob"}`, o));

const members = [];
const pages = (await group.listConnections({ maxPageSize: 1 })).byPage();
for await (const page of pages) members.push(page.map((member) => member.userId));
results.pages = members.sort();

await record("sendToAll", (o) => hub.sendToAll({ hello: "wörld" }, o));
await record("sendToAll, filter", (o) => hub.sendToAll("not bob", { ...text, filter: odata`userId ne ${"bob"}`, ...o }));
await record("sendToAll, group filter", (o) => hub.sendToAll("blue only", { ...text, filter: "'blue' in groups and not('x' in groups)", ...o }));
await record("sendToAll, excluded", (o) => hub.sendToAll("not ada", { ...text, excludedConnections: [ada.connectionId], ...o }));
await record("sendToUser", (o) => hub.sendToUser("bob", "to bob", { ...text, ...o }));
await record("sendToConnection", (o) => hub.sendToConnection(ada.connectionId, new Uint8Array([0, 255]).buffer, o));
await record("group.sendToAll", (o) => group.sendToAll("to red", { ...text, ...o }));
results["ada received"] = await ada.receive(4);
results["bob received"] = await bob.receive(5);

await record("grantPermission", (o) => hub.grantPermission(bob.connectionId, "sendToGroup", { ...red, ...o }));
await record("hasPermission", (o) => hub.hasPermission(bob.connectionId, "sendToGroup", { ...red, ...o }));
await record("revokePermission", (o) => hub.revokePermission(bob.connectionId, "sendToGroup", { ...red, ...o }));
await record("hasPermission, revoked", (o) => hub.hasPermission(bob.connectionId, "sendToGroup", { ...red, ...o }));
await record("removeConnectionsFromGroups", (o) => hub.removeConnectionsFromGroups(["green"], odata`userId eq ${"bob"}`, o));
await record("groupExists, left", (o) => hub.groupExists("green", o));
await record("group.removeUser", (o) => group.removeUser("bob", o));
await record("group.removeConnection", (o) => group.removeConnection(ada.connectionId, o));
await record("removeUserFromAllGroups", (o) => hub.removeUserFromAllGroups("bob", o));
await record("groupExists, left by all", (o) => hub.groupExists("blue", o));

await record("closeConnection", (o) => hub.closeConnection(ada.connectionId, { reason: "no reason", ...o }));
results["ada's close reason"] = (await ada.closed).message?.message;
await record("closeUserConnections", (o) => hub.closeUserConnections("bob", o));
results["bob's close reason"] = (await bob.closed).message?.message;
await record("connectionExists, closed", (o) => hub.connectionExists(bob.connectionId, o));

// An Entra ID credential, which needs https; the emulator is configured to accept it.
const encoded = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
const expires = Date.now() + 3600_000;
const claims = { aud: "https://webpubsub.azure.com", exp: Math.floor(expires / 1000) };
const jwt = [encoded({ alg: "HS256", typ: "JWT" }), encoded(claims), "c2lnbmVkIGJ5IG5vYm9keQ"].join(".");
const credential = { getToken: async () => ({ token: jwt, expiresOnTimestamp: expires }) };
const { endpoint } = hub;
const identity = new WebPubSubServiceClient(endpoint, credential, "Node");
const issued = await identity.getClientAccessToken({
  userId: "cy",
  roles: ["r1", "r2"],
  groups: ["g1"],
  expirationTimeInMinutes: 5,
});
const payload = JSON.parse(Buffer.from(issued.token.split(".")[1], "base64url").toString());
results.issued = [payload.sub, payload.role, payload["webpubsub.group"], payload.exp - payload.iat];
results["issued for"] = issued.baseUrl === `${endpoint.replace(/^http/, "ws").replace(/\/$/, "")}/client/hubs/Node`;
await record("sendToAll, identity", (o) => identity.sendToAll("hi", { ...text, ...o }));

const wrong = new WebPubSubServiceClient(settings.replace(/AccessKey=[^;]*/, `AccessKey=${"k".repeat(40)}`), "Node");
results["sendToAll, wrong key"] = (await run((o) => wrong.sendToAll("hi", { ...text, ...o })))[0];

console.log(JSON.stringify(results));
process.exit(0);
