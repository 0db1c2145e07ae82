"""The lines of a journal, one at a time: bytes to a record whose every value has its right type.

A journal may have been edited by hand, or damaged; what reads it relies on what is checked here.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, NoReturn

from wps_run.execution.result import Status

MOST = 10**8
"""No run has so many actions; an index beyond is damage."""

_NUMBER = 1e15
_EXIT_CODES = range(256)
_Types = tuple[type, ...]
_NOTHING = type(None)

_RESULT: Mapping[str, _Types] = MappingProxyType(
    {
        "action": (int,),
        "item": (int, _NOTHING),
        "actionName": (str,),
        "name": (str, _NOTHING),
        "target": (dict,),
        "source": (str,),
        "status": (str,),
        "httpStatus": (int, _NOTHING),
        "attempts": (int,),
        "durationMs": (float, int),
        "requestId": (str, _NOTHING),
        "error": (dict, _NOTHING),
    }
)
_ERROR: Mapping[str, _Types] = MappingProxyType({"code": (str,), "message": (str,), "hint": (str,)})
_TRY: Mapping[str, _Types] = MappingProxyType(
    {
        "atMs": (float, int),
        "httpStatus": (int, _NOTHING),
        "error": (str, _NOTHING),
        "pauseMs": (float, int),
    }
)
_HEADING: Mapping[str, _Types] = MappingProxyType(
    {
        "destination": (str,),
        "endpoints": (list,),
        "hubs": (list,),
        "playbooks": (list,),
        "total": (int,),
        "pace": (str,),
    }
)
_DESTINATIONS = frozenset({"LOCAL", "SERVICE"})
_SHARD: Mapping[str, _Types] = MappingProxyType({"number": (int,), "count": (int,), "of": (int,)})
_HEADER: Mapping[str, _Types] = MappingProxyType(
    {"started": (str,), "paths": (list,), "salt": (str,), "fingerprint": (dict,)}
)


def parsed(line: bytes) -> dict[str, Any] | None:
    """The JSON object of a line, or None when the line is torn."""
    if not line.endswith(b"\n"):
        return None
    try:
        record = _decode(line.decode(errors="surrogatepass"))
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def is_header(record: Mapping[str, Any]) -> bool:
    """Whether a first record has all that a run is gone on with, or told again."""
    return (
        _fits(record, _HEADER)
        and _is_heading(record)
        and _strings(record["paths"])
        and _strings(record["fingerprint"].values())
        and _is_moment(record["started"])
    )


def is_sound(record: Mapping[str, Any]) -> bool:
    """Whether a record after the first is as we write it; a kind that is not known is."""
    match record.get("type"):
        case "sending" | "unsent":
            return is_index(record.get("index"))
        case "result":
            return _is_result(record)
        case "summary":
            return _is_number(record.get("durationMs")) and record.get("exitCode") in _EXIT_CODES
        case "resumed":
            headed = "destination" not in record or _is_heading(record)
            return headed and _is_moment(record.get("resumed"))
        case "run":  # a second beginning: two journals in one
            return False
        case _:
            return True


def _is_heading(record: Mapping[str, Any]) -> bool:
    """Whether a record says what is run, and where."""
    return (
        _fits(record, _HEADING)
        and record["destination"] in _DESTINATIONS
        and 0 <= record["total"] <= MOST
        and all(_strings(record[name]) for name in ("endpoints", "hubs", "playbooks"))
        and _is_shard(record)
    )


def _is_shard(record: Mapping[str, Any]) -> bool:
    """Whether a heading's share is one, where it is of a share at all."""
    shard = record.get("shard")
    return shard is None or (
        isinstance(shard, dict)
        and _fits(shard, _SHARD)
        and 1 <= shard["number"] <= shard["count"]
        and record["total"] <= shard["of"] <= MOST
    )


def is_index(value: object) -> bool:
    """Whether a value can be the number of an action."""
    return type(value) is int and 0 <= value < MOST


def _is_result(record: Mapping[str, Any]) -> bool:
    error = record.get("error")
    return (
        is_index(record.get("index"))
        and _fits(record, _RESULT)
        and record["status"] in _STATUSES
        and _is_number(record["durationMs"])
        and (error is None or _fits(error, _ERROR))
        and all(map(_is_target, record["target"].values()))
        and _has_sound_times(record)
    )


def _has_sound_times(record: Mapping[str, Any]) -> bool:
    """Whether what a newer journal says about when is right; an older one says nothing."""
    started, before = record.get("startedMs"), record.get("waitedFor")
    tries = record.get("tries", [])
    return (
        (started is None or _is_number(started))
        and (before is None or is_index(before))
        and type(tries) is list
        and all(map(_is_try, tries))
    )


def _is_try(value: object) -> bool:
    return (
        isinstance(value, dict)
        and _fits(value, _TRY)
        and _is_number(value["atMs"])
        and _is_number(value["pauseMs"])
    )


def _is_target(value: object) -> bool:
    return type(value) in {str, int} or (type(value) is list and _strings(value))


def _is_number(value: object) -> bool:
    return type(value) in {int, float} and -_NUMBER < value < _NUMBER  # type: ignore[operator] # it is one


def _is_moment(value: object) -> bool:
    try:
        return type(value) is str and datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def _strings(values: Iterable[object]) -> bool:
    return all(type(one) is str for one in values)


def _fits(record: Mapping[str, Any], types: Mapping[str, _Types]) -> bool:
    """Whether all these keys are there with values of these very types; a bool is no int."""
    return all(type(record.get(name, types)) in allowed for name, allowed in types.items())


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"`{text}` is no JSON")


_decode = json.JSONDecoder(parse_constant=_refuse).decode
_STATUSES = frozenset(map(str, Status))
