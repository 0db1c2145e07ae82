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
from wps_run.report.findings import format_text
from wps_run.report.formats import FINDING_FORMATS
from wps_run.report.sarif import RULES
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
    """A warning is no problem, and has a prefix."""
    assert FINDING_FORMATS["text"].render((), 1) == "1 file checked, no problems\n"
    assert FINDING_FORMATS["text"].render(ALL, 2) == (
        "warning: no playbook uses `x`\n"
        "rooms.yaml:3:12: error: `group` is missing\n"
        "  3 |   - actionName: x\n"
        "    |            ^~~~~~\n"
        "rooms.yaml:3:12: warning: `data` is empty\n"
        "  3 |     data: ''\n"
        "    |            ^\n"
        "members.csv:1207: error: userId is empty\n"
        "\n"
        "2 files checked, 2 problems, 2 warnings\n"
    )


def test_each_part_of_a_problem_has_its_style_and_no_text_is_added() -> None:
    """Position, prefix, gutter and caret."""
    styled: list[tuple[Style, str]] = []

    def record_style(style: Style, text: str) -> str:
        styled.append((style, text))
        return text

    assert format_text([WARNING], 1, record_style) == format_text([WARNING], 1)
    assert set(styled) == {
        (Style.WARNING, "warning:"),
        (Style.LOCATION, "rooms.yaml:3:12:"),
        (Style.WARNING, "^"),
        (Style.GUTTER, "3 |"),
        (Style.GUTTER, "  |"),
    }


def test_json_has_every_problem() -> None:
    """A row has no column, an option no position."""
    report = json.loads(FINDING_FORMATS["json"].render(ALL, 2))

    assert report["files"] == 2
    assert [
        (problem["file"], problem["line"], problem["column"]) for problem in report["problems"]
    ] == [
        (None, None, None),
        ("rooms.yaml", 3, 12),
        ("rooms.yaml", 3, 12),
        ("members.csv", 1207, None),
    ]


def test_github_gets_workflow_commands() -> None:
    """With position and rule."""
    assert FINDING_FORMATS["github"].render(ALL, 2) == (
        "::error file=rooms.yaml,line=3,col=12,endColumn=18,title=missing::`group` is missing\n"
        "::error file=members.csv,line=1207,title=value::userId is empty\n"
        "::warning title=unused-variable::no playbook uses `x`\n"
        "::warning file=rooms.yaml,line=3,col=12,endColumn=14,title=empty-data::`data` is empty\n"
        "2 files checked, 2 problems, 2 warnings\n"
    )


def test_github_shows_ten_of_each_kind_and_counts_the_others() -> None:
    """It would silently drop the others."""
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


def test_azure_pipelines_gets_logging_commands() -> None:
    """With position and rule, and its own escapes."""
    odd = Problem("50%\nof; ]", "value", Position("a;]%.yaml", 1, 1))

    assert FINDING_FORMATS["azure"].render([*ALL, odd], 2) == (
        "##vso[task.logissue type=error;sourcepath=rooms.yaml;linenumber=3;columnnumber=12;"
        "code=missing;]`group` is missing\n"
        "##vso[task.logissue type=error;sourcepath=members.csv;linenumber=1207;code=value;]"
        "userId is empty\n"
        "##vso[task.logissue type=error;sourcepath=a%3B%5D%AZP25.yaml;linenumber=1;columnnumber=1;"
        "code=value;]50%AZP25%0Aof; ]\n"
        "##vso[task.logissue type=warning;code=unused-variable;]no playbook uses `x`\n"
        "##vso[task.logissue type=warning;sourcepath=rooms.yaml;linenumber=3;columnnumber=12;"
        "code=empty-data;]`data` is empty\n"
        "2 files checked, 3 problems, 2 warnings\n"
    )


@given(problems=st.lists(PROBLEMS, max_size=4), name=st.sampled_from(["github", "azure"]))
def test_one_problem_is_one_line_in_a_log(problems: list[Problem], name: str) -> None:
    """A message cannot start a command."""
    lines = FINDING_FORMATS[name].render(problems, 1).split("\n")

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
    location = run["results"][1]["locations"][0]["physicalLocation"]
    assert location == {
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
"""The schema of OASIS, in a package of Microsoft."""


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


def test_every_rule_of_the_corpus_has_a_description() -> None:
    """A new rule needs a summary and help."""
    rules: set[str] = set()
    for file in (Path(__file__).parent.parent / "playbooks" / "bad").glob("*.yaml"):
        try:
            rules |= {
                problem.rule
                for problem in read_playbook(decode(file.read_bytes(), ""), "").problems
            }
        except PlaybookError as error:
            rules |= {problem.rule for problem in error.problems}

    assert len(rules) > 20
    assert rules <= set(RULES)


@pytest.mark.parametrize("name", ["json", "github", "azure", "sarif"])
def test_a_file_name_that_is_no_utf_8_breaks_no_format(name: str) -> None:
    """Programs get UTF-8, whatever bytes a file system has."""
    problem = Problem("x", "value", Position("a\udcff.yaml", 1, 1))

    assert FINDING_FORMATS[name].render([problem], 1).encode()
