"""Problems of playbooks as text, for people and for machines: one function a format."""

import json
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from runner.problems import Problem, with_caret


def text(problems: Sequence[Problem], files: int) -> str:
    """For people: each problem with its place, line and caret, then the totals."""
    checked = f"{files} {'file' if files == 1 else 'files'} checked"
    if not problems:
        return f"{checked}, no problems\n"
    shown = "\n".join(map(with_caret, problems))
    count = len(problems)
    return f"{shown}\n\n{checked}, {count} {'problem' if count == 1 else 'problems'}\n"


def records(problems: Sequence[Problem], files: int) -> str:
    """For machines: one JSON object with every problem."""
    found = [
        {
            "file": problem.position.file if problem.position else None,
            "line": problem.position.line if problem.position else None,
            "column": problem.position.column if problem.position else None,
            "severity": problem.severity,
            "rule": problem.rule,
            "message": problem.message,
        }
        for problem in problems
    ]
    return json.dumps({"files": files, "problems": found}, ensure_ascii=False, indent=2) + "\n"


FORMATS: Mapping[str, Callable[[Sequence[Problem], int], str]] = MappingProxyType(
    {"text": text, "json": records}
)
"""Format name to the function that writes it."""
