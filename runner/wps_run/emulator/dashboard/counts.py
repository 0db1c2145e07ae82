"""How much has happened: sums that a page shows, kept as it happens."""

from dataclasses import asdict, dataclass, fields

from wps_run.emulator.effects import Close
from wps_run.emulator.request_log import ClientEvent, RequestEntry

_REFUSED, _FAILED = 400, 500


@dataclass(slots=True)
class Counts:
    """Sums since the start, or since the last reset.

    Attributes:
        requests: Requests over HTTP.
        refused: Those answered with 4xx.
        failed: Those answered with 5xx.
        unanswered: Those to which no whole answer was given.
        struck: Those that a fault struck.
        messages: Messages that were accepted, from requests and from clients.
        deliveries: How many connections they were for, together.
        closed: Connections that requests closed.
    """

    requests: int = 0
    refused: int = 0
    failed: int = 0
    unanswered: int = 0
    struck: int = 0
    messages: int = 0
    deliveries: int = 0
    closed: int = 0

    def add(self, what: RequestEntry | ClientEvent) -> None:
        """Count a request, or what a client did."""
        if isinstance(what, RequestEntry):
            self._add_request(what)
        effect = what.effect
        if isinstance(effect, Close):
            self.closed += len(effect.connections)
        elif effect is not None:
            self.messages += 1
            self.deliveries += len(effect.connections)

    def _add_request(self, what: RequestEntry) -> None:
        self.requests += 1
        self.struck += bool(what.faults)
        if not what.status:
            self.unanswered += 1
        elif what.status >= _FAILED:
            self.failed += 1
        elif what.status >= _REFUSED:
            self.refused += 1

    def forget(self) -> None:
        """Begin anew."""
        for one in fields(self):
            setattr(self, one.name, 0)

    def as_json(self) -> dict[str, int]:
        """The sums by name."""
        return asdict(self)
