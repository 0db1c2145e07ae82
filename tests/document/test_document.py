"""From a path back to the source: position, source text, and what a problem shows."""

import pytest

from wps_run.document.document import Path
from wps_run.document.loader import load
from wps_run.problems import Position, format_with_caret


@pytest.mark.parametrize(
    ("source", "path", "expected"),
    [
        ("a: 007", ("a",), "007"),
        ("a: 2.50 # price", ("a",), "2.50"),
        ("a: yes", ("a",), "yes"),
        ("a: 'it''s'", ("a",), "it's"),
        ("a: TRUE", ("a",), "TRUE"),
        ("a: &x 0x1F\nb: *x", ("b",), "0x1F"),
        ("a: !!int 007", ("a",), "007"),
        ('a: !!int "007"', ("a",), "007"),
        ("a:", ("a",), ""),
        ("a: &x", ("a",), ""),
        ("a: ~", ("a",), "~"),
        ("x: &x {a: 010}\ny: {<<: *x}", ("y", "a"), "010"),
        ("[1, [020]]", (1, 0), "020"),
    ],
)
def test_a_scalar_can_be_shown_as_written(source: str, path: Path, expected: str) -> None:
    """So that 007 is answered with "007", and a variable keeps its zeros."""
    assert load(source, "f").source_text(path) == expected


def test_a_path_that_leads_nowhere_ends_where_it_leads() -> None:
    """A missing value is reported at its container."""
    document = load("a:\n  - b: 1\n", "f")

    assert document.position(("a", 0, "c", "d")) == Position("f", 2, 5)
    assert document.position(("a", 7)) == Position("f", 2, 3)


def test_in_a_list_the_key_is_the_value() -> None:
    """There is nothing else to point at."""
    document = load("[a, b]", "f")

    problem = document.problem("", "", (1,), at_key=True)
    assert problem.position == document.position((1,)) == Position("f", 1, 5)


@pytest.mark.parametrize(
    ("source", "path", "caret"),
    [
        ("key: value # why", ("key",), "     ^~~~~"),
        ("a:\n  b: 1\n  c: 2", ("a",), "  ^~~~"),
        ("a: |\n  text\n", ("a",), "   ^"),
        ("å: 会 # é", ("å",), "   ^~"),
        ("a: &x 5\nb: *x", ("b",), "   ^~"),
    ],
)
def test_a_problem_underlines_the_value(source: str, path: Path, caret: str) -> None:
    """No further than the end of its line; wide characters take two columns."""
    problem = load(source, "f").problem("wrong", "rule", path)

    assert format_with_caret(problem).splitlines()[2] == f"    | {caret}"


@pytest.mark.parametrize(
    ("source", "path", "caret"),
    [
        ("key: value", ("key",), "^~~"),
        ("'it''s': value", ("it's",), "^~~~~~~"),
        ('"\\u0061": value', ("a",), "^~~~~~~~"),
        ("[value]", (0,), " ^"),
        ("? key\n: value", ("key",), "  ^~~"),
    ],
)
def test_a_problem_underlines_the_key(source: str, path: Path, caret: str) -> None:
    """As it stands in the source, quotes included."""
    problem = load(source, "f").problem("wrong", "rule", path, at_key=True)

    assert format_with_caret(problem).splitlines()[2] == f"    | {caret}"


def test_a_hidden_value_is_in_no_line() -> None:
    """Neither in its own problem nor in another one's of the same line."""
    document = load('{a: "secret", b: 1, c: &c hush, d: *c}', "f")
    document.mask(("a",))
    document.mask(("d",))

    line = document.problem("wrong", "rule", ("b",)).line

    assert line == "{a: ********, b: 1, c: *******, d: *c}"
