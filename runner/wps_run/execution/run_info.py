"""What a run is and where it goes, as every report says it loudly."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from wps_run.playbook.shards import Shard
from wps_run.text import replace_invisible


class Destination(StrEnum):
    """Where the actions go."""

    LOCAL = "LOCAL"
    PLAN = "PLAN"
    SERVICE = "SERVICE"


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What is run, and where.

    Attributes:
        destination: The embedded service, nowhere, or the real service.
        endpoints: Host and port of each service, without repeats.
        hubs: The hubs, without repeats.
        playbooks: What the playbooks are called, in order.
        total: How many actions there are.
        pace: How they are run, in words.
        shard: Which share of the plan it is, or None when it is all of it.
        whole: How many actions the plan has; 0 where nobody counted them.
    """

    destination: Destination
    endpoints: tuple[str, ...]
    hubs: tuple[str, ...]
    playbooks: tuple[str, ...]
    total: int
    pace: str
    shard: Shard | None = None
    whole: int = 0

    @property
    def share(self) -> str:
        """Which share it is, to put behind the destination: ` shard 2/4`, or nothing."""
        return f" shard {self.shard}" if self.shard else ""

    def __str__(self) -> str:
        """One line: destination, hub, playbooks, size and pace."""
        where = {
            Destination.LOCAL: "LOCAL rehearsal (nothing leaves this machine)",
            Destination.PLAN: "PLAN (nothing is sent)",
            Destination.SERVICE: f"SERVICE {', '.join(self.endpoints)}",
        }[self.destination]
        hubs = f"hub {', '.join(self.hubs)}"
        many = self.whole if self.shard else self.total
        part = f"{self.total} of " if self.shard else ""
        size = f"{part}{many} {'action' if many == 1 else 'actions'}"
        playbooks = replace_invisible(", ".join(self.playbooks))
        return f"{where}{self.share} · {hubs} · {playbooks} · {size}, {self.pace}"


def run_info_record(heading: RunInfo) -> dict[str, Any]:
    """A heading as the header of a journal has it."""
    return {
        "destination": heading.destination,
        "endpoints": list(heading.endpoints),
        "hubs": list(heading.hubs),
        "playbooks": list(heading.playbooks),
        "total": heading.total,
        "pace": heading.pace,
        **_shard_record(heading),
    }


def _shard_record(heading: RunInfo) -> dict[str, Any]:
    shard = heading.shard
    return (
        {"shard": {"number": shard.number, "count": shard.count, "of": heading.whole}}
        if shard
        else {}
    )


def run_info_from(record: Mapping[str, Any]) -> RunInfo:
    """The heading that a journal's header has."""
    shard = record.get("shard")
    return RunInfo(
        destination=Destination(record["destination"]),
        endpoints=tuple(record["endpoints"]),
        hubs=tuple(record["hubs"]),
        playbooks=tuple(record["playbooks"]),
        total=record["total"],
        pace=record["pace"],
        shard=Shard(shard["number"], shard["count"]) if shard else None,
        whole=shard["of"] if shard else record["total"],
    )
