"""Values and targets as text."""

import pytest

from wps_run.report.values import value_text
from wps_run.text import display_width


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("ada", "ada"),
        ("日本", "日本"),
        ("👨\u200d👩\u200d👧", "👨\u200d👩\u200d👧"),
        ("two words", '"two words"'),
        ("a=b", '"a=b"'),
        ("", '""'),
        ("\x1b[31mred", '"\\u001b[31mred"'),
        ("\u009b31m", '"\\u009b31m"'),
        ("\u202eada", '"\\u202eada"'),
        ("\\u202eada", '"\\\\u202eada"'),
        ("::error::x", '"::error::x"'),
        ("(skipped)", '"(skipped)"'),
        (("a", "b c"), '[a, "b c"]'),
        (5, "5"),
    ],
)
def test_values_are_one_word_and_cannot_forge_output(value: str, shown: str) -> None:
    """Whatever could be taken for something else is in quotes, whatever hides is an escape."""
    assert value_text(value) == shown


def test_long_names_are_cut_by_columns() -> None:
    """For the eye; machine formats have them whole."""
    assert display_width(value_text("日" * 200)) <= 60
    assert value_text("x" * 60 + "7") == "x" * 30 + "…" + "x" * 28 + "7"
    assert value_text("x" * 60) == "x" * 60
