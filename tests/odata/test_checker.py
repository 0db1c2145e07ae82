"""Tests of the explanations of invalid filters."""

import pytest

from wps_run.odata.checker import check_filter
from wps_run.odata.syntax import FilterError


@pytest.mark.parametrize(
    ("text", "wrong", "explanation"),
    [
        ("userId eq mira", "mira", "there is no field `mira`; for a text write `'mira'`"),
        ("'vip' in group", "group", "there is no field `group`; did you mean `groups`?"),
        ("userId = 'a'", "=", "`=` is not part of the filter language; write `eq`"),
        ("userId == 'a'", "==", "`==` is not part of the filter language; write `eq`"),
        ("true && true", "&&", "`&&` is not part of the filter language; write `and`"),
        ("true || true", "||", "`||` is not part of the filter language; write `or`"),
        ("length(userId) >= 3", ">=", "`>=` is not part of the filter language; write `ge`"),
        ('userId eq "a"', '"', "texts are written in single quotes, `'…'`"),
        ("userId eq 'a", "'", "this text has no closing quote; a quote in a text is written `''`"),
        ("startswith(userId, 'x'", "", "`,` or `)` is missing here"),
        ("contains(userId 'x')", "'x'", "`,` or `)` is missing here"),
        ("(true", "", "`)` is missing here"),
        ("userId equals 'a'", "equals", "`equals` is not an operator; write `eq`"),
        ("length(userId) GTE 3", "GTE", "`GTE` is not an operator; write `ge`"),
        ("groups contains 'vip'", "contains",
         "`contains` is not an operator; write `contains(userId, '…')`, or `'…' in groups`"),
        ("'vip' not in groups", "not",
         "`not` is not an operator; write `not (…)` around the whole condition"),
        ("userId ed 'a'", "ed",
         ("`ed` is not an operator; there are "
          "`eq`, `ne`, `gt`, `ge`, `lt`, `le`, `in`, `and` and `or`")),
        ("userId eq 'O'Brien'", "Brien",
         "an operator such as `and` is missing here; a quote in a text is written `''`"),
        ("userId in (a, b)", "a", "a list has texts in quotes, or numbers: `('a', 'b')`"),
        ("userId in ['a']", "[",
         "`[` is not part of the filter language; a list is written in parentheses, `('a', 'b')`"),
        ("userId in 'a', 'b'", ",",
         "a `,` is only between arguments, and in a list such as `('a', 'b')`"),
        ("groups/any(g: g eq 'a')", "/",
         "`/` is not part of the filter language; who is in a group is `'…' in groups`"),
        ("contains(groups, 'a')", "groups",
         "this is a collection, where a text is needed; who is in a group is `'…' in groups`"),
        ("and true", "and", "a value is missing before `and`"),
        ("true or or true", "or", "a value is missing before `or`"),
        ("true and eq 'a'", "eq", "a value is missing before `eq`"),
        ("true or and", "and", "a value is missing before `and`"),
        ("length(userId) gt 3.5", ".", "numbers are whole, from -2147483648 to 2147483647"),
        ("true)", ")", "this `)` has no `(`"),
        ("true AND true", "AND", "operators are written in lower case, `and`"),
        ("userId eq 'a' true", "true",
         "an operator such as `and` or `eq` is missing before `true`"),
        ("userId eq", "", "a value is missing here"),
        ("ToLower(userId) eq 'a'", "ToLower", "there is no function `ToLower`; write `tolower`"),
        ("startwith(userId, 'a')", "startwith",
         "there is no function `startwith`; did you mean `startswith`?"),
        ("contains(userId)", "contains", "`contains` takes 2 arguments"),
        ("true eq TRUE", "TRUE", "there is no field `TRUE`; write `true`, in lower case"),
        ("userId", "userId",
         "this is a text, where a condition is needed, such as `userId eq 'ada'`"),
        ("userId gt 3", "userId", "this is a text, where a number is needed"),
    ],
)  # fmt: skip
def test_an_error_names_the_wrong_part_and_the_remedy(
    text: str, wrong: str, explanation: str
) -> None:
    """Mistakes that come from other languages, and from typing."""
    with pytest.raises(FilterError) as error:
        check_filter(text)

    found = error.value
    assert found.explanation == explanation
    assert text[found.start : found.start + found.width] == wrong
    assert found.start == len(text) or text[found.start] != " "
