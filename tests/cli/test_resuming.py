"""What a resumed run does with each action, and which options it reuses."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import pytest
from tests.cli.test_configuration import sample
from tests.conftest import result_record

from wps_run import planning
from wps_run.cli.commands.run import command
from wps_run.cli.journals import kept_options, resume_command, resume_notes, resumed_overrides
from wps_run.cli.options import given_options, overrides_from, reused_values
from wps_run.execution.run_info import Destination, RunInfo
from wps_run.journal.format import KeptOptions
from wps_run.journal.reader import History
from wps_run.journaling import JournalOptions, resumption_of
from wps_run.planning import Plan, RunOverrides
from wps_run.playbook.configuration import FILE_NAME
from wps_run.playbook.model import read_playbook
from wps_run.playbook.options import (
    CONNECTION,
    HUB,
    flagged_options,
)
from wps_run.problems import JournalError, UsageError

SEND = "{actionName: sendToAll, data: x}"
JOIN = "{actionName: addUserToGroup, userId: ada, group: red}"
PERSISTENT_SEND = "{actionName: sendToAll, data: x, delivery: atLeastOnce}"
TOLERANT_SEND = "{actionName: sendToAll, data: x, onError: continue}"


def plans_of(*actions: str, overrides: RunOverrides | None = None) -> tuple[Plan, ...]:
    text = "hub: chat\nactions:\n" + "".join(f"  - {action}\n" for action in actions)
    return planning.plan([read_playbook(text, "p.yaml")], overrides or RunOverrides())


SENDING = {"type": "sending", "index": 0}

ROWS: dict[str, list[tuple[str, list[dict[str, Any]]]]] = {
    "ok, skipped by `onMissing: skip`, or unknown with a code other than `interrupted`": [
        (SEND, [result_record(0, "ok")]),
        (SEND, [result_record(0, "skipped", "missing")]),
        (JOIN, [result_record(0, "unknown", "timeout")]),
        (PERSISTENT_SEND, [result_record(0, "unknown", "timeout")]),
    ],
    "failed, and its failure stopped the run (`onError: stop`)": [
        (SEND, [result_record(0, "failed", "http-400")]),
        (JOIN, [result_record(0, "failed", "http-404")]),
    ],
    "failed, and the run went on (`onError: continue`)": [
        (TOLERANT_SEND, [result_record(0, "failed", "http-400")]),
    ],
    "skipped because the run stopped": [
        (SEND, [result_record(0, "skipped", "stopped")]),
        (JOIN, [result_record(0, "skipped", "interrupted")]),
        (JOIN, [result_record(0, "skipped", "journal")]),
    ],
    "nothing: it was not sent": [
        (SEND, []),
        (SEND, [SENDING, {"type": "unsent", "index": 0}]),
    ],
    "an idempotent action that may have been sent": [
        (JOIN, [SENDING]),
        (JOIN, [result_record(0, "unknown", "interrupted")]),
        (JOIN, [result_record(0, "failed", "http-500"), SENDING]),
    ],
    "a send, or a close of a group, user or hub, that may have been sent": [
        (SEND, [SENDING]),
        (SEND, [result_record(0, "unknown", "interrupted")]),
        (SEND, [result_record(0, "failed", "http-400"), SENDING]),
        ("{actionName: closeGroupConnections, group: red}", [SENDING]),
        ("{actionName: closeAllConnections}", [SENDING]),
    ],
    "the same, with `delivery: atLeastOnce`": [
        (PERSISTENT_SEND, [SENDING]),
        (PERSISTENT_SEND, [result_record(0, "unknown", "interrupted")]),
    ],
}

COLUMNS = {
    "`--resume`": JournalOptions(resume="j"),
    "`--resume --skip-failed`": JournalOptions(resume="j", skip_failed=True),
    "`--resume --failed`": JournalOptions(resume="j", only_failed=True),
}

RUNS_FIRST = "runs again, before all others"
OUTCOMES = {
    RUNS_FIRST: "runs first",
    "runs again": "runs",
    "runs": "runs",
    "runs, perhaps for a second time, which is harmless": "runs",
    "sent again": "runs",
    "keeps its result": "kept",
    "skipped, code `not-failed`": "skipped not-failed",
    "`unknown`, code `interrupted`; not sent again": "unknown interrupted",
    "`unknown`, code `interrupted`, until it runs": "unknown interrupted",
    "the same": "unknown interrupted",
}


def documented_table(project: Path) -> dict[str, list[str]]:
    """Return the cells of the table in the documentation by its first column."""
    text = (project / "docs" / "reference" / "journal.md").read_text("utf-8")
    section = text.partition("## What happens to each action\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    cells = [re.split(r" *\| *", row.strip("| ")) for row in rows]
    return {first: others for first, *others in cells if not first.startswith("--")}


def outcome(history: History, plans: Sequence[Plan], options: JournalOptions) -> str:
    """Return what becomes of the only action of a run."""
    resumption = resumption_of(history, plans, options)
    (step,) = plans[0].steps()
    if list(resumption.steps_to_retry([step])):
        return "runs first"
    if list(resumption.steps_to_run([step])):
        return "runs"
    (result,) = resumption.earlier_results([step])
    code = result.error.code if result.error else ""
    is_kept = not resumption.is_new(result) and (result.status, code) != ("unknown", "interrupted")
    return "kept" if is_kept else f"{result.status} {code}"


def test_documented_table_has_a_case_for_each_row(project: Path) -> None:
    head, *rows = documented_table(project).items()

    assert head == ("in the journal", list(COLUMNS))
    assert [first for first, _ in rows] == list(ROWS)


@pytest.mark.parametrize("row", ROWS)
def test_each_action_is_treated_as_documented(
    project: Path, history_of: Callable[..., History], row: str
) -> None:
    """In each way to resume."""
    cells = documented_table(project)[row]

    for action, records in ROWS[row]:
        history, plans = history_of(*records, options={}, total=1), plans_of(action)
        for cell, options in zip(cells, COLUMNS.values(), strict=True):
            assert outcome(history, plans, options) == OUTCOMES[cell], (action, records, options)


@pytest.mark.parametrize(
    ("recorded", "now", "retried"),
    [
        ({}, {}, [1]),
        ({}, {"onError": "continue"}, [1]),
        ({"--on-error": "continue"}, {"onError": "continue"}, []),
        ({"--on-error": "continue"}, {"onError": "stop"}, []),
        (None, {}, [1]),
        (None, {"onError": "continue"}, []),
    ],
)
def test_on_error_of_the_earlier_part_says_what_is_retried(
    history_of: Callable[..., History],
    recorded: KeptOptions | None,
    now: dict[str, str],
    retried: list[int],
) -> None:
    """An action's own `onError` applies in any case; an old journal does not say what applied."""
    history = history_of(
        result_record(0, "failed", "http-400"),
        result_record(1, "failed", "http-400"),
        **({} if recorded is None else {"options": recorded}),
    )
    plans = plans_of(TOLERANT_SEND, SEND, SEND, overrides=RunOverrides(options=now))

    resumption = resumption_of(history, plans, JournalOptions(resume="j"))

    assert sorted(resumption.retried) == retried


def test_failures_are_found_in_all_playbooks_of_a_run(history_of: Callable[..., History]) -> None:
    """Each playbook has its own `onError`, and numbers its actions from 0."""
    playbooks = [
        read_playbook(f"hub: chat\n{line}actions: [{SEND}, {SEND}]\n", "p.yaml")
        for line in ("onError: continue\n", "")
    ]
    plans = planning.plan(playbooks, RunOverrides())
    failed = [{**result_record(n, "failed", "http-400"), "action": n % 2} for n in range(4)]

    resumption = resumption_of(history_of(*failed, options={}), plans, JournalOptions(resume="j"))

    assert sorted(resumption.retried) == [2, 3]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (JournalOptions(resume="j", only_failed=True, skip_failed=True), "contradict"),
        (JournalOptions(file="j", skip_failed=True), "name the journal with --resume"),
    ],
)
def test_skip_failed_is_refused_where_it_means_nothing(
    options: JournalOptions, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        options.resolved()


TABLE = [option for _, option in flagged_options()] + [HUB, CONNECTION]
OTHERS = [
    ["--local", "--fault", "429,count=1", "--fault", "503", "--fault-seed", "4"],
    ["--local", "--absent", "ada=5s", "--absent", "bob"],
    ["--endpoint", "https://proxy.example"],
]


def context_of(*args: str) -> click.Context:
    return command.make_context("run", list(args))


@pytest.mark.parametrize(
    "args", [*([str(option.flag), sample(option)] for option in TABLE), *OTHERS], ids=" ".join
)
def test_every_option_is_kept_and_reused(args: list[str]) -> None:
    """A resumed run has the values of the first part, unless they are given again."""
    first, second = context_of(*args), context_of("--resume", "j")

    given = given_options(first)
    values = reused_values(second, given, given_options(second), "j")

    assert list(given) == list(dict.fromkeys(arg for arg in args if arg.startswith("--")))
    assert {**second.params, **values, "resume": None} == first.params
    assert overrides_from({**second.params, **values}) == overrides_from(first.params)
    assert reused_values(second, given, given, "j") == {}


def test_every_option_of_a_run_is_kept_but_those_of_its_output_and_journal() -> None:
    """A new option is kept without further ado."""
    names = {
        max(option.opts, key=len)
        for option in command.params
        if option.name not in {"playbooks", "dry_run"}
    }
    args = [
        word
        for name in sorted(names - {"--resume-if-exists", "--no-journal", "--failed"})
        for word in _example(name)
    ]

    kept = set(given_options(context_of(*args)))

    assert names - kept == {
        *("--output", "--report", "--quiet", "--no-progress", "--log-level", "--verbose"),
        *("--journal", "--resume-if-exists", "--no-journal", "--resume"),
        *("--failed", "--skip-failed", "--plan", "--shard", "--shards", "--processes", "--var"),
    }


def _example(name: str) -> list[str]:
    option = next(option for option in command.params if name in option.opts)
    assert isinstance(option, click.Option)
    if option.is_flag or option.count:
        return [name]
    values = {
        "--var": "a=b",
        "--header": "X-Key=GATEWAY_KEY",
        "--fault-seed": "3",
        "--shards": "3",
        "--processes": "3",
    }
    rows = {row.flag: sample(row) for row in TABLE}
    choice = option.type.choices[0] if isinstance(option.type, click.Choice) else "x"
    return [name, values.get(name) or rows.get(name) or str(choice)]


def test_files_are_kept_with_their_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run can be resumed from another folder."""
    monkeypatch.chdir(tmp_path)
    args = ("--settings", "s.json", "--ca-bundle", "ca.pem", "--vars-file", "v.yaml")

    given = given_options(context_of(*args, "--vars-file", "/v2.yaml"))

    assert given == {
        "--settings": str(tmp_path / "s.json"),
        "--ca-bundle": str(tmp_path / "ca.pem"),
        "--vars-file": (str(tmp_path / "v.yaml"), "/v2.yaml"),
    }


def test_no_secret_and_no_value_of_a_variable_is_kept() -> None:
    """Not even what a rehearsal does not use and so does not check."""
    connection = "Endpoint=https://x.example;AccessKey=c2VjcmV0LXNlY3JldA==;"

    given = given_options(context_of("--local", "--connection", connection, "--var", "pin=1234"))

    assert "c2VjcmV0" not in str(given)
    assert "1234" not in str(given)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"--future": "1"}, JournalError, "has the option --future, which wps-run does not know"),
        ({"--mode": "sideways"}, JournalError, "--mode in `j`"),
        ({"--vars-file": ("/dev/fd/63",)}, UsageError, "give --vars-file again"),
        ({"--settings": "/proc/self/fd/9"}, UsageError, "give --settings again"),
    ],
)
def test_option_that_cannot_be_reused_is_refused(
    options: KeptOptions, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=re.escape(message)):
        reused_values(context_of("--resume", "j"), options, {}, "j")


def test_variable_without_its_value_is_asked_for(history_of: Callable[..., History]) -> None:
    history = history_of(options={"--var": ["room", "text"]})

    with pytest.raises(UsageError, match=r"give them again: --var room=…$"):
        resumed_overrides(history, RunOverrides(variables={"text": "hi"}), "j")


def test_hub_of_the_settings_is_kept(history_of: Callable[..., History]) -> None:
    """It counts even if the setting has another value by now."""
    playbook = read_playbook(f"actions: [{SEND}]\n", "p.yaml")
    first = RunOverrides(environment={"WebPubSubHub": "chat"})
    kept = kept_options({}, {}, first, (), [playbook])

    resumed = resumed_overrides(
        history_of(options=kept), RunOverrides(environment={"WebPubSubHub": "other"}), "j"
    )

    assert kept == {"WebPubSubHub": "chat"}
    assert planning.plan([playbook], resumed)[0].hub == "chat"


def test_option_given_again_is_kept_for_the_next_part() -> None:
    """The variables are those of the last part: others came from a file."""
    kept = kept_options(
        {"--rate": "9"}, {"--rate": "5", "--hub": "a", "--var": ("x",)}, RunOverrides(), ("y",), ()
    )

    assert kept == {"--rate": "9", "--hub": "a", "--var": ("y",)}


RUN = RunInfo(Destination.SERVICE, ("x.example",), ("chat",), ("p",), 1, "sequential")
REHEARSAL = RunInfo(Destination.LOCAL, ("x.example",), ("chat",), ("p",), 1, "sequential")


@pytest.mark.parametrize(
    ("run", "playbooks", "options", "expected"),
    [
        (RUN, ["p.yaml"], {"--rate": "5"}, "wps-run --resume j p.yaml"),
        (REHEARSAL, ["p.yaml"], {"--local": True}, "wps-run --local --resume j p.yaml"),
        (RUN, ["p.yaml"], {"--yes": True}, "wps-run --resume j --yes p.yaml"),
        (
            RUN,
            ["p.yaml"],
            {FILE_NAME: '{"options": {"confirm": "never"}}'},
            "wps-run --resume j --yes p.yaml",
        ),
        (RUN, [], {FILE_NAME: '{"defaults": {"yes": true}}'}, "wps-run --resume j --yes"),
        (RUN, [], {FILE_NAME: "[]"}, "wps-run --resume j"),
        (RUN, [], {FILE_NAME: "[" * 100_000}, "wps-run --resume j"),
        (
            RUN,
            ["my book.yaml", "-x.yaml"],
            {"--var": ("a b",), "--vars-file": ("/v 1",)},
            "wps-run --resume j --var 'a b'=… --vars-file '/v 1' 'my book.yaml' ./-x.yaml",
        ),
        (RUN, ["-"], {}, "wps-run --resume j - < playbook.yaml"),
        (
            RUN,
            ["p.yaml"],
            {"--settings": "/dev/fd/9", "--vars-file": ("/dev/fd/63", "/v.yaml")},
            "wps-run --resume j --settings … --vars-file … p.yaml",
        ),
    ],
)
def test_resume_command_is_complete(
    run: RunInfo, playbooks: list[str], options: KeptOptions, expected: str
) -> None:
    """It repeats what the journal does not have; what only the user has is a placeholder."""
    shown = resume_command(Path("j"), run, playbooks, options)

    assert shown == expected
    assert bool(list(resume_notes(playbooks, options))) == ("…" in shown or "<" in shown)


def test_file_below_the_working_folder_is_named_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    shown = resume_command(Path("j"), RUN, [], {"--vars-file": (str(tmp_path / "v.yaml"),)})

    assert shown == "wps-run --resume j --vars-file v.yaml"


def test_a_header_is_kept_to_the_letter() -> None:
    """It names a setting; what looks like a value was refused."""
    args = ("--header", "X-AccessKey=APIM_ACCESS_KEY", "--header", "X-Tenant=TENANT")

    given = given_options(context_of(*args))
    reused = reused_values(context_of(), given, {}, "j.ndjson")

    assert given == {"--header": ("X-AccessKey=APIM_ACCESS_KEY", "X-Tenant=TENANT")}
    assert reused == {"header": (("X-AccessKey", "APIM_ACCESS_KEY"), ("X-Tenant", "TENANT"))}
