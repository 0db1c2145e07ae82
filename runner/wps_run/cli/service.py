"""How a command reaches the service, by its options."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, NamedTuple, Self

from wps_run import reading
from wps_run.cli.options import HubAccess
from wps_run.cli.terminal import shell_line, show_message
from wps_run.connect.endpoint import Endpoint
from wps_run.execution.limits import Wait
from wps_run.planning import Plan
from wps_run.playbook.live import LiveGroups
from wps_run.reading import OpenClient, OpenSource
from wps_run.report.progress import wait_line
from wps_run.state.reader import StateReader
from wps_run.text import Label


class ServiceAccess(NamedTuple):
    """The options `--endpoint`, `--header` and `--ca-bundle`."""

    via: str | None
    headers: Sequence[tuple[str, str]]
    ca_bundle: str | None

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Return it from the parameters of a command; other entries are ignored."""
        return cls(values["endpoint"], values["header"], values["ca_bundle"])

    @property
    def gateway(self) -> tuple[str | None, Sequence[tuple[str, str]]]:
        """The gateway through which requests go, and the names of its headers and settings."""
        return self.via, self.headers

    def endpoint(self, plan: Plan) -> Endpoint:
        """Return where the actions of a plan are sent.

        Raises:
            SettingsError: A setting is missing, or cannot be used.
        """
        return reading.endpoint_of(plan, self.via, self.headers)

    def live_groups(self, plans: Sequence[Plan]) -> Sequence[LiveGroups]:
        """Read the live groups that the rows of plans come from.

        Raises:
            SettingsError: An endpoint is missing or cannot be used.
            ReadError: A group cannot be read.
        """
        if sys.stderr.isatty():
            show_message(Label.NOTE, "reading the live groups of the playbooks")
        return asyncio.run(reading.read_live(plans, self.clients(), on_wait=show_wait))

    def clients(self) -> OpenClient:
        """Return what makes the client of a plan.

        Raises:
            SettingsError: The file of certificates cannot be used.
        """
        return reading.new_clients(self.endpoint, ca_bundle=self.ca_bundle)

    def source(self) -> OpenSource:
        """Return what opens a reader of the hub of a plan. Raises as `clients` does."""
        return reading.service_source(self.clients(), on_wait=show_wait)


def open_reader(access: HubAccess) -> AbstractAsyncContextManager[StateReader]:
    """Return the context manager that opens a reader of the hub that the command line names.

    Raises:
        SettingsError: The endpoint cannot be used; raised on entering.
    """
    return reading.open_reader(
        access.endpoint,
        access.hub,
        access.options,
        ca_bundle=access.ca_bundle,
        secrets=access.secrets,
        on_wait=show_wait,
    )


def show_wait(wait: Wait) -> None:
    """Say on stderr that the service asks for a pause."""
    show_message(Label.NOTE, wait_line(wait))


def shown_command(command: str, name: str) -> str:
    """Return a command line with a name, for a shell."""
    return f"{command} {shell_line([name])}"
