"""Tests of delivering effects to clients."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from wps_run.emulator.clients import WRITE_BUFFER_LIMIT, Clients
from wps_run.emulator.effects import Close, DataType, Deliver, Message
from wps_run.emulator.websocket.send_queue import ClientLimits, SendQueue

HELLO = Message(b"hello", DataType.TEXT)


def test_a_message_reaches_each_attached_client(make_client: Callable[[], Any]) -> None:
    """IDs without a client, and clients that have left, are ignored."""
    clients, client, former = Clients(), make_client(), make_client()
    clients.attach("a", client)
    clients.attach("b", former)
    clients.detach("b")

    clients.perform(Deliver(("a", "b", "gone"), HELLO), 0)

    assert client.received == [HELLO]
    assert former.received == []


def test_a_closed_client_receives_the_reason_once_and_nothing_more(
    make_client: Callable[[], Any],
) -> None:
    """It is removed with the close."""
    clients, client = Clients(), make_client()
    clients.attach("a", client)

    clients.perform(Close(("a", "gone"), "bye"), 0)
    clients.perform(Close(("a",), "again"), 0)
    clients.perform(Deliver(("a",), HELLO), 0)

    assert client.close_reasons == ["bye"]
    assert client.received == []


def test_clients_can_be_looked_up(make_client: Callable[[], Any]) -> None:
    """One by its ID, or all; a closed one is removed."""
    clients, first, second = Clients(), make_client(), make_client()
    clients.attach("a", first)
    clients.attach("b", second)
    assert clients.get("a") is first
    assert clients.get("gone") is None
    clients.close(Close(("a",), ""))

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


@dataclass(eq=False)
class PrefixEncoder:
    """Encodes a message as a prefix, its number and its data; records the numbers it encodes."""

    prefix: bytes
    numbers: list[int | None] = field(default_factory=list)

    def encode(self, message: Message, number: int | None) -> bytes:
        """Encode a message."""
        self.numbers.append(number)
        return self.prefix + str(number or "").encode() + message.data


def test_clients_on_the_fast_path_receive_a_frame_encoded_once_for_their_kind(
    make_client: Callable[[], Any],
) -> None:
    """A full or closed transport is not written to: the client object receives the message."""
    clients, recorders = Clients(), {name: make_client() for name in "abcdef"}
    transports = {
        "a": FakeTransport(),
        "b": FakeTransport(),
        "c": FakeTransport(WRITE_BUFFER_LIMIT),
        "d": FakeTransport(WRITE_BUFFER_LIMIT + 1),
        "e": FakeTransport(is_closed=True),
    }
    encoder, other_encoder = PrefixEncoder(b"1"), PrefixEncoder(b"2")
    for name, recorder in recorders.items():
        clients.attach(name, recorder)
    for name, transport in transports.items():
        clients.enable_fast_path(name, transport, other_encoder if name == "c" else encoder)

    clients.perform(Deliver((*recorders, "gone"), HELLO), 0)

    assert {name: transport.written for name, transport in transports.items()} == {
        "a": [b"1hello"],
        "b": [b"1hello"],
        "c": [b"2hello"],
        "d": [],
        "e": [],
    }
    assert (encoder.numbers, other_encoder.numbers) == ([None], [None])
    assert [name for name, recorder in recorders.items() if recorder.received] == ["d", "e", "f"]


def test_the_fast_path_ends(make_client: Callable[[], Any]) -> None:
    """When it is disabled, and when the client leaves or is closed."""
    clients, recorder = Clients(), make_client()
    transports = {name: FakeTransport() for name in "abc"}
    for name, transport in transports.items():
        clients.attach(name, recorder)
        clients.enable_fast_path(name, transport, PrefixEncoder(b""))

    clients.disable_fast_path("a")
    clients.detach("b")
    clients.perform(Close(("c",), "bye"), 0)
    clients.perform(Deliver(("a", "b", "c"), HELLO), 0)

    assert [transport.written for transport in transports.values()] == [[], [], []]
    assert recorder.received == [HELLO]
    assert recorder.close_reasons == ["bye"]


def test_reliable_clients_with_the_same_number_receive_one_frame(
    make_client: Callable[[], Any],
) -> None:
    """Others their own; a client that may not be sent more receives the message itself."""
    clients, recorders = Clients(), {name: make_client() for name in "abcde"}
    transports = {name: FakeTransport() for name in recorders}
    queues = {name: SendQueue(ClientLimits(max_messages=8), is_reliable=True) for name in recorders}
    for name, missed in {"a": 0, "b": 0, "c": 6, "d": 8, "e": 6}.items():
        for _ in range(missed):
            queues[name].record_sent(HELLO, 0)
    encoder = PrefixEncoder(b"#")
    for name, recorder in recorders.items():
        clients.attach(name, recorder)
        clients.enable_fast_path(name, transports[name], encoder, queues[name].record_sent)

    clients.perform(Deliver(tuple(recorders), HELLO), 0)
    clients.perform(Deliver(tuple(recorders), HELLO), 0)

    assert {name: transport.written for name, transport in transports.items()} == {
        "a": [b"#1hello", b"#2hello"],
        "b": [b"#1hello", b"#2hello"],
        "c": [b"#7hello", b"#8hello"],
        "d": [],
        "e": [b"#7hello", b"#8hello"],
    }
    assert encoder.numbers == [1, 7, 2, 8]
    assert recorders["d"].received == [HELLO, HELLO]
    assert [name for name, recorder in recorders.items() if recorder.received] == ["d"]
