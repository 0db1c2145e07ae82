"""What a run takes from an earlier command: nothing, the journal that it resumes, or its plan."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from wps_run.approval import ApprovedPlan
from wps_run.cli.configuration import configured, load_configuration, with_configuration
from wps_run.cli.journals import (
    recorded_configuration,
    recorded_paths,
    require_stdin,
    resume_command,
    resumed_overrides,
)
from wps_run.cli.options import (
    given_command,
    given_options,
    map_files,
    reused_values,
    without_selection,
)
from wps_run.cli.plan_files import approved_arguments, require_approved
from wps_run.cli.service import ServiceAccess
from wps_run.journal.format import KeptOptions
from wps_run.journal.reader import History
from wps_run.journal.rows_file import read_rows
from wps_run.journal.writer import read_journal
from wps_run.journaling import JournalOptions, recorded_live
from wps_run.planning import Plan, RunOverrides
from wps_run.playbook.live import LiveGroups

Values = Mapping[str, Any]
"""The values of the parameters of a command, by name."""


class NewRun:
    """A run that takes nothing from an earlier command."""

    @property
    def recorded(self) -> KeptOptions | None:
        """The options of the earlier command; None if there was none."""
        return None

    @property
    def history(self) -> History | None:
        """What the journal says that is resumed; None if none is."""
        return None

    def given_options(self) -> KeptOptions:
        """Return the options of the command line that a journal keeps.

        Raises:
            UsageError: They do not fit the earlier command.
        """
        return given_options(click.get_current_context(), self.recorded)

    def values(self, values: Values, given: KeptOptions) -> dict[str, Any]:
        """Return the values of the command line, with those recorded and those of a file.

        Args:
            values: Those of the command line.
            given: What `given_options` returned.

        Raises:
            JournalError, UsageError: An option cannot be used again.
            PlaybookError: The configuration file is wrong, or no longer has the environment.
        """
        del given
        return configured(values)

    def arguments(
        self, overrides: RunOverrides, paths: tuple[str, ...]
    ) -> tuple[RunOverrides, tuple[str, ...]]:
        """Return the overrides and the playbooks of the run.

        Args:
            overrides: Those of the command line.
            paths: The playbooks that the command line names.

        Raises:
            UsageError: They are of another shard or plan, or something must be given again.
        """
        return overrides, paths

    def live(
        self, plans: Sequence[Plan], *, local: bool, seeded: bool
    ) -> Sequence[LiveGroups] | None:
        """Return the live groups that the earlier command has read; None to read them now.

        Args:
            plans: The plans of the run.
            local: Whether it is a rehearsal.
            seeded: Whether the rehearsal has people of its own.
        """
        del plans, local, seeded
        return None

    def require_same(
        self, plans: Sequence[Plan], access: ServiceAccess | None, kept: KeptOptions
    ) -> None:
        """Refuse a run that is not the one in the plan.

        Args:
            plans: The plans of the run.
            access: How the service is reached; None for a rehearsal.
            kept: The options of the run.

        Raises:
            ApprovalError: Something has changed.
            SettingsError: An endpoint is missing or cannot be used.
        """


@dataclass(frozen=True)
class ResumedRun(NewRun):
    """A run that is resumed. Its journal has the options, the playbooks, and what was read.

    Attributes:
        journal: The options of the journal; `resume` names it.
        path: Its name.
        content: What it says.
    """

    journal: JournalOptions
    path: str
    content: History

    @property
    def history(self) -> History:
        return self.content

    @property
    def recorded(self) -> KeptOptions:
        """The options of the run; none in the journal of an old version."""
        return self.history.options or {}

    def given_options(self) -> KeptOptions:
        return without_selection(
            click.get_current_context(),
            super().given_options(),
            self.path,
            self.history.run.selection,
            self.recorded,
            is_restarted=self.journal.resume_if_exists,
        )

    def values(self, values: Values, given: KeptOptions) -> dict[str, Any]:
        context = click.get_current_context()
        reused = reused_values(context, self.recorded, given, self.path)
        configuration = recorded_configuration(self.history, {**values, **reused}, self.path)
        return {**with_configuration(values, configuration), **reused}

    def arguments(
        self, overrides: RunOverrides, paths: tuple[str, ...]
    ) -> tuple[RunOverrides, tuple[str, ...]]:
        overrides = resumed_overrides(self.history, overrides, self.path)
        if not paths:
            paths = recorded_paths(self.history)
            again = resume_command(Path(self.path), self.history.run, paths, self.recorded)
            require_stdin(paths, self.path, again)
        return overrides, paths

    def live(self, plans: Sequence[Plan], *, local: bool, seeded: bool) -> Sequence[LiveGroups]:
        del local, seeded
        return recorded_live(read_rows(Path(self.path)), plans)


@dataclass(frozen=True)
class ApprovedRun(NewRun):
    """The run of a plan that was written to a file.

    Attributes:
        plan: The plan.
        planning_command: Returns the command that makes plans.
    """

    plan: ApprovedPlan
    planning_command: Callable[[], click.Command]

    @property
    def recorded(self) -> KeptOptions:
        """The options of the command that planned."""
        return map_files(self.planning_command(), self.plan.header.options, self.plan.path_of)

    def values(self, values: Values, given: KeptOptions) -> dict[str, Any]:
        context, command = click.get_current_context(), self.planning_command()
        reused = reused_values(context, self.recorded, given, self.plan.path, command)
        named = {**values, **reused}
        folder = self.plan.path_of(self.plan.header.folder)
        configuration = load_configuration(named["config"], named["env"], folder)
        return {**with_configuration(values, configuration), **reused}

    def arguments(
        self, overrides: RunOverrides, paths: tuple[str, ...]
    ) -> tuple[RunOverrides, tuple[str, ...]]:
        command = given_command(click.get_current_context())
        return approved_arguments(self.plan, overrides, paths, command)

    def live(
        self, plans: Sequence[Plan], *, local: bool, seeded: bool
    ) -> Sequence[LiveGroups] | None:
        """Return those of the plan for a rehearsal; the service is read again, to compare."""
        if local and not seeded and self.plan.header.live:
            return recorded_live(self.plan.groups, plans)
        return None

    def require_same(
        self, plans: Sequence[Plan], access: ServiceAccess | None, kept: KeptOptions
    ) -> None:
        require_approved(self.plan, plans, access, kept, self.planning_command())


def basis_of(
    journal: JournalOptions, plan_file: str | None, planning_command: Callable[[], click.Command]
) -> NewRun:
    """Return what a run takes from an earlier command.

    A journal that is resumed has what its run took from its plan.

    Args:
        journal: The options of the journal.
        plan_file: The file of a plan, or None.
        planning_command: Returns the command that makes plans.

    Raises:
        JournalError, ApprovalError: The file cannot be read.
    """
    if journal.resume:
        return ResumedRun(journal, journal.resume, read_journal(Path(journal.resume)))
    if plan_file is not None:
        return ApprovedRun(ApprovedPlan.read(plan_file), planning_command)
    return NewRun()
