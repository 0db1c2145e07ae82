"""What a page is told: all at first, then what has changed."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from wps_run.emulator.dashboard.counts import Counts
from wps_run.emulator.dashboard.live import DashboardSource, News
from wps_run.emulator.dashboard.view import DashboardView, Listing
from wps_run.emulator.faults.rules import FaultInjector
from wps_run.emulator.hub import Hub
from wps_run.emulator.request_log import RequestEntry, RequestLog
from wps_run.emulator.server import Emulator

WATCHERS_MOST = 20


@pytest.fixture
def scene() -> DashboardSource:
    """One hub with one connection, and one request in the ledger."""
    hub, ledger = Hub(), RequestLog()
    hub.connect("c1", "ada", ["red"])
    ledger.add(1, RequestEntry("GET", "/x", "", "", 404))
    return DashboardSource(
        lambda: {"chat": hub, "empty": Hub()}, ledger, Counts(), FaultInjector(1)
    )


def test_only_what_has_changed_is_told(scene: DashboardSource) -> None:
    """Nothing when nothing has."""
    news = News()
    first = json.loads(news.of(scene, DashboardView()))
    assert first.keys() == {"totals", "counts", "people", "faults", "traffic"}
    assert first["totals"]["hubs"] == 1
    assert first["traffic"]["fresh"]
    assert news.of(scene, DashboardView()) == ""

    scene.hubs()["chat"].add_connection_to_group("c1", "blue")
    assert json.loads(news.of(scene, DashboardView())).keys() == {"totals", "people"}
    assert json.loads(news.of(scene, DashboardView(listing=Listing.GROUPS))).keys() == {"people"}


def test_entries_are_told_once_and_anew_when_others_are_asked_for(scene: DashboardSource) -> None:
    """After a reset, too, though the numbers begin again."""
    news = News()

    def told(view: DashboardView = DashboardView()) -> Any:  # noqa: B008 - frozen
        part = json.loads(news.of(scene, view) or "{}").get("traffic")
        return part and (part["fresh"], [row["sequence"] for row in part["rows"]])

    assert told() == (True, [1])
    assert told() is None
    scene.ledger.add(2, RequestEntry("GET", "/y", "", "", 404))
    assert told() == (False, [2])
    assert told(DashboardView(text="/x")) == (True, [1])
    assert told(DashboardView(text="/x", page=3)) is None
    scene.ledger.forget()
    for _ in range(5):
        scene.ledger.add(2, RequestEntry("GET", "/x", "", "", 404))
    assert told(DashboardView(text="/x")) == (True, [5, 4, 3, 2, 1])


async def test_it_follows_over_a_real_socket(
    service: Emulator, watching: aiohttp.ClientSession
) -> None:
    """What is asked for is told, then what changes; the end of the service, too."""
    async with watching.ws_connect("/_local/live") as socket:
        await socket.send_str('{"listing": "users"}')
        assert (await socket.receive_json())["people"]["rows"] == []
        service.seed({"clients": [{"userId": "ada"}]})
        news = await socket.receive_json()
        assert news["people"]["rows"] == [{"hub": "local", "name": "ada", "connections": 1}]
        assert news["totals"]["connections"] == 1

        stopping = asyncio.ensure_future(service.stop())
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == aiohttp.WSCloseCode.GOING_AWAY
        await stopping


@pytest.mark.parametrize("said", ["x", b"{}", '{"hub": 1}', "x" * 70_000])
async def test_what_makes_no_sense_ends_it(
    watching: aiohttp.ClientSession, said: str | bytes
) -> None:
    """And nothing else: others may still watch."""
    async with watching.ws_connect("/_local/live") as socket:
        await (socket.send_bytes(said) if isinstance(said, bytes) else socket.send_str(said))
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code in {1008, 1009}
    async with watching.ws_connect("/_local/live") as socket:
        await socket.send_str("{}")
        assert "totals" in await socket.receive_json()


async def test_what_is_no_upgrade_is_refused(watching: aiohttp.ClientSession) -> None:
    """With 400."""
    async with watching.get("/_local/live") as answer:
        assert answer.status == 400


async def test_only_so_many_may_watch(watching: aiohttp.ClientSession) -> None:
    """The next one is answered 503; when one leaves, there is room."""
    sockets = [await watching.ws_connect("/_local/live") for _ in range(WATCHERS_MOST)]
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await watching.ws_connect("/_local/live")
    assert refused.value.status == 503
    for socket in sockets:
        await socket.close()
    async with watching.ws_connect("/_local/live") as again:
        await again.send_str("{}")
        assert "totals" in await again.receive_json()


async def test_a_page_that_does_not_read_holds_nothing_up(
    service: Emulator, watching: aiohttp.ClientSession, make_caller: Any
) -> None:
    """What it is told does not pile up: it is made when the last piece has been read."""
    groups = ["g" * 1000 + str(number) for number in range(10)]
    service.seed({"clients": [{"groups": groups, "count": 50}]})
    async with watching.ws_connect("/_local/live") as socket:
        ask = make_caller(service)
        for number in range(200):
            await socket.send_str(json.dumps({"search": "g" * (number % 2)}))
            assert (await ask("POST", "/api/hubs/local/:send", b"x" * 1000)).status == 202
        seen = 0
        while seen < 200:
            news = await socket.receive_json()
            seen = max(
                [seen, *(row["sequence"] for row in news.get("traffic", {"rows": []})["rows"])]
            )


async def test_a_flood_of_wishes_is_answered_no_more_often(
    watching: aiohttp.ClientSession,
) -> None:
    """Ten times a second at most, whatever the page asks for; the last wish counts."""
    loop = asyncio.get_running_loop()
    async with watching.ws_connect("/_local/live") as socket:
        began, pieces = loop.time(), 0
        for number in range(1000):
            await socket.send_str(json.dumps({"text": str(number)}))
        await socket.send_str('{"listing": "hubs"}')
        told = {"people": {"list": ""}}
        while told.get("people", {}).get("list") != "hubs":
            told = await socket.receive_json()
            pieces += 1
        assert pieces <= (loop.time() - began) / 0.1 + 2


async def test_a_page_that_does_not_answer_holds_no_stop_up(
    service: Emulator, watching: aiohttp.ClientSession
) -> None:
    """Pages have a second to say goodbye, all of them together."""
    sockets = [await watching.ws_connect("/_local/live") for _ in range(5)]
    loop = asyncio.get_running_loop()
    began = loop.time()
    await service.stop()
    assert loop.time() - began < 4
    for socket in sockets:
        await socket.close()


async def test_messages_of_requests_and_of_clients_are_counted_until_a_reset(
    service: Emulator, watching: aiohttp.ClientSession, call: Any
) -> None:
    """What the page shows as sums."""
    client = {"hub": "chat", "groups": ["red"], "roles": ["webpubsub.sendToGroup"]}
    async with watching.post("/_local/token", json=client) as answer:
        given = await answer.json()
    assert (await call("POST", "/api/hubs/chat/:send", b"x")).status == 202
    url = f"{given['path']}?access_token={given['token']}"
    async with watching.ws_connect(url, protocols=["json.webpubsub.azure.v1"]) as socket:
        await socket.receive_json()
        send = {"type": "sendToGroup", "group": "red", "dataType": "text", "data": "x", "ackId": 1}
        await socket.send_json(send)
        assert {(await socket.receive_json())["type"] for _ in range(2)} == {"ack", "message"}

        async def sums() -> tuple[int, int, int]:
            async with watching.ws_connect("/_local/live") as live:
                await live.send_str("{}")
                counts = (await live.receive_json())["counts"]
            return counts["requests"], counts["messages"], counts["deliveries"]

        assert await sums() == (1, 2, 1)
        service.reset()
        assert await sums() == (0, 0, 0)
