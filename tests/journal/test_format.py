"""Any damaged or edited journal is either refused with a message or read."""

import copy
import io
import json
import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from wps_run.actions.locks import EXCLUSIVE
from wps_run.actions.request import Value, build_request
from wps_run.actions.table import ACTIONS
from wps_run.execution.result import MAX_ACTIONS, ActionError, Attempt, Status, result_for
from wps_run.execution.run_info import Destination, RunInfo
from wps_run.journal.fingerprint import require_same
from wps_run.journal.format import (
    UNCHECKED_VERSION,
    VERSION,
    Chain,
    Header,
    InvalidLineError,
    Resumed,
    decode_header,
    decode_record,
    encode,
    encode_text,
)
from wps_run.journal.reader import read_history
from wps_run.journal.resume import ResumeMode, Resumption
from wps_run.playbook.options import Delivery, OnError
from wps_run.playbook.shards import Shard
from wps_run.playbook.steps import Step
from wps_run.problems import JournalError
from wps_run.report.formats import OUTPUT_FORMATS
from wps_run.report.run_report import report_from_history

NAME = "file-of-the-run"


def step(index: int, name: str = "addUserToGroup") -> Step:
    all_values: dict[str, Value] = {
        "userId": "ada",
        "group": "red",
        "data": b"x",
        "dataType": "text",
    }
    action = ACTIONS[name]
    values = {
        field.name: all_values[field.name] for field in action.fields if field.name in all_values
    }
    request = build_request(action, values, "chat")
    return Step(
        *(index, index, None, action, values, request, EXCLUSIVE, "p.yaml:1", None, OnError.STOP),
        *(Delivery.AT_MOST_ONCE, 30.0),
    )


STEPS = [step(0), step(1, "sendToAll"), step(2, "sendToUser"), step(3), step(4), step(5)]
RUN = RunInfo(
    destination=Destination.SERVICE,
    endpoints=("127.0.0.1:80",),
    hubs=("chat",),
    playbooks=("p.yaml",),
    total=6,
    pace="sequential",
    shard=Shard(1, 2),
    plan_total=12,
)
STARTED = "2026-11-24T12:00:00.000+00:00"
HEADER = Header(STARTED, ("p.yaml",), "salt", {"the playbook p.yaml": "1"}).record(RUN)
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

JOURNAL = b"".join(map(Chain().seal, RECORDS))
LINES = JOURNAL.splitlines(keepends=True)

OLD_RECORDS = [{**HEADER, "version": UNCHECKED_VERSION}, *RECORDS[1:]]
OLD_JOURNAL = b"".join(json.dumps(record).encode() + b"\n" for record in OLD_RECORDS)


def use_journal(journal: bytes) -> None:
    """Do everything that is done with a journal: report, list and resume it."""
    history = read_history(lambda: io.BytesIO(journal), NAME)
    for row in OUTPUT_FORMATS.values():
        report, reporter = report_from_history(history), row.new_reporter()
        reporter.begin(report.run_info)
        for record in report.results:
            reporter.result(record)
        reporter.end(report.summary, report.simulations)
    for mode in ResumeMode:
        resumption = Resumption(history, mode)
        earlier = list(resumption.earlier_results(STEPS))
        remaining = list(resumption.steps_to_run(STEPS))
        assert len(earlier) + len(remaining) == len(STEPS)
        for step in remaining:
            resumption.combined(step, result_for(step, Status.SKIPPED))
    assert history.counts().total() == len(list(history.results()))
    require_same(history, {"the playbook p.yaml": "1"}, NAME)


@pytest.mark.parametrize("journal", [JOURNAL, OLD_JOURNAL], ids=["new", "old"])
def test_valid_journal_is_accepted(journal: bytes) -> None:
    use_journal(journal)


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
def with_other_values(draw: st.DrawFn) -> bytes:
    """An old journal with values of other types, keys removed, lines removed and repeated."""
    records = [json.loads(json.dumps(record)) for record in OLD_RECORDS]
    for _ in range(draw(st.integers(1, 3))):
        target = draw(st.sampled_from(records))
        while True:
            key = (
                draw(st.sampled_from(sorted(target)))
                if isinstance(target, dict) and target
                else None
            )
            if key is None:
                break
            value = target[key][0] if isinstance(target[key], list) and target[key] else target[key]
            if isinstance(value, dict) and draw(st.booleans()):
                target = value
                continue
            if draw(st.booleans()):
                target[key] = copy.deepcopy(draw(JUNK))
            else:
                del target[key]
            break
    lines = [json.dumps(record).encode() + b"\n" for record in records]
    order = draw(st.lists(st.sampled_from(range(len(lines))), max_size=14) | st.none())
    return b"".join(lines if order is None else [lines[number] for number in order])


@st.composite
def with_other_bytes(draw: st.DrawFn) -> bytes:
    """An old journal with some bytes changed, removed or inserted."""
    journal = bytearray(OLD_JOURNAL)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(journal) - 1))
        end = start + draw(st.sampled_from([0, 1, 1, 1, 20]))
        journal[start:end] = draw(st.binary(max_size=2) | st.sampled_from([b"\n", b"[" * 9999]))
    return bytes(journal)


@settings(max_examples=400)
@given(journal=with_other_values() | with_other_bytes())
def test_any_old_journal_is_accepted_or_refused(journal: bytes) -> None:
    """It never fails with an internal error."""
    try:
        use_journal(journal)
    except JournalError as error:
        assert NAME in str(error)  # noqa: PT017 -- both are correct


@pytest.mark.parametrize("missing", ["salt", "fingerprint", "started", "paths", "total", "pace"])
def test_header_without_a_required_key_is_refused(missing: str) -> None:
    incomplete = {name: value for name, value in HEADER.items() if name != missing}

    read_history(lambda: io.BytesIO(Chain().seal(HEADER)), "j")
    with pytest.raises(JournalError, match="j:1: the journal is damaged here"):
        read_history(lambda: io.BytesIO(Chain().seal(incomplete)), "j")


@pytest.mark.parametrize(
    "changed",
    [
        {"destination": "PLAN"},
        {"started": "2026-11-24T12:00:00"},
        {"started": "yesterday"},
        {"total": -1},
        {"total": MAX_ACTIONS + 1, "shard": None},
        {"total": 13},
        {"shard": {"number": 0, "count": 2, "of": 12}},
        {"shard": {"number": 3, "count": 2, "of": 12}},
        {"fingerprint": {"the hub": 1}},
    ],
)
def test_header_with_a_value_out_of_range_is_refused(changed: dict[str, Any]) -> None:
    """A plan, no time zone, more actions than the plan of the shard, no such shard."""
    with pytest.raises(JournalError, match="j:1: the journal is damaged here"):
        read_history(lambda: io.BytesIO(Chain().seal({**HEADER, **changed})), "j")


SHARD = replace(RUN, endpoints=("127.0.0.1:80", "127.0.0.1:81"), playbooks=("p.yaml", "q.yaml"))
WHOLE = replace(SHARD, destination=Destination.LOCAL, shard=None, plan_total=6)


@pytest.mark.parametrize("run", [SHARD, WHOLE], ids=["shard", "whole"])
@pytest.mark.parametrize("later", [SHARD, WHOLE], ids=["shard", "whole"])
def test_header_and_resumed_line_say_what_is_run(run: RunInfo, later: RunInfo) -> None:
    """The last one is valid; the resumed lines of older journals do not say it."""
    header = Header(STARTED, ("p.yaml", "q.yaml"), "salt", {"the hub": "c"}, "/srv")
    chain = Chain()
    journal = chain.seal(header.record(run))
    assert decode_header(journal) == (header, run)

    history = read_history(lambda: io.BytesIO(journal), "j")
    history.add(chain.seal({"type": "resumed", "resumed": STARTED}))
    assert history.run == run
    history.add(chain.seal(Resumed(STARTED, VERSION).record(later)))
    assert history.run == later


@pytest.mark.parametrize(
    "record",
    [
        {"type": "sending", "index": -1},
        {"type": "sending", "index": MAX_ACTIONS},
        {"type": "unsent", "index": "0"},
        {"type": "summary", "durationMs": 1.5, "exitCode": 256},
        {"type": "summary", "durationMs": 1.5, "exitCode": -1},
        {"type": "summary", "durationMs": 1e15, "exitCode": 0},
        {"type": "resumed", "resumed": "2026-11-24T12:00:00"},
        {"type": "result", "index": 0},
        {"type": "sendinf", "index": 0},
        HEADER,
    ],
)
def test_record_with_a_value_out_of_range_is_damage(record: dict[str, Any]) -> None:
    """So are a second header and a record of an unknown type."""
    with pytest.raises(InvalidLineError):
        decode_record(encode(record))


@pytest.mark.parametrize("status", [[], {}, None, 1, "done"])
def test_other_status_of_a_result_is_damage(status: object) -> None:
    lines = [HEADER, {**RECORDS[2], "status": status}, RECORDS[1]]
    journal = b"".join(map(Chain().seal, lines))

    with pytest.raises(JournalError, match="j:2: the journal is damaged here"):
        read_history(lambda: io.BytesIO(journal), "j")


@pytest.mark.parametrize("journal", [JOURNAL, OLD_JOURNAL], ids=["new", "old"])
def test_two_concatenated_journals_are_damage(journal: bytes) -> None:
    with pytest.raises(JournalError, match="j:11: "):
        read_history(lambda: io.BytesIO(journal + journal), "j")


def test_any_bit_that_changes_is_damage() -> None:
    """Also one of a line break, and of the last line."""
    for position in range(len(JOURNAL)):
        changed = bytearray(JOURNAL)
        changed[position] ^= 1 << position % 8
        with pytest.raises(JournalError, match=NAME):
            read_history(partial(io.BytesIO, changed), NAME)


OTHER_LINES = [*map(Chain().seal, [{**HEADER, "salt": "other"}, *RECORDS[1:]])]


def with_lines(choices: random.Random) -> bytes:
    """The journal with lines lost, swapped, repeated, moved, or inserted from another journal."""
    lines = [*LINES]
    first, second = sorted(choices.sample(range(len(lines)), 2))
    other = choices.choice(OTHER_LINES)
    match choices.randrange(5):
        case 0:
            del lines[first:second]
        case 1:
            lines[first], lines[second] = lines[second], lines[first]
        case 2:
            lines.insert(choices.choice([first + 1, second + 1]), lines[first])
        case 3:
            lines.insert(second, lines.pop(first))
            lines += [lines.pop(0)] if lines == LINES else []
        case _:
            lines[second : second + choices.randrange(2)] = [other]
    return b"".join(lines)


def with_bytes(choices: random.Random) -> bytes:
    """The journal with bytes changed, lost or inserted."""
    journal = bytearray(JOURNAL)
    start = choices.randrange(len(journal))
    lost = choices.choice([0, 1, 1, 2, 40])
    inserted = choices.choice([b"", b"\n", b" ", b"\0\0\0", choices.randbytes(9)])
    journal[start : start + lost] = inserted or choices.randbytes(1)
    return bytes(journal)


def with_other_end(choices: random.Random) -> bytes:
    """The journal as a crash leaves it, and with an end that no crash leaves."""
    cut = choices.randrange(len(LINES[0]), len(JOURNAL))
    end = choices.choice([b"", b"", b"\0" * 9, b"\n", b"\0\n", choices.choice(OTHER_LINES)])
    return JOURNAL[:cut] + end


@pytest.mark.parametrize("change", [with_lines, with_bytes, with_other_end])
def test_changed_journal_is_refused_or_has_the_same_content(
    change: Callable[[random.Random], bytes],
) -> None:
    """Of a whole line, nothing is changed or lost; only what a crash left at the end is ignored."""
    accepted = 0
    for seed in range(200):
        changed = change(random.Random(seed))  # noqa: S311 -- the same choices in each run
        try:
            history = read_history(partial(io.BytesIO, changed), NAME)
        except JournalError as error:
            assert NAME in str(error)  # noqa: PT017 -- both are correct
            continue
        accepted += 1
        assert changed[: history.length] == JOURNAL[: history.length], seed
        assert b"\n" not in changed[history.length :], seed
        if change is not with_other_end:
            assert changed == JOURNAL or history.length >= len(JOURNAL) - len(LINES[-1]), seed

    assert accepted < 150 if change is with_other_end else accepted < 20


@pytest.mark.parametrize("line", [b"{", b"[]\n", b"\xff\n", b"[" * 99999 + b"\n", b'{"a":NaN}\n'])
def test_line_that_is_no_object_is_damage(line: bytes) -> None:
    """Incomplete, of another type, no text, nested too deeply, no JSON."""
    with pytest.raises(InvalidLineError):
        decode_record(line)


TEXT = st.text() | st.text(st.characters(categories=["Cs", "Cc", "L"]))


@given(name=TEXT, source=TEXT, target=st.dictionaries(TEXT, TEXT | st.integers(0, 9)))
def test_result_is_encoded_like_the_standard_library_does_and_decoded(
    name: str, source: str, target: dict[str, str | int]
) -> None:
    """Also with lone surrogates, as in file names that are not UTF-8."""
    result = structs.replace(RESULTS[1], name=name, source=source, target=target)
    expected = json.dumps(result.as_json(), ensure_ascii=False, separators=(",", ":"))

    line = encode(result)

    assert line == expected.encode(errors="surrogatepass")
    assert encode_text(result) == expected
    assert decode_record(line) == result
