// A client that calls nothing but sendToGroup, whenever it is connected. Prints what it receives, an
// array of JSON on each line, until its stdin ends.
import { createRequire } from "node:module";

const require = createRequire(`${process.env.WPS_RUN_NODE_MODULES}/`);
const clients = require("@azure/web-pubsub-client");

const [subprotocol, url, group] = process.argv.slice(2);
const protocol = {
  "json.webpubsub.azure.v1": clients.WebPubSubJsonProtocol,
  "json.reliable.webpubsub.azure.v1": clients.WebPubSubJsonReliableProtocol,
}[subprotocol]();
const client = new clients.WebPubSubClient(url, { protocol, reconnectRetryOptions: { retryDelayInMs: 20 } });
const print = (...values) => console.log(JSON.stringify(values));

client.on("connected", ({ connectionId }) => {
  print("connected", connectionId);
  void client.sendToGroup(group, "from a client", "text");
});
client.on("group-message", ({ message }) => print(message.group, message.data));
process.stdin.on("end", () => process.exit(0)).resume();
await client.start();
