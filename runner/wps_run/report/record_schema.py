"""The JSON Schema of the records of a run, made from the structs that they are written with.

It describes each line of `--output ndjson`, of a journal and of a plan, and the object of `--output
json`.
What a struct has is in the schema without further work.
"""

import inspect
import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from wps_run.execution.result import ExpectationResult, Result
from wps_run.journal.format import Header, Resolved, Resumed, RunRecord, Sending, Unsent
from wps_run.report.changes import ChangeRecord, ChangeTotals, JsonChanges
from wps_run.report.plan import PlannedExpectation, StepRecord, UnreadRecord
from wps_run.report.records import JsonReport, RunTotals
from wps_run.report.simulation import Simulation
from wps_run.version import SCHEMAS

Json = dict[str, Any]

OUTPUT_RECORDS: Mapping[str, type[Struct]] = {
    "result": Result,
    "expectation": ExpectationResult,
    "rehearsal": Simulation,
    "summary": RunTotals,
}
"""The lines of ndjson: the type of each, and its struct."""

PLAN_RECORDS: Mapping[str, type[Struct]] = {
    "step": StepRecord,
    "unread": UnreadRecord,
    "expectation": PlannedExpectation,
}
"""The lines of `plan --format ndjson`, likewise."""

DIFF_RECORDS: Mapping[str, type[Struct]] = {"change": ChangeRecord, "summary": ChangeTotals}
"""The lines of `diff --output ndjson`, likewise."""

JOURNAL_RECORDS: Mapping[str, tuple[type[Struct], ...]] = {
    "run": (Header, RunRecord),
    "resumed": (Resumed, RunRecord),
    "sending": (Sending,),
    "unsent": (Unsent,),
    "resolved": (Resolved,),
    **{name: (struct,) for name, struct in OUTPUT_RECORDS.items()},
}
"""The lines of a journal: the type of each, and the structs that have its keys."""

_ONLY_IN_JOURNALS = {struct.__name__ for parts in JOURNAL_RECORDS.values() for struct in parts} - {
    struct.__name__ for struct in OUTPUT_RECORDS.values()
}

_CHECK: Json = {
    "type": "string",
    "description": "The checksum of this line and of all lines before it.",
    "pattern": "^[0-9a-f]{16}$",
}


def result_schema() -> Json:
    """Return the schema of a record, or of the object of `--output json`."""
    structs = {struct for parts in JOURNAL_RECORDS.values() for struct in parts}
    structs |= {JsonReport, JsonChanges, *PLAN_RECORDS.values(), *DIFF_RECORDS.values()}
    _, components = msgspec.json.schema_components(structs, ref_template="#/definitions/{name}")
    classes = {each.__name__: each for each in Struct.__subclasses__()}
    closed = {
        name: _closed(component, classes[name]) if name in classes else _enumeration(component)
        for name, component in sorted(_in_order(components).items())
    }
    for name in (Result.__name__, ExpectationResult.__name__):
        closed[name] |= _NOT_OK_HAS_ERROR
    journal = {
        _of_journal(name): _journal_line([closed[each.__name__] for each in parts])
        for name, parts in JOURNAL_RECORDS.items()
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": f"{SCHEMAS}/result.schema.json",
        "title": "wps-run records",
        "description": "A line of `--output ndjson` of a run or of `diff`, of a journal or of "
        "`plan --format ndjson`, or the object of `--output json`.",
        "type": "object",
        **_first_of(
            ({"required": ["check"]}, "journal"),
            ({"required": ["changes"]}, JsonChanges.__name__),
            ({"not": {"required": ["type"]}}, JsonReport.__name__),
            (_has_type("step", "unread"), "plan"),
            ({"required": ["statement"], "not": {"required": ["status"]}}, "plan"),
            ({"anyOf": [_has_type("change"), {"required": ["in-place"]}]}, "diff"),
            ({}, "output"),
        ),
        "definitions": {
            "output": _by_type("A line of ndjson.", _names(OUTPUT_RECORDS)),
            "plan": _by_type("A line of the ndjson of a plan.", _names(PLAN_RECORDS)),
            "diff": _by_type("A line of the ndjson of `diff`.", _names(DIFF_RECORDS)),
            "journal": _by_type(
                "A line of a journal.", {name: _of_journal(name) for name in JOURNAL_RECORDS}
            ),
            **{name: schema for name, schema in closed.items() if name not in _ONLY_IN_JOURNALS},
            **journal,
        },
    }


def _in_order(schema: Any) -> Any:  # noqa: ANN401 -- a part of a schema
    """Return a schema whose unions have one order; that of msgspec depends on its version."""
    if isinstance(schema, list):
        return [_in_order(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: sorted(_in_order(value), key=str) if key == "anyOf" else _in_order(value)
        for key, value in schema.items()
    }


_NOT_OK_HAS_ERROR: Json = {
    "if": {"properties": {"status": {"enum": ["failed", "unknown", "skipped"]}}},
    "then": {"properties": {"error": {"type": "object"}}},
}


def _first_of(*cases: tuple[Json, str]) -> Json:
    """Return the schema of the first case whose condition is true, by the name of its definition.

    The last case applies to all else.
    """
    (condition, name), *others = cases
    schema = {"$ref": f"#/definitions/{name}"}
    return {"if": condition, "then": schema, "else": _first_of(*others)} if others else schema


def _has_type(*types: str) -> Json:
    return {"properties": {"type": {"enum": [*types]}}}


def _names(records: Mapping[str, type[Struct]]) -> dict[str, str]:
    return {name: struct.__name__ for name, struct in records.items()}


def _of_journal(name: str) -> str:
    """Return the name of the definition of a record in a journal."""
    return f"journal{name.capitalize()}"


def _by_type(description: str, names: Mapping[str, str]) -> Json:
    """Return the schema of a record whose `type` selects the definition."""
    return {
        "type": "object",
        "description": description,
        "required": ["type"],
        "properties": {"type": {"enum": [*names]}},
        "allOf": [
            {
                "if": {"properties": {"type": {"const": name}}},
                "then": {"$ref": f"#/definitions/{definition}"},
            }
            for name, definition in names.items()
        ],
    }


def _journal_line(parts: Iterable[Json]) -> Json:
    """Return the schema of a record of a journal, which also has a checksum."""
    first, *others = parts
    line = first | {"properties": dict(first["properties"]), "required": [*first["required"]]}
    for part in others:
        line["properties"] |= part["properties"]
        line["required"] += part["required"]
    line["properties"]["check"] = _CHECK
    line["required"].append("check")
    return line


def _closed(component: Json, struct: type[Struct]) -> Json:
    """Return the schema of a struct as it is written, with the descriptions of its docstring.

    Keys with a default may be missing when records are read, since old ones lack them. They are
    always written, unless the struct leaves out defaults. What may be left out otherwise is unset
    by default, of which msgspec shows no default.
    """
    attributes = _attributes(struct)
    properties: dict[str, Json] = {}
    required = [*component.get("required", ())]
    for key, value in component.get("properties", {}).items():
        is_written = "default" in value and not struct.__struct_config__.omit_defaults
        required += [key] if is_written else []
        properties[key] = {name: item for name, item in value.items() if name != "default"}
        if key in attributes:
            properties[key]["description"] = attributes[key]
    return {
        "type": "object",
        "description": _first_line(struct),
        "required": required,
        "additionalProperties": False,
        "properties": properties,
    }


def _enumeration(component: Json) -> Json:
    description = component["description"].partition("\n")[0]
    return {"description": description, "enum": component["enum"]}


def _first_line(struct: type[Struct]) -> str:
    return (struct.__doc__ or "").partition("\n")[0]


def _attributes(struct: type[Struct]) -> dict[str, str]:
    """Return what the docstring of a struct says of its attributes, by the keys of its record."""
    _, _, section = inspect.cleandoc(struct.__doc__ or "").partition("Attributes:\n")
    texts = dict(_ATTRIBUTE.findall(section))
    return {
        field.encode_name: " ".join(texts[field.name].split())
        for field in msgspec.structs.fields(struct)
        if field.name in texts
    }


_ATTRIBUTE = re.compile(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", re.MULTILINE)
"""An attribute in a docstring, whose text may go on in lines that are further indented.

Python 3.13 removes the common indentation of docstrings, earlier versions do not.
"""
