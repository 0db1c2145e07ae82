"""Manage Azure Web PubSub groups, permissions, messages and connections from a YAML file.

For programs::

    from wps_run import RunOverrides, load_playbook, plan, run

    plans = plan([load_playbook("rooms.yaml")], RunOverrides(environment=os.environ))
    async for result in run(plans):
        print(result.status, result.target)

For tests, `LocalPubSub` is the emulator in a thread of its own.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wps_run.checking import load_playbook, validate
    from wps_run.emulator.testing import LocalPubSub
    from wps_run.listening import membership
    from wps_run.planning import Plan, RunOverrides, plan
    from wps_run.reading import read_live

__all__ = [
    "LocalPubSub",
    "Plan",
    "RunOverrides",
    "load_playbook",
    "membership",
    "plan",
    "read_live",
    "validate",
]

_MODULES = {
    "LocalPubSub": "emulator.testing",
    "Plan": "planning",
    "RunOverrides": "planning",
    "load_playbook": "checking",
    "membership": "listening",
    "plan": "planning",
    "read_live": "reading",
    "validate": "checking",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 -- whatever the name stands for
    """Import a public name when it is first used, so that `wps-run --help` starts quickly."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
