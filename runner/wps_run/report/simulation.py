"""What a rehearsal shows: who is where, who heard what, who was closed, what is permitted."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Any, TypeVar

from wps_run.report.values import cut, value_text
from wps_run.text import display_width, escape_invisible, pad

LISTED = 12
"""The most names shown in one line for the eye; the rest is counted."""

NAMES_CELLS = 64
"""About how many columns the names in one line may take."""

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class MessageDelivery:
    """One message and who heard it.

    Attributes:
        origin: `server`, or the group that it was sent to.
        data_type: `text`, `json` or `binary`.
        data: The message, or None when it is not told.
        listeners: The clients that received it.
        withheld: How many bytes a message has that is not told.
    """

    origin: str
    data_type: str
    data: bytes | None
    listeners: tuple[str, ...]
    withheld: int = 0

    @property
    def size(self) -> int:
        """Bytes of the message."""
        return self.withheld if self.data is None else len(self.data)

    @property
    def told(self) -> str | None:
        """The message as text, or None when it is not told, or not text."""
        if self.data is None or self.data_type == "binary":
            return None
        return self.data.decode(errors="replace")

    @property
    def shown(self) -> str:
        """The message in quotes, or how long it is."""
        if self.told is None:
            kind = f" of {self.data_type}" if self.data_type != "binary" else ""
            return f"{self.size:,} {'byte' if self.size == 1 else 'bytes'}{kind}"
        return f'"{self.told}"'


@dataclass(frozen=True, slots=True)
class ClosedClient:
    """One client that was cut off, and the reason it was told; "" for none."""

    client: str
    reason: str


@dataclass(frozen=True, slots=True)
class PermissionState:
    """What one connection may, or may no longer, do with a group."""

    connection: str
    permission: str
    group: str
    allowed: bool


@dataclass(frozen=True, slots=True)
class FaultHits:
    """A fault on demand, and how many requests to the hub it struck, by operation."""

    fault: str
    operations: tuple[tuple[str, int], ...]

    @property
    def count(self) -> int:
        """How many requests it struck."""
        return sum(count for _, count in self.operations)


@dataclass(frozen=True, slots=True)
class Simulation:
    """The state that a run would leave in one hub, and what clients would notice.

    Attributes:
        hub: The hub.
        clients: How many simulated clients there were.
        groups: Each group that has members, with them.
        heard: The messages in the order in which they were sent.
        closed: The clients cut off, in order.
        permissions: What was granted or revoked for connections still open.
        absent: Whom the playbooks name, but who was not there at the end, by request.
        struck: The faults that were asked for.
        repeats: How many requests were sent again.
        fault_seed: What brings the same faults again; None when none were asked for.
    """

    hub: str
    clients: int
    groups: tuple[tuple[str, tuple[str, ...]], ...]
    heard: tuple[MessageDelivery, ...]
    closed: tuple[ClosedClient, ...]
    permissions: tuple[PermissionState, ...]
    absent: tuple[str, ...] = ()
    struck: tuple[FaultHits, ...] = ()
    repeats: int = 0
    fault_seed: int | None = None

    def as_text(self) -> str:
        """The outlook for a terminal; long lists are counted instead of shown whole."""
        clients = f"{self.clients} simulated {'client' if self.clients == 1 else 'clients'}"
        lines = [f"\nWhat would happen in hub {self.hub} ({clients}):"]
        lines += _part("Groups", self.groups, _group)
        lines += _part("Messages", _alike(self.heard), _message)
        lines += _part("Closed", _by_reason(self.closed), _closed)
        lines += _part("Permissions", _by_rules(self.permissions), _permission)
        if self.absent:
            lines += ["\n  Not there", f"    {_names(Counter(self.absent))}"]
        if self.fault_seed is not None:
            title = f"Faults (--fault-seed {self.fault_seed} brings them again)"
            lines += _part(title, self.struck, _struck)
            again = f"{_requests(self.repeats)} {'was' if self.repeats == 1 else 'were'}"
            lines.append(f"    {self.repeats:,} {again} sent again")
        return "\n".join(lines) + "\n"

    def as_json(self) -> dict[str, Any]:
        """The outlook for machines, whole; a message that is not told is given as its size only."""
        record: dict[str, Any] = {
            "type": "rehearsal",
            "hub": self.hub,
            "clients": self.clients,
            "groups": {group: list(members) for group, members in self.groups},
            "messages": [
                {
                    "from": heard.origin,
                    "dataType": heard.data_type,
                    "bytes": heard.size,
                    "data": heard.told,
                    "heardBy": list(heard.listeners),
                }
                for heard in self.heard
            ],
            "closed": [{"client": one.client, "reason": one.reason} for one in self.closed],
            "permissions": [
                {
                    "connectionId": one.connection,
                    "permission": one.permission,
                    "group": one.group,
                    "allowed": one.allowed,
                }
                for one in self.permissions
            ],
        }
        if self.absent:
            record["absent"] = list(self.absent)
        if self.fault_seed is not None:
            record["faultSeed"] = self.fault_seed
            record["faults"] = [
                {"fault": one.fault, "struck": one.count, "operations": dict(one.operations)}
                for one in self.struck
            ]
            record["repeats"] = self.repeats
        return record

    def withheld(self) -> "Simulation":
        """The outlook without its messages, as a journal, which never holds payloads, keeps it."""
        heard = (replace(one, data=None, withheld=one.size) for one in self.heard)
        return replace(self, heard=tuple(heard))


def simulation_from(record: Mapping[str, Any]) -> Simulation:
    """The outlook that a record was made from; binary messages are not told."""
    return Simulation(
        hub=record["hub"],
        clients=record["clients"],
        groups=tuple((group, tuple(members)) for group, members in record["groups"].items()),
        heard=tuple(
            MessageDelivery(
                one["from"],
                one["dataType"],
                None if one["data"] is None else one["data"].encode(),
                tuple(one["heardBy"]),
                one["bytes"],
            )
            for one in record["messages"]
        ),
        closed=tuple(ClosedClient(one["client"], one["reason"]) for one in record["closed"]),
        permissions=tuple(
            PermissionState(one["connectionId"], one["permission"], one["group"], one["allowed"])
            for one in record["permissions"]
        ),
        absent=tuple(record.get("absent", ())),
        struck=tuple(
            FaultHits(one["fault"], tuple(one["operations"].items()))
            for one in record.get("faults", ())
        ),
        repeats=record.get("repeats", 0),
        fault_seed=record.get("faultSeed"),
    )


def _part(
    title: str, items: Sequence[_Item], row: Callable[[_Item], tuple[str, str]]
) -> Iterator[str]:
    """A titled list of two columns; only what is shown is worked out."""
    yield f"\n  {title}"
    rows = [row(item) for item in items[:LISTED]]
    if not rows:
        yield "    none"
        return
    width = min(32, max(display_width(left) for left, _ in rows))
    for left, right in rows:
        yield f"    {pad(left, width)}  {right}".rstrip()
    if len(items) > LISTED:
        yield f"    … and {len(items) - LISTED:,} more"


def _group(item: tuple[str, tuple[str, ...]]) -> tuple[str, str]:
    group, members = item
    return value_text(group), _names(Counter(members))


def _alike(heard: Iterable[MessageDelivery]) -> Sequence[Sequence[MessageDelivery]]:
    """The messages, those that are the same in one."""
    by_message: dict[MessageDelivery, list[MessageDelivery]] = {}
    for one in heard:
        by_message.setdefault(replace(one, listeners=()), []).append(one)
    return list(by_message.values())


def _message(alike: Sequence[MessageDelivery]) -> tuple[str, str]:
    one = alike[0]
    text = one.told
    shown = one.shown if text is None else f'"{cut(_on_one_line(text))}"'
    times = f", {len(alike):,} times" if len(alike) > 1 else ""
    listeners = Counter(chain.from_iterable(each.listeners for each in alike))
    return (
        f"{shown} from {value_text(one.origin)}{times}",
        f"heard by {_names(listeners) if listeners else 'nobody'}",
    )


def _on_one_line(text: str) -> str:
    return escape_invisible(text.replace("\n", " "))


def _by_reason(closed: Iterable[ClosedClient]) -> Sequence[tuple[str, Counter[str]]]:
    by_reason: dict[str, Counter[str]] = {}
    for one in closed:
        by_reason.setdefault(one.reason, Counter())[one.client] += 1
    return list(by_reason.items())


def _closed(item: tuple[str, Counter[str]]) -> tuple[str, str]:
    reason, clients = item
    return (value_text(reason) if reason else "no reason given"), _names(clients)


def _by_rules(
    permissions: Iterable[PermissionState],
) -> Sequence[tuple[tuple[str, ...], Counter[str]]]:
    """The connections that may do the same, together."""
    by_connection: dict[str, list[str]] = {}
    for one in permissions:
        verb = "may" if one.allowed else "may not"
        rule = f"{verb} {one.permission} {value_text(one.group)}"
        by_connection.setdefault(one.connection, []).append(rule)
    by_rules: dict[tuple[str, ...], Counter[str]] = {}
    for connection, rules in by_connection.items():
        by_rules.setdefault(tuple(rules), Counter())[connection] += 1
    return list(by_rules.items())


def _permission(item: tuple[tuple[str, ...], Counter[str]]) -> tuple[str, str]:
    rules, connections = item
    more = f" and {len(rules) - LISTED:,} more" if len(rules) > LISTED else ""
    return _names(connections), ", ".join(rules[:LISTED]) + more


def _struck(one: FaultHits) -> tuple[str, str]:
    if not one.operations:
        return one.fault, "struck no request"
    operations = ", ".join(f"{name} {count:,}" for name, count in one.operations)
    return one.fault, f"struck {one.count:,} {_requests(one.count)}: {operations}"


def _names(names: Counter[str]) -> str:
    """The first names, as many as fit, and how many more; with a number those that come again."""
    shown: list[str] = []
    room = NAMES_CELLS
    for name, count in islice(names.items(), LISTED):
        word = f"{value_text(name)} ({count:,})" if count > 1 else value_text(name)
        room -= display_width(word)
        if shown and room < 0:
            break
        shown.append(word)
    rest = len(names) - len(shown)
    more = f" and {rest:,} more ({len(names):,} in all)" if rest else ""
    return ", ".join(shown) + more


def _requests(count: int) -> str:
    return "request" if count == 1 else "requests"
