"""Texts are as wide as a terminal shows them, and safe to show."""

import unicodedata

import pytest
import wcwidth
from hypothesis import given
from hypothesis import strategies as st

from wps_run.text import (
    display_width,
    escape_invisible,
    has_surrogate,
    pad,
    truncate,
)

NAMES = st.text(
    st.sampled_from("ab 日ｱ語\u0301\u200d\ufe0f👨👩🇩🇪🏽❤한\u1161\x1b\n\u202e\u009b\ud800\u200b…\\")
    | st.characters(),
    max_size=40,
)


@pytest.mark.parametrize(
    ("text", "width"),
    [
        ("ada", 3),
        ("é … ", 4),
        ("日本語", 6),
        ("ﾊﾝｶｸ", 4),
        ("\uff26\uff55\uff4c\uff4c", 8),
        ("e\u0301", 1),
        ("a\u0301\u0302\u0303b", 2),
        ("สวัสดี", 4),
        ("한글", 4),
        ("\u1112\u1161\u11ab", 2),
        ("👍🏽", 2),
        ("👨\u200d👩\u200d👧", 2),
        ("🇩🇪🇫🇷", 4),
        ("❤\ufe0f", 2),
        ("☎", 1),
        ("\u3164", 0),
        ("日\n", 2),
    ],
)
def test_display_width_counts_terminal_columns(text: str, width: int) -> None:
    """Combining marks take none, wide characters and emoji two."""
    assert display_width(text) == width


@given(text=st.text(st.characters(max_codepoint=0x2FF) | st.just("…")))
def test_latin_text_is_as_wide_as_the_tables_say(text: str) -> None:
    """The shortcut that does not load the tables gives what they give."""
    assert display_width(text) == wcwidth.width(text, control_codes="ignore")


@given(text=NAMES, most=st.integers(0, 50))
def test_a_text_that_is_cut_fits_and_begins_alike(text: str, most: int) -> None:
    """What fits stays as it is; no picture is cut through."""
    shown = truncate(text, most)

    assert display_width(shown) <= most
    if display_width(text) <= most:
        assert shown == text
    elif most:
        assert shown.endswith("…")
        assert text.startswith(shown[:-1])


@pytest.mark.parametrize(
    ("text", "most", "shown"),
    [
        ("launch", 6, "launch"),
        ("launch", 5, "laun…"),
        ("日本語", 5, "日本…"),
        ("日本語", 4, "日…"),
        ("e\u0301e\u0301e\u0301", 2, "e\u0301…"),
        ("👨\u200d👩\u200d👧x", 2, "…"),
        ("launch", 1, "…"),
        ("launch", 0, ""),
    ],
)
def test_how_a_text_is_cut(text: str, most: int, shown: str) -> None:
    """By columns, not by characters."""
    assert truncate(text, most) == shown


def test_padding_goes_by_columns() -> None:
    """So that the next column stands in line."""
    assert [pad(name, 6) + "|" for name in ("ada", "日本", "e\u0301")] == [
        "ada   |",
        "日本  |",
        "e\u0301     |",
    ]


@given(text=NAMES)
def test_nothing_that_is_shown_steers_a_terminal(text: str) -> None:
    """No control character, no line break, no turn of direction, no half of a pair."""
    shown = escape_invisible(text)

    unseen = {one for one in shown if unicodedata.category(one) in {"Cc", "Cf", "Cs", "Zl", "Zp"}}
    assert unseen <= {"\u200d"}
    assert shown == text or not text.isprintable()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ada", "ada"),
        ("日本 é", "日本 é"),
        ("\x1b[2Jada", "\\u001b[2Jada"),
        ("a\r\nok  200", "a\\u000d\\u000aok  200"),
        ("\u202eada", "\\u202eada"),
        ("a\u200bda", "a\\u200bda"),
        ("a\u200dda", "a\\u200dda"),
        ("\u009b31m", "\\u009b31m"),
        ("a\ud800", "a\\ud800"),
        ("\U000e0041", "\\U000e0041"),
        ("👨\u200d👩\u200d👧", "👨\u200d👩\u200d👧"),
        ("❤\ufe0f\u200d🔥", "❤\ufe0f\u200d🔥"),
    ],
)
def test_what_cannot_be_seen_is_an_escape(text: str, shown: str) -> None:
    """What joins emoji to one picture is no letter that hides, and stays."""
    assert escape_invisible(text) == shown


@pytest.mark.parametrize(
    ("text", "expected"), [("ada", False), ("é あ 🎉", False), ("a\ud83d", True), ("\udc00", True)]
)
def test_halves_of_surrogate_pairs_are_found(text: str, *, expected: bool) -> None:
    assert has_surrogate(text) is expected
