"""The live page is safe: names are only text, its link opens once, other pages have no way in."""

import urllib.error
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

HURTING = (
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
"""Names that look for a way out of where they are written."""


def test_names_that_hurt_are_only_text(
    browser: Any, served: Any, opened: Callable[..., None], run: Callable[..., Any]
) -> None:
    """In every list, in what happens, in its details and in what the client hears."""
    clients = [{"userId": name, "groups": [name, "red"]} for name in HURTING]
    served.ask("POST", "seed", {"hub": "chat", "clients": clients})
    opened()
    browser.fill("#client-user", HURTING[0])
    browser.fill("#client-groups", "red")
    browser.press("Enter")
    browser.until("document.getElementById('client-said').innerText.startsWith('Connected')")
    texts = [name.replace("${", "$${") for name in HURTING]
    assert not run(
        {"actionName": "sendToGroup", "forEach": texts, "group": "red", "data": "${each}"}
    ).returncode
    browser.caught_up(served)
    browser.until(f"document.querySelectorAll('#frames li').length === {len(HURTING) + 1}")
    for listing in ("users", "groups", "connections"):
        browser.click(f"#listing input[value={listing}]")
        browser.until(f"document.getElementById('matches').innerText.includes('{listing}')")
        assert HURTING[1] in browser.text("#people-table")
        assert "\\u202egnp.exe" in browser.text("#people-table")
    browser.click("#traffic-table tbody tr button")
    browser.until("document.getElementById('entry').open")

    assert browser.evaluate("document.querySelectorAll('img, script:not([src])').length") == 0
    assert browser.is_quiet(served)


def test_the_link_opens_once_and_what_was_opened_ends_with_the_service(
    browser: Any, served: Any, opened: Callable[..., None]
) -> None:
    """Used twice it is refused, the address bar forgets it, and the page says that it is old."""
    opened()
    assert browser.evaluate("location.href") == served.endpoint.origin + "/"
    assert browser.evaluate("document.cookie") == ""
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(served.link, timeout=10)  # noqa: S310 - http, here
    assert refused.value.code == 401
    refused.value.close()

    served.process.terminate()
    browser.until("document.getElementById('state').innerText.startsWith('Not connected')")
    browser.open("about:blank")


EVIL = """<!doctype html><script>
const at = "$origin";
const send = (method, path, body) =>
  fetch(at + path, { method, body, mode: "no-cors", credentials: "include" }).catch(() => null);
const knock = () => new Promise((resolve) => {
  const socket = new WebSocket(at.replace("http", "ws") + "/_local/live");
  socket.onopen = () => resolve("let in");
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
  window.told = [await knock(), await read(), await frame()];
});
</script><body>"""


def test_a_page_of_another_port_cannot_use_the_session(
    browser: Any, served: Any, opened: Callable[..., None]
) -> None:
    """Though the browser sends it the cookie: the same site is not the same origin."""
    served.seat(1)
    page = EVIL.replace("$origin", served.endpoint.origin).encode()
    cookies: list[str] = []

    class Evil(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Answer with the page."""
            cookies.append(self.headers["Cookie"] or "")
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Evil) as evil:
        Thread(target=evil.serve_forever).start()
        opened()
        browser.evaluate(f"void (location.href = 'http://127.0.0.1:{evil.server_port}/')")
        browser.until("window.told !== undefined")
        told = browser.evaluate("window.told")
        evil.shutdown()

    assert "wps-run-page-" in cookies[0]
    assert told == ["refused", "refused", 0]
    assert served.ask("GET", "state?limit=0")["hubs"]["chat"]["connections"] == 1
    assert served.ask("GET", "faults")["faults"] == []
