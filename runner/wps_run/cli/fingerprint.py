"""What a run is made of, from its plans and the files they read, for the header of a journal."""

import secrets
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from wps_run.journal.fingerprint import SHARD_PART, fingerprint, shared_salt
from wps_run.planning import Plan
from wps_run.playbook.files import Files
from wps_run.playbook.lint import used_variables
from wps_run.playbook.schema import actions_schema, schema_text


def salt_of(plans: Sequence[Plan]) -> str:
    """A new salt; for shards the one that they all have."""
    if any(one.shard for one in plans):
        return shared_salt(one.playbook.document.text for one in plans)
    return secrets.token_hex(16)


def fingerprint_of(plans: Sequence[Plan], endpoints: Sequence[str], salt: str) -> dict[str, str]:
    """What a run is made of, each part by the name that a person would give it.

    Args:
        plans: The plans of the run, their files read at least once.
        endpoints: Host and port where the actions of each plan go.
        salt: The journal's.
    """
    parts: dict[str, str | Iterable[bytes]] = {
        "the actions of wps-run": schema_text(actions_schema())
    }
    shard = next((one.shard for one in plans), None)
    if shard:
        parts[SHARD_PART] = str(shard)
    for number, (one, endpoint) in enumerate(zip(plans, endpoints, strict=True)):
        # The last part of the path: from another folder it is the same playbook.
        file = Path(one.playbook.document.file).name
        which = f"the playbook {file}" + (f" (number {number + 1})" if number else "")
        parts[which] = one.playbook.document.text
        parts[f"the hub of {which}"] = one.hub.lower()
        parts[f"the endpoint of {which}"] = endpoint
        for name in sorted(used_variables(one.playbook)):
            known = one.scope.environment or {} if name.startswith("env.") else one.scope.variables
            value = known.get(name.removeprefix("env."))
            if value is not None:
                parts[f"the variable {name} of {which}"] = value
        for name, path in _files_read(one).items():
            parts[f"the file {name} of {which}"] = _pieces(path)
    return fingerprint(salt, parts)


def _files_read(plan: Plan) -> dict[str, Path]:
    return plan.scope.inputs.paths if isinstance(plan.scope.inputs, Files) else {}


def _pieces(path: Path) -> Iterator[bytes]:
    """A file in pieces of a mebibyte."""
    with path.open("rb") as file:
        while piece := file.read(1024 * 1024):
            yield piece
