"""Tests of `LocalPubSub` and its simulated clients."""

import asyncio
import json
import threading
import urllib.request
from typing import Any

import pytest
from azure.messaging.webpubsubservice import WebPubSubServiceClient

from wps_run import LocalPubSub


@pytest.fixture
def chat(wps_local: LocalPubSub) -> Any:
    """The official SDK, as a sync caller."""
    return WebPubSubServiceClient.from_connection_string(wps_local.connection_string, hub="chat")


def test_clients_record_messages(wps_local: LocalPubSub, chat: Any) -> None:
    """As text, decoded JSON or bytes; `received` has more."""
    ada = wps_local.client("ada", hub="Chat", groups=["red"])
    anonymous = wps_local.client(hub="chat", connection_id="c1")

    chat.send_to_all("hi", content_type="text/plain")
    chat.send_to_group("red", {"a": [1]}, content_type="application/json")
    chat.send_to_connection("c1", b"\0", content_type="application/octet-stream")

    assert ada.messages == ["hi", {"a": [1]}]
    assert [message.group for message in ada.received] == [None, "red"]
    assert anonymous.messages == ["hi", b"\0"]
    assert (ada.closed_reason, anonymous.connection_id, anonymous.user) == (None, "c1", None)


def test_next_returns_one_message_after_the_other(wps_local: LocalPubSub, chat: Any) -> None:
    """It waits for a message that it has not returned."""
    ada = wps_local.client("ada", hub="chat")
    sender = threading.Timer(
        0.05, lambda: chat.send_to_user("ada", "late", content_type="text/plain")
    )
    chat.send_to_user("ada", "early", content_type="text/plain")
    sender.start()

    assert [ada.next(), ada.next()] == ["early", "late"]
    with pytest.raises(
        TimeoutError, match=r"client ada in hub chat: .*> received no new message in 0\.01 s"
    ):
        ada.next(timeout=0.01)
    sender.join()


async def test_async_tests_wait_without_blocking(wps_local: LocalPubSub) -> None:
    """The event loop of the test continues."""
    ada = wps_local.client("ada", hub="chat")
    waiting = asyncio.create_task(ada.anext())
    chat = WebPubSubServiceClient.from_connection_string(wps_local.connection_string, hub="chat")

    await asyncio.to_thread(chat.send_to_user, "ada", "hello", content_type="text/plain")

    assert await waiting == "hello"


def test_clients_are_closed_and_leave(wps_local: LocalPubSub, chat: Any) -> None:
    """By a request with a reason, or by themselves; state and groups change."""
    ada = wps_local.client("ada", hub="chat", groups=["red", "blue"])
    grace = wps_local.client("grace", hub="chat", groups=["red"])
    assert ada.groups == {"red", "blue"}
    assert wps_local.state["chat"]["groupList"][0] == {"group": "red", "connections": 2}

    chat.close_user_connections("ada", reason="late")
    grace.leave()

    assert (ada.closed_reason, grace.closed_reason) == ("late", None)
    assert ada.groups == set()
    assert wps_local.state == {}


def test_the_log_has_requests_with_their_effect(wps_local: LocalPubSub, chat: Any) -> None:
    """By connection and by user."""
    wps_local.client("ada", hub="chat", connection_id="c1")
    chat.send_to_user("ada", "hi", content_type="text/plain")
    chat.close_all_connections(reason="over")

    send, close = wps_local.requests

    assert (send.operation, send.hub, send.status) == ("SendToUser", "chat", 202)
    assert (send.connections, send.users) == (("c1",), ("ada",))
    assert (send.names, repr(send)) == (("ada",), "<SendToUser ada in hub chat: 202>")
    assert (close.operation, close.connections, close.users) == (
        "CloseAllConnections",
        ("c1",),
        ("ada",),
    )


def test_faults_and_resets(wps_local: LocalPubSub, chat: Any) -> None:
    """An invalid fault changes nothing."""
    with pytest.raises(ValueError, match="did you mean `stall`"):
        wps_local.fault("503", "stal")
    wps_local.fault("429,retry-after=0,count=1")
    ada = wps_local.client("ada", hub="chat")
    chat.send_to_all("hi", content_type="text/plain")
    assert [entry.status for entry in wps_local.requests] == [429, 202]

    wps_local.fault("503")
    wps_local.reset()

    assert ada.closed_reason == "reset"
    assert (wps_local.state, wps_local.requests) == ({}, [])
    chat.send_to_all("hi", content_type="text/plain")
    assert [entry.status for entry in wps_local.requests] == [202]


def test_an_invalid_name_is_an_error_in_the_callers_thread(wps_local: LocalPubSub) -> None:
    """As in `Emulator.attach`."""
    wps_local.client(connection_id="c1")

    with pytest.raises(ValueError, match="name of the user is invalid"):
        wps_local.client(" ")
    with pytest.raises(ValueError, match="c1"):
        wps_local.client(connection_id="c1")


def test_endpoint_and_key_work_with_any_http_client(wps_local: LocalPubSub) -> None:
    """`/_local/` accepts the key."""
    request = urllib.request.Request(  # noqa: S310 - http, here
        f"{wps_local.endpoint}/_local/state",
        headers={"Authorization": f"Bearer {wps_local.access_key}"},
    )
    with urllib.request.urlopen(request, timeout=5) as response:  # noqa: S310 - http, here
        assert json.load(response) == {"hubs": {}}


@pytest.mark.parametrize("was_stopped", [False, True])
def test_use_without_a_running_emulator_is_an_error(*, was_stopped: bool) -> None:
    """Before the start and after the end: a caller must not wait forever."""
    emulator = LocalPubSub()
    if was_stopped:
        with emulator:
            pass

    with pytest.raises(RuntimeError, match="use `with LocalPubSub"):
        emulator.client("ada")


def test_no_thread_is_left() -> None:
    """Not even after a failed start. Many threads may use one emulator."""
    with LocalPubSub(faults=["delay=1ms"], fault_seed=1) as emulator:
        threads = [threading.Thread(target=emulator.client, args=(f"u{n}",)) for n in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert emulator.state["local"]["users"] == 20
        port = int(emulator.endpoint.rpartition(":")[2])
        with pytest.raises(OSError, match="in use"), LocalPubSub(port=port):
            pass

    assert [thread for thread in threading.enumerate() if thread.name == "wps-local"] == []
