// The page's WebSocket: sends the query, receives updates, reconnects.

const RECONNECT_DELAYS = [500, 1000, 2000, 5000];

/**
 * Connect, and reconnect after a loss. `onUpdate` gets each update, `onState` the state of the
 * connection: "live", "lost" or "over". Returns a function that changes the query.
 */
export function subscribe(onUpdate, onState) {
  let socket = null;
  let query = {};
  let attempts = 0;

  function connect() {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    socket = new WebSocket(`${scheme}//${location.host}/_local/live`);
    socket.addEventListener("open", () => {
      attempts = 0;
      onState("live");
      socket.send(JSON.stringify(query));
    });
    socket.addEventListener("message", (event) => onUpdate(JSON.parse(event.data)));
    socket.addEventListener("close", reconnect);
  }

  async function reconnect() {
    onState("lost");
    const delay = RECONNECT_DELAYS[Math.min(attempts, RECONNECT_DELAYS.length - 1)];
    attempts += 1;
    await new Promise((resolve) => setTimeout(resolve, delay));
    if (await isSessionOver()) onState("over");
    else connect();
  }

  async function isSessionOver() {
    try {
      return (await fetch("/", { method: "HEAD" })).status === 401;
    } catch {
      return false; // the emulator does not answer
    }
  }

  connect();
  return (changes) => {
    query = { ...query, ...changes };
    if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(query));
  };
}
