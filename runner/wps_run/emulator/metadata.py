"""What metadata a message may carry: ASCII names and values, each of bounded length.

Source: the emulator's behaviour, the same for client frames and for REST headers.
"""

import re
from collections.abc import Iterable

NAME_LIMIT = 256
"""The most characters of a name."""

VALUE_LIMIT = 1024
"""The most characters of a value."""

TOTAL_LIMIT = 8 * 1024
"""The most characters of all names and values of one message."""

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


class MetadataError(ValueError):
    """A message may not carry this; says why."""


def read(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The metadata of one message.

    Args:
        pairs: Names and values, in the sender's order.

    Raises:
        MetadataError: One of them is too long, has characters that it may not have, or comes twice.
    """
    metadata: dict[str, str] = {}
    total = 0
    for name, value in pairs:
        _check(name, value)
        if name in metadata:
            raise MetadataError("A name of the metadata comes twice.")
        total += len(name) + len(value)
        if total > TOTAL_LIMIT:
            raise MetadataError(f"The metadata is longer than {TOTAL_LIMIT} characters.")
        metadata[name] = value
    return metadata


def _check(name: str, value: str) -> None:
    if not _NAME.fullmatch(name):
        raise MetadataError("A name of the metadata is empty or has a forbidden character.")
    if not value.isascii():
        raise MetadataError("A value of the metadata is not ASCII.")
    if len(name) > NAME_LIMIT:
        raise MetadataError(f"A name of the metadata is longer than {NAME_LIMIT} characters.")
    if len(value) > VALUE_LIMIT:
        raise MetadataError(f"A value of the metadata is longer than {VALUE_LIMIT} characters.")
