"""A journal is resumed only by the run that wrote it: by what is sent, not by help texts."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from wps_run.actions.table import ACTIONS, Action
from wps_run.journal.fingerprint import (
    ACTIONS_PART,
    actions_content,
    changed_parts,
    fingerprint,
    require_same,
    shared_salt,
)
from wps_run.journal.reader import History
from wps_run.problems import JournalError

JOIN = ACTIONS["addUserToGroup"]


def digests(*actions: Action, version: str = "2024-12-01") -> dict[str, str]:
    """The fingerprint of a run with this action table."""
    return fingerprint("salt", {ACTIONS_PART: actions_content(actions, version), "the hub": "c"})


def with_texts(action: Action) -> Action:
    """The action with other help texts."""
    fields = tuple(
        field._replace(summary="Another text.", example="another") for field in action.fields
    )
    return replace(action, summary="Another text.", fields=fields)


def test_a_reworded_summary_changes_nothing() -> None:
    """An upgrade of wps-run that only rewords its help resumes older runs."""
    assert digests(with_texts(JOIN)) == digests(JOIN)


@pytest.mark.parametrize(
    "change",
    [
        lambda action: replace(action, method="POST"),
        lambda action: replace(action, path=f"{action.path}/x"),
        lambda action: replace(action, fields=action.fields[:1]),
        lambda action: replace(action, name="joinUser"),
    ],
    ids=["method", "path", "fields", "name"],
)
def test_another_request_is_another_run(change: Callable[[Action], Action]) -> None:
    """Whatever changes what is sent is named."""
    assert changed_parts(digests(JOIN), digests(change(JOIN))) == [ACTIONS_PART]


def test_another_api_version_is_another_run() -> None:
    """It is part of every request."""
    assert changed_parts(digests(JOIN), digests(JOIN, version="2027-01-01")) == [ACTIONS_PART]


def test_the_actions_of_an_older_journal_are_not_compared(
    history_of: Callable[..., History],
) -> None:
    """Its digest covered the help texts too; all other parts count."""
    older = {ACTIONS_PART: "0" * 32, "the hub": digests(JOIN)["the hub"]}

    require_same(history_of(fingerprint=older), digests(JOIN), "j")
    with pytest.raises(JournalError, match="since the run started: the hub; "):
        require_same(history_of(fingerprint={**older, "the hub": "1"}), digests(JOIN), "j")


def test_equal_values_have_other_digests_under_another_salt() -> None:
    """A digest does not reveal that two runs have the same value."""
    first, second = (fingerprint(salt, {"the variable key": "secret"}) for salt in ("a", "b"))

    assert first != second


def test_digests_are_the_same_in_every_version() -> None:
    """Otherwise an upgrade of wps-run could not resume older runs."""
    assert actions_content((JOIN,), "2024-12-01") == (
        '["2024-12-01",[["addUserToGroup","PUT","/api/hubs/{hub}/users/{userId}/groups/{group}",'
        '[["userId","path","string"],["group","path","string"]]]]]'
    )
    assert fingerprint("salt", {"the hub": "chat", ACTIONS_PART: "x"}) == {
        "the hub": "dd0479e2107baba34eb366d2d60fec78",
        ACTIONS_PART: "2:555eb18440ae9c41f5d150d5628fa2b2",
    }
    assert shared_salt(["a", "b"]) == "4062ab33d8fcf6cf0a39a6f4ee3f0f37"


def test_text_and_the_pieces_of_a_file_have_the_same_digest() -> None:
    """Also with lone surrogates, as in file names that are not UTF-8."""
    text = "a\ud800b"
    pieces = (b"a", b"\xed\xa0\x80b")

    assert fingerprint("salt", {"x": text}) == fingerprint("salt", {"x": pieces})


def test_shards_of_the_same_playbooks_share_a_salt() -> None:
    """Texts that are divided differently between the playbooks are other playbooks."""
    assert shared_salt(["ab", "c\ud800"]) == shared_salt(iter(["ab", "c\ud800"]))
    assert (
        len({shared_salt(texts) for texts in (["ab", "c"], ["a", "bc"], ["abc"], ["c", "ab"])}) == 4
    )
