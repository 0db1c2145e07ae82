"""Tests of delivering effects to clients."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from wps_run.emulator.clients import WRITE_BUFFER_LIMIT, Clients
from wps_run.emulator.effects import Close, DataType, Deliver, Message

HELLO = Message(b"hello", DataType.TEXT)


def test_a_message_reaches_each_attached_client(make_client: Callable[[], Any]) -> None:
    """IDs without a client, and clients that have left, are ignored."""
    clients, client, former = Clients(), make_client(), make_client()
    clients.attach("a", client)
    clients.attach("b", former)
    clients.detach("b")

    clients.perform(Deliver(("a", "b", "gone"), HELLO))

    assert client.received == [HELLO]
    assert former.received == []


def test_a_closed_client_receives_the_reason_once_and_nothing_more(
    make_client: Callable[[], Any],
) -> None:
    """It is removed with the close."""
    clients, client = Clients(), make_client()
    clients.attach("a", client)

    clients.perform(Close(("a", "gone"), "bye"))
    clients.perform(Close(("a",), "again"))
    clients.perform(Deliver(("a",), HELLO))

    assert client.close_reasons == ["bye"]
    assert client.received == []


def test_clients_can_be_looked_up(make_client: Callable[[], Any]) -> None:
    """One by its ID, or all; a closed one is removed."""
    clients, first, second = Clients(), make_client(), make_client()
    clients.attach("a", first)
    clients.attach("b", second)
    assert clients.get("a") is first
    assert clients.get("gone") is None
    clients.perform(Close(("a",), ""))

    assert clients.all() == (second,)


@dataclass
class FakeTransport:
    """A transport whose peer reads nothing."""

    unsent: int = 0
    is_closed: bool = False
    written: list[bytes] = field(default_factory=list)

    def is_closing(self) -> bool:
        """Whether it is closed."""
        return self.is_closed

    def get_write_buffer_size(self) -> int:
        """The unsent bytes."""
        return self.unsent

    def write(self, data: bytes, /) -> None:
        """Record written bytes."""
        self.written.append(data)


def test_clients_on_the_fast_path_receive_a_frame_encoded_once_for_their_kind(
    make_client: Callable[[], Any],
) -> None:
    """In the order of the effect, with the other clients; a full transport is not written to."""
    clients, recorders = Clients(), {name: make_client() for name in "abcdef"}
    transports = {
        "a": FakeTransport(),
        "b": FakeTransport(),
        "c": FakeTransport(WRITE_BUFFER_LIMIT),
        "d": FakeTransport(WRITE_BUFFER_LIMIT + 1),
        "e": FakeTransport(is_closed=True),
    }
    encoded: list[str] = []

    def encode(message: Message) -> bytes:
        encoded.append("first")
        return b"1" + message.data

    def encode_other(message: Message) -> bytes:
        encoded.append("second")
        return b"2" + message.data

    for name, recorder in recorders.items():
        clients.attach(name, recorder)
    for name, transport in transports.items():
        clients.enable_fast_path(name, transport, encode_other if name == "b" else encode)

    clients.perform(Deliver((*recorders, "gone"), HELLO))

    assert {name: transport.written for name, transport in transports.items()} == {
        "a": [b"1hello"],
        "b": [b"2hello"],
        "c": [b"1hello"],
        "d": [],
        "e": [],
    }
    assert encoded == ["first", "second"]
    assert [name for name, recorder in recorders.items() if recorder.received] == ["d", "e", "f"]


def test_the_fast_path_ends(make_client: Callable[[], Any]) -> None:
    """When it is disabled, and when the client leaves or is closed."""
    clients, recorder = Clients(), make_client()
    transports = {name: FakeTransport() for name in "abc"}
    for name, transport in transports.items():
        clients.attach(name, recorder)
        clients.enable_fast_path(name, transport, lambda message: message.data)

    clients.disable_fast_path("a")
    clients.detach("b")
    clients.perform(Close(("c",), "bye"))
    clients.perform(Deliver(("a", "b", "c"), HELLO))

    assert [transport.written for transport in transports.values()] == [[], [], []]
    assert recorder.received == [HELLO]
    assert recorder.close_reasons == ["bye"]
