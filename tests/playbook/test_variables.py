"""`${name}` is filled in: plain substitution, from named sources, with errors that teach."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wps_run.document.loader import load
from wps_run.playbook.model import variables_from
from wps_run.playbook.variables import (
    NotYetKnownError,
    UndefinedError,
    VariableScope,
    substitute,
)
from wps_run.problems import PlaybookError

SCOPE = VariableScope({"room": "launch", "a-b": "dash", "tricky": "${room}"}, {"TEAM": "red"})


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("${room}", "launch"),
        ("${room}-${env.TEAM}", "launch-red"),
        ("${a-b}", "dash"),
        ("$${room}", "${room}"),
        ("$$${room}", "$${room}"),
        ("$room $ {room} }{", "$room $ {room} }{"),
        ("${tricky}", "${room}"),
        ("", ""),
    ],
)
def test_references_are_replaced_and_nothing_else(text: str, filled: str) -> None:
    """`$${` writes a literal `${`, and what is filled in is not read again."""
    assert substitute(text, SCOPE) == filled


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${rom}", "`${rom}` names no variable; did you mean `room`?"),
        ("${zebra}", "`${zebra}` names no variable; add it to `vars`, or give --var"),
        ("${ room }", "`${ room }` has spaces in it; write `${room}`"),
        ("${}", "`${}` names no variable; a literal `${` is written `$${`"),
        ("${room", "`${` has no `}`; a literal `${` is written `$${`"),
        ("${env.NOPE}", "the environment variable `NOPE` is not set"),
    ],
)
def test_a_reference_that_names_nothing_says_what_to_write(text: str, message: str) -> None:
    """A typo never goes out as an empty string."""
    with pytest.raises(UndefinedError) as caught:
        substitute(text, SCOPE)

    assert caught.value.message == message


def test_an_environment_that_is_not_known_yet_is_not_judged() -> None:
    """Validation is offline; the variable may be set where the playbook runs."""
    with pytest.raises(NotYetKnownError):
        substitute("${env.TEAM}", VariableScope({}, None))


@given(value=st.text())
def test_any_value_goes_in_as_it_is(value: str) -> None:
    """There is no expression language that a value could trigger."""
    assert substitute("<${x}>", VariableScope({"x": value})) == f"<{value}>"


@given(text=st.text(st.sampled_from("${}a.env $")))
def test_any_text_is_filled_in_or_refused(text: str) -> None:
    """Never another exception."""
    with suppress(UndefinedError):
        assert "${a}" not in substitute(text, VariableScope({"a": "1"}, {})) or "$${a}" in text


def test_a_variables_file_is_read_as_written() -> None:
    """Numbers keep their zeros, words like `no` stay words."""
    document = load("zip: 00710\nanswer: no\nratio: 2.50\nflag: true\n", "vars.yaml")

    assert variables_from(document) == {
        "zip": "00710",
        "answer": "no",
        "ratio": "2.50",
        "flag": "true",
    }


@pytest.mark.parametrize("text", ["[1]", "a: {b: 1}", "a: null", "1a: x", "each: x", "just text"])
def test_a_variables_file_is_one_mapping_of_names_to_single_values(text: str) -> None:
    """The problem has its place in that file."""
    with pytest.raises(PlaybookError) as caught:
        variables_from(load(text, "vars.yaml"))

    assert all(
        problem.position and problem.position.file == "vars.yaml"
        for problem in caught.value.problems
    )


@pytest.mark.parametrize("name", ["each", "each.user", "env.HOME"])
def test_spaces_around_any_name_are_reported(name: str) -> None:
    """Rows and the environment have no blanks either."""
    with pytest.raises(UndefinedError) as caught:
        substitute(f"${{ {name} }}", VariableScope())
    assert caught.value.message.endswith(f"has spaces in it; write `${{{name}}}`")
