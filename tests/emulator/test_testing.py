"""A service in a thread of its own: what tests of any kind can do with it."""

import asyncio
import json
import threading
import urllib.request
from typing import Any

import pytest
from azure.messaging.webpubsubservice import WebPubSubServiceClient

from wps_run import LocalPubSub
from wps_run.emulator.request_log import RequestEntry


@pytest.fixture
def chat(wps_local: LocalPubSub) -> Any:
    """The official SDK, as a sync caller."""
    return WebPubSubServiceClient.from_connection_string(wps_local.connection_string, hub="chat")


def test_clients_note_what_they_hear(wps_local: LocalPubSub, chat: Any) -> None:
    """Text, JSON and bytes as such; more is in `received`."""
    ada = wps_local.client("ada", hub="Chat", groups=["red"])
    anyone = wps_local.client(hub="chat", connection_id="c1")

    chat.send_to_all("hi", content_type="text/plain")
    chat.send_to_group("red", {"a": [1]}, content_type="application/json")
    chat.send_to_connection("c1", b"\0", content_type="application/octet-stream")

    assert ada.messages == ["hi", {"a": [1]}]
    assert [one.group for one in ada.received] == [None, "red"]
    assert anyone.messages == ["hi", b"\0"]
    assert (ada.closed_reason, anyone.connection_id, anyone.user) == (None, "c1", None)
    assert repr(ada) == "<client ada in hub chat>"
    assert repr(anyone) == "<client c1 in hub chat>"


def test_messages_are_taken_one_after_the_other(wps_local: LocalPubSub, chat: Any) -> None:
    """`next` waits for one that was not taken yet."""
    ada = wps_local.client("ada", hub="chat")
    sender = threading.Timer(
        0.05, lambda: chat.send_to_user("ada", "late", content_type="text/plain")
    )
    chat.send_to_user("ada", "early", content_type="text/plain")
    sender.start()

    assert [ada.next(), ada.next()] == ["early", "late"]
    with pytest.raises(TimeoutError, match=r"ada in hub chat> received no new message in 0\.01 s"):
        ada.next(timeout=0.01)
    sender.join()


async def test_async_tests_wait_without_holding_others_up(wps_local: LocalPubSub) -> None:
    """The loop of the test goes on."""
    ada = wps_local.client("ada", hub="chat")
    waiting = asyncio.create_task(ada.anext())
    chat = WebPubSubServiceClient.from_connection_string(wps_local.connection_string, hub="chat")

    await asyncio.to_thread(chat.send_to_user, "ada", "hello", content_type="text/plain")

    assert await waiting == "hello"


def test_clients_are_closed_and_leave(wps_local: LocalPubSub, chat: Any) -> None:
    """Cut off with a reason, or of their own will; state and groups follow."""
    ada = wps_local.client("ada", hub="chat", groups=["red", "blue"])
    grace = wps_local.client("grace", hub="chat", groups=["red"])
    assert wps_local.groups(ada) == ("red", "blue")
    assert wps_local.state["chat"]["groupList"][0] == {"group": "red", "connections": 2}

    chat.close_user_connections("ada", reason="late")
    wps_local.leave(grace)

    assert (ada.closed_reason, grace.closed_reason) == ("late", None)
    assert wps_local.groups(ada) == ()
    assert wps_local.state == {}


def test_the_ledger_is_there_to_be_asserted_on(wps_local: LocalPubSub, chat: Any) -> None:
    """Who noticed what, by connection and by user."""
    wps_local.client("ada", hub="chat", connection_id="c1")
    chat.send_to_user("ada", "hi", content_type="text/plain")
    chat.close_all_connections(reason="over")

    send, close = wps_local.ledger

    assert (send.operation, send.hub, send.status) == ("SendToUser", "chat", 202)
    assert (send.connections, send.users) == (("c1",), ("ada",))
    assert isinstance(send.what, RequestEntry)
    assert send.what.names == ("ada",)
    assert (close.operation, close.connections, close.users) == (
        "CloseAllConnections",
        ("c1",),
        ("ada",),
    )


def test_faults_and_resets(wps_local: LocalPubSub, chat: Any) -> None:
    """While it runs; a fault that cannot be read changes nothing."""
    with pytest.raises(ValueError, match="did you mean `stall`"):
        wps_local.fault("503", "stal")
    wps_local.fault("429,retry-after=0,count=1")
    ada = wps_local.client("ada", hub="chat")
    chat.send_to_all("hi", content_type="text/plain")
    assert [one.status for one in wps_local.ledger] == [429, 202]

    wps_local.fault("503")
    wps_local.reset()

    assert ada.closed_reason == "reset"
    assert (wps_local.state, wps_local.ledger) == ({}, [])
    chat.send_to_all("hi", content_type="text/plain")
    assert [one.status for one in wps_local.ledger] == [202]


def test_a_wrong_name_is_told_in_the_callers_thread(wps_local: LocalPubSub) -> None:
    """As anywhere else."""
    wps_local.client(connection_id="c1")

    with pytest.raises(ValueError, match="name of the user is invalid"):
        wps_local.client(" ")
    with pytest.raises(ValueError, match="c1"):
        wps_local.client(connection_id="c1")


def test_endpoint_and_key_are_for_callers_of_any_kind(wps_local: LocalPubSub) -> None:
    """`/_local/` answers whoever shows the key."""
    request = urllib.request.Request(  # noqa: S310 - http, here
        f"{wps_local.endpoint}/_local/state",
        headers={"Authorization": f"Bearer {wps_local.access_key}"},
    )
    with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - http, here
        assert json.load(answer) == {"hubs": {}}


@pytest.mark.parametrize("ended", [False, True])
def test_a_service_that_does_not_run_says_so(*, ended: bool) -> None:
    """Before it was started and after its end: whoever asks it must not wait for ever."""
    emulator = LocalPubSub()
    if ended:
        with emulator:
            pass

    with pytest.raises(RuntimeError, match="use `with LocalPubSub"):
        emulator.client("ada")


def test_it_is_gone_afterwards() -> None:
    """No thread is left, even when it could not start; many threads may use one."""
    with LocalPubSub(faults=["delay=1ms"], fault_seed=1) as emulator:
        makers = [threading.Thread(target=emulator.client, args=(f"u{n}",)) for n in range(20)]
        for maker in makers:
            maker.start()
        for maker in makers:
            maker.join()
        assert emulator.state["local"]["users"] == 20
        port = int(emulator.endpoint.rpartition(":")[2])
        with pytest.raises(OSError, match="in use"), LocalPubSub(port=port):
            pass

    assert [one for one in threading.enumerate() if one.name == "wps-local"] == []
