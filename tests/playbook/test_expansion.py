"""Actions and their rows are expanded and checked, with problems at their positions."""

import difflib
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wps_run.actions.fields import Field, FieldType
from wps_run.actions.table import ACTIONS
from wps_run.document.loader import decode
from wps_run.document.scalars import resolve_plain
from wps_run.playbook.expansion import Expansion
from wps_run.playbook.files import Files
from wps_run.playbook.model import Playbook, read_playbook
from wps_run.playbook.options import RunOptions
from wps_run.playbook.rows import DEFAULT_FORMAT, Row, RowFormat, Rows
from wps_run.playbook.schema import SchemaForm
from wps_run.playbook.steps import Step, StepMaker, check_steps
from wps_run.playbook.validator import default_validator
from wps_run.playbook.variables import VariableScope
from wps_run.problems import (
    PlaybookError,
    Position,
    format_problem,
    format_with_caret,
    sort_problems,
)

ROWS = Path(__file__).parent.parent / "playbooks" / "rows"


def read(actions: str) -> Playbook:
    """A playbook of these actions, without problems so far."""
    playbook = read_playbook(f"vars: {{room: launch}}\nactions:\n{actions}", "p.yaml")
    assert playbook.problems == ()
    return playbook


def scope(playbook: Playbook, folder: Path | str = ".") -> VariableScope:
    """What its `${…}` may name, with the files of a folder."""
    return VariableScope(playbook.parts[0].variables, {"TEAM": "red"}, Files(folder))


def steps_of(actions: str, folder: Path | str = ".") -> list[Step]:
    """The steps of a playbook of these actions."""
    playbook = read(actions)
    return list(StepMaker(playbook, scope(playbook, folder), RunOptions(), "chat").steps())


def messages_of(actions: str, folder: Path | str = ".") -> list[str]:
    """What is wrong with the rows of these actions."""
    playbook = read(actions)
    return [
        format_problem(problem)
        for problem in check_steps(playbook, scope(playbook, folder)).problems
    ]


@pytest.mark.parametrize("file", sorted(ROWS.glob("*.yaml")), ids=lambda file: file.stem)
def test_each_bad_source_is_answered_as_written_beside_it(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file added is a test added."""
    monkeypatch.chdir(ROWS)
    playbook = read_playbook(decode(file.read_bytes(), file.name), file.name)

    problems = sort_problems(check_steps(playbook, scope(playbook)).problems)

    result = "".join(
        f"{format_with_caret(problem)}\n" for problem in (*playbook.problems, *problems)
    )
    answer = file.with_suffix(".err").read_bytes().decode()
    difference = difflib.unified_diff(
        answer.splitlines(), result.splitlines(), "expected", "actual"
    )
    assert result == answer, "\n".join(difference)


def test_a_step_of_a_row_knows_its_row(tmp_path: Path) -> None:
    """`item` counts rows from 0, `source` is the line of the row, `action_index` the action."""
    (tmp_path / "m.csv").write_text('userId,team\nada,red\n\n"b\tb",blue\n'.replace("\t", "-"))
    result = steps_of(
        "  - {actionName: closeAllConnections}\n"
        "  - {forEach: {file: m.csv}, name: 'Seat ${each.userId}', actionName: addUserToGroup,\n"
        "     userId: '${each.userId}', group: '${room}-${each.team}'}\n",
        tmp_path,
    )

    file = tmp_path / "m.csv"
    assert [(one.index, one.action_index, one.item, one.source, one.name) for one in result] == [
        (0, 0, None, "p.yaml:3", None),
        (1, 1, 0, f"{file}:2", "Seat ada"),
        (2, 1, 1, f"{file}:4", "Seat b-b"),
    ]
    assert result[2].values == {"userId": "b-b", "group": "launch-blue"}


def test_rows_in_the_playbook_are_taken_as_written() -> None:
    """Not as numbers; a matrix is the product in order; a row's source is its own line."""
    result = steps_of(
        "  - {forEach: [007, TRUE, '${room}'], actionName: closeUserConnections,\n"
        "     userId: '${each}'}\n"
        "  - forEach: {matrix: {user: [1.50, b], room: [x, y]}}\n"
        "    actionName: addUserToGroup\n"
        "    userId: ${each.user}\n"
        "    group: ${each.room}\n"
        "  - forEach:\n"
        "      - {user: ada, why: }\n"
        "      - {user: bob, why: no}\n"
        "    actionName: closeUserConnections\n"
        "    userId: ${each.user}\n"
        "    reason: '>${each.why}'\n"
    )

    assert [one.values["userId"] for one in result[:3]] == ["007", "TRUE", "launch"]
    assert [(one.values["userId"], one.values["group"]) for one in result[3:7]] == [
        ("1.50", "x"),
        ("1.50", "y"),
        ("b", "x"),
        ("b", "y"),
    ]
    assert [(one.values["reason"], one.source) for one in result[7:]] == [
        (">", "p.yaml:10"),
        (">no", "p.yaml:11"),
    ]


def test_no_rows_are_no_steps() -> None:
    """An empty list is nothing to do."""
    assert (
        steps_of("  - {forEach: [], actionName: closeUserConnections, userId: '${each}'}\n") == []
    )


def test_a_file_of_rows_is_counted_in_the_pass_that_checks_it(tmp_path: Path) -> None:
    """So that it is not read a third time."""
    (tmp_path / "m.ndjson").write_text('"ada"\n"bob"\n')
    playbook = read(
        "  - {forEach: {file: m.ndjson}, actionName: closeUserConnections, userId: '${each}'}\n"
        "  - {actionName: closeAllConnections}\n"
    )

    assert check_steps(playbook, scope(playbook, tmp_path)).steps == 3


def test_what_is_in_a_file_goes_out_as_it_is(tmp_path: Path) -> None:
    """`${` in it is not read, a text's byte order mark is no text; a row may name the file."""
    (tmp_path / "a.txt").write_text("Hi ${room}")
    (tmp_path / "b.txt").write_text('\ufeff{"n": 1}', "utf-8")
    (tmp_path / "c.bin").write_bytes(b"\xef\xbb\xbf\xff\x00")
    result = steps_of(
        "  - {forEach: [a, b], actionName: sendToUser, userId: x, dataFile: '${each}.txt'}\n"
        "  - {actionName: sendToAll, dataType: json, dataFile: b.txt}\n"
        "  - {actionName: sendToAll, dataType: binary, dataFile: c.bin}\n",
        tmp_path,
    )

    assert [(one.values["data"], one.values["dataType"]) for one in result] == [
        (b"Hi ${room}", "text"),
        (b'{"n": 1}', "text"),
        (b'{"n": 1}', "json"),
        (b"\xef\xbb\xbf\xff\x00", "binary"),
    ]


def test_one_message_for_many_rows_is_read_once() -> None:
    """A million rows do not read it a million times."""
    requested: list[str] = []

    class Counting(Files):
        def data(self, name: str) -> bytes:
            requested.append(name)
            return b"Hello"

    playbook = read(
        "  - {forEach: [a, b, c], actionName: sendToUser, userId: '${each}', dataFile: hi.txt}\n"
    )
    assert check_steps(playbook, VariableScope(inputs=Counting("."))).steps == 3

    assert requested == ["hi.txt"]


def test_what_the_environment_holds_is_not_judged_offline(tmp_path: Path) -> None:
    """Neither a file named by it, nor a row that it is filled into."""
    playbook = read(
        "  - {forEach: {file: '${env.F}.csv'}, actionName: closeUserConnections,\n"
        "     userId: '${each.x}'}\n"
        "  - {forEach: ['', '${env.F}'], actionName: closeUserConnections,\n"
        "     userId: '${each}${env.F}'}\n"
        "  - {actionName: sendToAll, dataFile: '${env.F}'}\n"
    )

    assert check_steps(playbook, VariableScope({}, None, Files(tmp_path))).problems == ()


def test_a_row_that_went_bad_after_the_check_is_not_sent(tmp_path: Path) -> None:
    """A file may change while a run goes on."""
    (tmp_path / "m.csv").write_text("u\nada\n\nbob\n")
    playbook = read(
        "  - {forEach: {file: m.csv}, actionName: closeUserConnections, userId: '${each.u}'}\n"
    )
    assert check_steps(playbook, scope(playbook, tmp_path)).problems == ()
    stream = StepMaker(playbook, scope(playbook, tmp_path), RunOptions(), "chat").steps()

    (tmp_path / "m.csv").write_text("u\nada\n..\n")

    assert next(stream).values == {"userId": "ada"}
    with pytest.raises(PlaybookError, match=r"m\.csv:3: error: userId is `\.\.`"):
        next(stream)


def test_a_number_in_a_row_is_read_as_a_written_one() -> None:
    """`60.0` is 60; what is no number is reported without advice about quotes."""
    action = "actionName: sendToAll, data: x, messageTtlSeconds: '${each}'}"
    result = steps_of(f"  - {{forEach: [60.0, 7], {action}")
    assert [one.values["messageTtlSeconds"] for one in result] == [60, 7]
    playbook = read(f"  - {{forEach: [5.5, x, true], {action}")
    assert {one.message for one in check_steps(playbook, scope(playbook)).problems} == {
        "messageTtlSeconds must be a whole number from 0 to 300"
    }


BAD = ["", " ", ".", "..", "a/b", "/", "a\x7f", "a\n", "\ud800", "x" * 1025, "😀" * 600, "9" * 5000]
GOOD = ["é", "${x}", "60", "301", "-1", "text", "json", "aGk=", "aGk", "{}", "sendToGroup"]
CELLS = st.sampled_from([*BAD, *GOOD]) | st.text(max_size=4)


@st.composite
def rows_of(draw: st.DrawFn, names: list[str], good: dict[str, str]) -> list[dict[str, str]]:
    """Rows of which each has at most one cell that is not known to be good.

    Where two cells are bad, the full check judges both, and a predicate that is too kind hides.
    """
    return [
        {**good, draw(st.sampled_from(names)): draw(CELLS)} for _ in range(draw(st.integers(1, 3)))
    ]


@pytest.mark.parametrize("name", [one.name for one in ACTIONS.values() if one.fields])
@settings(max_examples=30)  # for each of the actions, which share the types of their fields
@given(data=st.data(), slash=st.booleans())
def test_every_cell_is_checked_by_the_rules_of_what_is_written(
    name: str, data: st.DataObject, *, slash: bool
) -> None:
    """Whether a quick predicate or the full check has judged it."""
    fields = [
        one
        for one in ACTIONS[name].fields
        if not one.replaces and (not one.is_expression or one.required)
    ]
    good = {
        one.name: str(one.example[0] if isinstance(one.example, tuple) else one.example)
        for one in fields
    }
    rows = data.draw(rows_of([one.name for one in fields], good))
    properties: dict[str, Any] = {}
    for one in fields:
        reference = "${each." + one.name + "}"
        reference = f"userId eq '{reference}'" if one.is_expression else reference
        properties[one.name] = [reference] if one.type is FieldType.STRINGS else reference
    if "dataType" in properties and data.draw(st.booleans()):
        properties["dataType"] = data.draw(st.sampled_from(["text", "json", "binary"]))
    playbook = _playbook(name, properties, slash=slash)

    assert _faulty(playbook, rows) == [
        {
            str(one.path[0])
            for one in default_validator().validate_action(
                {"actionName": name, **_by_hand(fields, properties, row)},
                SchemaForm.EXPANDED,
                slash_in_names=slash,
            )
        }
        for row in rows
    ]


def _by_hand(
    fields: Iterable[Field], properties: dict[str, Any], row: dict[str, str]
) -> dict[str, Any]:
    """The properties as one would write them for this row."""
    filled: dict[str, Any] = {}
    for one in fields:
        cell = row[one.name] if "$" in str(properties[one.name]) else properties[one.name]
        if one.is_expression:
            cell = "userId eq '{}'".format(cell.replace("'", "''"))
        filled[one.name] = cell
        if one.type is FieldType.INTEGER and len(cell) <= 18:
            number = resolve_plain(cell)  # as a number in a playbook is read
            if isinstance(number, float) and number.is_integer():
                number = int(number)
            if type(number) in {int, float}:
                filled[one.name] = number
        if one.type is FieldType.STRINGS:
            filled[one.name] = [cell]
    return filled


@pytest.mark.parametrize("slash", [False, True])
def test_a_slash_in_a_row_is_refused_as_a_written_one(*, slash: bool) -> None:
    """In any row, unless the playbook allows it; the first row is not a special one."""
    playbook = _playbook(
        "addUserToGroup", {"userId": "${each.u}", "group": "${each.g}"}, slash=slash
    )
    rows = [{"u": "ada", "g": "red"}, {"u": "ada", "g": "a/b"}, {"u": "a/b", "g": "red"}]

    assert _faulty(playbook, rows) == ([set()] * 3 if slash else [set(), {"group"}, {"userId"}])


def _playbook(name: str, properties: dict[str, object], *, slash: bool) -> Playbook:
    """An action whose rows come from a file."""
    action = {"actionName": name, "forEach": {"file": "r.csv"}, **properties}
    slashes = "allow" if slash else "refuse"
    text = json.dumps({"slashInNames": slashes, "actions": [action]})
    playbook = read_playbook(text, "p")
    assert playbook.problems == ()
    return playbook


def _faulty(playbook: Playbook, rows: list[dict[str, str]]) -> list[set[str]]:
    """For each row, the properties that have problems."""

    class Given(Files):
        def rows(self, name: str, row_format: RowFormat = DEFAULT_FORMAT) -> Rows:  # noqa: ARG002 -- a signature
            return iter([Row(row, Position(name, n)) for n, row in enumerate(rows)])

    result: list[set[str]] = [set() for _ in rows]
    names = [one.name for one in playbook.actions[0].action.fields]
    for filled in Expansion(playbook.actions[0], VariableScope(inputs=Given("."))):
        for problem in filled.problems:
            assert filled.item is not None
            result[filled.item].add(
                min(
                    (match.start(), key)
                    for key in names
                    if (match := re.search(rf"\b{key}\b", problem.message))
                )[1]
            )
    return result


MANY_KEYS = 'x","admin":true,"y":"z'
"""A cell that would add keys to a JSON object."""


@pytest.mark.parametrize("cell", [MANY_KEYS, "\\", 'a\nb"', "é\x00", "{}"])
def test_a_cell_inside_quotes_of_json_stays_a_text(cell: str) -> None:
    (step,) = steps_of(
        f"- {{forEach: [{{n: {json.dumps(cell)}}}], actionName: sendToAll, dataType: json,\n"
        '   data: \'{"a": "${room}: ${each.n}"}\'}\n'
    )
    assert json.loads(step.request.body) == {"a": f"launch: {cell}"}


def test_outside_quotes_a_cell_is_one_json_value() -> None:
    action = "- {forEach: [%s], actionName: sendToAll, dataType: json, data: '{\"a\": ${each}}'}\n"
    assert [json.loads(step.request.body) for step in steps_of(action % "'[1]', 'null', 2")] == [
        {"a": [1]},
        {"a": None},
        {"a": 2},
    ]
    for cell in ("'1,\"admin\":true'", "NaN", "x", "''"):
        (message,) = messages_of(action % f"1, {cell}")
        assert "`${each}` is outside quotes, where its value must be JSON" in message


def test_json_around_cells_needs_a_type_that_is_known() -> None:
    action = (
        "- {forEach: [{t: text, d: '1'}, {t: json, d: '1'}], actionName: sendToAll,\n"
        "   dataType: '${each.t}', data: '%s'}\n"
    )
    assert messages_of(action % "${each.d}") == []
    (message,) = messages_of(action % "[${each.d}]")
    assert "`dataType: json` must be written in the action" in message
