"""A journal that was damaged or edited is refused in words, or read; it never breaks us."""

import copy
import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from wps_run.actions.locks import EXCLUSIVE
from wps_run.actions.request import Value, build_request
from wps_run.actions.table import ACTIONS
from wps_run.execution.result import ActionError, Attempt, Status, result_for
from wps_run.journal.fingerprint import require_same
from wps_run.journal.format import TornLineError, decode_record, encode_line
from wps_run.journal.reader import read_history
from wps_run.journal.resume import ResumeMode, Resumption
from wps_run.playbook.options import Delivery, OnError
from wps_run.playbook.steps import Step
from wps_run.problems import JournalError
from wps_run.report.formats import OUTPUT_FORMATS
from wps_run.report.run_report import report_from_history


def step(index: int, name: str = "addUserToGroup") -> Step:
    given: dict[str, Value] = {"userId": "ada", "group": "red", "data": b"x", "dataType": "text"}
    action = ACTIONS[name]
    values = {one.name: given[one.name] for one in action.fields if one.name in given}
    request = build_request(action, values, "chat")
    return Step(
        *(index, index, None, action, values, request, EXCLUSIVE, "p.yaml:1", None, OnError.STOP),
        *(Delivery.AT_MOST_ONCE, 30.0),
    )


STEPS = [step(0), step(1, "sendToAll"), step(2, "sendToUser"), step(3), step(4), step(5)]
HEADER: dict[str, Any] = {
    "type": "run",
    "version": 1,
    "started": "2026-11-24T12:00:00.000+00:00",
    "paths": ["p.yaml"],
    "destination": "SERVICE",
    "endpoints": ["127.0.0.1:80"],
    "hubs": ["chat"],
    "playbooks": ["p.yaml"],
    "total": 6,
    "pace": "sequential",
    "shard": {"number": 1, "count": 2, "of": 12},
    "salt": "salt",
    "fingerprint": {"the playbook p.yaml": "1"},
}
RESULTS = [
    result_for(
        STEPS[0],
        Status.OK,
        http_status=200,
        attempts=1,
        duration=0.1,
        request_id="id-0",
        started=0.5,
    ),
    result_for(
        STEPS[1],
        Status.FAILED,
        http_status=404,
        attempts=2,
        duration=0.1,
        request_id="id-1",
        error=ActionError("a", "b", "c"),
        started=0.5,
        waited_for=0,
        tries=(Attempt(100.0, 429, None, 200.0), Attempt(100.0, None, "connect", 200.0)),
    ),
    result_for(STEPS[2], Status.SKIPPED, error=ActionError("stopped", "m")),
]
RECORDS: list[dict[str, Any]] = [
    HEADER,
    {"type": "sending", "index": 0},
    RESULTS[0].as_json(),
    {"type": "sending", "index": 1},
    {"type": "unsent", "index": 1},
    RESULTS[1].as_json(),
    RESULTS[2].as_json(),
    {"type": "summary", "durationMs": 12.5, "exitCode": 1},
    {"type": "resumed", "resumed": "2026-11-24T12:00:05.000+00:00"},
    {"type": "sending", "index": 3},
]
JOURNAL = b"".join(json.dumps(one).encode() + b"\n" for one in RECORDS)


def use(journal: bytes) -> None:
    """Do all that is done with a journal: tell it again, list it, go on with it."""
    history = read_history(lambda: io.BytesIO(journal), "j")
    for row in OUTPUT_FORMATS.values():
        told, reporter = report_from_history(history), row.new_reporter()
        reporter.begin(told.run_info)
        for record in told.results:
            reporter.result(record)
        reporter.end(told.summary, told.simulations)
    for again in ResumeMode:
        resumption = Resumption(history, again)
        settled = list(resumption.earlier_results(STEPS))
        left = list(resumption.steps_to_run(STEPS))
        assert len(settled) + len(left) == len(STEPS)
        for one in left:
            resumption.combined(one, result_for(one, Status.SKIPPED))
    assert history.counts().total() == len(list(history.results()))
    require_same(history, {"the playbook p.yaml": "1"}, "j")


def test_a_journal_of_ours_is_of_use() -> None:
    """Without damage there is nothing to refuse."""
    use(JOURNAL)


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from([10**400, -1, 2**63, 1e308, "ok", "2026", "\ud800", [[]], {"": None}]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=3,
)


@st.composite
def other_values(draw: st.DrawFn) -> bytes:
    """The journal with values of other types, keys without value, lines dropped and doubled."""
    records = [json.loads(json.dumps(one)) for one in RECORDS]
    for _ in range(draw(st.integers(1, 3))):
        spot = draw(st.sampled_from(records))
        while True:
            key = draw(st.sampled_from(sorted(spot))) if isinstance(spot, dict) and spot else None
            if key is None:
                break
            inner = spot[key][0] if isinstance(spot[key], list) and spot[key] else spot[key]
            if isinstance(inner, dict) and draw(st.booleans()):
                spot = inner
                continue
            if draw(st.booleans()):
                spot[key] = copy.deepcopy(draw(JUNK))
            else:
                del spot[key]
            break
    lines = [json.dumps(one).encode() + b"\n" for one in records]
    order = draw(st.lists(st.sampled_from(range(len(lines))), max_size=14) | st.none())
    return b"".join(lines if order is None else [lines[number] for number in order])


@st.composite
def other_bytes(draw: st.DrawFn) -> bytes:
    """The journal with some bytes changed, cut out or put in."""
    journal = bytearray(JOURNAL)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(journal) - 1))
        end = at + draw(st.sampled_from([0, 1, 1, 1, 20]))
        journal[at:end] = draw(st.binary(max_size=2) | st.sampled_from([b"\n", b"[" * 9999]))
    return bytes(journal)


@settings(max_examples=400)
@given(journal=other_values() | other_bytes())
def test_whatever_became_of_a_journal_it_is_refused_or_of_use(journal: bytes) -> None:
    """Exit 2 or a run, never exit 70."""
    try:
        use(journal)
    except JournalError as error:
        assert "j" in str(error)  # noqa: PT017 -- either way is right


@pytest.mark.parametrize("lost", ["salt", "fingerprint", "started", "paths", "total", "pace"])
def test_a_header_must_be_whole(lost: str) -> None:
    """A handmade one is refused, whatever it lacks."""
    less = {name: value for name, value in HEADER.items() if name != lost}

    read_history(lambda: io.BytesIO(encode_line(HEADER)), "j")
    with pytest.raises(JournalError, match="j:1: the journal is damaged here"):
        read_history(lambda: io.BytesIO(json.dumps(less).encode() + b"\n"), "j")


@pytest.mark.parametrize("status", [[], {}, None, 1, "done"])
def test_the_status_of_a_result_is_one_of_four(status: object) -> None:
    """Anything else is damage, be it of another kind altogether."""
    lines = [HEADER, {**RECORDS[2], "status": status}, RECORDS[1]]
    journal = b"".join(json.dumps(one).encode() + b"\n" for one in lines)

    with pytest.raises(JournalError, match="j:2: the journal is damaged here"):
        read_history(lambda: io.BytesIO(journal), "j")


def test_two_journals_in_one_are_damage() -> None:
    """Their actions have the same numbers."""
    with pytest.raises(JournalError, match="j:11: "):
        read_history(lambda: io.BytesIO(JOURNAL + JOURNAL), "j")


@pytest.mark.parametrize("line", [b"{}", b"[]\n", b"\xff\n", b"[" * 99999 + b"\n", b'{"a":NaN}\n'])
def test_what_is_no_record_is_torn(line: bytes) -> None:
    """Cut off, of another kind, no text, without an end, no JSON."""
    with pytest.raises(TornLineError):
        decode_record(line)


def test_a_kind_of_a_later_version_is_left_alone() -> None:
    """It may be added without a new form of the journal."""
    assert decode_record(encode_line({"type": "weather", "index": "fine"})) is None


TEXT = st.text() | st.text(st.characters(categories=["Cs", "Cc", "L"]))


@given(name=TEXT, source=TEXT, target=st.dictionaries(TEXT, TEXT | st.integers(0, 9)))
def test_a_result_is_encoded_as_the_standard_library_encodes_it_and_read_back(
    name: str, source: str, target: dict[str, str | int]
) -> None:
    """Also with halves of surrogate pairs, which a file name that is not UTF-8 has."""
    result = structs.replace(RESULTS[1], name=name, source=source, target=target)
    plain = json.dumps(result.as_json(), ensure_ascii=False, separators=(",", ":"))

    line = encode_line(result)

    assert line == plain.encode(errors="surrogatepass") + b"\n"
    assert decode_record(line) == result
