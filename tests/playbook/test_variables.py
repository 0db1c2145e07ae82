"""`${name}` is filled in: plain substitution, from named sources, with errors that teach."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wps_run.document.loader import load
from wps_run.emulator.filters import compile_filter
from wps_run.emulator.hub import Connection
from wps_run.playbook.model import variables_from
from wps_run.playbook.references import (
    FilterValueError,
    NotYetKnownError,
    SecretReferenceError,
    UndefinedError,
)
from wps_run.playbook.templates import EXPRESSION, parse_template, substitute
from wps_run.playbook.variables import VariableScope
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


SECRETS = VariableScope(
    {"room": "launch"},
    {
        "API_KEY": "k", "TEAM": "red", "Plain": "Endpoint=https://h;AccessKey=abcdefgh",
        "COPY": "abcdefgh", "Chat": "x", "Chat__serviceUri": "https://h", "MONKEY": "banana",
    },
    connections=("WebPubSubConnectionString", "Chat"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("API_KEY", "by its name"),
        ("WebPubSubConnectionString", "by its name"),
        ("Chat", "by its name"),
        ("Chat__serviceUri", "by its name"),
        ("CHAT", "by its name"),
        ("CUSTOMCONNSTR_Chat", "by its name"),
        ("UNSET_TOKEN", "by its name"),
        ("Plain", "holds a connection string"),
        ("COPY", "holds a connection string"),
    ],
)
def test_a_secret_of_the_environment_is_refused(name: str, reason: str) -> None:
    """By its name, set or not, or by its value; the message does not have the value."""
    with pytest.raises(SecretReferenceError, match=reason) as caught:
        substitute("${env.TEAM} ${env." + name + "}", SECRETS)

    assert caught.value.message.endswith(f"allow it with `--allow-env {name}`")
    assert "abcdefgh" not in caught.value.message


def test_an_ordinary_variable_of_the_environment_is_not() -> None:
    assert substitute("${env.MONKEY} ${env.TEAM}", SECRETS) == "banana red"


def test_a_name_is_refused_before_the_environment_is_known() -> None:
    """Also behind a variable whose value is not known yet."""
    with pytest.raises(SecretReferenceError):
        substitute("${env.TEAM} ${env.API_KEY}", VariableScope({}, None))


def test_the_caller_can_allow_a_secret() -> None:
    scope = VariableScope({}, SECRETS.environment, allowed=("API_KEY", "Plain"))

    assert substitute("${env.API_KEY}", scope) == "k"
    assert substitute("${env.Plain}", scope).endswith("abcdefgh")
    assert scope.secrets.mask("abcdefgh is a key") == "*** is a key"


def test_the_hint_is_safe_to_paste() -> None:
    with pytest.raises(SecretReferenceError, match=r"--allow-env 'X_KEY; rm -rf ~'"):
        substitute("${env.X_KEY; rm -rf ~}", VariableScope({}, None))


@pytest.mark.parametrize(
    ("text", "value", "expression"),
    [
        ("userId eq '${x}'", "ada", "userId eq 'ada'"),
        ("userId eq '${x}'", "x' or userId ne 'y", "userId eq 'x'' or userId ne ''y'"),
        ("'it''s ${x}' eq ${n}", "'", "'it''s ''' eq 7"),
        ("${n} lt ${n} and 'a' eq '$${${x}'", "'", "7 lt 7 and 'a' eq '${'''"),
    ],
)
def test_a_variable_in_an_expression_is_one_value(text: str, value: str, expression: str) -> None:
    """Inside quotes its quotes are doubled, in a cell as well."""
    scope = VariableScope({"x": value, "n": "7"})
    row = parse_template(text.replace("${x}", "${each.x}"), scope, EXPRESSION)

    assert parse_template(text, scope, EXPRESSION).fill({}) == expression
    assert row.fill({"x": value}) == expression
    assert row.unusable_column({"x": value}) is None


@pytest.mark.parametrize("value", ["7", "-1.5", "2e3", "true", "false", "null"])
def test_outside_quotes_it_may_be_a_number_or_a_word_of_odata(value: str) -> None:
    template = parse_template("a eq ${x}", VariableScope({"x": value}), EXPRESSION)

    assert template.fill({}) == f"a eq {value}"


@pytest.mark.parametrize("value", ["ada", "'ada'", "1 or true", "True", "", "1\n", "NaN", "0x1"])
def test_outside_quotes_another_value_is_refused(value: str) -> None:
    """In a cell as well; the message says what to write."""
    with pytest.raises(FilterValueError) as caught:
        parse_template("a eq ${x}", VariableScope({"x": value}), EXPRESSION)
    template = parse_template("a eq ${each.x}", VariableScope(), EXPRESSION)

    assert caught.value.message.endswith("for a text write `'${x}'`")
    column, error = template.unusable_column({"x": value}) or ("", caught.value)

    assert column == "x"
    assert error.message == caught.value.message.replace("${x}", "${each.x}")


@given(value=st.text(), name=st.text())
def test_a_filter_selects_by_exactly_the_value(value: str, name: str) -> None:
    """The emulator's parser reads the value as one string, whatever is in it."""
    scope = VariableScope({"x": value})
    template = parse_template("userId eq '${x}' and true", scope, EXPRESSION)
    selects = compile_filter(template.fill({}))

    assert selects(Connection("c", value))
    assert selects(Connection("c", name)) is (name == value)
