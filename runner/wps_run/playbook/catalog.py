"""The catalog of schemas: which files are playbooks by their names alone, for editors."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from wps_run.playbook.configuration import FILE_NAME
from wps_run.playbook.schema import SCHEMA_FILES

FILE_PATTERNS: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        "playbook.schema.json": ("*.wps.yaml", "*.wps.yml", "*.wps.json"),
        "config.schema.json": (FILE_NAME,),
    }
)
"""File of a schema to the names of files that are of no other tool."""


def schema_catalog() -> dict[str, Any]:
    """Return a catalog in the form of SchemaStore, where editors look schemas up by file."""
    schemas = {file: SCHEMA_FILES[file]() for file in FILE_PATTERNS}
    return {
        "version": 1,
        "schemas": [
            {
                "name": schema["title"],
                "description": schema["description"],
                "fileMatch": list(FILE_PATTERNS[file]),
                "url": schema["$id"],
            }
            for file, schema in schemas.items()
        ],
    }
