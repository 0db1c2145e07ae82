"""Text made fit for a frame: UTF-8, without halves of surrogate pairs."""

import re

_HALF_PAIR = re.compile("[\ud800-\udfff]")


def is_whole(text: str) -> bool:
    """Whether a text has no half of a surrogate pair, as a JSON escape can bring."""
    return _HALF_PAIR.search(text) is None


def encode(text: str) -> bytes:
    """The text in UTF-8; half of a surrogate pair becomes U+FFFD."""
    return _HALF_PAIR.sub("\ufffd", text).encode()


def repair(data: bytes) -> bytes:
    """The bytes as UTF-8; what is none becomes U+FFFD."""
    return data.decode("utf-8", "replace").encode()
