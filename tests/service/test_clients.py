"""Effects reach the clients behind the IDs."""

from collections.abc import Callable
from typing import Any

from runner.service.clients import Clients
from runner.service.effects import Close, DataType, Deliver, Message

HELLO = Message(b"hello", DataType.TEXT)


def test_a_message_reaches_each_attached_client(make_listener: Callable[[], Any]) -> None:
    """IDs without a client, and clients that have left, are passed over."""
    clients, here, left = Clients(), make_listener(), make_listener()
    clients.attach("a", here)
    clients.attach("b", left)
    clients.detach("b")

    clients.perform(Deliver(("a", "b", "gone"), HELLO))

    assert here.heard == [HELLO]
    assert left.heard == []


def test_a_closed_client_hears_the_reason_once_and_nothing_more(
    make_listener: Callable[[], Any],
) -> None:
    """It is forgotten with the close."""
    clients, one = Clients(), make_listener()
    clients.attach("a", one)

    clients.perform(Close(("a", "gone"), "bye"))
    clients.perform(Close(("a",), "again"))
    clients.perform(Deliver(("a",), HELLO))

    assert one.ends == ["bye"]
    assert one.heard == []


def test_clients_can_be_asked_for(make_listener: Callable[[], Any]) -> None:
    """One by its ID, or all there are; a closed one is among them no more."""
    clients, first, second = Clients(), make_listener(), make_listener()
    clients.attach("a", first)
    clients.attach("b", second)
    assert clients.get("a") is first
    assert clients.get("gone") is None
    clients.perform(Close(("a",), ""))

    assert clients.all() == (second,)
