"""wps-run: run batches of Azure Web PubSub actions, written as YAML playbooks.

For programs::

    from wps_run import RunOverrides, load_playbook, plan, run

    plans = plan([load_playbook("rooms.yaml")], RunOverrides(environment=os.environ))
    async for result in run(plans):
        print(result.status, result.target)

For tests, `LocalPubSub` is the embedded service in a thread of its own.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wps_run.emulator.testing import LocalPubSub
    from wps_run.planning import Plan, RunOverrides, load_playbook, plan, validate
    from wps_run.running import run

__all__ = ["LocalPubSub", "Plan", "RunOverrides", "load_playbook", "plan", "run", "validate"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 -- whatever the name stands for
    """Import the public names when they are first asked for, so that `--help` stays quick."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = {"LocalPubSub": "wps_run.emulator.testing", "run": "wps_run.running"}
    return getattr(import_module(home.get(name, "wps_run.planning")), name)
