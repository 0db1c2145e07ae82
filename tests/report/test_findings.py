"""The same problems in each format, as its readers need them."""

import json
import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from wps_run.document.loader import decode
from wps_run.playbook.model import read_playbook
from wps_run.problems import PlaybookError, Position, Problem, Severity
from wps_run.report.findings.rules import RULES
from wps_run.report.findings.text import format_text
from wps_run.report.formats import FINDING_FORMATS
from wps_run.text import Style

HERE = Position("rooms.yaml", 3, 12)
ERROR = Problem("`group` is missing", "missing", HERE, "  - actionName: x", width=6)
WARNING = Problem("`data` is empty", "empty-data", HERE, "    data: ''", 2, Severity.WARNING)
NOWHERE = Problem("no playbook uses `x`", "unused-variable", severity=Severity.WARNING)
IN_A_ROW = Problem("userId is empty", "value", Position("members.csv", 1207))
ALL = (NOWHERE, ERROR, WARNING, IN_A_ROW)

PROBLEMS = st.builds(
    Problem,
    st.text(),
    st.sampled_from([*RULES, "new-rule"]),
    st.none() | st.builds(Position, st.text(min_size=1), st.integers(1, 99), st.integers(0, 99)),
    width=st.integers(1, 9),
    severity=st.sampled_from(Severity),
)


def test_text_counts_problems_and_warnings() -> None:
    """A warning is no problem, and is marked."""
    assert FINDING_FORMATS["text"].render((), 1) == "1 file checked, no problems\n"
    assert FINDING_FORMATS["text"].render(ALL, 2) == (
        "warning: no playbook uses `x`\n"
        "rooms.yaml:3:12: `group` is missing\n"
        "  3 |   - actionName: x\n"
        "    |            ^~~~~~\n"
        "rooms.yaml:3:12: warning: `data` is empty\n"
        "  3 |     data: ''\n"
        "    |            ^\n"
        "members.csv:1207: userId is empty\n"
        "\n"
        "2 files checked, 2 problems, 2 warnings\n"
    )


def test_each_part_of_a_problem_has_its_colour_and_no_text_is_added() -> None:
    """Place, mark, gutter and caret."""
    inked: list[tuple[Style, str]] = []

    def paint(ink: Style, piece: str) -> str:
        inked.append((ink, piece))
        return piece

    assert format_text([WARNING], 1, paint) == format_text([WARNING], 1)
    assert set(inked) == {
        (Style.WARNING, "warning:"),
        (Style.LOCATION, "rooms.yaml:3:12:"),
        (Style.WARNING, "^"),
        (Style.GUTTER, "3 |"),
        (Style.GUTTER, "  |"),
    }


def test_json_has_every_problem() -> None:
    """Of a row there is no column, of an option no place."""
    shown = json.loads(FINDING_FORMATS["json"].render(ALL, 2))

    assert shown["files"] == 2
    assert [(one["file"], one["line"], one["column"]) for one in shown["problems"]] == [
        (None, None, None),
        ("rooms.yaml", 3, 12),
        ("rooms.yaml", 3, 12),
        ("members.csv", 1207, None),
    ]


def test_github_gets_workflow_commands() -> None:
    """With place and rule."""
    assert FINDING_FORMATS["github"].render(ALL, 2) == (
        "::error file=rooms.yaml,line=3,col=12,endColumn=18,title=missing::`group` is missing\n"
        "::error file=members.csv,line=1207,title=value::userId is empty\n"
        "::warning title=unused-variable::no playbook uses `x`\n"
        "::warning file=rooms.yaml,line=3,col=12,endColumn=14,title=empty-data::`data` is empty\n"
        "2 files checked, 2 problems, 2 warnings\n"
    )


def test_github_shows_ten_of_each_kind_and_says_how_many_more() -> None:
    """It would drop the rest without a word."""
    lines = FINDING_FORMATS["github"].render([ERROR] * 12 + [WARNING] * 11, 1).splitlines()

    kinds = Counter(line.split(" ")[0] for line in lines)
    assert (kinds["::error"], kinds["::warning"]) == (10, 10)
    assert lines[-2] == (
        "::notice title=wps-run::2 more errors and 1 more warning, not shown here; "
        "--format text shows all"
    )
    assert "::notice" not in FINDING_FORMATS["github"].render([ERROR] * 10 + [WARNING] * 10, 1)


def test_github_values_are_escaped() -> None:
    """As its documentation says: in properties `:` and `,` too."""
    problem = Problem("50%\r\nof: a, b", "value", Position("a,b:c%.yaml", 1, 1))

    assert FINDING_FORMATS["github"].render([problem], 1).splitlines()[0] == (
        "::error file=a%2Cb%3Ac%25.yaml,line=1,col=1,endColumn=2,title=value::50%25%0D%0Aof: a, b"
    )


@given(problems=st.lists(PROBLEMS, max_size=4))
def test_one_problem_is_one_line_for_github(problems: list[Problem]) -> None:
    """A message cannot make a command of its own."""
    lines = FINDING_FORMATS["github"].render(problems, 1).split("\n")

    assert len(lines) == len(problems) + 2


def test_sarif_has_rules_with_help_and_regions_in_characters() -> None:
    """What code scanning shows beside the line."""
    (run,) = json.loads(FINDING_FORMATS["sarif"].render(ALL, 2))["runs"]

    assert run["columnKind"] == "unicodeCodePoints"
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == ["unused-variable", "missing", "empty-data", "value"]
    assert rules[1]["help"]["text"] == RULES["missing"].help
    assert [result["ruleIndex"] for result in run["results"]] == [0, 1, 2, 3]
    assert [result["level"] for result in run["results"]] == [
        "warning", "error", "warning", "error",
    ]  # fmt: skip
    assert "locations" not in run["results"][0]
    place = run["results"][1]["locations"][0]["physicalLocation"]
    assert place == {
        "artifactLocation": {"uri": "rooms.yaml"},
        "region": {"startLine": 3, "startColumn": 12, "endColumn": 18},
    }


def test_sarif_names_files_as_uris() -> None:
    """Forward slashes, and everything else percent-encoded; a colon is no scheme."""
    problem = Problem("x", "value", Position("a b\\c:d#é.yaml", 1, 1))

    (run,) = json.loads(FINDING_FORMATS["sarif"].render([problem], 1))["runs"]

    location = run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]
    assert location == {"uri": "a%20b/c%3Ad%23%C3%A9.yaml"}


SCHEMA = Path(
    os.environ.get("WPS_RUN_NODE_MODULES", "none"),
    "@microsoft/jest-sarif/lib/schemas/sarif-2.1.0-rtm.5.json",
)
"""The schema of OASIS, as a package of Microsoft's carries it."""


@pytest.mark.skipif(
    not SCHEMA.is_file(),
    reason="WPS_RUN_NODE_MODULES names no node_modules folder with @microsoft/jest-sarif",
)
@given(problems=st.lists(PROBLEMS, max_size=4))
def test_sarif_is_valid_by_its_schema(problems: list[Problem]) -> None:
    """Whatever the problems are; its readers are strict."""
    schema = json.loads(SCHEMA.read_text("utf-8"))
    log = json.loads(FINDING_FORMATS["sarif"].render(problems, 1))

    assert [error.message for error in Draft7Validator(schema).iter_errors(log)] == []


def test_every_rule_of_the_corpus_has_words() -> None:
    """A new rule needs a sentence and a remedy."""
    told: set[str] = set()
    for file in (Path(__file__).parent.parent / "playbooks" / "bad").glob("*.yaml"):
        try:
            told |= {one.rule for one in read_playbook(decode(file.read_bytes(), ""), "").problems}
        except PlaybookError as error:
            told |= {one.rule for one in error.problems}

    assert len(told) > 20
    assert told <= set(RULES)


@pytest.mark.parametrize("form", ["json", "github", "sarif"])
def test_a_file_name_that_is_no_utf_8_breaks_no_format(form: str) -> None:
    """Machines get UTF-8, whatever bytes a file system holds."""
    problem = Problem("x", "value", Position("a\udcff.yaml", 1, 1))

    assert FINDING_FORMATS[form].render([problem], 1).encode()
