"""Results as lines for people: columns, colors, each hint once."""

import re
from collections import Counter
from collections.abc import Callable
from itertools import starmap
from subprocess import list2cmdline
from typing import Any

import pytest

from wps_run.actions.table import ACTIONS
from wps_run.execution.result import ActionError, Result, SkipReason, Status, result_for
from wps_run.execution.run_info import Destination, RunInfo
from wps_run.execution.summary import Summary
from wps_run.playbook.steps import Step
from wps_run.report.text import MAX_REASONS, TextReporter, next_steps, run_info_line, summary_line
from wps_run.text import Style, Styler, display_width, labeled, unstyled

MakeStep = Callable[..., Step]
NO_USER = ActionError("Warning.User.NotExisted", "no such user", "the user has no live connection")


def marked(style: Style, text: str) -> str:
    """Mark the style of a text."""
    return f"<{style}>{text}</>"


def marked_by_escape(style: Style, text: str) -> str:
    """Mark a text as a terminal does."""
    del style
    return f"\x1b[1m{text}\x1b[0m"


RUN = RunInfo(Destination.SERVICE, ("x",), ("chat",), ("p",), 1, "sequential")


def start(styler: Styler = unstyled) -> TextReporter:
    """Make a reporter that has begun a run."""
    reporter = TextReporter(styler)
    reporter.begin(RUN)
    return reporter


def repeated_hints(reporter: TextReporter) -> str:
    """Return the end of the report without the totals."""
    return reporter.end(Summary(), ()).partition("\nSERVICE: ")[0]


def make(make_step: MakeStep, status: Status, *args: Any, **values: str) -> Result:
    """Make the result of an action on this user and group."""
    values = {"userId": "ada", "group": "red"} | values
    names = ("http_status", "attempts", "duration", "request_id", "error")
    fields = dict(zip(names, args, strict=False))
    return result_for(make_step(values=values, name=None), status, **fields)


def test_columns_are_aligned_whatever_the_status_and_the_time(make_step: MakeStep) -> None:
    """Status, HTTP status, time, and the action with its target."""
    reporter = start()
    results = [
        make(make_step, Status.OK, 200, 1, 0.0031),
        make(make_step, Status.FAILED, 404, 1, 99.9999),
        make(make_step, Status.UNKNOWN, None, 4, 3723.5),
        make(make_step, Status.SKIPPED),
    ]

    shown = "".join(map(reporter.result, results))

    assert shown == (
        "ok       200       3.1 ms  addUserToGroup userId=ada group=red\n"
        "failed   404   99999.9 ms  addUserToGroup userId=ada group=red\n"
        "unknown    -    3723.5 s   addUserToGroup userId=ada group=red\n"
        "skipped    -         -     addUserToGroup userId=ada group=red\n"
    )


def test_ten_thousand_failures_of_one_kind_show_their_hint_twice(make_step: MakeStep) -> None:
    """Below the first, and at the end with the number of actions; each failure has its line."""
    reporter = start()

    shown = "".join(
        reporter.result(make(make_step, Status.FAILED, 404, 1, 0.1, "id", NO_USER, userId=f"u{n}"))
        for n in range(10_000)
    )

    assert shown.count("no such user") == shown.count("userId=u") == 10_000
    assert shown.count("hint: the user has no live connection") == 1
    assert (
        repeated_hints(reporter) == "\nhint for 10,000 actions: the user has no live connection\n"
    )


def test_failures_of_one_kind_are_counted(make_step: MakeStep) -> None:
    """The first ones are listed as they come, though the message has another name each time."""
    reporter = TextReporter(lists_all=False)
    reporter.begin(RUN)
    shown = [
        reporter.result(
            make(
                make_step,
                Status.FAILED,
                *(404, 1, 0.1, "id"),
                ActionError("Warning.User.NotExisted", f"User `u{n}` is not found.", "let it join"),
                userId=f"u{n}",
            )
        )
        for n in range(300)
    ]
    other = reporter.result(make(make_step, Status.FAILED, 403, 1, 0.1, "id", NO_USER))

    assert [text.count("failed ") for text in shown] == [1] * 5 + [0] * 295
    assert other.startswith("failed   403")
    assert reporter.end(Summary(), ()).splitlines()[:5] == [
        "",
        (
            "… and 295 more failed for the same reason: addUserToGroup: Warning.User.NotExisted: "
            "User `…` is not found."
        ),
        "hint: -v lists all of them, and so do reports",
        "",
        "hint for 300 actions: let it join",
    ]


def test_the_kinds_of_failures_that_are_counted_are_bounded(make_step: MakeStep) -> None:
    """What has another reason each time is listed; the memory stays constant."""
    reporter = TextReporter(lists_all=False)
    reporter.begin(RUN)

    shown = "".join(
        reporter.result(make(make_step, Status.FAILED, 400, 1, 0.1, "id", ActionError("x", f"{n}")))
        for n in range(2 * MAX_REASONS)
        for _ in range(6)
    )

    assert shown.count("failed ") == MAX_REASONS * 5 + MAX_REASONS * 6
    end = reporter.end(Summary(), ()).splitlines()
    assert len(end) < 20
    assert "… and 990 more for 990 other reasons" in end


@pytest.mark.parametrize("action", ["addUserToGroup", "closeClientConnection"])
def test_a_result_fits_a_narrow_terminal(make_step: MakeStep, action: str) -> None:
    """Then the name of the action is shortened, too."""
    reporter = TextReporter(columns=lambda: 40)
    reporter.begin(RUN)
    values = {"userId": "ada", "group": "red", "connectionId": "abc"}
    step = make_step(action=ACTIONS[action], values=values, name=None)

    (line,) = reporter.result(result_for(step, Status.OK, http_status=200)).splitlines()

    assert display_width(line) <= 40
    assert line.startswith("ok       200")


@pytest.mark.parametrize("columns", [60, 80, 100])
@pytest.mark.parametrize("user", ["user-" * 30 + "17", "日本語の名前" * 20 + "17", "17"])
def test_lines_fit_the_terminal(make_step: MakeStep, columns: int, user: str) -> None:
    """Names are shortened in the middle; status, target keys and hint stay whole."""
    reporter = TextReporter(marked_by_escape, lambda: columns)
    reporter.begin(RUN)
    error = ActionError("Code", f"User `{user}` is not found", "let the user connect " * 9)
    values = {"userId": user, "group": "group " * 40}

    shown = reporter.result(make(make_step, Status.FAILED, 404, 1, 0.1, "id", error, **values))
    lines = shown.splitlines()

    assert display_width(lines[0]) <= columns
    assert re.match("\x1b\\[1mfailed\x1b\\[0m   404 +100.0 ms  addUserToGroup userId=", lines[0])
    assert columns < 80 or re.search('17 group="', lines[0])
    assert all(display_width(line) <= columns for line in lines if user not in line)
    assert "let the user connect " * 9 in " ".join(line.strip() for line in lines) + " "


def test_a_hint_for_one_action_is_not_repeated(make_step: MakeStep) -> None:
    """It is below the action."""
    reporter = start()

    reporter.result(make(make_step, Status.FAILED, 404, 1, 0.1, "id", NO_USER))

    assert repeated_hints(reporter) == ""


def test_many_kinds_of_hints_are_counted(make_step: MakeStep) -> None:
    """The most frequent ones are repeated."""
    reporter = start()
    for kind in range(8):
        error = ActionError("x", "y", f"hint {kind}")
        for _ in range(kind + 1):
            reporter.result(make(make_step, Status.FAILED, 400, 1, 0.1, "id", error))

    hints = repeated_hints(reporter).splitlines()

    assert hints[1:3] == ["hint for 8 actions: hint 7", "hint for 7 actions: hint 6"]
    assert hints[-1] == "… and 2 more hints"


def test_the_reason_for_skipping_is_shown_once(make_step: MakeStep) -> None:
    """A thousand skipped actions do not hide the failed one."""
    reporter = start()
    error = ActionError(
        SkipReason.STOPPED, "not started, since an action before it did not succeed"
    )

    shown = [
        reporter.result(make(make_step, Status.SKIPPED, None, 0, 0.0, None, error))
        for _ in range(9)
    ]

    assert [text.count("\n") for text in shown] == [2, *[1] * 8]


def test_the_status_is_colored(make_step: MakeStep) -> None:
    """Nothing else is, so that a name cannot look like a status."""
    reporter = start(marked)

    shown = [reporter.result(make(make_step, status, 200, 1)) for status in Status]

    assert [text.partition("</>")[0] for text in shown] == [
        "<success>ok",
        "<error>failed",
        "<unknown>unknown",
        "<warning>skipped",
    ]
    assert all(text.count("<") == 2 for text in shown)


def test_colors_do_not_move_the_columns(make_step: MakeStep) -> None:
    """Only escapes are added."""
    result = make(make_step, Status.OK, 200, 1)

    colored = start(lambda _, text: f"\x1b[32m{text}\x1b[0m").result(result)

    assert colored.replace("\x1b[32m", "").replace("\x1b[0m", "") == start().result(result)


@pytest.mark.parametrize(
    ("destination", "shown"),
    [
        (Destination.LOCAL, "<local>LOCAL</> rehearsal (nothing leaves this machine) · hub chat"),
        (Destination.SERVICE, "<location>SERVICE</> x.example · hub chat"),
    ],
)
def test_a_rehearsal_and_a_real_run_look_different(destination: Destination, shown: str) -> None:
    """By the first word and its color."""
    run_info = RunInfo(destination, ("x.example",), ("chat",), ("p.yaml",), 1, "sequential")

    assert run_info_line(run_info, marked).startswith(shown)


def test_counts_have_colors_unless_they_are_zero() -> None:
    """Zeros are plain."""
    run_info = RunInfo(Destination.LOCAL, (), ("chat",), ("p.yaml",), 3, "sequential")
    summary = Summary(Counter({Status.OK: 2, Status.FAILED: 1}), duration=1.0)

    shown = summary_line(run_info, summary, marked)

    assert "<success>2 ok</>, <error>1 failed</>, 0 unknown, 0 skipped" in shown


def test_messages_of_a_server_and_names_are_escaped(make_step: MakeStep) -> None:
    """Neither can move the cursor or start a line."""
    error = ActionError("x", "bad\x1b[2J\r\nok  200", "")
    step = make_step(name="la\nbel", source="a\x1b.yaml:5")

    shown = start().result(
        result_for(
            step,
            Status.FAILED,
            http_status=400,
            attempts=1,
            duration=0.1,
            request_id="id",
            error=error,
        )
    )

    assert shown.count("\n") == 2
    assert "\x1b" not in shown
    assert "\r" not in shown
    assert "(la\\u000abel)" in shown


RESUME = "wps-run --resume j p.yaml"
RESOLVE = "hint: to record what you find out: wps-run resolve j N=done|redo"
UNKNOWN = (
    "may or may not have happened: check before you run again; --resume repeats only interrupted "
    "actions that are safe to repeat"
)


def test_command_of_a_next_step_is_for_the_shell_of_the_system() -> None:
    """Here for `cmd` of Windows, which has no single quotes."""
    summary = Summary(Counter({Status.UNKNOWN: 1}))

    lines = [line for _, line in next_steps(summary, "", "my j", shell_line=list2cmdline)]

    assert lines[-1].endswith('wps-run resolve "my j" N=done|redo')


@pytest.mark.parametrize(
    ("counts", "lines"),
    [
        ({Status.OK: 3}, []),
        (
            {Status.OK: 1, Status.FAILED: 2},
            [f"hint: to retry the failed actions: {RESUME} --failed"],
        ),
        (
            {Status.UNKNOWN: 1},
            [f"warning: 1 action {UNKNOWN}", RESOLVE],
        ),
        (
            {Status.UNKNOWN: 1200},
            [f"warning: 1,200 actions {UNKNOWN}", RESOLVE],
        ),
    ],
)
def test_each_outcome_has_its_next_steps(counts: dict[Status, int], lines: list[str]) -> None:
    """Commands that can be pasted, after the paths of the journal and the reports."""
    steps = next_steps(Summary(Counter(counts)), RESUME, "j", ["out.html"])

    assert list(starmap(labeled, steps)) == ["note: journal: j", "note: report: out.html", *lines]


def test_without_a_journal_no_command_resumes() -> None:
    """Unknown outcomes are reported all the same."""
    summary = Summary(Counter({Status.FAILED: 1, Status.UNKNOWN: 2}))

    assert list(starmap(labeled, next_steps(summary, "", ""))) == [
        "warning: 2 actions may or may not have happened: check before you run again"
    ]
