"""Lines and columns as a person counts them, and secrets that are never shown."""

from hypothesis import given
from hypothesis import strategies as st

from wps_run.document.source import Source
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


def test_what_is_hidden_stays_hidden_over_several_lines() -> None:
    """Each line shows asterisks for its part."""
    source = Source("f", "a: sec\nret b\n")
    source.mask(3, 10)

    assert source.problem("wrong", "rule", 0, 1).line == "a: ***"
    assert source.problem("wrong", "rule", 11, 12).line == "*** b"
