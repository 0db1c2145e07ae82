"""Headers of a send that become the metadata of its message.

Source: the emulator's behaviour; the API description does not mention them.
"""

from collections.abc import Iterable

from wps_run.emulator import metadata
from wps_run.emulator.rest.replies import RefusedError, bad_request

PREFIX = "x-webpubsub-metadata-"
"""What the names of these headers begin with, in any case."""


def read_metadata(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The metadata in a request's headers.

    Args:
        headers: All headers, names and values. A name that comes twice has its values joined by
            a comma, as everywhere in HTTP.

    Returns:
        By lower-case name, without the prefix.

    Raises:
        RefusedError: 400; a name or a value is too long or not ASCII.
    """
    values: dict[str, list[str]] = {}
    for name, value in headers:
        lowered = name.lower()
        if lowered.startswith(PREFIX):
            values.setdefault(lowered.removeprefix(PREFIX), []).append(value)
    try:
        return metadata.read((name, ",".join(several)) for name, several in values.items())
    except metadata.MetadataError as wrong:
        raise RefusedError(bad_request(str(wrong))) from None
