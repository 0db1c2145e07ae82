"""The dashboard of `wps-run serve` in a real browser, during real runs."""

from collections.abc import Callable
from typing import Any

import pytest

ROW = "#clients-table tbody tr"
TRAFFIC_ROW = "#traffic-table tbody tr"


def shown(browser: Any) -> dict[str, int]:
    """Return the numbers of the cards by their labels."""
    cards = browser.texts("#totals li") + browser.texts("#counts li")
    texts = (card.split("\n") for card in cards)
    return {label: int(value.replace(",", "")) for label, value, _ in texts}


def test_a_run_is_shown_live(
    browser: Any, served: Any, opened: Callable[..., None], run: Callable[..., Any]
) -> None:
    """The counters are those of the state; traffic has requests, messages and outcomes."""
    served.seed_clients(30)
    opened()
    assert shown(browser)["connections"] == 30

    users = [f"user-{number}" for number in range(1, 21)]
    ended = run(
        {"actionName": "addUserToGroup", "forEach": users, "userId": "${each}", "group": "launch"},
        {"actionName": "addUserToGroup", "userId": "nobody", "group": "launch"},
        {"actionName": "sendToGroup", "group": "launch", "data": "Welcome aboard"},
        {"actionName": "closeGroupConnections", "group": "team-30", "reason": "Good night"},
    )
    assert ended.returncode == 1, ended.stderr
    browser.wait_for_newest_entry(served)

    chat = served.request("GET", "state?limit=1")["hubs"]["chat"]
    counters = shown(browser)
    assert (counters["hub"], counters["connections"]) == (1, chat["connections"])
    assert (counters["users"], counters["groups"]) == (chat["users"], chat["groups"])
    assert (
        counters["requests"] == len(served.request("GET", "ledger?type=request")["entries"]) == 23
    )
    assert (counters["refused (4xx)"], counters["message"], counters["deliveries"]) == (1, 1, 20)
    rows = " ".join(browser.texts(TRAFFIC_ROW))
    for word in ("AddUserToGroup", "404", "Welcome aboard", "reached 20", "Good night", "closed 1"):
        assert word in rows

    browser.click("#kinds input[value=trouble]")
    browser.until(f"document.querySelectorAll('{TRAFFIC_ROW}').length === 1")
    assert "404" in browser.texts(TRAFFIC_ROW)[0]
    browser.click(f"{TRAFFIC_ROW} button")
    browser.until("document.getElementById('entry').open")
    assert '"status": 404' in browser.text("#entry-text")
    assert "nobody" in browser.text("#entry-text")
    assert browser.is_quiet(served)


def test_the_traffic_comes_first_and_the_counters_are_explained(
    browser: Any, served: Any, opened: Callable[..., None]
) -> None:
    """Each counter has its meaning below it."""
    served.seed_clients(1)
    opened()

    assert browser.texts("main h2")[:3] == ["Traffic", "Overview", "Clients"]
    meanings = browser.texts("#overview li small")
    assert len(meanings) == 12
    assert all(meanings)
    assert "connections that requests closed" in browser.text("#of-closed")


def test_a_hub_in_use_is_selected(
    browser: Any, served: Any, opened: Callable[..., None], run: Callable[..., Any]
) -> None:
    """As soon as there is one; what happens elsewhere is not concealed, and one click away."""
    opened()
    assert browser.evaluate("document.getElementById('hub').value") == ""
    served.request("POST", "seed", {"hub": "lobby", "clients": [{"userId": "ada"}]})
    browser.until("document.getElementById('hub').value === 'lobby'")
    assert browser.evaluate("document.getElementById('client-hub').value") == "lobby"
    served.seed_clients(3)
    assert run({"actionName": "sendToAll", "data": "Elsewhere"}).returncode == 0
    browser.until("document.getElementById('elsewhere').hidden === false")
    assert browser.evaluate("document.getElementById('hub').value") == "lobby"
    assert browser.texts(TRAFFIC_ROW) == []
    assert browser.text("#no-traffic") == "No matching traffic."

    browser.click("#all-hubs")
    browser.until(f"document.querySelector('{TRAFFIC_ROW}')?.innerText.includes('Elsewhere')")
    served.request("POST", "seed", {"hub": "third", "clients": [{"userId": "ada"}]})
    browser.until("document.getElementById('hub').innerText.includes('third')")
    assert browser.evaluate("document.getElementById('hub').value") == ""
    assert browser.evaluate("document.getElementById('elsewhere').hidden")


def test_faults_are_switched_and_injected_into_the_next_request(
    browser: Any, served: Any, opened: Callable[..., None], run: Callable[..., Any]
) -> None:
    """Added, switched off and on, removed; an invalid one is refused with a message."""
    send = {"actionName": "sendToAll", "data": "x"}
    opened()
    browser.fill("#fault", "503,on=sendToAll")
    browser.press("Enter")
    browser.until("document.querySelectorAll('#fault-list input:checked').length === 1")
    assert run(send).returncode == 3
    browser.until(
        "document.getElementById('fault-list').innerText.includes('injected into 1 of 1 requests')"
    )

    browser.click("#fault-list input")
    browser.until("document.querySelectorAll('#fault-list input:not(:checked)').length === 1")
    assert served.request("GET", "faults")["faults"] == []
    assert run(send).returncode == 0
    browser.click("#fault-list input")
    browser.until("document.querySelectorAll('#fault-list input:checked').length === 1")
    assert run(send).returncode == 3

    browser.fill("#fault", "stal")
    browser.press("Enter")
    browser.until("document.querySelector('#fault-status.failed') !== null")
    assert "did you mean `stall`" in browser.text("#fault-status")
    browser.click("#clear-faults")
    browser.until("document.querySelectorAll('#fault-list li').length === 0")
    assert run(send).returncode == 0
    noise = [line for line in browser.noise() if "400 (Bad Request)" not in line]
    assert noise == []


def test_a_client_of_the_page_joins_sends_receives_and_is_closed(
    browser: Any, served: Any, opened: Callable[..., None], run: Callable[..., Any]
) -> None:
    """With the browser's WebSocket and a token; the access key is not in the page."""
    opened()
    browser.fill("#client-user", "ada")
    browser.fill("#client-groups", "red")
    browser.press("Enter")
    browser.until("document.getElementById('client-status').innerText === 'Connected as ada.'")
    browser.fill("#client-group", "blue")
    browser.click("#join")
    browser.fill("#message", '{"at": 8}')
    browser.choose("#type", "json")
    browser.press("Enter")
    browser.focus("#message")
    browser.press("Enter")
    browser.until("document.getElementById('frames').innerText.includes('fromUserId')")
    (connection,) = served.request("GET", "state")["hubs"]["chat"]["connectionList"]
    assert (connection["userId"], connection["groups"]) == ("ada", ["red", "blue"])
    browser.until(f"document.querySelector('{ROW}')?.innerText.includes('send to: every group')")

    send = {"actionName": "sendToUser", "userId": "ada", "data": "Hello from a playbook"}
    assert run(send).returncode == 0
    browser.until("document.getElementById('frames').innerText.includes('Hello from a playbook')")
    assert run({"actionName": "closeAllConnections", "reason": "Enough"}).returncode == 0
    browser.until("document.getElementById('client-status').innerText.startsWith('Closed')")
    assert "Enough" in browser.text("#frames")
    browser.click("#connect")
    browser.until("document.getElementById('client-status').innerText === 'Connected as ada.'")
    browser.click("#close")
    browser.until("document.getElementById('client-status').innerText === 'Closed: 1000'")
    assert not any(served.endpoint.key in url for url in browser.requests())
    assert served.endpoint.key not in browser.evaluate("document.documentElement.outerHTML")
    assert browser.is_quiet(served)


def test_five_thousand_connections_are_usable(browser: Any, served: Any) -> None:
    """Within 3 s, one page of rows at a time, found by search, group and page."""
    served.seed_clients(5000)
    assert browser.open(served.link) < 3000
    browser.until("document.getElementById('main')?.hidden === false")
    assert browser.evaluate("performance.now()") < 3000
    assert shown(browser)["connections"] == 5000
    assert browser.evaluate("document.querySelectorAll('*').length") < 2000

    browser.click("#next-page")
    browser.until("document.getElementById('page').innerText === 'Page 2 of 100'")
    assert "user-51" in browser.texts(ROW)[0]
    browser.fill("#search", "USER-4999")
    browser.until("document.getElementById('matches').innerText === '1 of 5,000 connections'")
    browser.fill("#search", "")
    browser.click("#listing input[value=groups]")
    browser.until("document.getElementById('matches').innerText === '101 groups'")
    assert browser.texts(ROW)[0].split("\t") == ["everyone", "chat", "5,000"]
    browser.click(f"{ROW}:nth-child(2) button")
    browser.until("document.getElementById('matches').innerText === '50 connections'")
    browser.click("#active-filters button")
    browser.until("document.getElementById('matches').innerText === '5,000 connections'")
    assert browser.is_quiet(served)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible(
    browser: Any, served: Any, opened: Callable[..., None], run: Callable[..., Any], scheme: str
) -> None:
    """No findings of axe, in light and dark; only results of the user's actions are announced."""
    served.seed_clients(60)
    served.request("POST", "faults", {"faults": ["503,on=SendToAll", "delay=1ms"]})
    opened(colorScheme=scheme)
    browser.fill("#client-user", "ada")
    browser.press("Enter")
    browser.until("document.getElementById('client-status').innerText.startsWith('Connected')")
    browser.click("#fault-list input")
    run({"actionName": "sendToGroup", "group": "everyone", "data": "x"})
    run({"actionName": "sendToAll", "data": "x"})
    browser.wait_for_newest_entry(served)
    browser.click("#listing input[value=groups]")
    browser.until("document.getElementById('matches').innerText.includes('groups')")
    browser.click(f"{ROW} button")
    browser.until("document.querySelectorAll('#active-filters button').length === 1")

    assert browser.axe() == []
    browser.click(f"{TRAFFIC_ROW} button")
    browser.until("document.getElementById('entry').open")
    assert browser.axe() == []
    live = "document.querySelectorAll('[role=status], [aria-live]')"
    ids = browser.evaluate(f"[...{live}].map((element) => element.id)")
    assert ids == ["state", "fault-status", "client-status"]


def test_the_focus_stays_while_rows_change(
    browser: Any, served: Any, opened: Callable[..., None]
) -> None:
    """A row with the keyboard focus keeps it when the row changes."""
    served.seed_clients(3)
    opened()
    browser.click("#listing input[value=groups]")
    browser.until(f"document.querySelector('{ROW} button') !== null")
    browser.focus(f"{ROW} button")
    served.request(
        "POST", "seed", {"hub": "chat", "clients": [{"groups": ["everyone"], "count": 5}]}
    )
    browser.until(f"document.querySelector('{ROW}').innerText.endsWith('8')")

    assert browser.evaluate("document.activeElement.innerText") == "everyone"
    browser.press("Enter")
    browser.until("document.getElementById('matches').innerText === '8 connections'")
