"""Effects reach the clients behind the IDs."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from wps_run.emulator.clients import WRITE_BUFFER_LIMIT, Clients
from wps_run.emulator.effects import Close, DataType, Deliver, Message

HELLO = Message(b"hello", DataType.TEXT)


def test_a_message_reaches_each_attached_client(make_client: Callable[[], Any]) -> None:
    """IDs without a client, and clients that have left, are passed over."""
    clients, here, left = Clients(), make_client(), make_client()
    clients.attach("a", here)
    clients.attach("b", left)
    clients.detach("b")

    clients.perform(Deliver(("a", "b", "gone"), HELLO))

    assert here.received == [HELLO]
    assert left.received == []


def test_a_closed_client_hears_the_reason_once_and_nothing_more(
    make_client: Callable[[], Any],
) -> None:
    """It is forgotten with the close."""
    clients, one = Clients(), make_client()
    clients.attach("a", one)

    clients.perform(Close(("a", "gone"), "bye"))
    clients.perform(Close(("a",), "again"))
    clients.perform(Deliver(("a",), HELLO))

    assert one.close_reasons == ["bye"]
    assert one.received == []


def test_clients_can_be_asked_for(make_client: Callable[[], Any]) -> None:
    """One by its ID, or all there are; a closed one is among them no more."""
    clients, first, second = Clients(), make_client(), make_client()
    clients.attach("a", first)
    clients.attach("b", second)
    assert clients.get("a") is first
    assert clients.get("gone") is None
    clients.perform(Close(("a",), ""))

    assert clients.all() == (second,)


@dataclass
class Pipe:
    """A pipe of which nothing is read."""

    unread: int = 0
    is_closed: bool = False
    taken: list[bytes] = field(default_factory=list)

    def is_closing(self) -> bool:
        """Whether it was cut."""
        return self.is_closed

    def get_write_buffer_size(self) -> int:
        """What is unread."""
        return self.unread

    def write(self, data: bytes, /) -> None:
        """Take some more."""
        self.taken.append(data)


def test_plugged_clients_get_bytes_made_once_for_their_kind(
    make_client: Callable[[], Any],
) -> None:
    """In the order of the effect, with those that are not plugged in; a full pipe is passed by."""
    clients, listeners = Clients(), {name: make_client() for name in "abcdef"}
    pipes = {
        "a": Pipe(),
        "b": Pipe(),
        "c": Pipe(WRITE_BUFFER_LIMIT),
        "d": Pipe(WRITE_BUFFER_LIMIT + 1),
        "e": Pipe(is_closed=True),
    }
    made: list[str] = []

    def one(message: Message) -> bytes:
        made.append("one")
        return b"1" + message.data

    def other(message: Message) -> bytes:
        made.append("other")
        return b"2" + message.data

    for name, listener in listeners.items():
        clients.attach(name, listener)
    for name, pipe in pipes.items():
        clients.enable_fast_path(name, pipe, other if name == "b" else one)

    clients.perform(Deliver((*listeners, "gone"), HELLO))

    assert {name: pipe.taken for name, pipe in pipes.items()} == {
        "a": [b"1hello"],
        "b": [b"2hello"],
        "c": [b"1hello"],
        "d": [],
        "e": [],
    }
    assert made == ["one", "other"]
    assert [name for name, listener in listeners.items() if listener.received] == ["d", "e", "f"]


def test_a_plug_lasts_until_it_is_pulled(make_client: Callable[[], Any]) -> None:
    """By the client, or because it is gone, one way or the other."""
    clients, listener = Clients(), make_client()
    pipes = {name: Pipe() for name in "abc"}
    for name, pipe in pipes.items():
        clients.attach(name, listener)
        clients.enable_fast_path(name, pipe, lambda message: message.data)

    clients.disable_fast_path("a")
    clients.detach("b")
    clients.perform(Close(("c",), "bye"))
    clients.perform(Deliver(("a", "b", "c"), HELLO))

    assert [pipe.taken for pipe in pipes.values()] == [[], [], []]
    assert listener.received == [HELLO]
    assert listener.close_reasons == ["bye"]
