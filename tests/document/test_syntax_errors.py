"""libyaml's errors are explained, at the place that has to be changed."""

import pytest
import yaml

from wps_run.document.syntax_errors import explain


@pytest.mark.parametrize(
    ("text", "message", "offset"),
    [
        ("a:\n\tb: 1", "a tab is not allowed", 3),
        ("a: `b`", "cannot begin with ```", 3),
        ("a: b: c", "quote a text", 4),
        ("a: 'b\nc: d", "not closed", 3),
        ("a: '\n---\n", "not closed", 3),
        ('a: "\\d"', "not an escape", 4),
        ('a: "\\xZZ"', "hexadecimal", 6),
        ('a: "\\ud800"', "surrogate", 6),
        ("a: [b\nc: d\n", "goes wrong here", 7),
        ("a: [b", "that begins here is not closed", 3),
        ("a: {b: c", "that begins here is not closed", 3),
        ("a: - b", "a list cannot begin here", 3),
        ("- a\nb: c", "begin it with `- `", 4),
        ('a: "b" c', "does not match the mapping", 7),
        ("a: b\nc\nd: e", "a `:` is missing", 7),
        ("a: |\n  b\n\tc", "a tab is not allowed", 9),
        ("a: !b!c d", "unknown tag", 3),
        ("a: &", "a name must follow", 4),
        ("a: | b", "begins on the next line", 5),
        ("a: ]", "a value is missing", 3),
        ("a\nb: c", "quote a text", 3),
        ("'a'\n'b'", "should have ended", 4),
        ('["\\ud83d\\ude00" 1]', "not JSON: a `,` or the closing bracket", 16),
        ("%TAG ! x\n%TAG ! y\n--- a", "found duplicate %TAG directive", 9),
    ],
)
def test_each_syntax_error_says_what_to_do(text: str, message: str, offset: int) -> None:
    """An error without an explanation keeps libyaml's message."""
    with pytest.raises(yaml.MarkedYAMLError) as caught:
        list(yaml.parse(text, Loader=yaml.CSafeLoader))

    explanation, position = explain(caught.value, text)

    assert message in explanation
    assert position == offset
