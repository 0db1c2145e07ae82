"""The words of `--fault`: parse the text of a fault."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from wps_run.emulator.faults.rules import FaultKind, FaultTiming, InjectedFault, RetryAfterHeader
from wps_run.emulator.names import hub_key, is_hub_name
from wps_run.emulator.rest.routes import OPERATIONS
from wps_run.problems import did_you_mean
from wps_run.text import replace_invisible

LONGEST = 3600
"""The most seconds of a delay or of a wait that a caller is told."""

GRAMMAR = """\
A fault is a kind, and after commas what narrows it down:
  429 503 …     answer with this status (408, 429, 500 to 599)
  delay=250ms   answer late
  stall         do not answer until the caller gives up
  reset         reset the connection
  half          answer half and hang up
  before after  before or after the effect  [before; half: after]
  retry-after=2, retry-after-date=2, retry-after-ms=250
                with a status: tell the caller to wait
  share=10%     that part of the requests, by --fault-seed
  count=3       at most 3 requests
  every=5       each fifth request        nth=2 or nth=2+4  only these
  on=SendToAll+sendToGroup                only these operations
  hub=chat                                only this hub"""

EXAMPLE = "429,retry-after=2,count=3"

_KINDS = "429, 503 (or another status), delay=250ms, stall, reset, half"
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "": 1.0}
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(ms|s|m|)")
_STATUS = re.compile(r"\d{3}")
_OTHER_STATUSES = (408, 429)
_NOTHING_DONE = 429


class FaultError(ValueError):
    """A fault cannot be read; says what is wrong and what to write instead."""


def parse_fault(text: str) -> InjectedFault:
    """Read one fault.

    Args:
        text: As written behind `--fault`. Blanks around words do not count, nor does their case.

    Raises:
        FaultError: It is not one.
    """
    head, *rest = (word.strip() for word in text.split(","))
    fault = replace(_kind(head, text), text=replace_invisible(text.strip()))
    said: set[str] = set()
    for word in rest:
        name, _, value = (part.strip() for part in word.partition("="))
        name = name.lower()
        if name not in _OPTIONS:
            raise FaultError(_unknown(word, name, text))
        slot = _SLOTS.get(name, name)
        if slot in said:
            raise FaultError(
                f"`{_shown(word)}` in `{_shown(text)}` says a second time what is said"
            )
        said.add(slot)
        try:
            fault = _OPTIONS[name](fault, name, value)
        except FaultError as error:
            raise FaultError(f"`{_shown(word)}` in `{_shown(text)}`: {error}") from None
    if fault.nth and said & {"share", "count", "every"}:
        raise FaultError(
            f"`nth` in `{_shown(text)}` names its requests one by one: leave out share, count and "
            "every"
        )
    return fault


def _kind(word: str, text: str) -> InjectedFault:
    name, equals, value = (part.strip() for part in word.partition("="))
    name = name.lower()
    if name == FaultKind.DELAY:
        if not equals:
            raise FaultError(f"`{_shown(text)}` does not say how long: write delay=250ms")
        return InjectedFault(text, FaultKind.DELAY, seconds=_seconds(value))
    if not equals and _STATUS.fullmatch(name):
        return InjectedFault(text, FaultKind.STATUS, status=_status(int(name)))
    if not equals and name in {FaultKind.STALL, FaultKind.RESET}:
        return InjectedFault(text, FaultKind(name))
    if not equals and name == FaultKind.HALF:
        return InjectedFault(text, FaultKind.HALF, timing=FaultTiming.AFTER)
    hint = did_you_mean(name, ["stall", "reset", "half", "delay=250ms"])
    if name in _OPTIONS:
        hint = f"; the kind comes first, as in `{EXAMPLE}`"
    shown = f"`{_shown(word)}` is no kind of fault" if word else "a fault begins with its kind"
    raise FaultError(f"{shown}{hint}; the kinds are {_KINDS}")


def _status(status: int) -> int:
    if status in _OTHER_STATUSES or 500 <= status <= 599:  # noqa: PLR2004 - the 5xx
        return status
    raise FaultError(f"{status} is no status of a fault; write 408, 429 or one of 500 to 599")


def _moment(fault: InjectedFault, name: str, value: str) -> InjectedFault:
    _bare(name, value)
    timing = FaultTiming(name)
    if timing is FaultTiming.AFTER and fault.status == _NOTHING_DONE:
        raise FaultError("a 429 says that nothing was done: leave it out")
    if timing is FaultTiming.BEFORE and fault.kind is FaultKind.HALF:
        raise FaultError("half an answer comes after the effect; write `reset,before` instead")
    return replace(fault, timing=timing)


def _wait(fault: InjectedFault, name: str, value: str) -> InjectedFault:
    if fault.kind is not FaultKind.STATUS:
        raise FaultError("only a status can tell the caller to wait, as in 429,retry-after=2")
    header = RetryAfterHeader(name)
    if header is RetryAfterHeader.MILLISECONDS and value.isascii() and value.isdigit():
        value += "ms"
    seconds = _seconds(value, least=0)
    if header is not RetryAfterHeader.MILLISECONDS and seconds != int(seconds):
        raise FaultError("HTTP knows whole seconds here; write retry-after-ms=250 for less")
    return replace(fault, retry_after=header, retry_after_seconds=seconds)


def _share(fault: InjectedFault, name: str, value: str) -> InjectedFault:
    del name
    number, percent, rest = value.partition("%")
    try:
        share = float(number) / (100 if percent else 1)
    except ValueError:
        share = math.nan
    if rest or not 0 < share <= 1:
        raise FaultError("a share is written 10% or 0.1, more than 0 and at most 100%")
    return replace(fault, share=share)


def _count(fault: InjectedFault, name: str, value: str) -> InjectedFault:
    return replace(fault, count=_number(name, value))


def _every(fault: InjectedFault, name: str, value: str) -> InjectedFault:
    return replace(fault, every=_number(name, value))


def _nth(fault: InjectedFault, name: str, value: str) -> InjectedFault:
    return replace(fault, nth=frozenset(_number(name, one) for one in value.split("+")))


def _on(fault: InjectedFault, name: str, value: str) -> InjectedFault:
    del name
    chosen = [_operation(one.strip()) for one in value.split("+")]
    return replace(fault, operations=frozenset(chosen))


def _operation(word: str) -> str:
    """An operation ID with or without its prefix, in any case: so actions are understood, too."""
    name = word.lower().removeprefix("webpubsub_")
    if name in _OPERATIONS:
        return name
    hint = did_you_mean(_ALIASES.get(name, name), OPERATIONS)
    known = f"; they are {', '.join(OPERATIONS)}"
    raise FaultError(f"`{_shown(word)}` is no operation of the REST API{hint or known}")


def _hub(fault: InjectedFault, name: str, value: str) -> InjectedFault:
    del name
    if not is_hub_name(value):
        raise FaultError("this is no hub's name")
    return replace(fault, hub=hub_key(value))


_OPERATIONS = frozenset(map(str.lower, OPERATIONS))
_ALIASES = {"closeclientconnection": "CloseConnection"}
"""The one action whose operation has another name."""

_OPTIONS: Mapping[str, Callable[[InjectedFault, str, str], InjectedFault]] = MappingProxyType(
    {
        "before": _moment,
        "after": _moment,
        **{str(wait): _wait for wait in RetryAfterHeader},
        "share": _share,
        "count": _count,
        "every": _every,
        "nth": _nth,
        "on": _on,
        "hub": _hub,
    }
)

_SLOTS = {"before": "moment", "after": "moment", **{str(wait): "wait" for wait in RetryAfterHeader}}
"""Words of which one excludes the other."""


def _unknown(word: str, name: str, text: str) -> str:
    hint = did_you_mean(name, list(_OPTIONS))
    if not word:
        return f"`{_shown(text)}` has a comma too many; write it as `{EXAMPLE}`"
    if _STATUS.fullmatch(name) or name in set(FaultKind):
        hint = "; one fault has one kind: write a second --fault"
    return (
        f"`{_shown(word)}` in `{_shown(text)}` narrows nothing down"
        f"{hint or '; known are ' + ', '.join(_OPTIONS)}"
    )


def _bare(name: str, value: str) -> None:
    if value:
        raise FaultError(f"`{name}` has no value: leave out what follows it")


def _number(name: str, value: str) -> int:
    value = value.strip()
    if not (value.isascii() and value.isdigit() and len(value) <= 9 and int(value)):  # noqa: PLR2004
        raise FaultError(f"write a whole number from 1, as in {name}=3")
    return int(value)


def _seconds(value: str, least: float = 0.001) -> float:
    found = _DURATION.fullmatch(value)
    seconds = float(found[1]) * _UNITS[found[2]] if found else math.nan
    if not least <= seconds <= LONGEST:
        raise FaultError(f"`{_shown(value)}` is no duration like 250ms, 2s or 1m, up to an hour")
    return seconds


def _shown(text: str) -> str:
    return replace_invisible(text if len(text) <= 80 else text[:79] + "…")  # noqa: PLR2004 - a line
