"""Whom an action is done to, whole: machine formats and pages cut nothing."""

from collections.abc import Mapping, Sequence

from wps_run.actions.wire import Value


def whole_target(target: Mapping[str, Value]) -> str:
    """`userId=ada group=launch`, whatever the values hold."""
    return " ".join(f"{name}={whole_value(value)}" for name, value in target.items())


def whole_value(value: Value | Sequence[str]) -> str:
    """A value; a list, which a journal gives back as one, in brackets."""
    return str(value) if isinstance(value, str | bytes | int) else f"[{', '.join(value)}]"
