"""Records for programs have exactly the documented keys, in a fixed order."""

import json

from wps_run.execution.result import Result
from wps_run.report.records import line


def test_the_record_of_an_action_that_is_ok(results: list[Result]) -> None:
    """These keys, in this order; times in milliseconds."""
    assert line(results[0].as_json()) == (
        '{"type":"result","index":3,"action":0,"item":null,"actionName":"addUserToGroup",'
        '"name":"Seat the members","target":{"userId":"ada","group":"launch-red"},'
        '"source":"rooms.yaml:5","status":"ok","httpStatus":200,"attempts":1,"durationMs":3.1,'
        '"requestId":"id-1","error":null,"startedMs":1.0,"waitedFor":null,"tries":[]}\n'
    )


def test_the_record_of_a_failure_has_the_cause_and_the_hint(results: list[Result]) -> None:
    """The error has a code, a message and a hint."""
    assert results[1].as_json()["error"] == {
        "code": "Warning.User.NotExisted",
        "message": "User `ada` is not found.",
        "hint": "Let the user connect.",
    }


def test_a_record_is_one_line_whatever_the_names_contain() -> None:
    """A line break in a value is escaped, other characters stay readable."""
    text = line({"name": "a\nb\u2028 ü"})

    assert text.count("\n") == 1
    assert "ü" in text
    assert json.loads(text) == {"name": "a\nb\u2028 ü"}
