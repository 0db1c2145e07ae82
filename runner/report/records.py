"""Records for machines: the lines of ndjson and what ends a run."""

import json
from collections.abc import Mapping
from typing import Any

from runner.execution.result import Status, Summary
from runner.report.heading import Heading


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
