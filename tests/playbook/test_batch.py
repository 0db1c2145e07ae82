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


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        ("{'a': 1}", "write it with `json.dumps`"),
        ('{"a": None}', "write it with `json.dumps`"),
        ("undefined", "JavaScript wrote `undefined`"),
        ('{"a": NaN}', "it has no NaN; write null, or a number"),
    ],
)
def test_data_of_another_language_is_named_as_such(data: str, hint: str) -> None:
    action = {"actionName": "sendToAll", "dataType": "json", "data": data}
    (problem,) = problems_of(json.dumps(action))
    assert hint in problem
