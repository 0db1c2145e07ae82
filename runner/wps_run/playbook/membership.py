"""Look up the groups and roles of a user, as the `groups` of playbooks state them.

There may be millions of users. They are read in blocks, and users with the same groups share what
is stored about them.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from wps_run.playbook.model import ActionTemplate
from wps_run.playbook.steps import Step, StepBlock


class UserGroups(NamedTuple):
    """What the entries of `groups` say of one user.

    Attributes:
        groups: The names of the groups, in the order of the playbooks.
        roles: What the user's clients may do in them, as the service names it.
    """

    groups: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()


class MembershipIndex:
    """The groups and roles of each user of one hub."""

    def __init__(self) -> None:
        self._groups: list[UserGroups] = []
        """Each group by its number."""
        self._numbers: dict[str, int] = {}
        self._users: dict[str, tuple[int, ...]] = {}
        """The numbers of the groups of each user."""

    def __len__(self) -> int:
        return len(self._users)

    @property
    def group_count(self) -> int:
        """The number of groups that list somebody."""
        return len(self._groups)

    def add_steps(
        self, steps: Iterable[Step | StepBlock], templates: Sequence[ActionTemplate]
    ) -> None:
        """Add the users whom the steps of a playbook add to groups.

        Args:
            steps: The steps, each of which adds one user to a group.
            templates: The actions of the playbook.
        """
        for step in steps:
            if isinstance(step, StepBlock):
                members = step.members
                self._add(members.group, members.template, members.cells.cells)
            else:
                template = templates[step.action_index]
                self._add(str(step.values["group"]), template, [str(step.values["userId"])])

    def _add(self, group: str, template: ActionTemplate, users: Iterable[str]) -> None:
        number = self._numbers.get(group)
        if number is None:
            roles = tuple(f"webpubsub.{role}.{group}" for role in template.roles)
            number = self._numbers[group] = len(self._groups)
            self._groups.append(UserGroups((group,), roles))
        known = self._users
        extended: dict[tuple[int, ...], tuple[int, ...]] = {}
        for user in users:
            numbers = known.get(user, ())
            if numbers not in extended:
                extended[numbers] = numbers if number in numbers else (*numbers, number)
            known[user] = extended[numbers]

    def key_of(self, user: str) -> tuple[int, ...] | None:
        """Return what users with the same groups have in common, or None for no list has them."""
        return self._users.get(user)

    def groups_of(self, key: tuple[int, ...]) -> UserGroups:
        """Return the groups and roles of all users with a key."""
        entries = [self._groups[number] for number in key]
        return UserGroups(
            tuple(group for entry in entries for group in entry.groups),
            tuple(role for entry in entries for role in entry.roles),
        )
