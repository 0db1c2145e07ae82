"""The dashboard is safe: names are plain text, links open once, other sites have no access."""

import urllib.error
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from typing import Any

import pytest

HOSTILE_NAMES = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "javascript:alert(1)",
    "'\"`<!-- ]]> ${each} $icon",
    "\u202egnp.exe",
    "\x1b[31m\x7f",
    "__proto__",
    "مرحبا",
    "😀👩\u200d👩\u200d👧",
    "x" * 1024,
)
"""Names that try to break out of the markup."""


def test_hostile_names_are_plain_text(
    browser: Any, served: Any, opened: Callable[..., None], run: Callable[..., Any]
) -> None:
    """In every list, in the traffic, in details and in the test client's frames."""
    clients = [{"userId": name, "groups": [name, "red"]} for name in HOSTILE_NAMES]
    served.request("POST", "seed", {"hub": "chat", "clients": clients})
    opened()
    browser.fill("#client-user", HOSTILE_NAMES[0])
    browser.fill("#client-groups", "red")
    browser.press("Enter")
    browser.until("document.getElementById('client-status').innerText.startsWith('Connected')")
    texts = [name.replace("${", "$${") for name in HOSTILE_NAMES]
    assert not run(
        {"actionName": "sendToGroup", "forEach": texts, "group": "red", "data": "${each}"}
    ).returncode
    browser.wait_for_newest_entry(served)
    browser.until(f"document.querySelectorAll('#frames li').length === {len(HOSTILE_NAMES) + 1}")
    for listing in ("users", "groups", "connections"):
        browser.click(f"#listing input[value={listing}]")
        browser.until(f"document.getElementById('matches').innerText.includes('{listing}')")
        assert HOSTILE_NAMES[1] in browser.text("#clients-table")
        assert "\\u202egnp.exe" in browser.text("#clients-table")
    browser.click("#traffic-table tbody tr button")
    browser.until("document.getElementById('entry').open")

    assert browser.evaluate("document.querySelectorAll('img, script:not([src])').length") == 0
    assert browser.is_quiet(served)


def test_the_link_opens_once_and_the_session_ends_with_the_emulator(
    browser: Any, served: Any, opened: Callable[..., None]
) -> None:
    """A second use is refused, the address bar has no key, a lost connection is shown."""
    opened()
    assert browser.evaluate("location.href") == served.endpoint.origin + "/"
    assert browser.evaluate("document.cookie") == ""
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(served.link, timeout=10)  # noqa: S310 - http, here
    assert refused.value.code == 401
    refused.value.close()

    browser.open(served.link)
    denied = browser.text("main")
    assert "The link was used before" in denied
    assert "A link opens once, in one browser." in denied
    assert f"{served.endpoint.origin}/_local/link" in browser.text("pre")
    assert browser.axe() == []
    opened_again = served.request("POST", "link")["link"]
    browser.open(opened_again)
    browser.until("document.getElementById('main')?.hidden === false")

    served.process.terminate()
    browser.until("document.getElementById('state').innerText.startsWith('Not connected')")
    browser.open("about:blank")


ATTACK = """<!doctype html><script>
const at = "$origin";
const send = (method, path, body) =>
  fetch(at + path, { method, body, mode: "no-cors", credentials: "include" }).catch(() => null);
const connect = () => new Promise((resolve) => {
  const socket = new WebSocket(at.replace("http", "ws") + "/_local/live");
  socket.onopen = () => resolve("accepted");
  socket.onerror = () => resolve("refused");
});
const read = () => fetch(at + "/_local/state", { credentials: "include" })
  .then((answer) => answer.text(), () => "refused");
const frame = () => new Promise((resolve) => {
  const inner = document.createElement("iframe");
  inner.src = at + "/";
  inner.onload = () => setTimeout(() => resolve(inner.contentWindow.length), 100);
  document.body.append(inner);
});
addEventListener("load", async () => {
  await send("POST", "/_local/reset");
  await send("POST", "/_local/faults", "503");
  const form = document.createElement("form");
  [form.method, form.action, form.target] = ["post", at + "/_local/reset", "_blank"];
  document.body.append(form);
  form.submit();
  window.results = [await connect(), await read(), await frame()];
});
</script><body>"""


def test_a_page_of_another_port_cannot_use_the_session(
    browser: Any, served: Any, opened: Callable[..., None], serve: Callable[[HTTPServer], str]
) -> None:
    """Even though the browser sends the cookie: the same site is not the same origin."""
    served.seed_clients(1)
    page = ATTACK.replace("$origin", served.endpoint.origin).encode()
    cookies: list[str] = []

    class Attacker(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Answer with the page."""
            cookies.append(self.headers["Cookie"] or "")
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    url = serve(ThreadingHTTPServer(("127.0.0.1", 0), Attacker))
    opened()
    browser.evaluate(f"void (location.href = '{url}/')")
    browser.until("window.results !== undefined")
    results = browser.evaluate("window.results")

    assert "wps-run-page-" in cookies[0]
    assert results == ["refused", "refused", 0]
    assert served.request("GET", "state?limit=0")["hubs"]["chat"]["connections"] == 1
    assert served.request("GET", "faults")["faults"] == []
