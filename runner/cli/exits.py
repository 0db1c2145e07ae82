"""The one border: where exceptions turn into messages on stderr and exit codes."""

import os
import sys
import traceback

import click

from runner.problems import PlaybookError, WpsRunError, with_caret

NOTHING_SENT = 2
INTERRUPTED = 130
BROKEN_PIPE = 141
"""128 + SIGPIPE, as a shell reports a program whose reader went away."""

BUG = 70
"""A defect of wps-run itself. The message asks for a report."""


def guarded(command: click.Command) -> int:
    """Run a click command and give the exit code of the process.

    An expected failure is 2 (nothing was sent), an interrupt 130, a broken pipe quiet, a bug 70.
    A traceback is shown only when `WPS_RUN_DEBUG` is set.
    """
    try:
        code = command.main(standalone_mode=False, prog_name="wps-run")
        sys.stdout.flush()
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 -- the border of the process
        return _ended_by(error)
    return code if isinstance(code, int) else 0


def _ended_by(error: BaseException) -> int:
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
            show(error)
            code = NOTHING_SENT
        case BrokenPipeError():
            code = _leave_quietly()
        case _:
            code = _bug(error)
    return code


def show(error: WpsRunError) -> None:
    """Tell a failure on stderr; a playbook's problems with place, line and caret."""
    if isinstance(error, PlaybookError):
        for problem in error.problems:
            click.echo(with_caret(problem), err=True)
        count = len(error.problems)
        click.echo(f"\nwps-run: {count} {'problem' if count == 1 else 'problems'}", err=True)
    else:
        click.echo(f"wps-run: {error}", err=True)


def _leave_quietly() -> int:
    # Python would complain again when it flushes the closed pipe at exit.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return BROKEN_PIPE


def _bug(error: BaseException) -> int:
    if os.environ.get("WPS_RUN_DEBUG"):
        traceback.print_exception(error)
    click.echo(
        f"wps-run: this is a bug in wps-run ({type(error).__name__}); "
        "WPS_RUN_DEBUG=1 shows where, please report it",
        err=True,
    )
    return BUG
