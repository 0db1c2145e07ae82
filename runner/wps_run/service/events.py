"""What clients do, as values for whoever keeps an account of it."""

from dataclasses import dataclass
from enum import StrEnum

from wps_run.service.effects import Effect


class EventKind(StrEnum):
    """What happened to a client, or was done by it."""

    CONNECTED = "connected"
    DETACHED = "detached"
    DISCONNECTED = "disconnected"
    FAILED = "failed"
    JOINED = "joined"
    LEFT = "left"
    RECOVERED = "recovered"
    REFUSED = "refused"
    SENT = "sent"
    UNHANDLED = "unhandled"


@dataclass(frozen=True, slots=True)
class ClientEvent:
    """One thing that a client did, or that happened to it.

    Attributes:
        kind: What.
        hub: The hub's lower-case name; "" when the client named none.
        connection_id: Which connection; "" for one that never came to be.
        user_id: Whose it is, or None.
        detail: The group, or the code and reason in words. Never a token.
        effect: What other clients noticed of it, or None.
    """

    kind: EventKind
    hub: str
    connection_id: str = ""
    user_id: str | None = None
    detail: str = ""
    effect: Effect | None = None
