"""The result of a rehearsal: group members, message deliveries, closed clients and permissions."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from wps_run.actions.payload import CONTENT_TYPES
from wps_run.report.values import cut, value_text
from wps_run.text import display_width, escape_invisible, pad

MAX_ROWS = 12
"""The most rows of a list, and the most names in a row, in the text; the rest is counted."""

NAMES_COLUMNS = 64
"""The columns that the names in one row may take, approximately."""

NO_CLIENT = "none of the simulated clients"

_Item = TypeVar("_Item")


class MessageDelivery(
    Struct,
    frozen=True,
    omit_defaults=True,
    rename={
        "origin": "from",
        "data_type": "dataType",
        "size": "bytes",
        "text": "data",
        "recipients": "receivedBy",
    },
):
    """One message and the clients that received it.

    Attributes:
        origin: `server`, or the group that it was sent to.
        data_type: `text`, `json` or `binary`.
        size: The size of the message in bytes.
        text: The message, or None when it is binary or omitted.
        recipients: The simulated clients that received it.
        unreceived: Why none did, such as "nobody was simulated in group `red`"; "" when one did,
            and in journals of older versions.
    """

    origin: str
    data_type: Annotated[str, Meta(extra_json_schema={"enum": [*CONTENT_TYPES]})]
    size: int
    text: str | None
    recipients: tuple[str, ...]
    unreceived: str = ""

    @property
    def label(self) -> str:
        """The message in quotes, or its size when there is no text."""
        if self.text is None:
            kind = f" of {self.data_type}" if self.data_type != "binary" else ""
            return f"{self.size:,} {'byte' if self.size == 1 else 'bytes'}{kind}"
        return f'"{self.text}"'

    @property
    def no_recipients(self) -> str:
        """Why no simulated client received it, when there are no recipients."""
        return self.unreceived or "received by no simulated client"


def message_delivery(
    origin: str, data_type: str, data: bytes, recipients: tuple[str, ...], unreceived: str = ""
) -> MessageDelivery:
    """Make the delivery of a message from its data."""
    text = None if data_type == "binary" else data.decode(errors="replace")
    return MessageDelivery(origin, data_type, len(data), text, recipients, unreceived)


def masked_simulation(simulation: "Simulation", mask: Callable[[str], str]) -> "Simulation":
    """Return a simulation in which each text is masked."""
    return msgspec.convert(_masked(msgspec.to_builtins(simulation), mask), Simulation)


def _masked(value: Any, mask: Callable[[str], str]) -> Any:  # noqa: ANN401 -- plain data
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {_masked(key, mask): _masked(item, mask) for key, item in value.items()}
    return [_masked(item, mask) for item in value] if isinstance(value, list | tuple) else value


class ClosedClient(Struct, frozen=True):
    """One client whose connection was closed.

    Attributes:
        client: The client.
        reason: The reason it received; "" for none.
    """

    client: str
    reason: str


class PermissionState(
    Struct, frozen=True, rename={"connection": "connectionId", "is_allowed": "allowed"}
):
    """Whether one connection has a permission for a group.

    Attributes:
        connection: The connection.
        permission: The permission.
        group: The group.
        is_allowed: Whether the connection has it.
    """

    connection: str
    permission: str
    group: str
    is_allowed: bool

    @property
    def rule(self) -> str:
        """`may sendToGroup`, or `may not sendToGroup`."""
        return f"{'may' if self.is_allowed else 'may not'} {self.permission}"


class FaultHits(Struct, frozen=True, rename={"count": "struck"}):
    """An injected fault.

    Attributes:
        fault: The fault, as `--fault` has it.
        count: The number of requests it affected.
        operations: This number by operation.
    """

    fault: str
    count: int
    operations: dict[str, int]


class Simulation(
    Struct,
    frozen=True,
    tag="rehearsal",
    omit_defaults=True,
    rename={
        "client_count": "clients",
        "deliveries": "messages",
        "closed_clients": "closed",
        "fault_seed": "faultSeed",
        "fault_hits": "faults",
    },
):
    """The state of one hub after a rehearsal, and what its clients received.

    Attributes:
        hub: The name of the hub.
        client_count: The number of simulated clients.
        groups: Each group that has members, with the members.
        deliveries: The messages, in the order in which they were sent.
        closed_clients: The clients whose connections were closed, in order.
        permissions: What was granted or revoked for connections that are still open.
        absent: The users and connections that the playbooks name and that were still absent at the
            end, as `--absent` requested.
        fault_seed: The seed that repeats the same faults; None when none were injected.
        fault_hits: The injected faults.
        repeats: The number of requests that were sent again.
        seeded: The number of clients that are from a seed; None without a seed.
    """

    hub: str
    client_count: int
    groups: dict[str, tuple[str, ...]]
    deliveries: tuple[MessageDelivery, ...]
    closed_clients: tuple[ClosedClient, ...]
    permissions: tuple[PermissionState, ...]
    absent: tuple[str, ...] = ()
    fault_seed: int | None = None
    fault_hits: tuple[FaultHits, ...] = ()
    repeats: int = 0
    seeded: int | None = None

    @property
    def clients_text(self) -> str:
        """`2 simulated clients`, or `2 simulated clients, 2 from the seed`."""
        noun = "client" if self.client_count == 1 else "clients"
        source = "" if self.seeded is None else f", {self.seeded:,} from the seed"
        return f"{self.client_count:,} simulated {noun}{source}"

    @property
    def scope_note(self) -> str:
        """What the rehearsal cannot show. Each report says it once."""
        if self.seeded is None:
            scope = "Only clients named by the `userId` or `connectionId` of an action are"
        else:
            scope = "Only the clients of the seed are"
        return f"{scope} simulated. The real hub may have others."

    @property
    def absent_title(self) -> str:
        """`Absent`; with a seed also why."""
        return "Absent" if self.seeded is None else "Absent (not connected by the seed)"

    @property
    def faults_title(self) -> str:
        """`Faults (repeat them with --fault-seed 7)`."""
        return f"Faults (repeat them with --fault-seed {self.fault_seed})"

    def as_text(self) -> str:
        """Return the text for a terminal; long lists are counted instead of shown in full."""
        lines = [f"\nWhat would happen in hub {self.hub} ({self.clients_text}):"]
        lines += _section("Groups", [*self.groups.items()], _group_row, NO_CLIENT)
        lines += _section("Messages", _equal_messages(self.deliveries), _message_row)
        lines += _section("Closed", _by_reason(self.closed_clients), _closed_row, NO_CLIENT)
        lines += _section("Permissions", _by_rules(self.permissions), _permission_row)
        if self.absent:
            lines += [f"\n  {self.absent_title}", f"    {_names(Counter(self.absent))}"]
        if self.fault_seed is not None:
            lines += _section(self.faults_title, self.fault_hits, _fault_row)
            verb = "was" if self.repeats == 1 else "were"
            lines.append(f"    {self.repeats:,} {_requests(self.repeats)} {verb} sent again")
        return "\n".join(lines) + "\n"

    def as_json(self) -> dict[str, Any]:
        """Return the record, with nothing cut."""
        record: dict[str, Any] = msgspec.to_builtins(self)
        seeded = record.pop("seeded", None)
        if self.fault_seed is not None:
            record |= {"faults": record.get("faults", ()), "repeats": self.repeats}
        return record if seeded is None else {**record, "seeded": seeded}

    def without_text(self) -> "Simulation":
        """Return a copy without the text of the messages, for a journal, which has no payloads."""
        return replace(
            self, deliveries=tuple(replace(delivery, text=None) for delivery in self.deliveries)
        )


def simulation_from(record: Mapping[str, Any]) -> Simulation:
    """Return the simulation of a record.

    Journals of older versions have `heardBy` for `receivedBy`.

    Raises:
        TypeError, KeyError, ValueError: The record was edited.
    """
    messages = [{"receivedBy": message.get("heardBy"), **message} for message in record["messages"]]
    return msgspec.convert({**record, "messages": messages}, Simulation)


def _section(
    title: str,
    items: Sequence[_Item],
    row_of: Callable[[_Item], tuple[str, str]],
    empty: str = "none",
) -> Iterator[str]:
    """Yield a titled list of two columns; only the rows that are shown are computed."""
    yield f"\n  {title}"
    rows = [row_of(item) for item in items[:MAX_ROWS]]
    if not rows:
        yield f"    {empty}"
        return
    width = min(32, max(display_width(left) for left, _ in rows))
    for left, right in rows:
        yield f"    {pad(left, width)}  {right}".rstrip()
    if len(items) > MAX_ROWS:
        yield f"    … and {len(items) - MAX_ROWS:,} more"


def _group_row(item: tuple[str, tuple[str, ...]]) -> tuple[str, str]:
    group, members = item
    return value_text(group), _names(Counter(members))


def _equal_messages(deliveries: Iterable[MessageDelivery]) -> Sequence[Sequence[MessageDelivery]]:
    by_message: dict[MessageDelivery, list[MessageDelivery]] = {}
    for delivery in deliveries:
        message = replace(delivery, recipients=(), unreceived="")
        by_message.setdefault(message, []).append(delivery)
    return list(by_message.values())


def _message_row(deliveries: Sequence[MessageDelivery]) -> tuple[str, str]:
    message = deliveries[0]
    label = message.label
    if message.text is not None:
        one_line = message.text.replace("\n", " ")
        label = f'"{cut(escape_invisible(one_line))}"'
    times = f", {len(deliveries):,} times" if len(deliveries) > 1 else ""
    recipients = Counter(chain.from_iterable(delivery.recipients for delivery in deliveries))
    if recipients:
        received = f"received by {_names(recipients)}"
    else:
        reasons = dict.fromkeys(delivery.no_recipients for delivery in deliveries)
        more = len(reasons) - 1
        others = f" (and {more:,} other {'reason' if more == 1 else 'reasons'})" if more else ""
        received = cut(escape_invisible(next(iter(reasons)))) + others
    return f"{label} from {value_text(message.origin)}{times}", received


def _by_reason(closed_clients: Iterable[ClosedClient]) -> Sequence[tuple[str, Counter[str]]]:
    by_reason: dict[str, Counter[str]] = {}
    for closed in closed_clients:
        by_reason.setdefault(closed.reason, Counter())[closed.client] += 1
    return list(by_reason.items())


def _closed_row(item: tuple[str, Counter[str]]) -> tuple[str, str]:
    reason, clients = item
    return (value_text(reason) if reason else "no reason given"), _names(clients)


def _by_rules(
    permissions: Iterable[PermissionState],
) -> Sequence[tuple[tuple[str, ...], Counter[str]]]:
    """Return the connections that have the same rules, together."""
    by_connection: dict[str, list[str]] = {}
    for permission in permissions:
        rule = f"{permission.rule} {value_text(permission.group)}"
        by_connection.setdefault(permission.connection, []).append(rule)
    by_rules: dict[tuple[str, ...], Counter[str]] = {}
    for connection, rules in by_connection.items():
        by_rules.setdefault(tuple(rules), Counter())[connection] += 1
    return list(by_rules.items())


def _permission_row(item: tuple[tuple[str, ...], Counter[str]]) -> tuple[str, str]:
    rules, connections = item
    more = f" and {len(rules) - MAX_ROWS:,} more" if len(rules) > MAX_ROWS else ""
    return _names(connections), ", ".join(rules[:MAX_ROWS]) + more


def _fault_row(hits: FaultHits) -> tuple[str, str]:
    if not hits.operations:
        return hits.fault, "affected no request"
    operations = ", ".join(f"{name} {count:,}" for name, count in hits.operations.items())
    return hits.fault, f"affected {hits.count:,} {_requests(hits.count)}: {operations}"


def _names(names: Counter[str]) -> str:
    """Return as many names as fit and the number of others; repeated names with their count."""
    shown: list[str] = []
    columns_left = NAMES_COLUMNS
    for name, count in islice(names.items(), MAX_ROWS):
        text = f"{value_text(name)} ({count:,})" if count > 1 else value_text(name)
        columns_left -= display_width(text)
        if shown and columns_left < 0:
            break
        shown.append(text)
    rest = len(names) - len(shown)
    more = f" and {rest:,} more ({len(names):,} in all)" if rest else ""
    return ", ".join(shown) + more


def _requests(count: int) -> str:
    return "request" if count == 1 else "requests"
