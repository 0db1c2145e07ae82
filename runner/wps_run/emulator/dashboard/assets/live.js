// The page's WebSocket: says what is to be seen, and hears what is new of it.

const PATIENCE = [500, 1000, 2000, 5000];

/** Watch; `said` hears each piece of news, `told` in which state the connection is. */
export function watch(said, told) {
  let socket = null;
  let view = {};
  let tries = 0;

  function connect() {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    socket = new WebSocket(`${scheme}//${location.host}/_local/live`);
    socket.addEventListener("open", () => {
      tries = 0;
      told("live");
      socket.send(JSON.stringify(view));
    });
    socket.addEventListener("message", (event) => said(JSON.parse(event.data)));
    socket.addEventListener("close", lost);
  }

  async function lost() {
    told("lost");
    const wait = PATIENCE[Math.min(tries, PATIENCE.length - 1)];
    tries += 1;
    await new Promise((resolve) => setTimeout(resolve, wait));
    if (await isOver()) told("over");
    else connect();
  }

  async function isOver() {
    try {
      return (await fetch("/", { method: "HEAD" })).status === 401;
    } catch {
      return false; // the service is away
    }
  }

  connect();
  return (changes) => {
    view = { ...view, ...changes };
    if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(view));
  };
}
