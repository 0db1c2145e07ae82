"""Problems for programs: one JSON object."""

import json
from collections.abc import Sequence

from wps_run.problems import Problem


def shown(problems: Sequence[Problem], files: int) -> str:
    """One JSON object with every problem."""
    found = [
        {
            "file": problem.position.file if problem.position else None,
            "line": problem.position.line if problem.position else None,
            "column": (problem.position.column or None) if problem.position else None,
            "severity": problem.severity,
            "rule": problem.rule,
            "message": problem.message,
        }
        for problem in problems
    ]
    return json.dumps({"files": files, "problems": found}, ensure_ascii=False, indent=2) + "\n"
