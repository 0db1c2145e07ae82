// Every operation of @azure/web-pubsub, against targets that are there and that are not.
// Prints what the library made of each answer, as JSON: a status, and the value or the error.
import { createRequire } from "node:module";

const require = createRequire(`${process.env.WPS_RUN_NODE_MODULES}/`);
const { WebPubSubServiceClient, odata } = require("@azure/web-pubsub");
const { WebPubSubClient } = require("@azure/web-pubsub-client");

const settings = process.env.WEBPUBSUB_CONNECTION_STRING;
const hub = new WebPubSubServiceClient(settings, "Node");
const seen = {};

// The status of the last answer to a call, and what the call came to.
async function told(call) {
  let status;
  const onResponse = (answer) => (status = answer.status);
  try {
    const value = await call({ onResponse });
    return (JSON.stringify(value) ?? "{}") === "{}" ? status : [status, value];
  } catch (error) {
    return [error.statusCode, error.code, error.message.split("\n")[0]];
  }
}

async function note(name, call) {
  seen[name] = await told(call);
}

// A client that is there, and what it hears.
async function arrive(userId) {
  const { url } = await hub.getClientAccessToken({ userId, roles: ["webpubsub.joinLeaveGroup"] });
  const client = new WebPubSubClient(url, { autoReconnect: false });
  const heard = [];
  const connected = new Promise((resolve) => client.on("connected", resolve));
  const closed = new Promise((resolve) => client.on("disconnected", resolve));
  const waiting = [];
  for (const kind of ["server-message", "group-message"]) {
    client.on(kind, ({ message }) => {
      const { fromUserId, group, dataType, data } = message;
      const plain = data instanceof ArrayBuffer ? [...new Uint8Array(data)] : data;
      heard.push([group ?? "server", fromUserId ?? null, dataType, plain]);
      waiting.splice(0).forEach((check) => check());
    });
  }
  await client.start();
  const { connectionId } = await connected;
  const hears = (count) =>
    new Promise((resolve) => {
      const check = () => (heard.length >= count ? resolve(heard) : waiting.push(check));
      check();
    });
  return { client, connectionId, heard, hears, closed };
}

const nobody = hub.group("nobody");
const text = { contentType: "text/plain" };

await note("sendToAll, nobody", (o) => hub.sendToAll("hi", { ...text, ...o }));
await note("sendToUser, unknown", (o) => hub.sendToUser("nobody", "hi", { ...text, ...o }));
await note("sendToConnection, unknown", (o) => hub.sendToConnection("x", { a: 1 }, o));
await note("group.sendToAll, nobody", (o) => nobody.sendToAll("hi", { ...text, ...o }));
await note("group.addUser, unknown", (o) => nobody.addUser("nobody", o));
await note("group.removeUser, unknown", (o) => nobody.removeUser("nobody", o));
await note("group.addConnection, unknown", (o) => nobody.addConnection("x", o));
await note("group.removeConnection, unknown", (o) => nobody.removeConnection("x", o));
await note("group.closeAllConnections, nobody", (o) => nobody.closeAllConnections(o));
await note("removeUserFromAllGroups, unknown", (o) => hub.removeUserFromAllGroups("nobody", o));
await note("removeConnectionFromAllGroups, unknown", (o) => hub.removeConnectionFromAllGroups("x", o));
await note("closeConnection, unknown", (o) => hub.closeConnection("x", o));
await note("closeUserConnections, unknown", (o) => hub.closeUserConnections("nobody", o));
await note("closeAllConnections, nobody", (o) => hub.closeAllConnections(o));
await note("connectionExists, unknown", (o) => hub.connectionExists("x", o));
await note("userExists, unknown", (o) => hub.userExists("nobody", o));
await note("groupExists, unknown", (o) => hub.groupExists("nobody", o));
const red = { targetName: "red" };
await note("grantPermission, unknown", (o) => hub.grantPermission("x", "sendToGroup", { ...red, ...o }));
await note("grantPermission, no group", (o) => hub.grantPermission("x", "sendToGroup", o));
await note("revokePermission, unknown", (o) => hub.revokePermission("x", "sendToGroup", { ...red, ...o }));
await note("hasPermission, unknown", (o) => hub.hasPermission("x", "sendToGroup", { ...red, ...o }));
await note("addConnectionsToGroups, nobody", (o) => hub.addConnectionsToGroups(["a"], "userId eq null", o));
await note("removeConnectionsFromGroups, nobody", (o) => hub.removeConnectionsFromGroups(["a"], "", o));
await note("addConnectionsToGroups, wrong filter", (o) => hub.addConnectionsToGroups(["a"], "invalid filter", o));
await note("addConnectionsToGroups, no groups", (o) => hub.addConnectionsToGroups([], "", o));
await note("sendToAll, wrong filter", (o) => hub.sendToAll("hi", { ...text, filter: "invalid filter", ...o }));
await note("sendToAll, TTL", (o) => hub.sendToAll("hi", { ...text, messageTtlSeconds: 300, ...o }));
await note("sendToAll, TTL too long", (o) => hub.sendToAll("hi", { ...text, messageTtlSeconds: 301, ...o }));

const ada = await arrive("ada b%c+d?/é");
const bob = await arrive("bob");
const group = hub.group("red team?#%/é");
await note("userExists", (o) => hub.userExists("bob", o));
await note("connectionExists", (o) => hub.connectionExists(bob.connectionId, o));
await note("group.addUser", (o) => group.addUser("bob", o));
await note("group.addConnection", (o) => group.addConnection(ada.connectionId, o));
await note("groupExists", (o) => hub.groupExists("red team?#%/é", o));
await note("addConnectionsToGroups", (o) => hub.addConnectionsToGroups(["blue", "green"], odata`userId eq ${"bob"}`, o));

const members = [];
const pages = (await group.listConnections({ maxPageSize: 1 })).byPage();
for await (const page of pages) members.push(page.map((one) => one.userId));
seen.pages = members.sort();

await note("sendToAll", (o) => hub.sendToAll({ hello: "wörld" }, o));
await note("sendToAll, filter", (o) => hub.sendToAll("not bob", { ...text, filter: odata`userId ne ${"bob"}`, ...o }));
await note("sendToAll, group filter", (o) => hub.sendToAll("blue only", { ...text, filter: "'blue' in groups and not('x' in groups)", ...o }));
await note("sendToAll, excluded", (o) => hub.sendToAll("not ada", { ...text, excludedConnections: [ada.connectionId], ...o }));
await note("sendToUser", (o) => hub.sendToUser("bob", "to bob", { ...text, ...o }));
await note("sendToConnection", (o) => hub.sendToConnection(ada.connectionId, new Uint8Array([0, 255]).buffer, o));
await note("group.sendToAll", (o) => group.sendToAll("to red", { ...text, ...o }));
seen["ada hears"] = await ada.hears(4);
seen["bob hears"] = await bob.hears(5);

await note("grantPermission", (o) => hub.grantPermission(bob.connectionId, "sendToGroup", { ...red, ...o }));
await note("hasPermission", (o) => hub.hasPermission(bob.connectionId, "sendToGroup", { ...red, ...o }));
await note("revokePermission", (o) => hub.revokePermission(bob.connectionId, "sendToGroup", { ...red, ...o }));
await note("hasPermission, revoked", (o) => hub.hasPermission(bob.connectionId, "sendToGroup", { ...red, ...o }));
await note("removeConnectionsFromGroups", (o) => hub.removeConnectionsFromGroups(["green"], odata`userId eq ${"bob"}`, o));
await note("groupExists, left", (o) => hub.groupExists("green", o));
await note("group.removeUser", (o) => group.removeUser("bob", o));
await note("group.removeConnection", (o) => group.removeConnection(ada.connectionId, o));
await note("removeUserFromAllGroups", (o) => hub.removeUserFromAllGroups("bob", o));
await note("groupExists, left by all", (o) => hub.groupExists("blue", o));

await note("closeConnection", (o) => hub.closeConnection(ada.connectionId, { reason: "no reason", ...o }));
seen["ada is told"] = (await ada.closed).message?.message;
await note("closeUserConnections", (o) => hub.closeUserConnections("bob", o));
seen["bob is told"] = (await bob.closed).message?.message;
await note("connectionExists, closed", (o) => hub.connectionExists(bob.connectionId, o));

// A credential of Entra ID, which needs https; the service is told to believe it.
const encoded = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
const expires = Date.now() + 3600_000;
const claims = { aud: "https://webpubsub.azure.com", exp: Math.floor(expires / 1000) };
const jwt = [encoded({ alg: "HS256", typ: "JWT" }), encoded(claims), "c2lnbmVkIGJ5IG5vYm9keQ"].join(".");
const credential = { getToken: async () => ({ token: jwt, expiresOnTimestamp: expires }) };
const { endpoint } = hub;
const identity = new WebPubSubServiceClient(endpoint, credential, "Node");
const lent = await identity.getClientAccessToken({
  userId: "cy",
  roles: ["r1", "r2"],
  groups: ["g1"],
  expirationTimeInMinutes: 5,
});
const inside = JSON.parse(Buffer.from(lent.token.split(".")[1], "base64url").toString());
seen.lent = [inside.sub, inside.role, inside["webpubsub.group"], inside.exp - inside.iat];
seen["lent for"] = lent.baseUrl === `${endpoint.replace(/^http/, "ws").replace(/\/$/, "")}/client/hubs/Node`;
await note("sendToAll, identity", (o) => identity.sendToAll("hi", { ...text, ...o }));

const wrong = new WebPubSubServiceClient(settings.replace(/AccessKey=[^;]*/, `AccessKey=${"k".repeat(40)}`), "Node");
seen["sendToAll, wrong key"] = (await told((o) => wrong.sendToAll("hi", { ...text, ...o })))[0];

console.log(JSON.stringify(seen));
process.exit(0);
