r"""The permissions of one connection on groups: from its roles, by grants and by revocations.

Source: a grant names one group literally (`*` is not a wildcard); a revocation overrides the
client's roles until the next grant. There are at most 1000 such literal rules.

The roles are `webpubsub.joinLeaveGroup` and `webpubsub.sendToGroup`, for every group, `….{group}`
for one, and `webpubsub.joinLeaveGroups.{pattern}`, `webpubsub.sendToGroups.{pattern}`. Unknown
roles, and those above a limit, are ignored. Source of the limits: Microsoft's emulator.

Source of the patterns: the service's documentation of wildcard roles. `*` matches any characters
except a dot, `**` any characters, `?` one character except a dot; `\` escapes `*`, `?` and `\`.
"""

from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum

from wps_run.emulator.names import Permission, is_group_name, utf16_units

RULE_LIMIT = 1000
"""The maximum number of groups in one connection's rules for one permission."""

PATTERN_LIMIT = 9
"""The maximum number of patterns of one connection for one permission; repeated ones count."""

PATTERN_LENGTH_LIMIT = 1024
"""The maximum length of a pattern, in UTF-16 units."""

STAR_LIMIT = 5
"""The maximum number of unescaped stars in a pattern; `**` counts as two."""


# Patterns.


class PatternError(ValueError):
    """A text is not a valid pattern; the message says why."""


class _Wildcard(Enum):
    ONE = "?"
    SEGMENT = "*"
    ANY = "**"


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled pattern.

    Each bit stands for a position in the pattern. `matches` advances all reachable positions
    together, so its time is linear in the length of the name.

    Attributes:
        text: The source text.
        literal: The only name it matches when it has no wildcard, or None.
        matches_all: Whether it is a run of two or more stars.
    """

    text: str
    literal: str | None
    matches_all: bool
    _positions: dict[str | _Wildcard, int]
    _ones: int
    _segments: int
    _anys: int
    _end: int

    def matches(self, name: str) -> bool:
        """Whether the pattern matches a name, compared with case."""
        reached = self._skip_stars(1)
        for letter in name:
            advanced = reached & self._positions.get(letter, 0)
            stayed = reached & self._anys
            if letter != ".":
                advanced |= reached & self._ones
                stayed |= reached & self._segments
            reached = self._skip_stars(advanced << 1 | stayed)
            if not reached:
                return False
        return bool(reached & self._end)

    def _skip_stars(self, reached: int) -> int:
        """Let each star match nothing. No two stars are adjacent, so one shift is enough."""
        return reached | (reached & (self._segments | self._anys)) << 1


def compile_pattern(text: str) -> Pattern:
    """Compile a pattern.

    Raises:
        PatternError: The text is empty, too long, has too many stars, or a backslash before a
            character that needs no escape.
    """
    if not text:
        raise PatternError("The pattern is empty.")
    if utf16_units(text) > PATTERN_LENGTH_LIMIT:
        raise PatternError(f"The pattern is longer than {PATTERN_LENGTH_LIMIT} characters.")
    tokens = tuple(_tokenize(text))
    positions: dict[str | _Wildcard, int] = {}
    for position, token in enumerate(tokens):
        positions[token] = positions.get(token, 0) | 1 << position
    return Pattern(
        text,
        _literal(tokens),
        tokens == (_Wildcard.ANY,),
        positions,
        positions.get(_Wildcard.ONE, 0),
        positions.get(_Wildcard.SEGMENT, 0),
        positions.get(_Wildcard.ANY, 0),
        1 << len(tokens),
    )


def _literal(tokens: tuple[str | _Wildcard, ...]) -> str | None:
    letters = [token for token in tokens if isinstance(token, str)]
    return "".join(letters) if len(letters) == len(tokens) else None


def _tokenize(text: str) -> Iterator[str | _Wildcard]:
    """Yield the letters and wildcards of a pattern; a run of stars is one wildcard."""
    stars = run = 0
    characters = iter(text)
    for character in characters:
        if character == "*":
            stars += 1
            run += 1
            continue
        if run:
            yield _star(run)
            run = 0
        if character == "?":
            yield _Wildcard.ONE
        elif character == "\\":
            yield _unescape(next(characters, ""))
        else:
            yield character
    if run:
        yield _star(run)
    if stars > STAR_LIMIT:
        raise PatternError(f"The pattern has more than {STAR_LIMIT} stars.")


def _star(run: int) -> _Wildcard:
    return _Wildcard.SEGMENT if run == 1 else _Wildcard.ANY


def _unescape(character: str) -> str:
    if character not in ("*", "?", "\\"):
        raise PatternError(r"A backslash stands only before `*`, `?` and `\`.")
    return character


# Rules.


class TooManyRulesError(Exception):
    """One more literal rule would exceed `RULE_LIMIT`. Nothing was changed."""


@dataclass(slots=True)
class PermissionRules:
    """The rules of one connection for one permission.

    Attributes:
        all_groups: Whether the client's roles give the permission for every group.
        patterns: The patterns of groups for which its roles give it.
        allowed: The groups it was granted in addition.
        denied: The groups it was denied in spite of its roles.
    """

    all_groups: bool = False
    patterns: list[Pattern] = field(default_factory=list)
    allowed: set[str] = field(default_factory=set)
    denied: set[str] = field(default_factory=set)

    def check(self, group: str) -> bool:
        return group in self.allowed or (group not in self.denied and self._is_in_roles(group))

    def grant(self, group: str) -> None:
        """Give the permission. Raises TooManyRulesError."""
        self._change(group, self.allowed, self.denied, is_rule_needed=not self._is_in_roles(group))

    def revoke(self, group: str) -> None:
        """Deny the permission. Raises TooManyRulesError."""
        self._change(group, self.denied, self.allowed, is_rule_needed=self._is_in_roles(group))

    def grant_all(self) -> None:
        """Give the permission for every group, and forget all other rules."""
        self.all_groups = True
        self.patterns.clear()
        self.allowed.clear()
        self.denied.clear()

    def grant_pattern(self, pattern: Pattern) -> None:
        """Give the permission for the groups of a pattern. Above the limit it is ignored.

        A pattern without wildcards is one more group, even above `RULE_LIMIT`.
        """
        if pattern.literal is not None:
            if not self.check(pattern.literal):
                self.allowed.add(pattern.literal)
        elif pattern.matches_all:
            self.grant_all()
        elif len(self.patterns) < PATTERN_LIMIT:
            self.patterns.append(pattern)
            self.allowed -= {group for group in self.allowed if pattern.matches(group)}

    def _is_in_roles(self, group: str) -> bool:
        return self.all_groups or any(pattern.matches(group) for pattern in self.patterns)

    def _change(
        self, group: str, rules: set[str], opposite: set[str], *, is_rule_needed: bool
    ) -> None:
        """Add a rule, or remove the opposite one, unless there are then too many."""
        added = {group} - rules if is_rule_needed else set[str]()
        removed = {group} & opposite
        if len(rules) + len(opposite) + len(added) - len(removed) > RULE_LIMIT:
            raise TooManyRulesError
        rules |= added
        opposite -= removed


def rules_from_roles(roles: Collection[str]) -> dict[Permission, PermissionRules]:
    """Return new rules for one connection, which grants and revocations change later.

    A permission that the roles do not give at all is absent.
    """
    rules = {permission: _rules(f"webpubsub.{permission}", roles) for permission in Permission}
    return {name: rule for name, rule in rules.items() if rule != PermissionRules()}


def _rules(role_name: str, roles: Collection[str]) -> PermissionRules:
    """Apply the roles in the service's order, sorted: it decides which are above a limit."""
    rules = PermissionRules()
    one_group, pattern = f"{role_name}.", f"{role_name}s."
    for role in sorted(roles):
        if role == role_name:
            rules.grant_all()
        elif role.startswith(one_group) and is_group_name(group := role.removeprefix(one_group)):
            with suppress(TooManyRulesError):
                rules.grant(group)
        elif role.startswith(pattern):
            with suppress(PatternError):
                rules.grant_pattern(compile_pattern(role.removeprefix(pattern)))
    return rules
