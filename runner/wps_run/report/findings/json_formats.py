"""Problems for programs: a JSON object of our own, and a SARIF log for code scanning services.

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


def format_json(problems: Sequence[Problem], file_count: int) -> str:
    """Return one JSON object with every problem."""
    records = [
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
    return _indented({"files": file_count, "problems": records})


def format_sarif(problems: Sequence[Problem], file_count: int) -> str:
    """Return a log with one run: the rules that have problems, with their help, and the problems.

    Columns count characters, not UTF-16 units, which are SARIF's default; the log says so.
    """
    del file_count  # a log has no place for it
    rules = list(dict.fromkeys(problem.rule for problem in problems))
    run = {
        "tool": {"driver": {"name": "wps-run", "rules": [_rule(name) for name in rules]}},
        "columnKind": "unicodeCodePoints",
        "results": [_result(problem, rules.index(problem.rule)) for problem in problems],
    }
    return _indented({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]})


def _indented(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"


def _rule(name: str) -> dict[str, Any]:
    rule = RULES.get(name)
    if rule is None:
        return {"id": name}
    return {
        "id": name,
        "shortDescription": {"text": rule.summary},
        "help": {"text": rule.help},
        "defaultConfiguration": {"level": rule.severity},
    }


def _result(problem: Problem, rule_index: int) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": problem.rule,
        "ruleIndex": rule_index,
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
    location = {"artifactLocation": {"uri": _uri(position.file)}, "region": region}
    return {"physicalLocation": location}


def _uri(file: str) -> str:
    """Return the file as a relative reference, in which `a:b.yaml` does not read as a scheme."""
    return quote(file.replace("\\", "/"), errors="surrogateescape")
