"""What in a playbook the Functions output binding does not have."""

from collections.abc import Iterator

from wps_run.actions.table import Origin
from wps_run.playbook.model import Playbook
from wps_run.problems import Problem

RULE = "not-in-binding"


def beyond_binding(playbook: Playbook) -> Iterator[Problem]:
    """A problem for each action, and each property, that only the REST API has."""
    for written in playbook.actions:
        if written.action.origin is Origin.REST:
            yield playbook.document.problem(
                f"`{written.action.name}` is not an action of the Functions output binding",
                RULE,
                (*written.path, "actionName"),
            )
            continue
        for name in sorted(written.action.rest_fields & set(written.values)):
            yield playbook.document.problem(
                f"the Functions output binding has no `{name}` on `{written.action.name}`",
                RULE,
                (*written.path, name),
                at_key=True,
            )
