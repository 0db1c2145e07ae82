"""The manual page of wps-run, from the texts that `--help` shows."""

import inspect
from collections.abc import Iterator, Sequence

import click

VERBATIM = "\b\n"
"""What click has in front of a paragraph whose lines it keeps."""


def man_page(program: click.Group, names: Sequence[str], version: str) -> str:
    """Return the page in the man macros of roff, with every command.

    Args:
        program: The command with all others below it.
        names: The names of these, in order.
        version: The version of wps-run.
    """
    root = click.Context(program, info_name="wps-run")
    lines = [
        f'.TH WPS\\-RUN 1 "" "wps\\-run {version}" "User Commands"',
        ".SH NAME",
        f"wps\\-run \\- {_escaped(program.get_short_help_str(200).rstrip('.'))}",
        *_command(root, program, ".SH SYNOPSIS", ".SH DESCRIPTION", ".SH OPTIONS"),
        ".SH COMMANDS",
    ]
    for name in names:
        command = program.get_command(root, name)
        if command is None:
            raise LookupError(name)
        context = click.Context(command, info_name=name, parent=root)
        lines += [f".SS wps\\-run {_escaped(name)}", *_command(context, command)]
    lines += [".SH NOTES", *_text(program.epilog or "")]
    return "\n".join(lines) + "\n"


def _command(
    context: click.Context,
    command: click.Command,
    usage: str = ".PP",
    text: str = ".PP",
    options: str = ".PP",
) -> Iterator[str]:
    """Yield the usage, the help and the options of a command, each after its macro."""
    pieces = " ".join(command.collect_usage_pieces(context))
    yield usage
    yield f"\\fB{_escaped(context.command_path)}\\fR {_escaped(pieces)}"
    yield text
    yield from _text(inspect.cleandoc(command.help or ""))
    yield options
    for parameter in command.get_params(context):
        names, help_text = parameter.get_help_record(context) or ("", "")
        if help_text:
            yield from (".TP", f"\\fB{_escaped(names)}\\fR", _line(help_text))


def _text(text: str) -> Iterator[str]:
    """Yield the paragraphs of a help text."""
    for number, paragraph in enumerate(text.split("\n\n")):
        if number:
            yield ".PP"
        if paragraph.startswith(VERBATIM):
            yield ".nf"
            yield from map(_line, paragraph.removeprefix(VERBATIM).splitlines())
            yield ".fi"
        else:
            yield _line(" ".join(paragraph.split()))


def _line(text: str) -> str:
    """Return a line of text, which is no request of roff."""
    escaped = _escaped(text)
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped


def _escaped(text: str) -> str:
    return text.replace("\\", "\\e").replace("-", "\\-")
