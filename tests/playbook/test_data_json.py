"""`dataJson` is a YAML value that goes out as JSON; variables in it are parts of strings."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wps_run.input_limits import DATA
from wps_run.playbook.files import Files
from wps_run.playbook.lint import find_not_in_binding
from wps_run.playbook.model import read_playbook
from wps_run.playbook.options import RunOptions
from wps_run.playbook.steps import StepMaker, check_steps
from wps_run.playbook.variables import VariableScope
from wps_run.problems import PlaybookError, format_problem


def _scope(folder: Path = Path(), **variables: str) -> VariableScope:
    return VariableScope(variables, {}, Files(folder))


def bodies_of(text: str, folder: Path = Path(), **variables: str) -> list[str]:
    """The bodies of the requests of a playbook, each with the media type of JSON."""
    playbook = read_playbook(text, "p.yaml")
    assert not playbook.problems
    assert check_steps(playbook, _scope(folder, **variables)).problems == ()
    steps = list(StepMaker(playbook, _scope(folder, **variables), RunOptions(), "chat").steps())
    assert {step.request.content_type for step in steps} == {"application/json"}
    assert {step.values["dataType"] for step in steps} == {"json"}
    return [step.request.body.decode() for step in steps]


def body_of(value: str, **variables: str) -> str:
    """The body that a value in YAML goes out as."""
    text = f"actions:\n- actionName: sendToAll\n  dataJson: {value}\n"
    return bodies_of(text, Path(), **variables)[0]


@pytest.mark.parametrize(
    ("value", "body"),
    [
        ("{b: 1, a: [x, null, true]}", '{"b":1,"a":["x",null,true]}'),
        ("Grüße 😀", '"Grüße 😀"'),
        ("null", "null"),
        ("", "null"),
        ("false", "false"),
        ("[]", "[]"),
        ("{}", "{}"),
        ("[0x1F, 0o17, 007, +5, -0, 1e3, .5]", "[31,15,7,5,0,1000.0,0.5]"),
        (f"[{'9' * 400}]", f"[{'9' * 400}]"),
        ("[2026-11-24, 12:30, 2026-11-24T10:00:00Z, no, on, 1_000]",
         '["2026-11-24","12:30","2026-11-24T10:00:00Z","no","on","1_000"]'),
        ("{a: &x [1], b: *x}", '{"a":[1],"b":[1]}'),
        ('{a: "$${x}", "$${x}": b}', '{"a":"${x}","${x}":"b"}'),
        ("[" * 50 + "]" * 50, "[" * 50 + "]" * 50),
    ],
)  # fmt: skip
def test_a_yaml_value_goes_out_as_compact_json(value: str, body: str) -> None:
    """Keys stay in their order, numbers are JSON's, and dates are strings as in YAML 1.2."""
    assert body_of(value) == body


HOSTILE = 'x","admin":true,"y":"z'


def test_a_cell_is_a_value_that_cannot_add_a_key() -> None:
    text = """
vars: {who: 'Ada "A" \\ B'}
actions:
  - forEach: [{text: 'x","admin":true,"y":"z'}, {text: "two\\nlines"}]
    actionName: sendToGroup
    group: red
    dataJson: {from: "${who}", text: "<${each.text}>", n: [1, "${each.text}${who}"]}
"""
    playbook = read_playbook(text, "p.yaml")
    steps = StepMaker(
        playbook, VariableScope(playbook.parts[0].variables), RunOptions(), "chat"
    ).steps()

    who = 'Ada "A" \\ B'
    assert [json.loads(step.request.body) for step in steps] == [
        {"from": who, "text": f"<{cell}>", "n": [1, cell + who]} for cell in (HOSTILE, "two\nlines")
    ]


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(value=JSON_VALUES)
def test_any_value_arrives_as_it_is_written(value: Any) -> None:
    """`$${` is how a literal `${` is written."""
    written = json.dumps({"actions": [{"actionName": "sendToAll", "dataJson": value}]})

    assert json.loads(bodies_of(written.replace("${", "$${"))[0]) == value


@given(cell=st.text(st.characters(codec="utf-8")))
def test_any_text_of_a_variable_stays_inside_its_string(cell: str) -> None:
    body = body_of("{a: '${v}', b: ['${v}!', 1]}", v=cell)

    assert json.loads(body) == {"a": cell, "b": [cell + "!", 1]}


def test_a_variable_is_a_text_as_a_cell_is() -> None:
    """A number that is not in quotes is written with `data`, where variables can be any JSON."""
    assert body_of("{n: '${n}'}", n="7") == '{"n":"7"}'


def test_rows_of_a_file_fill_it(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text('user,text\nada,"say ""hi"""\nbob,\\\n')
    text = """
actions:
  - forEach: {file: m.csv}
    actionName: sendToUser
    userId: ${each.user}
    dataJson: {text: "${each.text}"}
"""
    assert bodies_of(text, tmp_path) == ['{"text":"say \\"hi\\""}', '{"text":"\\\\"}']


def test_a_message_is_at_most_a_mebibyte_with_its_cells(tmp_path: Path) -> None:
    """The error names `dataJson`, and of a row its cell."""
    (tmp_path / "m.ndjson").write_text(f'"short"\n"{"x" * DATA.value}"\n')
    text = "actions:\n- {forEach: {file: m.ndjson}, actionName: sendToAll, dataJson: ['${each}']}"
    playbook = read_playbook(text, "p.yaml")

    problem, *others = check_steps(playbook, _scope(tmp_path)).problems

    assert not others
    assert "m.ndjson:2: error: dataJson is 1048580 bytes" in format_problem(problem)

    constant = read_playbook(
        f"actions: [{{actionName: sendToAll, dataJson: [{'x' * DATA.value}]}}]", "p.yaml"
    )
    (problem,) = check_steps(constant, _scope()).problems
    assert problem.message.startswith("`dataJson` is 1048580 bytes")
    assert problem.position is not None
    assert problem.position.column == 45


def test_an_unknown_variable_is_reported_where_it_is() -> None:
    playbook = read_playbook(
        "actions:\n- actionName: sendToAll\n  dataJson: {a: [x, 'b ${nope}']}\n", "p.yaml"
    )

    (problem,) = check_steps(playbook, _scope()).problems

    assert format_problem(problem).startswith("p.yaml:3:24: error: `${nope}` names no variable")


def test_a_secret_of_the_environment_is_refused_in_it() -> None:
    playbook = read_playbook(
        "actions: [{actionName: sendToAll, dataJson: {a: '${env.API_KEY}'}}]", "p.yaml"
    )

    (problem,) = check_steps(playbook, VariableScope({}, {"API_KEY": "x"})).problems

    assert problem.rule == "secret-variable"


@pytest.mark.parametrize(
    ("value", "instead"),
    [
        ("{a: 1}", """`data: '{"a":1}'`"""),
        ("it's", """`data: '"it''s"'`"""),
        (f"[{'x' * 200}]", "as a string in `data`"),
    ],
)
def test_the_binding_does_not_have_it(value: str, instead: str) -> None:
    """The problem shows what to write for the binding."""
    playbook = read_playbook(f"actions:\n- actionName: sendToAll\n  dataJson: {value}\n", "p.yaml")

    (problem,) = find_not_in_binding(playbook)

    assert format_problem(problem).startswith("p.yaml:3:3: error: ")
    assert instead in problem.message


def test_a_number_that_json_does_not_have_never_leaves() -> None:
    """Also one too large for a double, and an integer of more digits than are converted."""
    for number in (".inf", "-.inf", ".nan", "1e400", "9" * 5000):
        playbook = read_playbook(f"actions: [{{actionName: sendToAll, dataJson: [{number}]}}]", "p")
        (problem,) = playbook.problems
        assert format_problem(problem).startswith("p:1:46: error: JSON has no infinity"), number


def test_it_is_nested_no_deeper_than_any_value() -> None:
    deep = "[" * 5000 + "]" * 5000
    with pytest.raises(PlaybookError, match="nested"):
        read_playbook(f"actions: [{{actionName: sendToAll, dataJson: {deep}}}]", "p.yaml")
