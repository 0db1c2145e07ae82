"""What a run is and where its actions are sent, as headers and reports show it. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from wps_run.playbook.shards import Shard
from wps_run.text import replace_invisible


class Destination(StrEnum):
    """Where the actions are sent: to the emulator, nowhere, or to the service."""

    LOCAL = "LOCAL"
    PLAN = "PLAN"
    SERVICE = "SERVICE"


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What is run, and where.

    Attributes:
        destination: Where the actions are sent.
        endpoints: Host and port of each service, without repeats.
        hubs: The hubs, without repeats.
        playbooks: The names of the playbooks, in order.
        total: The number of actions.
        pace: Mode and concurrency, as text.
        shard: The shard of the plan, or None for all of it.
        plan_total: The number of actions that are selected, all shards included; 0 if not counted.
        selection: The flags that select them, or "".
        left_out: The number of actions of the plan that are not selected.
        expectations: The number of expectations that are checked after the actions.
        unread: The number of actions in the playbooks whose rows were not read, which are in no
            other number.
        environment_name: The environment of `wps-run.yaml` that was chosen, or None.
    """

    destination: Destination
    endpoints: tuple[str, ...]
    hubs: tuple[str, ...]
    playbooks: tuple[str, ...]
    total: int
    pace: str
    shard: Shard | None = None
    plan_total: int = 0
    expectations: int = 0
    unread: int = 0
    selection: str = ""
    left_out: int = 0
    environment_name: str | None = None

    @property
    def part_suffix(self) -> str:
        """Shard, selection and environment, to follow the destination, or nothing.

        For example ` shard 2/4, selection --tags red · environment prod`.
        """
        shard = f" shard {self.shard}" if self.shard else ""
        selection = f", selection {self.selection}" if self.selection else ""
        environment = f" · environment {self.environment_name}" if self.environment_name else ""
        return shard + selection + environment

    def __str__(self) -> str:
        """One line: destination, hubs, playbooks, number of actions and pace."""
        destination = {
            Destination.LOCAL: "LOCAL rehearsal (nothing leaves this machine)",
            Destination.PLAN: "PLAN (nothing is sent)",
            Destination.SERVICE: f"SERVICE {', '.join(self.endpoints)}",
        }[self.destination]
        total = self.plan_total if self.shard else self.total
        part = f"{self.total} of " if self.shard else ""
        if self.selection:
            part, total = f"{part}{total} of ", total + self.left_out
        size = f"{part}{total} {'action' if total == 1 else 'actions'}"
        size += " and those of live rows" if self.unread else ""
        if self.expectations:
            expectations = "expectation" if self.expectations == 1 else "expectations"
            more = f"{self.expectations} {expectations}"
            size = f"{size} and {more}" if total or self.unread else more
        playbooks = replace_invisible(", ".join(self.playbooks))
        return (
            f"{destination}{self.part_suffix} · hub {', '.join(self.hubs)} · {playbooks} · "
            f"{size}, {self.pace}"
        )
