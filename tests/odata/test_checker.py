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
        ("startswith(userId, 'x'", "", "`)` is missing here"),
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
