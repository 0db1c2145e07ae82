"""The package as a library: load, plan, run."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.plan_runs import run_plans

import wps_run
from wps_run.checking import load_playbook, load_variables, validate
from wps_run.emulator.server import Emulator
from wps_run.execution.result import Status
from wps_run.journal.fingerprint import changed_parts
from wps_run.journaling import fingerprint_of
from wps_run.planning import RunOverrides, plan
from wps_run.playbook.model import read_playbook
from wps_run.playbook.variables import VariableValue
from wps_run.problems import PlaybookError, SettingsError, UsageError

PLAYBOOK = """
hub: chat
mode: concurrent
vars: {room: red}
actions:
  - {actionName: sendToGroup, group: '${room}', data: Hello}
  - {actionName: sendToAll, data: Bye}
"""


@pytest.fixture
def playbook(tmp_path: Path) -> Path:
    """A file with two sends."""
    file = tmp_path / "p.yaml"
    file.write_text(PLAYBOOK)
    return file


async def test_a_program_runs_a_playbook_and_sees_results_as_they_come(playbook: Path) -> None:
    """Everything that the command line does is a few calls."""
    async with Emulator() as service:
        settings = {"WebPubSubConnectionString": service.connection_string}
        plans = plan([load_playbook(playbook)], RunOverrides(environment=settings))

        results = [result async for result in run_plans(plans)]

    assert [result.status for result in results] == [Status.OK, Status.OK]
    assert results[0].target == {"group": "red"}


def test_the_public_names_are_there_and_no_others() -> None:
    """They are what their names say, whatever modules there are."""
    others = {name for name in wps_run.__all__ if not callable(getattr(wps_run, name))}
    assert others == {"ACTIONS"}
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = wps_run.nothing


async def test_without_a_connection_string_nothing_is_sent(playbook: Path) -> None:
    """The setting is named, so that it can be set."""
    plans = plan([load_playbook(playbook)], RunOverrides())

    with pytest.raises(SettingsError, match="WebPubSubConnectionString"):
        _ = [result async for result in run_plans(plans)]


def test_a_wrong_playbook_is_refused_with_every_problem(tmp_path: Path) -> None:
    """When it is loaded, or when variables are filled in."""
    file = tmp_path / "p.yaml"
    file.write_text("hub: chat\nactions: [{actionName: sendToAl}, {actionName: sendToAll}]")
    with pytest.raises(PlaybookError) as caught:
        load_playbook(file)
    assert len(caught.value.problems) == 2

    file.write_text("hub: chat\nactions: [{actionName: sendToAll, data: '${a}'}]")
    with pytest.raises(PlaybookError, match="names no variable"):
        plan([load_playbook(file)], RunOverrides())


def test_the_setting_of_a_header_is_a_secret(tmp_path: Path) -> None:
    """Whatever its name: a playbook does not read it, and its value is masked."""
    file = tmp_path / "p.yaml"
    file.write_text("hub: chat\nactions:\n  - {actionName: sendToAll, data: '${env.APIM}'}\n")
    environment = {"APIM": "blue-harbour"}
    overrides = RunOverrides(environment=environment, headers=[("X-Key", "APIM")])

    with pytest.raises(PlaybookError, match="a playbook must not send it"):
        plan([load_playbook(file)], overrides)
    assert overrides.secrets.mask("blue-harbour") == "***"
    assert plan([load_playbook(file)], RunOverrides(environment=environment))


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    """Not there, a folder, or a name that no file can have."""
    for path, complaint in ((tmp_path / "none", "No such file"), (tmp_path, "is a folder")):
        with pytest.raises(UsageError, match=complaint):
            load_playbook(path)
    with pytest.raises(UsageError, match="cannot read"):
        load_playbook("a\0b")


DECLARED = """
hub: chat
vars:
  room: {type: string, required: true, description: The room to open}
  unused: {required: true}
  optional: {type: string}
  teams: {type: list, default: [red, blue], enum: [red, green, blue]}
  seats: {type: number, default: 40}
  quiet: {type: boolean, default: false}
actions:
  - {forEach: '${teams}', actionName: sendToGroup, group: '${room}-${each}', data: '${seats}'}
  - {actionName: sendToAll, data: '${quiet}'}
"""


def problems_of(file: Path, variables: Mapping[str, VariableValue]) -> list[str]:
    """What `plan` says of a playbook with these variables, without the excerpts."""
    with pytest.raises(PlaybookError) as caught:
        plan([load_playbook(file)], RunOverrides(variables=variables))
    return [problem.message for problem in caught.value.problems]


def test_a_declared_variable_needs_a_value_for_a_plan_and_not_to_be_checked(
    tmp_path: Path,
) -> None:
    """So a playbook of a library is checked alone. The error says which flag to give."""
    file = tmp_path / "p.yaml"
    file.write_text(DECLARED)

    assert not [found for found in validate(load_playbook(file), {}) if found.rule != UNUSED]
    assert problems_of(file, {}) == [
        "the variable `room` (The room to open) has no value; give `--var room=VALUE`",
        "the variable `unused` has no value; give `--var unused=VALUE`",
    ]


UNUSED = "unused-variable"


@pytest.mark.parametrize(
    ("second_hub", "is_refused"),
    [("CHAT", True), ("lobby", False), ("chat\nconnection: Other", False)],
    ids=["same hub", "other hub", "other service"],
)
def test_a_group_is_listed_in_one_playbook_of_a_run(
    tmp_path: Path, second_hub: str, *, is_refused: bool
) -> None:
    """Of one hub: the second list would contradict the first, or be half of it."""
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text("hub: chat\ngroups: {red: {users: [ada]}}")
    second.write_text(f"hub: {second_hub}\ngroups: {{red: {{users: [bob]}}}}")
    playbooks = [load_playbook(first), load_playbook(second)]

    if not is_refused:
        assert [planned.total for planned in plan(playbooks, RunOverrides())] == [1, 1]
        return
    with pytest.raises(PlaybookError) as caught:
        plan(playbooks, RunOverrides())
    (problem,) = caught.value.problems
    assert (
        problem.message
        == f"the group `red` is already listed at {first}:2:10; list its members once"
    )
    assert problem.position is not None
    assert str(problem.position) == f"{second}:2:10"


def test_values_are_checked_against_the_declared_type(tmp_path: Path) -> None:
    """With the value that is wrong; all of them at once."""
    file = tmp_path / "p.yaml"
    file.write_text(DECLARED)
    wrong = {"room": "a", "unused": "", "teams": "red,blue", "seats": "many", "quiet": "no"}

    assert problems_of(file, wrong) == [
        "`teams` must be a list, not `red,blue`; write `--var 'teams=[red, blue]'`",
        "`seats` must be a number, not `many`",
        "`quiet` must be true or false, not `no`",
    ]
    given = {"room": "a", "unused": "", "teams": "[red, grean]"}
    assert problems_of(file, given) == [
        "an item of `teams` must be `red`, `green` or `blue`, not `grean`; did you mean `green`?"
    ]
    assert "is not YAML or JSON" in problems_of(file, {**given, "teams": "[red"})[0]
    assert problems_of(file, {**given, "teams": "", "seats": ""}) == [
        "`teams` must be a list, not an empty text; write `--var 'teams=[red, blue]'`",
        "`seats` must be a number, not an empty text",
    ]


@pytest.mark.parametrize(
    ("declaration", "message"),
    [
        ("{type: number, default: many}", '`default` must be a number, not the text "many"'),
        ("{default: x, enum: [a, b]}", "`x` must be `a` or `b`, not `x`"),
        ("{typ: string}", "`typ` is not a key of the declaration of a variable; did you mean `ty"),
        ("", "`x` has no value; write one, or declare it: `x: {required: true}`"),
    ],
)
def test_a_wrong_declaration_is_the_only_problem_of_its_variable(
    tmp_path: Path, declaration: str, message: str
) -> None:
    """For `plan` as for `validate`: a value on the command line would not help."""
    file = tmp_path / "p.yaml"
    file.write_text(
        f"hub: chat\nvars:\n  x: {declaration}\n"
        "actions: [{actionName: sendToAll, data: '${x}'}]"
    )
    playbook = read_playbook(file.read_text(), str(file))

    with pytest.raises(PlaybookError) as caught:
        plan([playbook], RunOverrides())

    (problem,) = caught.value.problems
    assert problem.message.startswith(message)
    assert caught.value.problems == validate(playbook, {})


@pytest.mark.parametrize("content", ["", "# none\n", " \n"])
def test_an_empty_file_of_variables_has_none(tmp_path: Path, content: str) -> None:
    file = tmp_path / "vars.yaml"
    file.write_text(content)

    assert load_variables(file) == {}


def test_a_mapping_in_a_file_of_variables_is_one_problem(tmp_path: Path) -> None:
    """Declarations are in playbooks; this one is not explained as one that is wrong."""
    file = tmp_path / "vars.yaml"
    file.write_text("room: {city: Oslo}\nteams: [[red]]\n")

    with pytest.raises(PlaybookError) as caught:
        load_variables(file)

    assert [problem.message.partition(";")[0] for problem in caught.value.problems] == [
        "`room` is a mapping",
        "`teams`: a row is a single value, or a mapping of column to value, not a list",
    ]


@pytest.mark.parametrize("teams", ["[green, blue]", '["green", "blue"]'])
def test_a_list_is_given_as_text_or_in_a_file(tmp_path: Path, teams: str) -> None:
    """In YAML or JSON; it replaces the default, and numbers keep their source text."""
    file = tmp_path / "p.yaml"
    file.write_text(DECLARED)
    values = {"room": "a", "unused": "x", "seats": "007"}
    (tmp_path / "v.yaml").write_text(f"teams: {teams}")
    in_file = load_variables(tmp_path / "v.yaml")

    for given in ({"teams": teams}, in_file):
        (planned,) = plan([load_playbook(file)], RunOverrides(variables={**values, **given}))
        groups = [step.values.get("group") for step in planned.steps()]
        assert groups == ["a-green", "a-blue", None]
        assert next(planned.steps()).values["data"] == b"007"


def test_a_wrong_value_of_a_file_of_variables_names_its_place(tmp_path: Path) -> None:
    """Single values and lists; the declaration is shown as for a value of `--var`."""
    file = tmp_path / "p.yaml"
    file.write_text("vars: {seats: {type: number}, teams: {type: string}}\nactions: []\n")
    variables = tmp_path / "v.yaml"
    variables.write_text("seats: many\nteams: [red]\n")

    problems = validate(load_playbook(file), load_variables(variables))

    assert [problem.message for problem in problems if problem.rule == "variable-type"] == [
        f"`seats` must be a number, not `many`; the value is in {variables}:1:8",
        f"`teams` must be a string, not a list; the value is in {variables}:2:8",
    ]


def test_the_fingerprint_covers_the_items_of_lists(tmp_path: Path) -> None:
    """A run with another list is another run, however the list is written."""
    file = tmp_path / "p.yaml"
    file.write_text(DECLARED)

    def digests(teams: str) -> dict[str, str]:
        variables = {"room": "a", "unused": "x", "teams": teams}
        plans = plan([load_playbook(file)], RunOverrides(variables=variables))
        return fingerprint_of(plans, ["localhost:80"], "salt")

    assert digests("[red, blue]") == digests('["red",\n "blue"]')
    assert changed_parts(digests("[red]"), digests("[blue]")) == [
        "the variable teams of the playbook p.yaml"
    ]


def test_a_matrix_is_counted_before_its_rows_are_made(tmp_path: Path) -> None:
    """With the values of lists and files; a file is read only up to the limit."""
    (tmp_path / "u.csv").write_text("id\n" + "x\n" * 1001)
    file = tmp_path / "p.yaml"
    numbers = list(range(1000))
    file.write_text(
        f"hub: chat\nvars: {{numbers: {numbers}}}\nactions:\n"
        "  - {forEach: {matrix: {user: {file: u.csv}, number: '${numbers}'}},\n"
        "     actionName: sendToUser, userId: '${each.user}', data: '${each.number}'}\n"
    )

    (message,) = problems_of(file, {})
    assert message.startswith("the matrix has 1,001 x 1,000 rows; at most 1,000,000 are allowed")


def test_a_matrix_takes_a_column_of_a_file_and_lists_of_variables(tmp_path: Path) -> None:
    """In the order in which they are written; a result names the line of the first value."""
    (tmp_path / "u.csv").write_bytes("id;name\nada;Ada\n;\nbob;Bób\n".encode("cp1252"))
    file = tmp_path / "p.yaml"
    file.write_text(
        "hub: chat\nvars: {teams: [red, blue]}\nactions:\n"
        "  - forEach:\n"
        "      matrix:\n"
        "        user: {file: u.csv, column: name, delimiter: ';', encoding: CP1252}\n"
        "        team: ${teams}\n"
        "        room: [a]\n"
        "    actionName: addUserToGroup\n"
        "    userId: ${each.user}\n"
        "    group: ${each.team}-${each.room}\n"
    )

    (planned,) = plan([load_playbook(file)], RunOverrides())

    assert [
        (step.item, step.source.rpartition("/")[2], *step.values.values())
        for step in planned.steps()
    ] == [
        (0, "u.csv:2", "Ada", "red-a"),
        (1, "u.csv:2", "Ada", "blue-a"),
        (2, "u.csv:4", "Bób", "red-a"),
        (3, "u.csv:4", "Bób", "blue-a"),
    ]


def test_variables_may_be_python_values() -> None:
    """As in a file of variables; a list is for `forEach`."""
    text = """
actions:
  - {forEach: "${teams}", actionName: sendToGroup, group: "${each}", data: "${n} ${on} ${text}"}
"""
    values = {"teams": ["red", 7], "n": 1.5, "on": True, "text": "007"}

    (planned,) = plan([read_playbook(text, "p")], RunOverrides(variables=values, hub="chat"))

    assert [(step.values["group"], step.values["data"]) for step in planned.steps()] == [
        ("red", b"1.5 true 007"),
        ("7", b"1.5 true 007"),
    ]
    with pytest.raises(PlaybookError, match="`n` has no value"):
        RunOverrides(variables={"n": None})
