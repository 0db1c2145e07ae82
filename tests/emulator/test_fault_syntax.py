"""Tests of parsing faults."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wps_run.emulator.fault_syntax import FaultError, parse_fault
from wps_run.emulator.faults import FaultKind, FaultTiming, InjectedFault, RetryAfterHeader


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("429", InjectedFault("429", FaultKind.STATUS, status=429)),
        ("stall", InjectedFault("stall", FaultKind.STALL)),
        ("half", InjectedFault("half", FaultKind.HALF, timing=FaultTiming.AFTER)),
        ("reset,after", InjectedFault("reset,after", FaultKind.RESET, timing=FaultTiming.AFTER)),
        ("delay=250ms", InjectedFault("delay=250ms", FaultKind.DELAY, seconds=0.25)),
        ("delay=2", InjectedFault("delay=2", FaultKind.DELAY, seconds=2)),
        (
            "DELAY=1m,AFTER",
            InjectedFault("DELAY=1m,AFTER", FaultKind.DELAY, seconds=60, timing=FaultTiming.AFTER),
        ),
        ("503,share=10%", InjectedFault("503,share=10%", FaultKind.STATUS, status=503, share=0.1)),
        ("503,share=0.1", InjectedFault("503,share=0.1", FaultKind.STATUS, status=503, share=0.1)),
        ("503,count=3", InjectedFault("503,count=3", FaultKind.STATUS, status=503, count=3)),
        ("503,every=5", InjectedFault("503,every=5", FaultKind.STATUS, status=503, every=5)),
        (
            "503,nth=2+4",
            InjectedFault("503,nth=2+4", FaultKind.STATUS, status=503, nth=frozenset({2, 4})),
        ),
        ("503,hub=Chat", InjectedFault("503,hub=Chat", FaultKind.STATUS, status=503, hub="chat")),
    ],
)
def test_a_fault_is_parsed(text: str, fault: InjectedFault) -> None:
    """A kind first, then options."""
    assert parse_fault(text) == fault


@pytest.mark.parametrize(
    ("word", "header", "seconds"),
    [
        ("retry-after=2", RetryAfterHeader.SECONDS, 2),
        ("retry-after=0", RetryAfterHeader.SECONDS, 0),
        ("Retry-After=2s", RetryAfterHeader.SECONDS, 2),
        ("retry-after-date=2", RetryAfterHeader.DATE, 2),
        ("retry-after-ms=250", RetryAfterHeader.MILLISECONDS, 0.25),
        ("retry-after-ms=250ms", RetryAfterHeader.MILLISECONDS, 0.25),
    ],
)
def test_the_three_headers_that_request_a_delay(
    word: str, header: RetryAfterHeader, seconds: float
) -> None:
    """Seconds, a date, milliseconds."""
    fault = parse_fault(f"429,{word}")

    assert (fault.retry_after, fault.retry_after_seconds) == (header, seconds)


@pytest.mark.parametrize(
    "word",
    [
        "on=SendToAll+AddUserToGroup",
        "on=sendToAll + addUserToGroup",
        "on=WebPubSub_SendToAll+WebPubSub_AddUserToGroup",
    ],
)
def test_operations_are_named_by_their_id_or_by_the_action(word: str) -> None:
    """In any case, with or without the prefix."""
    assert parse_fault(f"stall,{word}").operations == {"sendtoall", "addusertogroup"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a fault begins with its kind; the kinds are 429, 503"),
        ("stal", "`stal` is not a kind of fault; did you mean `stall`?"),
        ("count=3", "the kind comes first, as in `429,retry-after=2,count=3`"),
        ("404", "a fault cannot have status 404; write 408, 429 or one of 500 to 599"),
        ("600", "write 408, 429 or one of 500 to 599"),
        ("429,", "has a comma too many"),
        ("429,503", "one fault has one kind: write a second --fault"),
        ("429,stall", "one fault has one kind"),
        ("429,cuont=3", "did you mean `count`?"),
        ("429,colour=red", "known are before, after, retry-after"),
        ("429,count", "write a whole number from 1, as in count=3"),
        ("429,count=0", "write a whole number from 1"),
        ("429,count=²", "write a whole number from 1"),
        ("429,count=1,count=2", "sets an option a second time"),
        ("503,before,after", "sets an option a second time"),
        ("429,retry-after=1,retry-after-ms=2", "sets an option a second time"),
        ("429,share=0", "write a share as 10% or 0.1"),
        ("429,share=101%", "write a share as 10% or 0.1"),
        ("429,share=nan", "write a share as 10% or 0.1"),
        ("429,nth=1,share=5%", "leave out share, count and every"),
        ("429,after", "a 429 means that the request had no effect"),
        ("half,before", "write `reset,before` instead"),
        ("stall,retry-after=1", "only a status can have this option"),
        ("429,retry-after=0.5", "write retry-after-ms=250 for less"),
        ("delay", "write delay=250ms"),
        ("delay=", "is not a duration like 250ms"),
        ("delay=0", "is not a duration like 250ms"),
        ("delay=2h", "is not a duration like 250ms"),
        ("delay=61m", "up to an hour"),
        ("503,after=1", "`after` has no value"),
        ("503,hub=1", "not a valid hub name"),
        ("503,on=SendToGruop", "did you mean `SendToGroup`?"),
        ("503,on=closeClientConnection", "did you mean `CloseConnection`?"),
        ("503,on=xyz", "they are SendToAll, CloseAllConnections"),
        ("503,on=GetServiceStatus", "is not an operation"),
    ],
)
def test_an_error_says_what_to_write(text: str, message: str) -> None:
    """It quotes the fault and the option."""
    with pytest.raises(FaultError) as error:
        parse_fault(text)

    assert message in str(error.value)


WORDS = st.sampled_from(
    [*("429", "503", "stall", "reset", "half", "delay=", "delay=1", "before", "after", "nth=1+"),
     *("retry-after=1", "share=", "share=5%", "count=9", "every=2", "on=", "on=SendToAll", "hub=h")]
)  # fmt: skip


@given(text=st.lists(WORDS | st.text(max_size=5), max_size=4).map(",".join))
def test_any_text_is_a_fault_or_an_error_in_one_line(text: str) -> None:
    """No other exception is raised, and no control character is printed."""
    try:
        fault = parse_fault(text)
        line = fault.text
    except FaultError as error:
        line = str(error)
    assert line.isprintable()
