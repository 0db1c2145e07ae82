"""Problems are shown with place, line and caret, where a person can see them."""

from wps_run.problems import (
    Position,
    Problem,
    Severity,
    did_you_mean,
    format_problem,
    format_with_caret,
    sort_problems,
)


def at(line: int, column: int, file: str = "rooms.yaml") -> Position:
    return Position(file, line, column)


def test_a_problem_is_shown_with_its_line_and_a_caret() -> None:
    """Where, what, what to write instead; grep and editors find the place."""
    problem = Problem(
        "`addUserToGruop` is not an action; did you mean `addUserToGroup`?",
        "unknown-action",
        at(7, 17),
        line="  - actionName: addUserToGruop",
        width=14,
    )

    assert format_with_caret(problem) == (
        "rooms.yaml:7:17: error: `addUserToGruop` is not an action; "
        "did you mean `addUserToGroup`?\n"
        "  7 |   - actionName: addUserToGruop\n"
        "    |                 ^~~~~~~~~~~~~~"
    )


def test_a_problem_without_a_place_is_one_line() -> None:
    """An option or a setting stands in no file."""
    problem = Problem("no hub is named", "no-hub")

    assert format_with_caret(problem) == format_problem(problem) == "error: no hub is named"


def test_a_warning_says_that_it_is_one() -> None:
    """The severity stands where compilers write it."""
    problem = Problem("`data` is empty", "empty-data", at(1, 2), severity=Severity.WARNING)

    assert format_problem(problem) == "rooms.yaml:1:2: warning: `data` is empty"


def test_the_caret_stands_right_behind_wide_characters() -> None:
    """A terminal shows them two columns wide."""
    problem = Problem("x", "x", at(1, 4), line="あ: b", width=1)

    assert format_with_caret(problem).splitlines()[2] == "    |     ^"


def test_a_long_line_is_cut_around_the_caret() -> None:
    """The place stays on the screen, whatever the length."""
    problem = Problem("x", "x", at(1, 5000), line="a" * 4999 + "HERE" + "b" * 5000, width=4)

    _, shown, caret = format_with_caret(problem).splitlines()
    assert len(shown) < 120
    assert shown[caret.index("^") :].startswith("HERE")


def test_control_characters_do_not_reach_the_terminal() -> None:
    """A file may hold escape sequences; they are not to be carried out."""
    problem = Problem("x", "x", at(1, 1), line="\x1b[31mred\x07")

    assert "\x1b" not in format_with_caret(problem)
    assert "\x07" not in format_with_caret(problem)


def test_control_characters_of_a_message_or_a_file_name_do_not_either() -> None:
    """A line break in a name must not begin a line of its own, which a CI might obey."""
    problem = Problem("`a\x1b]0;t\x07` is\n::stop::", "x", at(1, 1, "p\n\udcff.yaml"))

    assert format_problem(problem) == "p \ufffd.yaml:1:1: error: `a\ufffd]0;t\ufffd` is ::stop::"


def test_problems_are_sorted_by_place() -> None:
    """A reader goes through the file from top to bottom."""
    later, early, none = (
        Problem("b", "b", at(10, 1)),
        Problem("a", "a", at(9, 5)),
        Problem("c", "c"),
    )

    assert sort_problems([later, early, none]) == (none, early, later)


def test_a_near_word_is_proposed_whatever_its_case() -> None:
    """Most mistakes are a letter or a capital."""
    assert did_you_mean("UserID", ["userId", "group"]) == "; did you mean `userId`?"
    assert did_you_mean("colour", ["userId", "group"]) == ""
