"""Tests of wildcard patterns."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wps_run.emulator.wildcards import PatternError, compile_pattern


@pytest.mark.parametrize(
    ("pattern", "matches", "others"),
    [
        ("chat-*", ["chat-1", "chat-room", "chat-"], ["chat.1", "xchat-1", "chat-1.2"]),
        ("clientA.*", ["clientA.alpha", "clientA."], ["clientA.alpha.room1", "clientB.alpha"]),
        ("clientA.**", ["clientA.alpha", "clientA.alpha.room1"], ["clientB.x", "clientA"]),
        ("rooms.?1", ["rooms.a1", "rooms.11"], ["rooms.1", "rooms.a.1", "rooms..1"]),
        (r"literal\*star", ["literal*star"], ["literalXstar", r"literal\*star"]),
        (r"\?\\", ["?\\"], ["a\\", r"\?\\"]),
        ("**", ["", "a", "a.b", "\n"], []),
        ("***", ["a.b"], []),
        ("*", ["", "a"], ["a.b", "."]),
        ("*.*", ["a.b", "."], ["a", "a.b.c"]),
        ("**b*c", ["a.bc", "a.bb.bxc", "bc"], ["b.c", "a.b.c"]),
        ("Room", ["Room"], ["room", "ROOM", "Room1"]),
        ("?", ["a", "\U0001f600"], ["", ".", "ab"]),
    ],
)
def test_a_pattern_matches_names(pattern: str, matches: list[str], others: list[str]) -> None:
    """The documentation's examples, and their neighbors."""
    compiled = compile_pattern(pattern)

    assert [name for name in matches if not compiled.matches(name)] == []
    assert [name for name in others if compiled.matches(name)] == []


@pytest.mark.parametrize(
    "text", ["", "a" * 1025, "******", "a*b*c*d*e*f*g", "a\\", r"a\b", "\U0001f600" * 513]
)
def test_an_invalid_pattern_is_an_error(text: str) -> None:
    """Empty, too long, too many stars, or a backslash before a plain character."""
    with pytest.raises(PatternError):
        compile_pattern(text)


@pytest.mark.parametrize("text", ["a" * 1024, "*a*a*a*a*", "**a**a*", r"\*\*\*\*\*\*", "?" * 1000])
def test_a_pattern_at_the_limits_is_valid(text: str) -> None:
    """Escaped stars and question marks do not count."""
    assert compile_pattern(text).text == text


def test_a_pattern_without_wildcards_is_literal() -> None:
    """Its literal has no backslashes."""
    assert compile_pattern(r"a\*b").literal == "a*b"
    assert compile_pattern("a?b").literal is None


def backtrack(pattern: str, name: str) -> bool:
    """Match by backtracking (a pattern of single letters and stars)."""
    if not pattern:
        return not name
    if pattern.startswith("**"):
        rest = pattern.lstrip("*")
        return any(backtrack(rest, name[position:]) for position in range(len(name) + 1))
    if pattern[0] == "*":
        segment = name.partition(".")[0]
        return any(backtrack(pattern[1:], name[position:]) for position in range(len(segment) + 1))
    first = name[:1]
    matches = first not in ("", ".") if pattern[0] == "?" else first == pattern[0]
    return matches and backtrack(pattern[1:], name[1:])


@given(
    pattern=st.text("ab.?*", min_size=1, max_size=10).filter(lambda text: text.count("*") <= 5),
    name=st.text("ab.", max_size=10),
)
def test_a_pattern_agrees_with_backtracking(pattern: str, name: str) -> None:
    """Both give the same result."""
    assert compile_pattern(pattern).matches(name) == backtrack(pattern, name)


@pytest.mark.parametrize("pattern", ["*a" * 5 + "b", "**a*a**a?" + "a" * 900, "?" * 1023 + "*"])
def test_a_pathological_pattern_is_quick(pattern: str) -> None:
    """A thousand characters take less than a second."""
    compiled = compile_pattern(pattern)
    began = time.process_time()

    compiled.matches("a" * 1024)

    assert time.process_time() - began < 1
