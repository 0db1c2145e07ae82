"""Lines and columns as a person counts them, and secrets that are never shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wps_run.document.source import Source, masked
from wps_run.problems import Position

LINES = st.lists(st.text("ab\u2028é😀", min_size=1, max_size=5), min_size=1, max_size=6)


@given(lines=LINES, breaks=st.lists(st.sampled_from(["\n", "\r\n", "\r"]), min_size=6))
def test_every_character_has_the_place_an_editor_shows(lines: list[str], breaks: list[str]) -> None:
    """Lines end as on Unix, Windows or old Macs; U+2028 ends none."""
    text = ""
    for number, (line, end) in enumerate(zip(lines, breaks, strict=False), start=1):
        begin = len(text)
        text += line + end
        source = Source("f", text + "x")
        for column in range(len(line)):
            assert source.position(begin + column) == Position("f", number, column + 1)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Endpoint=https://h;AccessKey=abc+/==;Version=1.0", "AccessKey=*******;"),
        ('{"accesskey=abc"}', '{"accesskey=***"}'),
        ("AccessKey=abc and more", "AccessKey=*** and more"),
    ],
)
def test_access_keys_are_masked(text: str, shown: str) -> None:
    """By their name in a connection string, and with their width, so that carets stay right."""
    assert shown in masked(text)
    assert len(masked(text)) == len(text)


def test_what_is_hidden_stays_hidden_over_several_lines() -> None:
    """Each line shows asterisks for its part."""
    source = Source("f", "a: sec\nret b\n")
    source.mask(3, 10)

    assert source.problem("wrong", "rule", 0, 1).line == "a: ***"
    assert source.problem("wrong", "rule", 11, 12).line == "*** b"
