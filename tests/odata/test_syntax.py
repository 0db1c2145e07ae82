"""Tests of parsing filters."""

import pytest

from wps_run.odata.syntax import FilterError, parse


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a or b and c", "a or (b and c)"),
        ("a and b and c", "a and b and c"),
        ("not a and b", "(not a) and b"),
        ("not a eq b", "(not a) eq b"),
        ("not 'g' in groups", "not ('g' in groups)"),
        ("a eq b ne c", "(a eq b) ne c"),
        ("(a or b) and c", "(a or b) and c"),
        ("f( a , 'it''s',-1 )", "f(a,'it's',-1)"),
        ("x in ( 'a' , null,true, 2 )", "x in ('a',null,True,2)"),
        ("now() in groups", "now() in groups"),
    ],
)
def test_operator_precedence(text: str, tree: str) -> None:
    """`in`, then `not`, comparisons, `and`, `or`."""
    assert str(parse(text)) == tree


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        (" ", "Expression expected at position 1 in ' '."),
        ("a eq", "Expression expected at position 4 in 'a eq'."),
        ("a b", "Syntax error at position 3 in 'a b'."),
        ("a eq 'b", "There is an unterminated string literal at position 7 in 'a eq 'b'."),
        ("g/any(x)", "Syntax error: character '/' is not valid at position 1 in 'g/any(x)'."),
        ("(a", "')' or operator expected at position 2 in '(a'."),
        ("f(a b", "')' or ',' expected at position 4 in 'f(a b'."),
        ("a in ('b' 'c')", "')' or ',' expected at position 10 in 'a in ('b' 'c')'."),
        ("a in (b)", "Syntax error at position 7 in 'a in (b)'."),
        ("a eq 2147483648", "Token '2147483648' is not supported."),
    ],
)
def test_an_error_has_its_position(text: str, detail: str) -> None:
    """Positions count characters from 0; an unexpected token is named by its end."""
    with pytest.raises(FilterError) as error:
        parse(text)

    assert str(error.value) == f"Invalid syntax for '{text}': {detail} (Parameter 'filter')"
