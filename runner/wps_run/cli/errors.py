"""The one border: where exceptions turn into messages on stderr and exit codes.

What words about a failure need is imported when there is one: `--help` is quicker for it.
"""

import os
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click

from wps_run.cli.terminal import prepare_streams

if TYPE_CHECKING:
    from wps_run.problems import Problem, WpsRunError

NOTHING_SENT = 2
INTERRUPTED = 130
BROKEN_PIPE = 141
"""128 + SIGPIPE, as a shell reports a program whose reader went away."""

BUG = 70
"""A defect of wps-run itself. The message asks for a report."""


def run_command(command: click.Command) -> int:
    """Run a click command and give the exit code of the process.

    An expected failure is 2 (nothing was sent), an interrupt 130, a broken pipe quiet, a bug 70.
    A traceback is shown only when `WPS_RUN_DEBUG` is set, and without secrets.
    """
    prepare_streams()
    try:
        code = command.main(standalone_mode=False, prog_name="wps-run")
        sys.stdout.flush()
    except (Exception, KeyboardInterrupt, SystemExit) as error:  # noqa: BLE001 -- the border
        return _ended_by(error)
    return code if isinstance(code, int) else 0


def _ended_by(error: BaseException) -> int:
    from wps_run.problems import WpsRunError

    match error:
        case click.exceptions.Exit():
            code = error.exit_code
        case click.ClickException():
            error.show()
            code = error.exit_code
        case click.Abort() | KeyboardInterrupt():
            click.echo("wps-run: interrupted", err=True)
            code = INTERRUPTED
        case WpsRunError():
            show_error(error)
            code = NOTHING_SENT
        case BrokenPipeError() | SystemExit():  # click's main exits on a broken pipe
            code = _leave_quietly()
        case OSError():
            click.echo(f"wps-run: cannot write the output: {error.strerror}", err=True)
            discard_stdout()
            code = NOTHING_SENT
        case _:
            code = _bug(error)
    return code


def show_error(error: "WpsRunError") -> None:
    """Tell a failure on stderr; a playbook's problems with place, line and caret."""
    from wps_run.problems import PlaybookError

    if isinstance(error, PlaybookError):
        show_problems(error.problems)
        count = len(error.problems)
        click.echo(f"\nwps-run: {count} {'problem' if count == 1 else 'problems'}", err=True)
    else:
        click.echo(f"wps-run: {error}", err=True)


def show_problems(problems: "Iterable[Problem]") -> None:
    """Show problems on stderr, each with place, line and caret."""
    from wps_run.cli.terminal import styler_for, write
    from wps_run.problems import format_with_caret

    paint = styler_for(sys.stderr)
    for problem in problems:
        write(sys.stderr, f"{format_with_caret(problem, paint)}\n")


MOST_WARNINGS = 10
"""A run shows so many; `validate` shows them all."""


def show_warnings(warnings: "Sequence[Problem]") -> None:
    """Show the first of the warnings on stderr, and how many more there are."""
    show_problems(warnings[:MOST_WARNINGS])
    more = len(warnings) - MOST_WARNINGS
    if more > 0:
        shown = f"wps-run: {more} more {'warning' if more == 1 else 'warnings'}"
        click.echo(f"{shown}; `wps-run validate` shows them all", err=True)


def _leave_quietly() -> int:
    discard_stdout()
    return BROKEN_PIPE


def discard_stdout() -> None:
    """Python would complain again when it flushes what cannot be written at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _bug(error: BaseException) -> int:
    if os.environ.get("WPS_RUN_DEBUG"):
        import traceback

        from wps_run.text import mask_secrets

        shown = "".join(traceback.format_exception(error))
        click.echo(mask_secrets(shown, os.environ), err=True, nl=False)
    click.echo(
        f"wps-run: this is a bug in wps-run ({type(error).__name__}); "
        "WPS_RUN_DEBUG=1 shows where, please report it",
        err=True,
    )
    return BUG
