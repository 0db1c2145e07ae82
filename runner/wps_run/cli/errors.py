"""Turn exceptions into messages on stderr and exit codes.

What only a failure needs is imported when there is one, which makes `--help` faster.
"""

import os
import sys
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

import click

from wps_run.cli.terminal import StdoutError, show_message, styler_for, write
from wps_run.text import Label

if TYPE_CHECKING:
    from wps_run.problems import Problem, WpsRunError

NOTHING_SENT = 2
INTERRUPTED = 130
BROKEN_PIPE = 141
"""128 + SIGPIPE, as a shell reports a program whose reader is gone."""

BUG = 70
"""A defect of wps-run itself. The message asks for a report."""


def report_error(error: BaseException) -> int:  # noqa: C901 -- one case a line of this table
    """Report an exception on stderr and return the exit code of the process.

    An expected failure is 2 (nothing was sent), an interrupt 130, a broken pipe 141 without a
    message, a bug 70. `WPS_RUN_DEBUG` adds the traceback of a bug, without secrets.
    """
    from wps_run.problems import WpsRunError, is_out_of_files

    match error:
        case click.exceptions.Exit():
            code = error.exit_code
        case click.ClickException():
            _show_click_error(error)
            code = error.exit_code
        case click.Abort() | KeyboardInterrupt():
            show_message(Label.NOTE, "interrupted")
            code = INTERRUPTED
        case WpsRunError():
            show_error(error)
            code = NOTHING_SENT
        case OSError() if is_out_of_files(error):
            show_message(
                Label.ERROR,
                f"{error.strerror}: raise the limit of open files (`ulimit -n 256`)",
            )
            code = NOTHING_SENT
        case StdoutError():
            if not error.is_closed:
                show_message(Label.ERROR, str(error))
            discard_stdout()
            code = BROKEN_PIPE if error.is_closed else NOTHING_SENT
        case SystemExit(code=int(code), __context__=None):  # of click's shell completion
            pass
        case _:
            code = _report_bug(error)
    return code


def _show_click_error(error: click.ClickException) -> None:
    """Show an error of click, and the command that explains the options."""
    show_message(Label.ERROR, error.format_message())
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is not None:
        show_message(Label.HINT, f"`{context.command_path} --help` shows the options")


def show_error(error: "WpsRunError") -> None:
    """Show a failure on stderr; problems of a playbook with position, line and caret."""
    from wps_run.problems import PlaybookError

    if isinstance(error, PlaybookError):
        show_problems(error.problems)
        count = len(error.problems)
        click.echo(err=True)
        show_message(Label.ERROR, f"{count} {'problem' if count == 1 else 'problems'}")
    else:
        show_message(Label.ERROR, str(error))


def show_problems(problems: "Iterable[Problem]") -> None:
    """Show problems on stderr, each with position, line and caret."""
    from wps_run.problems import format_with_caret

    styler = styler_for(sys.stderr)
    for problem in problems:
        write(sys.stderr, f"{format_with_caret(problem, styler)}\n")


MAX_WARNINGS = 10
"""The most warnings that a run shows; `validate` shows all."""


def show_warnings(warnings: "Iterable[Problem]", earlier: "Collection[Problem]" = ()) -> None:
    """Show the first warnings that are not `earlier` ones on stderr, and the number of others."""
    new = [warning for warning in warnings if warning not in earlier]
    show_problems(new[:MAX_WARNINGS])
    more = len(new) - MAX_WARNINGS
    if more > 0:
        shown = f"{more} more {'warning' if more == 1 else 'warnings'}"
        show_message(Label.NOTE, f"{shown}; `wps-run validate` shows them all")


def discard_stdout() -> None:
    """Send the rest of stdout to the null device: at exit Python flushes, and would fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _report_bug(error: BaseException) -> int:
    if os.environ.get("WPS_RUN_DEBUG"):
        import traceback

        from wps_run.redaction import mask_secrets

        trace = "".join(traceback.format_exception(error))
        click.echo(mask_secrets(trace, os.environ), err=True, nl=False)
    show_message(
        Label.ERROR,
        f"this is a bug in wps-run ({type(error).__name__}); WPS_RUN_DEBUG=1 shows where, please "
        "report it",
    )
    return BUG
