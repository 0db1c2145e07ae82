"""A playbook read and checked: its parts, and every problem in order of place."""

import difflib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wps_run.actions.payload import encode_message
from wps_run.actions.table import ACTIONS
from wps_run.document.loader import decode
from wps_run.playbook.model import Playbook, read_playbook
from wps_run.problems import PlaybookError, Problem, format_with_caret, sort_problems

PLAYBOOKS = Path(__file__).parent.parent / "playbooks"
BAD = sorted((PLAYBOOKS / "bad").glob("*.yaml"))
OK = sorted((PLAYBOOKS / "ok").iterdir())


def read(file: Path) -> tuple[Problem, ...]:
    """Every problem of a file."""
    try:
        return read_playbook(decode(file.read_bytes(), file.name), file.name).problems
    except PlaybookError as error:
        return error.problems


@pytest.mark.parametrize("file", BAD, ids=lambda file: file.stem)
def test_each_bad_playbook_is_answered_as_written_beside_it(file: Path) -> None:
    """All of its problems, with the line and the place; a file added is a test added."""
    told = "".join(f"{format_with_caret(problem)}\n" for problem in read(file))
    answer = file.with_suffix(".err").read_bytes().decode()

    difference = difflib.unified_diff(answer.splitlines(), told.splitlines(), "expected", "told")
    assert told, "no problem was found"
    assert told == answer, "\n".join(difference)


def test_every_answer_belongs_to_a_bad_playbook() -> None:
    """None is left over."""
    answers = {file.stem for file in (PLAYBOOKS / "bad").glob("*.err")}

    assert answers == {file.stem for file in BAD}
    assert len(BAD) > 90


@pytest.mark.parametrize("file", OK, ids=lambda file: file.name)
def test_each_good_playbook_has_no_problem(file: Path) -> None:
    """A file added is a test added."""
    assert read(file) == ()


def test_the_parts_of_a_playbook() -> None:
    """Options as written, variables as they stand in the source, actions in order."""
    text = """
name: Rooms
hub: chat
connection: MyHub
mode: concurrent
retry: {attempts: 2}
vars: {code: 007, live: TRUE, room: launch, price: 2.50}
slashInNames: allow
actions:
  - {name: Hello, actionName: sendToAll, data: Hi, messageTtlSeconds: 60.0, timeout: 5s}
  - {actionName: closeGroupConnections, group: "${room}/b"}
"""

    playbook = read_playbook(text, "f.yaml")

    assert playbook.problems == ()
    assert (playbook.name, playbook.hub, playbook.connection) == ("Rooms", "chat", "MyHub")
    assert playbook.options == {"mode": "concurrent", "retry": {"attempts": 2}}
    assert playbook.parts[0].variables == {
        "code": "007",
        "live": "TRUE",
        "room": "launch",
        "price": "2.50",
    }
    assert playbook.parts[0].slash_in_names
    assert not playbook.is_bare
    first, second = playbook.actions
    assert (first.action, first.label) == (ACTIONS["sendToAll"], "Hello")
    assert first.values == {"data": "Hi", "messageTtlSeconds": 60}
    assert isinstance(first.values["messageTtlSeconds"], int)
    assert first.options == {"timeout": "5s"}
    assert (first.path, first.has_templates) == (("actions", 0), False)
    assert (second.path, second.has_templates) == (("actions", 1), True)


@pytest.mark.parametrize(
    "action",
    [
        '{actionName: sendToAll, data: "${x}"}',
        '{actionName: sendToAll, data: a, excluded: ["${x}"]}',
        '{actionName: sendToAll, data: a, name: "${x}"}',
    ],
)
def test_an_action_is_templated_wherever_its_variables_are(action: str) -> None:
    """In a string, in a list, in its label; in a bare batch never."""
    assert read_playbook(f"actions: [{action}]", "f").actions[0].has_templates
    assert not read_playbook(f"[{action}]", "f").actions[0].has_templates


def test_an_action_without_variables_is_checked_to_the_end_at_once() -> None:
    """There is nothing to wait for."""
    text = "actions: [{actionName: sendToAll, dataType: json, data: '{'}]"

    assert [problem.rule for problem in read_playbook(text, "f").problems] == ["data"]


def test_one_action_that_stands_alone_is_a_batch_of_one() -> None:
    """A function may return a single object."""
    playbook = read_playbook('{"actionName": "SendToAll", "data": "${x}"}', "f")

    assert playbook.is_bare
    assert [(one.action.name, one.path) for one in playbook.actions] == [("sendToAll", ())]


@pytest.mark.parametrize("text", ["[]", "actions: []"])
def test_nothing_to_do_is_no_fault(text: str) -> None:
    """A function that returns an empty list does nothing, too."""
    playbook = read_playbook(text, "f")

    assert (playbook.actions, playbook.problems) == ((), ())


def test_what_is_wrong_is_left_out_and_the_rest_is_there() -> None:
    """The sound actions and options are still of use for further checks."""
    text = """
hub: my-hub
mode: odd
timeout: 5s
connection: Endpoint=https://h;AccessKey=c2VjcmV0;
actions: [{actionName: sendToAll}, {actionName: closeAllConnections}]
"""

    playbook = read_playbook(text, "f")

    assert len(playbook.problems) == 4
    assert (playbook.hub, playbook.connection, playbook.options) == (None, None, {"timeout": "5s"})
    assert [one.path for one in playbook.actions] == [("actions", 1)]


def test_problems_come_in_the_order_of_the_file() -> None:
    """Not in the order in which they are found."""
    text = "actions: [{actionName: x}]\nhub: 5\nfoo: 1\nmode: odd\n"

    problems = read_playbook(text, "f").problems

    assert problems == sort_problems(problems)
    assert [problem.position.line for problem in problems if problem.position] == [1, 2, 3, 4]


KEY = "c2VjcmV0LXNlY3JldA=="
CONNECTION = f"Endpoint=https://h;AccessKey={KEY};Version=1.0;"


@pytest.mark.parametrize(
    "text",
    [
        f"connection: {CONNECTION}\nactions: []",
        f"connection: '{CONNECTION}\nactions: []",
        f"connection: {CONNECTION}\nconnection: {CONNECTION}\nactions: []",
        f"connection: &c {KEY}\nhub: *c\nactions: 5",
        f"{{connection: '{KEY}', foo: 1}}",
        f"hub: {CONNECTION}\nmode: {CONNECTION}\nrate: {CONNECTION}\nactions: []",
        f"{CONNECTION}: 1",
        CONNECTION,
        f"- {CONNECTION}",
        f"- actionName: {CONNECTION}",
        f"- actionName: sendToAll\n  data: x\n  dataType: {CONNECTION}\n  {CONNECTION}: 5",
        f"- {{actionName: sendToAll, data: '{CONNECTION}', dataType: json}}",
        f"vars: {{'{CONNECTION}': [1]}}\nactions: []",
        f"a: *{CONNECTION}",
        f"a: !{CONNECTION} b",
    ],
)
def test_no_problem_shows_an_access_key(text: str) -> None:
    """Wherever a connection string was pasted: not in the message, nor in the line under it."""
    try:
        problems = read_playbook(text, "f").problems
    except PlaybookError as error:
        problems = error.problems

    assert problems
    assert KEY not in "".join(map(format_with_caret, problems))
    assert KEY not in str(PlaybookError(problems))


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text("a${}/. \n\ud800é😀", max_size=8)
    | st.sampled_from(["json", "binary", "aGk=", "[1]", "10s", "sendToGroup"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "data", "a"]), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = sorted({one.name for action in ACTIONS.values() for one in action.fields})


@given(
    name=st.sampled_from(list(ACTIONS)) | ANYTHING,
    changes=st.dictionaries(st.sampled_from([*KEYS, "name", "timeout", "onError"]), ANYTHING),
    top=st.dictionaries(st.sampled_from(["hub", "vars", "retry", "rate", "connection"]), ANYTHING),
)
def test_any_value_of_any_property_is_taken_or_told(
    name: Any, changes: dict[str, Any], top: dict[str, Any]
) -> None:
    """Nothing but a problem ever comes of it, and what is taken can be sent."""
    required = ACTIONS[name].fields if isinstance(name, str) and name in ACTIONS else ()
    action = {
        "actionName": name,
        **{one.name: one.example for one in required if not one.replaces},
        **changes,
    }
    try:
        playbook = read_playbook(json.dumps({**top, "actions": [action]}), "f.json")
    except PlaybookError as error:
        assert error.problems  # noqa: PT017 -- one of the two outcomes
        return

    assert playbook.problems or playbook.actions
    for written in playbook.actions:
        json.dumps(written.values, ensure_ascii=False).encode()
        if "data" in written.values and not written.has_templates:
            encode_message(written.values["data"], written.values.get("dataType", "text"))


@given(pieces=st.lists(st.sampled_from(
    ["actions:", "\n", "  ", "- ", "actionName: sendToAll", "data: ", "Hello", "5", "x: &a ", "*a",
     "<<: *a", "{", "}", "[", "]", ",", "'", "vars: ", "hub: ", "${x}", "# c", "connection: ", ": ",
     "---", "!!binary ", "null", ".nan", "group: a/b"]), max_size=30))  # fmt: skip
def test_any_text_is_a_playbook_or_a_playbook_error(pieces: list[str]) -> None:
    """Half-written files are what an editor saves."""
    try:
        outcome: object = read_playbook("".join(pieces), "f")
    except PlaybookError as error:
        outcome = error.problems
    assert isinstance(outcome, Playbook) or outcome
