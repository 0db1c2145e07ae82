"""A step: one action, checked and ready to be carried out."""

from dataclasses import dataclass, field

from wps_run.actions.claims import Claim
from wps_run.actions.table import Action
from wps_run.actions.wire import Request, Value, Values
from wps_run.playbook.options import Delivery, OnError, OnMissing


@dataclass(slots=True)
class Step:
    """One action of a run, after variables are filled in and rows expanded.

    It is not changed once it is made. It is not frozen, since to make it would take three times as
    long, and each action makes one.

    Attributes:
        index: Its number among all expanded actions of the run, from 0.
        written: Its place in the playbook's list of actions, from 0.
        item: The row it was made from, from 0, or None when it is not made from rows.
        action: Its row of the action table.
        values: Its checked values.
        request: The REST call; `plan` shows it and `run` sends it.
        claims: What it touches, for the ordering.
        source: `file:line` of the action, or of the row it was made from.
        name: The author's label, or None.
        on_error: Whether its failure stops the run.
        delivery: Whether it is sent again when the outcome is unknown.
        timeout: Seconds that one attempt may take.
        on_missing: What is done when its user or connection is not there.
    """

    index: int
    written: int
    item: int | None
    action: Action
    values: Values
    request: Request
    claims: tuple[Claim, ...]
    source: str
    name: str | None
    on_error: OnError
    delivery: Delivery
    timeout: float
    on_missing: OnMissing = field(default_factory=OnMissing)

    @property
    def target(self) -> dict[str, Value]:
        """Whom it is done to: its target properties, in the order of the table."""
        values = self.values
        return {name: values[name] for name in self.action.targets if name in values}
