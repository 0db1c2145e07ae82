"""Parse the text of a fault, as described by `wps-run serve --help`."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from wps_run.emulator.faults import (
    EVENT_OPERATIONS,
    FaultKind,
    FaultTiming,
    InjectedFault,
    RetryAfterHeader,
)
from wps_run.emulator.names import hub_key, is_hub_name
from wps_run.emulator.rest.routes import OPERATIONS
from wps_run.problems import did_you_mean
from wps_run.text import replace_invisible

MAX_SECONDS = 3600
"""The maximum of a delay and of a Retry-After header, in seconds."""

EXAMPLE = "429,retry-after=2,count=3"

_KINDS = "429, 503 (or another status), delay=250ms, stall, reset, half"
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "": 1.0}
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(ms|s|m|)")
_STATUS = re.compile(r"\d{3}")
_REQUEST_TIMEOUT, _TOO_MANY_REQUESTS = 408, 429
_DROP = "drop"
_EVENTS = frozenset(map(str.lower, EVENT_OPERATIONS))

_ALIASES = {"closeclientconnection": "CloseConnection"}
"""The only action whose operation has another name."""


class FaultError(ValueError):
    """The text of a fault is invalid; the message says how to correct it."""


def parse_fault(text: str) -> InjectedFault:
    """Parse a fault: a kind and options, separated by commas; case and blanks are ignored.

    Raises:
        FaultError: The text is invalid.
    """
    first, *words = (word.strip() for word in text.split(","))
    fault = replace(_parse_kind(first, text), text=replace_invisible(text.strip()))
    used: set[str] = set()
    for word in words:
        name, _, value = (part.strip() for part in word.partition("="))
        name = name.lower()
        if name not in _OPTIONS:
            raise FaultError(_unknown_option(word, name, text))
        field = _EXCLUSIVE.get(name, name)
        if field in used:
            raise FaultError(f"`{_quote(word)}` in `{_quote(text)}` sets an option a second time")
        used.add(field)
        try:
            fault = _OPTIONS[name](fault, name, value)
        except FaultError as error:
            raise FaultError(f"`{_quote(word)}` in `{_quote(text)}`: {error}") from None
    if fault.nth and used & {"share", "count", "every"}:
        raise FaultError(
            f"`nth` in `{_quote(text)}` selects single requests: leave out share, count and every"
        )
    if fault.kind is FaultKind.STATUS:
        _check_status(fault)
    return fault


def _parse_kind(word: str, text: str) -> InjectedFault:
    name, equals, value = (part.strip() for part in word.partition("="))
    name = name.lower()
    if name == FaultKind.DELAY:
        if not equals:
            raise FaultError(f"`{_quote(text)}` needs a duration: write delay=250ms")
        return InjectedFault(text, FaultKind.DELAY, seconds=_parse_seconds(value))
    if not equals and _STATUS.fullmatch(name):
        return InjectedFault(text, FaultKind.STATUS, status=int(name))
    if not equals and name in {FaultKind.STALL, FaultKind.RESET, _DROP}:
        return InjectedFault(text, FaultKind.RESET if name == _DROP else FaultKind(name))
    if not equals and name == FaultKind.HALF:
        return InjectedFault(text, FaultKind.HALF, timing=FaultTiming.AFTER)
    hint = did_you_mean(name, ["stall", "reset", "half", "delay=250ms"])
    if name in _OPTIONS:
        hint = f"; the kind comes first, as in `{EXAMPLE}`"
    problem = f"`{_quote(word)}` is not a kind of fault" if word else "a fault begins with its kind"
    raise FaultError(f"{problem}{hint}; the kinds are {_KINDS}")


def _check_status(fault: InjectedFault) -> None:
    is_for_events = bool(fault.operations) and fault.operations <= _EVENTS
    lowest = 400 if is_for_events else 500
    if lowest <= fault.status <= 599:  # noqa: PLR2004 - the last 5xx
        return
    if fault.status not in {_REQUEST_TIMEOUT, _TOO_MANY_REQUESTS}:
        raise FaultError(
            f"a fault cannot have status {fault.status}; write 408, 429 or one of 500 to 599, or, "
            "for events only, one of 400 to 599"
        )


def _set_timing(fault: InjectedFault, name: str, value: str) -> InjectedFault:
    if value:
        raise FaultError(f"`{name}` has no value: write it without `=`")
    timing = FaultTiming(name)
    if timing is FaultTiming.AFTER and fault.status == _TOO_MANY_REQUESTS:
        raise FaultError("a 429 means that the request had no effect: leave `after` out")
    if timing is FaultTiming.BEFORE and fault.kind is FaultKind.HALF:
        raise FaultError("half a response is sent after the effect; write `reset,before` instead")
    return replace(fault, timing=timing)


def _set_retry_after(fault: InjectedFault, name: str, value: str) -> InjectedFault:
    if fault.kind is not FaultKind.STATUS:
        raise FaultError("only a status can have this option, as in 429,retry-after=2")
    header = RetryAfterHeader(name)
    if header is RetryAfterHeader.MILLISECONDS and value.isascii() and value.isdigit():
        value += "ms"
    seconds = _parse_seconds(value, minimum=0)
    if header is not RetryAfterHeader.MILLISECONDS and seconds != int(seconds):
        raise FaultError("this header has whole seconds; write retry-after-ms=250 for less")
    return replace(fault, retry_after=header, retry_after_seconds=seconds)


def _set_share(fault: InjectedFault, _: str, value: str) -> InjectedFault:
    number, percent, rest = value.partition("%")
    try:
        share = float(number) / (100 if percent else 1)
    except ValueError:
        share = math.nan
    if rest or not 0 < share <= 1:
        raise FaultError("write a share as 10% or 0.1, more than 0 and at most 100%")
    return replace(fault, share=share)


def _set_nth(fault: InjectedFault, name: str, value: str) -> InjectedFault:
    numbers = frozenset(_parse_number(name, number) for number in value.split("+"))
    return replace(fault, nth=numbers)


def _set_operations(fault: InjectedFault, _: str, value: str) -> InjectedFault:
    operations = frozenset(_parse_operation(word.strip()) for word in value.split("+"))
    return replace(fault, operations=operations)


def _parse_operation(word: str) -> str:
    """Parse an operation ID with or without its prefix; case is ignored, as in action names."""
    name = word.lower().removeprefix("webpubsub_")
    operations = (*OPERATIONS, *EVENT_OPERATIONS)
    if name in map(str.lower, operations):
        return name
    hint = did_you_mean(_ALIASES.get(name, name), operations)
    known = f"; they are {', '.join(operations)}"
    raise FaultError(
        f"`{_quote(word)}` is not an operation of the REST API, nor an event{hint or known}"
    )


def _set_hub(fault: InjectedFault, _: str, value: str) -> InjectedFault:
    if not is_hub_name(value):
        raise FaultError("this is not a valid hub name")
    return replace(fault, hub=hub_key(value))


_OPTIONS: Mapping[str, Callable[[InjectedFault, str, str], InjectedFault]] = {
    "before": _set_timing,
    "after": _set_timing,
    **{str(header): _set_retry_after for header in RetryAfterHeader},
    "share": _set_share,
    "count": lambda fault, name, value: replace(fault, count=_parse_number(name, value)),
    "every": lambda fault, name, value: replace(fault, every=_parse_number(name, value)),
    "nth": _set_nth,
    "on": _set_operations,
    "hub": _set_hub,
}

_EXCLUSIVE = {
    "before": "timing",
    "after": "timing",
    **{str(header): "retry_after" for header in RetryAfterHeader},
}
"""Options that set the same field, so that only one of them is allowed."""


def _unknown_option(word: str, name: str, text: str) -> str:
    if not word:
        return f"`{_quote(text)}` has a comma too many; write it as `{EXAMPLE}`"
    hint = did_you_mean(name, list(_OPTIONS)) or f"; known are {', '.join(_OPTIONS)}"
    if _STATUS.fullmatch(name) or name in set(FaultKind):
        hint = "; one fault has one kind: write a second --fault"
    return f"`{_quote(word)}` in `{_quote(text)}` is not an option of a fault{hint}"


def _parse_number(name: str, value: str) -> int:
    value = value.strip()
    if not (value.isascii() and value.isdigit() and len(value) <= 9 and int(value)):  # noqa: PLR2004
        raise FaultError(f"write a whole number from 1, as in {name}=3")
    return int(value)


def _parse_seconds(value: str, minimum: float = 0.001) -> float:
    match = _DURATION.fullmatch(value)
    seconds = float(match[1]) * _UNITS[match[2]] if match else math.nan
    if not minimum <= seconds <= MAX_SECONDS:
        raise FaultError(f"`{_quote(value)}` is not a duration like 250ms, 2s or 1m, up to an hour")
    return seconds


def _quote(text: str) -> str:
    return replace_invisible(text if len(text) <= 80 else text[:79] + "…")  # noqa: PLR2004 - a line
