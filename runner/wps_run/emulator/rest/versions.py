"""Which api-versions the service answers, and what it makes of others."""

from datetime import date
from enum import StrEnum

from wps_run.emulator.rest.targets import Query

PARAMETER = "api-version"

SUPPORTED = ("2021-10-01", "2022-11-01", "2023-07-01", "2024-01-01", "2024-12-01")
"""The published ones, oldest first. All behave like the newest."""


class VersionCheck(StrEnum):
    """What is made of a request's api-version."""

    SUPPORTED = "supported"
    NEWER = "newer"
    REFUSED = "refused"


def judge(query: Query) -> VersionCheck:
    """Whether the api-version of a request will do; without one, the newest is assumed.

    `NEWER` is a date later than all published ones, with or without `-preview`: the embedded
    service may simply be older than the caller.
    """
    given = query.all(PARAMETER)
    if not given or (len(given) == 1 and given[0] in SUPPORTED):
        return VersionCheck.SUPPORTED
    if len(given) > 1:
        return VersionCheck.REFUSED
    try:
        newer = date.fromisoformat(given[0].removesuffix("-preview")).isoformat() > SUPPORTED[-1]
    except ValueError:
        return VersionCheck.REFUSED
    return VersionCheck.NEWER if newer else VersionCheck.REFUSED
