"""Run schemathesis: no operation fails or responds with an undocumented status.

It runs in a process of its own, since it makes thousands of requests and configures warnings. With
two workers, Python 3.11's compiler sometimes fails ("AST constructor recursion depth mismatch").
"""

import importlib.util
import json
import subprocess
import sys
from http import HTTPMethod
from pathlib import Path
from typing import Any

import pytest

HOOKS = Path(__file__).parent / "signing.py"
KINDS: dict[str, Any] = {
    "messageTtlSeconds": {"type": "integer", "minimum": 0, "maximum": 300},
    "minutesToExpire": {"type": "integer", "minimum": 1},
    "maxpagesize": {"type": "integer", "minimum": 1, "maximum": 200},
    "top": {"type": "integer", "minimum": 1},
    "clientType": {"enum": ["Default", "MQTT"]},
    "permission": {"enum": ["sendToGroup", "joinLeaveGroup"]},
    "hub": {"type": "string", "pattern": r"^[A-Za-z][A-Za-z0-9_`,.[\]]{0,127}$"},
    "group": {"type": "string", "minLength": 1, "maxLength": 1024, "pattern": r"^(?!\s+$).+$"},
    "targetName": {"type": "string", "minLength": 1, "maxLength": 1024},
}
TEXT: dict[str, Any] = {"type": "string"}
NAME: dict[str, Any] = {"type": "string", "minLength": 1}
MESSAGE = {"application/json": {}, "text/plain": TEXT, "application/octet-stream": TEXT}
GROUPS = {
    "type": "object",
    "properties": {
        "groups": {"type": "array", "items": KINDS["group"], "minItems": 1},
        "filter": {"enum": ["userId eq null", "'a' in groups", "length(userId) gt 3", "nonsense"]},
    },
}


def operations() -> Any:
    """The hand-written table of operations."""
    path = Path(__file__).parent.parent / "rest_operations.py"
    spec = importlib.util.spec_from_file_location("rest_operations", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def document() -> dict[str, Any]:
    """Make an OpenAPI document from the table, with all statuses of each operation."""
    table = operations()
    paths: dict[str, Any] = {}
    for operation in table.OPERATIONS:
        methods = paths.setdefault(operation.path, {})
        version = {"const": table.API_VERSION}
        methods[operation.method.lower()] = {
            "operationId": operation.operation_id,
            "parameters": [
                {"name": "api-version", "in": "query", "required": True, "schema": version},
                *(in_path(name) for name in names_in(operation.path)),
                *(in_query(name) for name in operation.query),
            ],
            "responses": {str(status): {"description": ""} for status in statuses(operation)},
            **({"requestBody": body(operation)} if operation.sends_body else {}),
        }
    return {"openapi": "3.1.0", "info": {"title": "Web PubSub", "version": "1"}, "paths": paths}


def names_in(path: str) -> list[str]:
    """The parameters of a path template."""
    return [part[1:-1] for part in path.split("/") if part.startswith("{")]


def in_path(name: str) -> dict[str, Any]:
    """A parameter in the path."""
    return {"name": name, "in": "path", "required": True, "schema": KINDS.get(name, NAME)}


def in_query(name: str) -> dict[str, Any]:
    """A parameter of the query."""
    kind = KINDS.get(name.rstrip("*"), TEXT)
    schema = {"type": "array", "items": kind} if name.endswith("*") else kind
    return {"name": name.rstrip("*"), "in": "query", "schema": schema}


def body(operation: Any) -> dict[str, Any]:
    """The body of a send, or of a bulk change."""
    if operation.path.endswith("send"):
        kinds = {kind: {"schema": schema} for kind, schema in MESSAGE.items()}
    else:
        kinds = {"application/json": {"schema": GROUPS}}
    return {"required": True, "content": kinds}


def statuses(operation: Any) -> set[int]:
    """The possible statuses of an operation."""
    possible = {operation.success, 400}
    if "hub" in operation.path:
        possible.add(401)
    if operation.method in {HTTPMethod.HEAD, HTTPMethod.PUT} and "hub" in operation.path:
        possible.add(404)
    if "permissions" in operation.path and operation.method != HTTPMethod.HEAD:
        possible.add(409)
    if operation.sends_body:
        possible.add(415)
    return possible


@pytest.mark.timeout(200)
def test_no_request_fails_or_is_answered_with_an_unknown_status(
    served: Any, tmp_path: Path
) -> None:
    """With a token for each request; those without one are all refused before anything is read."""
    description = tmp_path / "openapi.json"
    description.write_text(json.dumps(document()), "utf-8")
    options = [
        *("--checks", "not_a_server_error,status_code_conformance,signatures_are_accepted"),
        *("--phases", "coverage,fuzzing", "--max-examples", "5", "--workers", "1"),
        *("--generation-deterministic", "--seed", "1"),
        *("--suppress-health-check", "all", "--warnings", "off", "--no-color"),
        *("--tls-verify", served.authority, "--url", served.endpoint, "--continue-on-failure"),
    ]
    done = subprocess.run(
        [Path(sys.executable).parent / "schemathesis", "run", *options, description],
        cwd=tmp_path,
        env={
            **served.environment,
            "SCHEMATHESIS_HOOKS": "signing",
            "PYTHONPATH": str(HOOKS.parent),
            "SIGNING_KEY": served.key,
        },
        capture_output=True,
        text=True,
        timeout=190,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
