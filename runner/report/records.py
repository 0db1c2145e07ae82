"""Results as records for machines: the ndjson lines and the json report.

The record of a result is the one thing that every report, and later the journal, is made of.
"""

import json
from collections.abc import Mapping
from typing import Any

from runner.execution.result import Result, Status, Summary
from runner.report.heading import Heading


def result_record(result: Result) -> dict[str, Any]:
    """The record of one result. `durationMs` is in milliseconds. It holds no payload."""
    step = result.step
    return {
        "type": "result",
        "index": step.index,
        "action": step.written,
        "item": step.item,
        "actionName": step.action.name,
        "name": step.name,
        "target": dict(result.target),
        "source": step.source,
        "status": result.status,
        "httpStatus": result.http_status,
        "attempts": result.attempts,
        "durationMs": round(result.duration * 1000, 3),
        "requestId": result.request_id,
        "error": result.fault
        and {
            "code": result.fault.code,
            "message": result.fault.message,
            "hint": result.fault.hint,
        },
    }


def summary_record(heading: Heading, summary: Summary) -> dict[str, Any]:
    """The record that ends a run, and says where the run went."""
    return {
        "type": "summary",
        "total": summary.total,
        **{str(status): summary.counts[status] for status in Status},
        "durationMs": round(summary.duration * 1000, 3),
        "exitCode": summary.exit_code,
        "destination": heading.destination,
        "endpoints": list(heading.endpoints),
        "hubs": list(heading.hubs),
    }


def line(record: Mapping[str, Any]) -> str:
    """A record as one line of ndjson, with its line break."""
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n"
