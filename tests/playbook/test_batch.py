"""A bare batch is read as the Functions host reads it."""

import json

import pytest

from wps_run.playbook.lint import find_not_in_binding
from wps_run.playbook.model import read_playbook
from wps_run.problems import PlaybookError

BUFFER = {"type": "Buffer", "data": [123, 125]}


def values_of(text: str, file: str = "b.json") -> list[tuple[str, dict[str, object]]]:
    playbook = read_playbook(text, file)
    assert not playbook.problems
    return [(action.action.name, dict(action.values)) for action in playbook.actions]


def problems_of(text: str, file: str = "b.json") -> list[str]:
    return [
        f"{position.line}:{position.column} {problem.message}"
        for problem in read_playbook(text, file).problems
        if (position := problem.position)
    ]


def test_keys_and_enumerations_may_be_in_any_case() -> None:
    text = (
        '[{"Data":"x","DataType":"Text","Excluded":[],"ActionName":"SendToAll"},'
        '{"CONNECTIONID":"c","permission":"JoinLeaveGROUP","TargetName":"g",'
        '"ActionName":"grantpermission"}]'
    )
    assert values_of(text) == [
        ("sendToAll", {"data": "x", "dataType": "text", "excluded": []}),
        (
            "grantPermission",
            {"connectionId": "c", "permission": "joinLeaveGroup", "targetName": "g"},
        ),
    ]


@pytest.mark.parametrize("key", ["actionName", "ActionName", "ACTIONNAME"])
def test_one_object_is_a_batch(key: str) -> None:
    assert values_of(f'{{"{key}": "SendToAll", "data": "x"}}') == [("sendToAll", {"data": "x"})]


def test_null_is_what_is_not_given() -> None:
    text = '{"actionName":"closeGroupConnections","group":"g","Reason":null,"data":null}'
    assert values_of(text) == [("closeGroupConnections", {"group": "g"})]
    assert problems_of('{"actionName":"closeGroupConnections","group":null}') == [
        "1:1 `closeGroupConnections` needs `group`"
    ]


@pytest.mark.parametrize("data_type", ["text", "Json"])
def test_a_buffer_stands_for_its_text(data_type: str) -> None:
    text = json.dumps({"actionName": "sendToAll", "data": BUFFER, "dataType": data_type})
    assert values_of(text) == [("sendToAll", {"data": "{}", "dataType": data_type.lower()})]


def test_the_text_of_a_buffer_is_checked() -> None:
    action = {"actionName": "sendToAll", "dataType": "json", "data": {"type": "Buffer"}}
    action["data"] = {"type": "Buffer", "data": [123]}
    assert "is not JSON" in problems_of(json.dumps(action))[0]
    action["data"] = {"type": "Buffer", "data": [65, 255]}
    assert "not UTF-8 (byte 2)" in problems_of(json.dumps(action))[0]
    action["data"] = {"type": "Buffer", "data": [256]}
    assert "numbers from 0 to 255" in problems_of(json.dumps(action))[0]


def test_equal_keys_are_reported_with_both_places() -> None:
    message = (
        "2:2 `Data` is the same key as `data` on line 1, column 30, which differs only in case"
    )
    text = '[{"actionName": "sendToAll", "data": "a",\n "Data": "b"}]'
    assert problems_of(text) == [f"{message}; remove one of them"]


def test_equal_keys_of_a_buffer_are_reported() -> None:
    buffer = '{"type": "Buffer", "data": [104], "Data": [105]}'
    message = (
        "1:72 `Data` is the same key as `data` on line 1, column 57, which differs only in case"
    )
    assert problems_of(f'[{{"actionName": "sendToAll", "data": {buffer}}}]') == [
        f"{message}; remove one of them"
    ]


def test_a_mapping_that_is_no_buffer_is_offered_as_it_is_written() -> None:
    text = '{"actionName": "sendToAll", "dataType": "json", "data": {"Type": "a", "DATA": 1}}'
    assert """write '{"Type":"a","DATA":1}'""" in problems_of(text)[0]


def test_positions_stay_exact_behind_what_is_left_out() -> None:
    text = '[{"Excluded": null, "ActionName": "SendToAll",\n  "Reason": null, "Data": 5}]'
    assert problems_of(text) == ['2:27 `data` must be a string, not a number; write "5"']


def test_the_names_of_the_betas_are_reported_in_one_round() -> None:
    text = '[{"OperationKind": "sendToAll", "message": "x", "MessageDataType": "Text"}]'
    assert [problem.split(" it is ")[1] for problem in problems_of(text)] == [
        "`actionName` now",
        "`data` now",
        "`dataType` now",
    ]


@pytest.mark.parametrize("file", ["-", "b.ndjson", "b.jsonl"])
def test_ndjson_is_a_batch(file: str) -> None:
    text = '{"ActionName":"sendToAll","data":"a"}\n\n{"actionName":"sendToAll","data":5}\n'
    assert problems_of(text, file) == ['3:34 `data` must be a string, not a number; write "5"']


def test_a_line_of_ndjson_that_is_not_json_is_reported_with_its_place() -> None:
    with pytest.raises(PlaybookError) as caught:
        read_playbook('{"actionName":"sendToAll","data":"a"}\n{"actionName":', "-")
    (problem,) = caught.value.problems
    assert problem.position is not None
    assert problem.position.line == 2
    assert "this is not JSON" in problem.message


def test_names_in_a_playbook_are_to_the_letter() -> None:
    text = "actions:\n- actionName: sendToAll\n  Data: x\n  dataType: Text\n"
    assert any("did you mean `data`?" in problem for problem in problems_of(text, "p.yaml"))
    assert any("did you mean `text`?" in problem for problem in problems_of(text, "p.yaml"))


def test_the_binding_takes_a_buffer_for_binary_only() -> None:
    action = {"actionName": "sendToAll", "dataType": "binary", "data": "aGk="}
    base64 = read_playbook(json.dumps(action), "b.json")
    assert [problem.rule for problem in find_not_in_binding(base64)] == ["not-in-binding"]
    buffer = read_playbook(json.dumps(action | {"data": BUFFER}), "b.json")
    assert not list(find_not_in_binding(buffer))


def test_names_of_the_betas_and_wrong_values_under_them_are_reported_at_once() -> None:
    """Of what is right under such a name, nothing is reported but the name."""
    text = """[
  {"OperationKind": "SendToAll", "Message": {"Type": "Buffer", "Data": [72]}, "MessageDataType": "Text"},
  {"operationKind": "sendToGruop", "group": 5},
  {"actionName": "sendToGroup", "group": 5, "message": "{'a': 1}", "messageDataType": "json"}
]"""  # noqa: E501
    problems = read_playbook(text, "f").problems

    found = [
        (p.position.line, p.message) for p in problems if p.position and "betas" not in p.message
    ]
    assert sum("betas" in problem.message for problem in problems) == 6
    assert [line for line, _ in found] == [3, 4, 4]
    assert "`sendToGroup`" in found[0][1]
    assert "must be a string" in found[1][1]
    assert "double quotes" in found[2][1]


def test_a_batch_encoded_twice_is_named_as_that() -> None:
    text = json.dumps(json.dumps([{"actionName": "sendToAll", "data": "x"}]))

    (problem,) = read_playbook(text, "f").problems

    assert "encoded twice" in problem.message


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        ("{'a': True, 'b': None}", "`json.dumps`"),
        ("None", "`json.dumps`"),
        ('{"a": nan}', "`json.dumps`"),
        ('{"a": datetime.date(2026, 1, 1)}', "`json.dumps`"),
        ('{"a": <Foo object at 0x1>}', "`json.dumps`"),
        ("NaN", "no NaN"),
        ('{"a": -Infinity}', "no -Infinity"),
        ("undefined", "JavaScript wrote `undefined`"),
        ("[object Object]", "`JSON.stringify`"),
        ("['x']", "straight double quotes"),
        ('{"a": 1,}', "remove the `,`"),
        ('{"a": 1 /* c */}', "no comments"),
        ("{a: 1}", '`"a"`'),
        ("", "it is empty"),
        ("Hello", """'"Hello"'"""),
    ],
)
def test_data_that_is_not_json_is_explained(data: str, hint: str) -> None:
    batch = [{"actionName": "sendToAll", "dataType": "json", "data": data}]

    (problem,) = read_playbook(json.dumps(batch), "f").problems

    assert hint in problem.message
    assert "plain text" not in problem.message or data == "Hello"
