"""Words about keys and values: what is wrong, and what to write instead."""

import pytest

from wps_run.actions.fields import DATA, EXCLUDED, GROUPS
from wps_run.actions.table import ACTIONS
from wps_run.playbook import messages


@pytest.mark.parametrize(
    ("names", "words"),
    [(["a"], "`a`"), (["a", "b"], "`a` or `b`"), (["a", "b", "c"], "`a`, `b` or `c`")],
)
def test_names_are_listed_as_one_would_say_it(names: list[str], words: str) -> None:
    """Commas, and a word before the last."""
    assert messages.join_names(names) == words


def test_a_long_value_is_not_repeated() -> None:
    """A message stays readable."""
    long = "x" * 200

    assert long not in messages.string_error("`a`", 5, long)
    assert long not in messages.unknown_action(long, ACTIONS)
    assert long not in messages.value_error("a", {"type": "string", "enum": ["b"]}, long, long)
    assert long not in (messages.data_error(DATA, {"a": long}, "text", "") or "")
    assert long not in (messages.field_error(EXCLUDED, {}, long, long) or "")


def test_data_over_a_mebibyte_is_refused_by_its_bytes() -> None:
    """A character may take four."""
    assert messages.data_error(DATA, "é" * 524_288, "text", "") is None
    assert messages.data_error(DATA, "é" * 524_289, "text", "") == (
        "`data` is 1048578 bytes, at most 1048576 (1 MiB) are allowed"
    )


def test_half_a_surrogate_pair_is_refused_in_any_text() -> None:
    """It can come in by an environment variable, and cannot go out."""
    assert "surrogate" in (messages.text_error(EXCLUDED, "a\ud800") or "")
    assert "surrogate" in (messages.text_error(GROUPS, "a\ud800") or "")


def test_a_beta_name_is_told_only_where_its_heir_is_known() -> None:
    """`message` means nothing to an action without data."""
    assert "betas" in messages.unknown_key("message", ["data"], "x")
    assert "betas" not in messages.unknown_key("message", ["group"], "x")
