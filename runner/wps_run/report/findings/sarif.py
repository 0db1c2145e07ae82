"""Problems as a SARIF 2.1.0 log, which code scanning services read.

Source: OASIS Static Analysis Results Interchange Format (SARIF) version 2.1.0.
"""

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from wps_run.problems import Position, Problem
from wps_run.report.findings.rules import RULES

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)


def shown(problems: Sequence[Problem], files: int) -> str:
    """A log with one run: the rules that have findings, with their help, and the findings.

    Columns count characters, not UTF-16 units as is SARIF's default; the log says so.
    """
    del files  # a log lists findings, not what it found nothing in
    rules = list(dict.fromkeys(problem.rule for problem in problems))
    run = {
        "tool": {"driver": {"name": "wps-run", "rules": [_rule(name) for name in rules]}},
        "columnKind": "unicodeCodePoints",
        "results": [_result(problem, rules.index(problem.rule)) for problem in problems],
    }
    log = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(log, ensure_ascii=False, indent=2) + "\n"


def _rule(name: str) -> dict[str, Any]:
    described = RULES.get(name)
    if described is None:
        return {"id": name}
    return {
        "id": name,
        "shortDescription": {"text": described.summary},
        "help": {"text": described.help},
        "defaultConfiguration": {"level": described.severity},
    }


def _result(problem: Problem, rule: int) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": problem.rule,
        "ruleIndex": rule,
        "level": problem.severity,
        "message": {"text": problem.message},
    }
    if problem.position is not None:
        result["locations"] = [_location(problem.position, problem.width)]
    return result


def _location(position: Position, width: int) -> dict[str, Any]:
    region = {"startLine": position.line}
    if position.column:
        region |= {"startColumn": position.column, "endColumn": position.column + width}
    place = {"artifactLocation": {"uri": _uri(position.file)}, "region": region}
    return {"physicalLocation": place}


def _uri(file: str) -> str:
    """The name of a file as a relative reference; `a:b.yaml` must not read as a scheme."""
    return quote(file.replace("\\", "/"), errors="surrogateescape")
