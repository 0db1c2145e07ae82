"""Results as text for people."""

import json
from collections.abc import Mapping

from runner.actions.wire import Value
from runner.execution.record import Record
from runner.execution.result import Status, Summary
from runner.problems import printable
from runner.report.heading import Heading

SHOWN = 60
"""Longer values are cut for the eye; machine formats have them whole."""


def result_lines(record: Record) -> str:
    """One line for a result; below it, when it is not ok, why and what to do about it."""
    took = f"{record.http_status or '-':>4}  {record.duration_ms:8.1f} ms"
    label = f"  ({printable(cut(record.name))})" if record.name else ""
    target = target_text(record.target)
    head = f"{record.status:<7} {took}  {record.action_name} {target}{label}\n"
    if record.error is None:
        return head
    tries = f", {record.attempts} attempts" if record.attempts > 1 else ""
    source = printable(record.source)
    lines = [head, f"        {source}: {record.error.code}: {record.error.message}{tries}\n"]
    if record.error.hint:
        lines.append(f"        hint: {record.error.hint}\n")
    return "".join(lines)


def target_text(target: Mapping[str, Value]) -> str:
    """Whom an action is done to, on one line: `userId=ada group=launch`."""
    return " ".join(f"{name}={value_text(value)}" for name, value in target.items())


def value_text(value: Value) -> str:
    """A value on one line; quoted where it would not be read as one word."""
    if isinstance(value, tuple):
        return "[" + ", ".join(value_text(item) for item in value) + "]"
    text = str(value)
    plain = text.isprintable() and not set(text) & set(" \"'=,[]")
    return cut(text if plain and text else json.dumps(text, ensure_ascii=False))


def cut(text: str) -> str:
    """The text, or its beginning and an ellipsis."""
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def summary_lines(heading: Heading, summary: Summary) -> str:
    """How a run ended, on one line that says where it went."""
    counts = ", ".join(f"{summary.counts[status]} {status}" for status in Status)
    size = f"{summary.total} {'action' if summary.total == 1 else 'actions'}"
    return f"\n{heading.destination}: {size}: {counts} in {summary.duration:.2f} s\n"
