"""Bring a bare batch to the canonical form, in place.

The Functions host reads keys and enumerations in any letter case, takes null for what is not given
and a Node Buffer for any `dataType`. The .NET isolated worker writes such batches. All that reads
a batch later sees only the names of the action table.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from wps_run.actions.fields import FieldType
from wps_run.actions.payload import buffer_bytes, is_buffer
from wps_run.actions.table import ACTIONS
from wps_run.document.document import Document, Path
from wps_run.playbook.messages import current_name
from wps_run.playbook.options import OPTIONS
from wps_run.playbook.selection import TAGS
from wps_run.problems import Problem

_FIELDS = {field.name: field for action in ACTIONS.values() for field in action.fields}
_KEYS = MappingProxyType(
    {key.lower(): key for key in ("actionName", "name", TAGS, *_FIELDS, *OPTIONS)}
)
_BUFFER_KEYS = MappingProxyType({"type": "type", "data": "data"})
_CHOICES = MappingProxyType(
    {
        "actionName": {name.lower(): name for name in ACTIONS},
        **{
            field.name: {choice.lower(): choice for choice in field.choices}
            for field in _FIELDS.values()
            if field.type is FieldType.CHOICE
        },
    }
)
"""Each property with a choice of values: the values by their lower case."""


def is_batch(data: object) -> bool:
    """Return whether data is a bare batch: a list of actions, or a single action."""
    if isinstance(data, list):
        return True
    if not isinstance(data, dict) or "actions" in data:
        return False
    return any(_lower(key) in {"actionname", "operationkind"} for key in data)


def normalize_batch(document: Document) -> list[Problem]:
    """Rewrite the actions of a bare batch in their canonical form; return what cannot be."""
    data = document.data
    items = enumerate(data) if isinstance(data, list) else [(None, data)]
    return [
        problem
        for index, item in items
        if isinstance(item, dict)
        for problem in _normalize(document, () if index is None else (index,), item)
    ]


def _normalize(document: Document, path: Path, item: dict[str, Any]) -> Iterator[Problem]:
    yield from _normalize_keys(document, path, item, _KEYS)
    # The betas' names are errors, but their values are not, so that only the names are reported.
    present = {current_name(key): key for key in item}
    for name, choices in _CHOICES.items():
        key = present.get(name, name)
        value = item.get(key)
        if isinstance(value, str):
            item[key] = choices.get(_lower(value), value)
    key = present.get("data", "data")
    if isinstance(item.get(key), dict):
        data_type = item.get(present.get("dataType", "dataType"), "text")
        yield from _normalize_buffer(document, path, item, key, data_type)


def _normalize_keys(
    document: Document, path: Path, item: dict[str, Any], known: Mapping[str, str]
) -> Iterator[Problem]:
    """Rename known keys, and remove those without a value; report those that are there twice.

    Args:
        document: The document.
        path: The path of the mapping.
        item: The mapping.
        known: The canonical keys by their lower case.
    """
    names: dict[str, str] = {}
    originals: dict[str, str] = {}
    for key, value in item.items():
        lower = _lower(key)
        name = known.get(lower, key)
        first = originals.setdefault(name, key)
        if first != key:
            position = document.position_of_key((*path, first))
            message = (
                f"`{key}` is the same key as `{first}` on line {position.line}, column "
                f"{position.column}, which differs only in case; remove one of them"
            )
            yield document.problem(message, "duplicate-key", (*path, key), at_key=True)
        elif value is not None or lower not in known:
            names[key] = name
    if list(names.values()) != list(item):
        document.rename_keys(item, names)


def _normalize_buffer(
    document: Document, path: Path, item: dict[str, Any], key: str, data_type: object
) -> Iterator[Problem]:
    """Replace the JSON of a Node Buffer by its text, unless the message is binary."""
    buffer = item[key]
    if is_buffer({_lower(name): value for name, value in buffer.items()}):
        yield from _normalize_keys(document, (*path, key), buffer, _BUFFER_KEYS)
    content = buffer_bytes(buffer)
    if content is None or data_type == "binary":
        return
    try:
        item[key] = content.decode()
    except UnicodeDecodeError as error:
        message = (
            f"`{key}` is a Buffer that is not UTF-8 (byte {error.start + 1}); "
            "only `dataType: binary` takes any bytes"
        )
        yield document.problem(message, "data", (*path, key))
        item[key] = "0"  # valid as any text, so that there is no second problem


def _lower(text: str) -> str:
    """Return an ASCII text in lower case. Other letters have no place in our names."""
    return text.lower() if text.isascii() else text
