"""Read what `Runner` is asked to run: typed actions, playbooks and their files."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from os import PathLike, fspath
from typing import Any, TypeAlias

from wps_run import input_limits
from wps_run.checking import read_text, with_includes
from wps_run.playbook.binding import batch_text
from wps_run.playbook.model import Playbook, read_playbook
from wps_run.playbook.typed import TypedAction
from wps_run.problems import UsageError

Work: TypeAlias = (
    TypedAction | Mapping[str, Any] | str | PathLike[str] | Playbook | Iterable["Work"]
)
"""What can be run: a typed action, a playbook (as a file name, text, mapping or object), or several
of them. Actions in a row are one batch."""

ACTIONS_NAME, TEXT_NAME, MAPPING_NAME = "<actions>", "<text>", "<playbook>"
"""What stands for the file of actions and playbooks that are not read from one."""


def read_work(work: Sequence[Work]) -> list[Playbook]:
    """Return the playbooks to run, in order. Their problems are left for `plan` to raise.

    Raises:
        UsageError: A file cannot be read, or there is nothing to run.
        PlaybookError: A playbook is not YAML, or too large.
        TypeError: Something else is to be run.
    """
    playbooks: list[Playbook] = []
    batch: list[TypedAction | Mapping[str, Any]] = []
    for item in _flat(work):
        if _is_action(item):
            batch.append(item)
            continue
        if batch:
            playbooks.append(_batch(batch))
            batch = []
        playbooks.append(_read(item))
        if len(playbooks) > input_limits.PLAYBOOK_FILES.value:
            raise UsageError(f"the run {input_limits.PLAYBOOK_FILES.error}")
    if not work:
        raise UsageError("there is nothing to run; give actions, or name a playbook")
    if batch or not playbooks:  # a list of actions may be empty
        playbooks.append(_batch(batch))
    return playbooks


def _flat(work: Iterable[Work]) -> Iterator[Any]:
    """Yield actions and playbooks, those in lists one by one."""
    for item in work:
        if isinstance(item, TypedAction | Mapping | str | PathLike | Playbook):
            yield item
        elif _is_list(item):
            yield from _flat(item)
        else:
            raise TypeError(
                f"cannot run {type(item).__name__}; give typed actions, or a playbook as a file "
                "name, text, mapping or `Playbook`"
            )


def _is_list(item: object) -> bool:
    return isinstance(item, Iterable) and not isinstance(item, bytes | bytearray)


def _is_action(item: object) -> bool:
    if isinstance(item, Mapping):
        return any(isinstance(key, str) and key.lower() == "actionname" for key in item)
    return isinstance(item, TypedAction)


def _batch(actions: list[TypedAction | Mapping[str, Any]]) -> Playbook:
    """Return a bare batch, whose line N is action N."""
    try:
        text = batch_text(actions)
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"an action has a value that JSON has not: {error}") from None
    return read_playbook(text, ACTIONS_NAME)


def _read(item: str | PathLike[str] | Mapping[str, Any] | Playbook) -> Playbook:
    if isinstance(item, Playbook):
        return item
    if isinstance(item, Mapping):
        try:
            text = json.dumps(item, indent=1, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise UsageError(f"the playbook has a value that JSON has not: {error}") from None
        return with_includes(read_playbook(text, MAPPING_NAME))
    if isinstance(item, str) and _is_text(item):
        return with_includes(read_playbook(item, TEXT_NAME))
    path = fspath(item)
    return with_includes(read_playbook(read_text(path), path))


def _is_text(text: str) -> bool:
    """Whether a string is the text of a playbook; else it is the name of a file."""
    return "\n" in text or text.lstrip()[:1] in {"[", "{"}
