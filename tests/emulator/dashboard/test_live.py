"""Live updates: everything at first, then what has changed."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from wps_run.emulator.dashboard.live import DashboardSource, UpdateBuilder
from wps_run.emulator.dashboard.query import DashboardQuery, Listing
from wps_run.emulator.dashboard.traffic import TrafficCounters
from wps_run.emulator.faults import FaultInjector
from wps_run.emulator.hub import Hub
from wps_run.emulator.request_log import RequestEntry, RequestLog
from wps_run.emulator.server import Emulator

PAGE_LIMIT = 20


@pytest.fixture
def source() -> DashboardSource:
    """One hub with one connection, and one request in the log."""
    hub, log = Hub(), RequestLog()
    hub.connect("c1", "ada", ["red"])
    log.add(1, RequestEntry("GET", "/x", "", "", 404))
    return DashboardSource(
        lambda: {"chat": hub, "empty": Hub()}, log, TrafficCounters(), FaultInjector(1)
    )


def test_only_what_has_changed_is_sent(source: DashboardSource) -> None:
    """Nothing when nothing has changed."""
    builder = UpdateBuilder(source)
    first = json.loads(builder.build(DashboardQuery()))
    assert first.keys() == {"totals", "counts", "people", "faults", "traffic"}
    assert first["totals"]["hubs"] == 1
    assert first["traffic"]["fresh"]
    assert builder.build(DashboardQuery()) == ""

    source.hubs()["chat"].add_connection_to_group("c1", "blue")
    assert json.loads(builder.build(DashboardQuery())).keys() == {"totals", "people"}
    assert json.loads(builder.build(DashboardQuery(listing=Listing.GROUPS))).keys() == {"people"}


def test_entries_are_sent_once_and_again_after_a_new_query(source: DashboardSource) -> None:
    """After a reset, too, though the numbers start again."""
    builder = UpdateBuilder(source)

    def traffic(query: DashboardQuery = DashboardQuery()) -> Any:  # noqa: B008 - frozen
        part = json.loads(builder.build(query) or "{}").get("traffic")
        return part and (part["fresh"], [row["sequence"] for row in part["rows"]])

    assert traffic() == (True, [1])
    assert traffic() is None
    source.request_log.add(2, RequestEntry("GET", "/y", "", "", 404))
    assert traffic() == (False, [2])
    assert traffic(DashboardQuery(text="/x")) == (True, [1])
    assert traffic(DashboardQuery(text="/x", page=3)) is None
    source.request_log.clear()
    for _ in range(5):
        source.request_log.add(2, RequestEntry("GET", "/x", "", "", 404))
    assert traffic(DashboardQuery(text="/x")) == (True, [5, 4, 3, 2, 1])


def test_entries_of_other_hubs_are_mentioned_once(source: DashboardSource) -> None:
    """Until the query changes; not at all when all hubs are shown."""
    builder = UpdateBuilder(source)

    def elsewhere(hub: str) -> Any:
        part = json.loads(builder.build(DashboardQuery(hub)) or "{}").get("traffic")
        return part and part["elsewhere"]

    assert elsewhere("") is False
    assert elsewhere("chat") is True
    source.request_log.add(2, RequestEntry("GET", "/y", "", "other", 404))
    assert elsewhere("chat") is None
    source.request_log.clear()
    source.request_log.add(2, RequestEntry("GET", "/y", "", "chat", 404))
    assert elsewhere("chat") is False
    source.request_log.add(2, RequestEntry("GET", "/y", "", "other", 404))
    assert elsewhere("chat") is True
    assert elsewhere("") is False


async def test_updates_are_sent_over_a_websocket(
    emulator: Emulator, dashboard_session: aiohttp.ClientSession
) -> None:
    """The result of the query, then its changes; 1001 when the emulator stops."""
    async with dashboard_session.ws_connect("/_local/live") as socket:
        await socket.send_str('{"listing": "users"}')
        assert (await socket.receive_json())["people"]["rows"] == []
        emulator.seed({"clients": [{"userId": "ada"}]})
        update = await socket.receive_json()
        assert update["people"]["rows"] == [{"hub": "local", "name": "ada", "connections": 1}]
        assert update["totals"]["connections"] == 1

        stopping = asyncio.ensure_future(emulator.stop())
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == aiohttp.WSCloseCode.GOING_AWAY
        await stopping


@pytest.mark.parametrize("query", ["x", b"{}", '{"hub": 1}', "x" * 70_000])
async def test_an_invalid_query_closes_the_websocket(
    dashboard_session: aiohttp.ClientSession, query: str | bytes
) -> None:
    """And no other one."""
    async with dashboard_session.ws_connect("/_local/live") as socket:
        await (socket.send_bytes(query) if isinstance(query, bytes) else socket.send_str(query))
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code in {1008, 1009}
    async with dashboard_session.ws_connect("/_local/live") as socket:
        await socket.send_str("{}")
        assert "totals" in await socket.receive_json()


async def test_a_plain_request_is_refused(dashboard_session: aiohttp.ClientSession) -> None:
    """With 400."""
    async with dashboard_session.get("/_local/live") as answer:
        assert answer.status == 400


async def test_the_number_of_pages_is_limited(dashboard_session: aiohttp.ClientSession) -> None:
    """The next one is answered 503 until one is closed."""
    sockets = [await dashboard_session.ws_connect("/_local/live") for _ in range(PAGE_LIMIT)]
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await dashboard_session.ws_connect("/_local/live")
    assert refused.value.status == 503
    for socket in sockets:
        await socket.close()
    async with dashboard_session.ws_connect("/_local/live") as again:
        await again.send_str("{}")
        assert "totals" in await again.receive_json()


async def test_a_page_that_does_not_read_holds_nothing_up(
    emulator: Emulator, dashboard_session: aiohttp.ClientSession, make_rest_client: Any
) -> None:
    """Updates are not queued: each is built after the last one was read."""
    groups = ["g" * 1000 + str(number) for number in range(10)]
    emulator.seed({"clients": [{"groups": groups, "count": 50}]})
    async with dashboard_session.ws_connect("/_local/live") as socket:
        call = make_rest_client(emulator)
        for number in range(200):
            await socket.send_str(json.dumps({"search": "g" * (number % 2)}))
            assert (await call("POST", "/api/hubs/local/:send", b"x" * 1000)).status == 202
        last = 0
        while last < 200:
            update = await socket.receive_json()
            last = max(
                [last, *(row["sequence"] for row in update.get("traffic", {"rows": []})["rows"])]
            )


async def test_a_flood_of_queries_causes_no_more_updates(
    dashboard_session: aiohttp.ClientSession,
) -> None:
    """At most ten a second; the last query counts."""
    loop = asyncio.get_running_loop()
    async with dashboard_session.ws_connect("/_local/live") as socket:
        start, updates = loop.time(), 0
        for number in range(1000):
            await socket.send_str(json.dumps({"text": str(number)}))
        await socket.send_str('{"listing": "hubs"}')
        update = {"people": {"list": ""}}
        while update.get("people", {}).get("list") != "hubs":
            update = await socket.receive_json()
            updates += 1
        assert updates <= (loop.time() - start) / 0.1 + 2


async def test_a_page_that_does_not_answer_does_not_delay_a_stop(
    emulator: Emulator, dashboard_session: aiohttp.ClientSession
) -> None:
    """All pages together have a second to answer the close frame."""
    sockets = [await dashboard_session.ws_connect("/_local/live") for _ in range(5)]
    loop = asyncio.get_running_loop()
    start = loop.time()
    await emulator.stop()
    assert loop.time() - start < 4
    for socket in sockets:
        await socket.close()


async def test_messages_of_requests_and_of_clients_are_counted_until_a_reset(
    emulator: Emulator, dashboard_session: aiohttp.ClientSession, call: Any
) -> None:
    """The counters of the dashboard."""
    client = {"hub": "chat", "groups": ["red"], "roles": ["webpubsub.sendToGroup"]}
    async with dashboard_session.post("/_local/token", json=client) as answer:
        credentials = await answer.json()
    assert (await call("POST", "/api/hubs/chat/:send", b"x")).status == 202
    url = f"{credentials['path']}?access_token={credentials['token']}"
    async with dashboard_session.ws_connect(url, protocols=["json.webpubsub.azure.v1"]) as socket:
        await socket.receive_json()
        send = {"type": "sendToGroup", "group": "red", "dataType": "text", "data": "x", "ackId": 1}
        await socket.send_json(send)
        assert {(await socket.receive_json())["type"] for _ in range(2)} == {"ack", "message"}

        async def sums() -> tuple[int, int, int]:
            async with dashboard_session.ws_connect("/_local/live") as live:
                await live.send_str("{}")
                counts = (await live.receive_json())["counts"]
            return counts["requests"], counts["messages"], counts["deliveries"]

        assert await sums() == (1, 2, 1)
        emulator.reset()
        assert await sums() == (0, 0, 0)
