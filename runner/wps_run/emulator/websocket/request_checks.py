"""What every subprotocol demands of a client's requests, whatever their encoding.

Source: the client protocol's specification and the emulator. Each breach ends the connection
with 1007.
"""

import re
from collections.abc import Iterable

from wps_run.emulator import names
from wps_run.emulator.websocket.frames import FrameError

TTL_LIMIT = 300
"""The most seconds for which a client's message may be kept."""

_EVENT = re.compile(r"[A-Za-z][A-Za-z0-9_.\-]{0,127}")


def group(name: str) -> str:
    """The group, when its name is one. Raises FrameError."""
    if not names.is_group_name(name):
        raise FrameError("The group's name is missing or invalid.")
    return name


def event(name: str) -> str:
    """The event, when its name is one. Raises FrameError."""
    if not _EVENT.fullmatch(name):
        raise FrameError("The event's name is missing or invalid.")
    return name


def ttl(seconds: int) -> int:
    """The seconds, when a message may be kept so long. Raises FrameError."""
    if not 0 <= seconds <= TTL_LIMIT:
        raise FrameError(f"The time to live is not in 0 to {TTL_LIMIT} seconds.")
    return seconds


def metadata(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The metadata of these names and values. Raises FrameError."""
    try:
        return names.read_metadata(pairs)
    except names.MetadataError as error:
        raise FrameError(str(error)) from None
