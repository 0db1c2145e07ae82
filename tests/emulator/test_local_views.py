"""Tests of the views of `LocalPubSub`, with the official SDK as the code under test."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from azure.messaging.webpubsubclient import WebPubSubClient
from azure.messaging.webpubsubservice import WebPubSubServiceClient

from wps_run import LocalPubSub
from wps_run.emulator.testing import SimulatedClient

TEXT = "text/plain"


@pytest.fixture
def chat(wps_local: LocalPubSub) -> Any:
    """The official SDK for services, as a sync caller."""
    return WebPubSubServiceClient.from_connection_string(wps_local.connection_string, hub="chat")


def test_a_group_has_its_members_and_its_messages(wps_local: LocalPubSub, chat: Any) -> None:
    """Users once, anonymous connections by ID, and messages that nobody received."""
    red = wps_local.group("red")
    chat.send_to_group("red", "early", content_type=TEXT)
    for connection_id in ("c1", "c2"):
        wps_local.client("ada", hub="chat", groups=["red"], connection_id=connection_id)
    wps_local.client(hub="chat", groups=["red"], connection_id="c3")
    chat.send_to_group("red", {"a": 1})
    chat.send_to_group("blue", "other", content_type=TEXT)
    chat.send_to_user("ada", "other", content_type=TEXT)

    assert red.users == {"ada"}
    assert red.connections == {"c1", "c2", "c3"}
    assert red.messages == ["early", {"a": 1}]
    assert repr(red) == "<group red in hub chat: user ada and 1 connection without a user>"
    assert repr(wps_local.group("blue")) == "<group blue in hub chat: no connections>"


def test_a_user_has_the_groups_and_messages_of_all_its_connections(
    wps_local: LocalPubSub, chat: Any
) -> None:
    """A message counts once, however it reached the user and on however many connections."""
    wps_local.client("ada", hub="chat", groups=["red"], connection_id="c1")
    wps_local.client("ada", hub="chat", groups=["blue"], connection_id="c2")
    ada, bob = wps_local.user("ada"), wps_local.user("bob")
    chat.send_to_all("all", content_type=TEXT)
    chat.send_to_group("red", "red", content_type=TEXT)
    chat.send_to_connection("c2", b"\0", content_type="application/octet-stream")
    chat.send_to_user("bob", "nobody", content_type=TEXT)

    assert ada.groups == {"red", "blue"}
    assert (ada.connections, ada.is_connected) == ({"c1", "c2"}, True)
    assert ada.messages == ["all", "red", b"\0"]
    assert repr(ada) == "<user ada in hub chat: 2 connections, in groups blue, red>"
    assert (bob.is_connected, bob.groups, bob.messages) == (False, set(), [])
    assert repr(bob) == "<user bob in hub chat: no connections, in no group>"


def test_a_connection_has_its_permissions(wps_local: LocalPubSub, chat: Any) -> None:
    """Those that the service would report; a client is a connection, too."""
    ada = wps_local.client("ada", hub="chat", groups=["red"], connection_id="c1")
    same, other = wps_local.connection("c1"), wps_local.connection("c9")
    chat.grant_permission("sendToGroup", "c1", target_name="red")
    chat.send_to_connection("c1", "hi", content_type=TEXT)

    assert ada.has_permission("sendToGroup", "red")
    assert same.has_permission("sendToGroup", "red")
    assert not same.has_permission("joinLeaveGroup", "red")
    assert not other.has_permission("sendToGroup", "red")
    assert (same.user, same.groups, same.messages) == ("ada", {"red"}, ["hi"])
    assert (other.user, other.groups, other.is_connected) == (None, set(), False)
    assert repr(ada) == "<client ada in hub chat: in group red, may sendToGroup red>"
    assert repr(same) == "<connection c1 in hub chat: user ada, in group red, may sendToGroup red>"
    assert repr(other) == "<connection c9 in hub chat: not connected>"
    with pytest.raises(ValueError, match="`send` is not a permission; use sendToGroup or joinLe"):
        ada.has_permission("send", "red")


def test_a_hub_has_everybody_and_what_was_sent_to_all(wps_local: LocalPubSub, chat: Any) -> None:
    """Its groups and users; the emulator shows all hubs."""
    wps_local.client("ada", hub="Chat", groups=["red"], connection_id="c1")
    chat.send_to_all("all", content_type=TEXT)
    chat.send_to_group("red", "red", content_type=TEXT)
    hub = wps_local.hub("CHAT")

    assert (hub.users, hub.groups, hub.connections) == ({"ada"}, {"red"}, {"c1"})
    assert (hub.hub, hub.messages) == ("chat", ["all"])
    assert repr(hub) == "<hub chat: user ada; group red>"
    assert repr(wps_local) == (f"<LocalPubSub {wps_local.endpoint}: hub chat: user ada; group red>")


def test_long_and_invisible_names_are_shortened_in_a_repr(wps_local: LocalPubSub) -> None:
    """So that a test runner shows them whole."""
    for number in range(100, 112):
        wps_local.client(f"user-{number}", groups=["red"])
    wps_local.client("a" * 100 + "\u202e", groups=["blue"])

    assert repr(wps_local.group("red")).endswith("user-108, user-109, and 2 more>")
    assert len(repr(wps_local.group("blue"))) < 80
    assert "\\u202e" in repr(wps_local.group("blue"))


def test_the_hub_that_is_not_named_is_the_only_one_in_use(
    wps_local: LocalPubSub, chat: Any
) -> None:
    """By a client or a request. With several, a name is required, and a repr says so."""
    red = wps_local.group("red")
    assert red.hub == "local"
    chat.send_to_all("x", content_type=TEXT)
    ada = wps_local.client("ada", groups=["red"])
    assert (ada.hub, red.hub, red.users) == ("chat", "chat", {"ada"})

    wps_local.client("bob", hub="news")

    with pytest.raises(ValueError, match="the hubs chat and news are in use: name one, as in hub="):
        wps_local.group("red").users  # noqa: B018 -- reads it
    assert "name one" in repr(red)
    assert wps_local.group("red", hub="CHAT").users == {"ada"}
    wps_local.reset()
    assert red.hub == "local"


def real_client(chat: Any, user: str) -> WebPubSubClient:
    """The official SDK for clients."""
    url = chat.get_client_access_token(user_id=user, roles=["webpubsub.joinLeaveGroup"])["url"]
    return WebPubSubClient(url)


def test_real_clients_are_waited_for(wps_local: LocalPubSub, chat: Any) -> None:
    """They connect, join, receive and leave at their own time."""
    hub, red, ada = wps_local.hub("chat"), wps_local.group("red"), wps_local.user("ada")
    client = real_client(chat, "ada")
    with client:
        hub.wait_until(users={"ada"})
        client.join_group("red")
        red.wait_until(users=["ada"])
        chat.send_to_group("red", "hi", content_type=TEXT)
        red.wait_until(users={"ada"}, messages=["hi"])
        ada.wait_until(groups={"red"}, messages=["hi"])
        (connection_id,) = ada.connections
        assert wps_local.connection(connection_id).has_permission("joinLeaveGroup", "blue")
        assert "may joinLeaveGroup all groups" in repr(wps_local.connection(connection_id))
    red.wait_until(users=())
    hub.wait_until(connections=[])

    kinds = [str(entry.what.kind) for entry in wps_local.events]  # type: ignore[union-attr]
    assert kinds == ["connected", "joined", "disconnected"]
    assert repr(wps_local.events[1]).startswith("<joined ")


CHANGES: dict[str, tuple[Callable[[LocalPubSub, SimulatedClient], object], set[str]]] = {
    "a client connects": (lambda local, _: local.client("bob", groups=["red"]), {"ada", "bob"}),
    "a client leaves": (lambda _, ada: ada.leave(), set()),
    "the emulator is reset": (lambda local, _: local.reset(), set()),
}


@pytest.mark.parametrize("name", CHANGES)
def test_changes_by_the_test_itself_are_waited_for(wps_local: LocalPubSub, name: str) -> None:
    """By one thread, while another one makes them."""
    change, users = CHANGES[name]
    ada = wps_local.client("ada", groups=["red"])

    with ThreadPoolExecutor(1) as other:
        waiting = other.submit(wps_local.group("red").wait_until, users=users)
        change(wps_local, ada)

        waiting.result()


async def test_async_tests_wait_without_blocking(wps_local: LocalPubSub, chat: Any) -> None:
    """The event loop of the test continues."""
    wps_local.client("ada", hub="chat")
    red = wps_local.group("red")
    waiting = asyncio.create_task(red.await_until(users={"ada"}))

    await asyncio.to_thread(chat.add_user_to_group, "red", "ada")

    await waiting
    with pytest.raises(TimeoutError, match=r"users are \{'ada'\}, not \{\}"):
        await red.await_until(users=(), timeout=0.01)


def test_a_wait_in_vain_says_what_is_there(wps_local: LocalPubSub, chat: Any) -> None:
    """Each property, and the members."""
    wps_local.client("ada", hub="chat", groups=["red"])
    chat.send_to_group("red", "hi", content_type=TEXT)

    with pytest.raises(TimeoutError) as caught:
        wps_local.group("red").wait_until(users=["bob", "ada"], messages=["ho"], timeout=0.01)

    assert str(caught.value) == (
        "<group red in hub chat: user ada>: after 0.01 s, users are {'ada'}, not {'ada', 'bob'}, "
        "messages are ['hi'], not ['ho']"
    )


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        ({}, "say what to wait for: users, connections, messages"),
        ({"user": {"ada"}}, "`user` cannot be waited for; use users, connections, messages"),
        ({"users": "ada"}, "`users` is a collection: write users={'ada'}"),
    ],
)
def test_a_wait_for_nothing_is_a_type_error(
    wps_local: LocalPubSub, expected: Any, message: str
) -> None:
    """It must not last until its timeout."""
    with pytest.raises(TypeError, match=message):
        wps_local.group("red").wait_until(**expected)


def test_a_wait_ends_with_the_emulator() -> None:
    """A thread that waits is not left behind, and a view that is shown later says why."""
    emulator, seen = LocalPubSub(), threading.Event()
    red = emulator.group("red")

    def wait() -> None:
        seen.set()
        red.wait_until(users={"ada"}, timeout=60)

    with ThreadPoolExecutor(1) as other:
        with emulator:
            waiting = other.submit(wait)
            seen.wait(5)
        with pytest.raises(RuntimeError, match=r"the emulator (stopped|is not running)"):
            waiting.result()

    assert repr(red) == "<group red: the emulator is not running>"
    assert repr(emulator) == "<LocalPubSub: not running>"


def test_callbacks_in_the_emulators_thread_may_read_but_not_wait() -> None:
    """Reading must not wait for the thread that reads."""
    seen: list[Any] = []

    def read(_: object) -> None:
        seen.append(emulator.hub("chat").users)
        with pytest.raises(RuntimeError, match="cannot wait in its own thread"):
            emulator.hub("chat").wait_until(users=())

    with LocalPubSub(on_request=read) as emulator:
        emulator.client("ada", hub="chat")
        chat = WebPubSubServiceClient.from_connection_string(emulator.connection_string, "chat")
        chat.send_to_all("hi", content_type=TEXT)

    assert seen == [{"ada"}]
