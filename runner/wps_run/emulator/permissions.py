r"""The permissions of one connection on groups: from its roles, by grants and by revocations.

Source: a grant names one group literally (`*` is not a wildcard); a revocation overrides the
client's roles until the next grant. There are at most 1000 such literal rules.

The roles are `webpubsub.joinLeaveGroup` and `webpubsub.sendToGroup`, for every group, `….{group}`
for one, and `webpubsub.joinLeaveGroups.{pattern}`, `webpubsub.sendToGroups.{pattern}`. Unknown
roles, and those above a limit, are ignored, as Microsoft's emulator does.

Source of the patterns: the service's documentation of wildcard roles. `*` matches any characters
except a dot, `**` any characters, `?` one character except a dot; `\` escapes `*`, `?` and `\`.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from enum import Enum

from wps_run.emulator.names import Permission, is_group_name, utf16_units

RULE_LIMIT = 1000
"""The maximum number of groups in one connection's rules for one permission."""

PATTERN_LIMIT = 10
"""The maximum number of patterns of one connection for one permission."""

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
    """

    text: str
    literal: str | None
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
    patterns: tuple[Pattern, ...] = ()
    allowed: set[str] = field(default_factory=set)
    denied: set[str] = field(default_factory=set)

    def check(self, group: str) -> bool:
        return group in self.allowed or (group not in self.denied and self._is_in_roles(group))

    def grant(self, group: str) -> None:
        """Give the permission. Raises TooManyRulesError."""
        self.denied.discard(group)
        if not self._is_in_roles(group):
            self._add(self.allowed, group)

    def revoke(self, group: str) -> None:
        """Deny the permission. Raises TooManyRulesError."""
        self.allowed.discard(group)
        if self._is_in_roles(group):
            self._add(self.denied, group)

    def _is_in_roles(self, group: str) -> bool:
        return self.all_groups or any(pattern.matches(group) for pattern in self.patterns)

    def _add(self, rules: set[str], group: str) -> None:
        if group not in rules and len(self.allowed) + len(self.denied) >= RULE_LIMIT:
            raise TooManyRulesError
        rules.add(group)


def rules_from_roles(roles: Collection[str]) -> dict[Permission, PermissionRules]:
    """Return new rules for one connection, which grants and revocations change later.

    A permission that the roles do not give at all is absent.
    """
    rules = {permission: _rules(f"webpubsub.{permission}", roles) for permission in Permission}
    return {name: rule for name, rule in rules.items() if rule != PermissionRules()}


def _rules(role_name: str, roles: Collection[str]) -> PermissionRules:
    patterns = [pattern for role in roles if (pattern := _pattern(role_name, role))]
    wildcards = tuple(pattern for pattern in patterns if pattern.literal is None)
    literals = [pattern.literal for pattern in patterns if pattern.literal is not None]
    rules = PermissionRules(all_groups=role_name in roles, patterns=wildcards[:PATTERN_LIMIT])
    prefix = f"{role_name}."
    names = [role.removeprefix(prefix) for role in roles if role.startswith(prefix)]
    groups = [
        group for group in (*names, *literals) if is_group_name(group) and not rules.check(group)
    ]
    rules.allowed = set(list(dict.fromkeys(groups))[:RULE_LIMIT])
    return rules


def _pattern(role_name: str, role: str) -> Pattern | None:
    prefix = f"{role_name}s."
    if not role.startswith(prefix):
        return None
    try:
        return compile_pattern(role.removeprefix(prefix))
    except PatternError:
        return None
