"""Distinguish playbooks and bare batches from the other YAML and JSON files of a repository."""

import re
from itertools import islice
from typing import Any, NamedTuple

from wps_run.actions.table import ACTIONS
from wps_run.document.document import Path
from wps_run.document.json import json_error, looks_like_json
from wps_run.playbook.constraints import Finding
from wps_run.playbook.expectations import EXPECT
from wps_run.playbook.groups import GROUPS
from wps_run.playbook.options import PLAYBOOK_KEYS
from wps_run.playbook.schema import FINALLY
from wps_run.problems import SIMILAR_NAMES, did_you_mean

_NEW = "write the list `actions`; `wps-run init` creates an example"
_EVENTS = "pass the batch that the function returns"


class ForeignFile(NamedTuple):
    """A kind of file that is no playbook, and the keys by which it is recognized.

    Attributes:
        name: What it is, with an article.
        keys: Keys separated by spaces: it has all of them.
        remedy: What to do instead.
    """

    name: str
    keys: str
    remedy: str = _NEW


_MAPPINGS = (
    ForeignFile(
        "the function.json of an Azure function",
        "bindings",
        f"{_EVENTS}, and name this file with --function-json",
    ),
    ForeignFile(
        "a local.settings.json", "IsEncrypted", "name it with --settings, beside a playbook"
    ),
    ForeignFile(
        "a local.settings.json", "Values", "name it with --settings, beside a playbook"
    ),
    *(
        ForeignFile("the host.json of a function app", f"version {key}", _EVENTS)
        for key in ("extensionBundle", "extensions", "functionTimeout", "logging")
    ),
    ForeignFile("a Kubernetes resource", "apiVersion kind"),
    ForeignFile("a Helm chart", "apiVersion name version"),
    ForeignFile("a GitHub Actions workflow", "on jobs"),
    ForeignFile("a GitHub action", "runs name"),
    *(
        ForeignFile("an Azure pipeline", keys)
        for keys in (
            f"{first} {then}"
            for first in ("trigger", "pool", "pr")
            for then in ("steps", "jobs", "stages")
        )
    ),
    ForeignFile("the configuration of a CI pipeline", "stages"),
    ForeignFile("the configuration of a CI pipeline", "version jobs"),
    ForeignFile("a Docker Compose file", "services"),
    ForeignFile("an OpenAPI description", "openapi"),
    ForeignFile("an OpenAPI description", "swagger"),
    ForeignFile("an AsyncAPI description", "asyncapi"),
    ForeignFile("a package-lock.json of npm", "lockfileVersion"),
    *(
        ForeignFile("a package.json of npm", f"name {key}")
        for key in ("version", "dependencies", "devDependencies", "scripts", "workspaces")
    ),
    *(
        ForeignFile("a package.json of npm", key)
        for key in ("dependencies", "devDependencies", "scripts")
    ),
    ForeignFile("a tsconfig.json", "compilerOptions"),
    ForeignFile("the settings of a .NET application", "ConnectionStrings"),
    ForeignFile("a pre-commit configuration", "repos"),
    ForeignFile("a Dependabot configuration", "version updates"),
    ForeignFile("an Azure Resource Manager template", "$schema contentVersion"),
    ForeignFile("a CloudFormation template", "AWSTemplateFormatVersion"),
    ForeignFile("a CloudFormation template", "Resources"),
    ForeignFile("a Taskfile", "version tasks"),
    ForeignFile("an Ansible play outside a list", "hosts tasks"),
    ForeignFile("a SARIF report", "runs version"),
    ForeignFile(
        "a seed of the emulator", "clients", "name it with --seed: `wps-run --local --seed FILE`"
    ),
    ForeignFile("a JSON report of a run", "summary results", "name the playbook of that run"),
    *(
        ForeignFile("a JSON Schema", keys, "name the files that it describes")
        for keys in ("$schema properties", "$schema definitions", "$schema $defs", "$schema oneOf")
    ),
    *(
        ForeignFile("a configuration file of wps-run", key, "name it with --config")
        for key in ("environments", "defaults")
    ),
)  # fmt: skip
"""Mappings, the first that matches. None has a key of `_DISTINCTIVE`."""

_RULES = ForeignFile("a file of rules for Prometheus", GROUPS)
"""Its `groups` are a list of mappings with `rules`; those of a playbook are a mapping."""

_LISTS = (
    *(
        ForeignFile("an Ansible playbook", key)
        for key in ("hosts", "import_playbook", "ansible.builtin.import_playbook")
    ),
    *(
        ForeignFile("a list of Ansible tasks", key)
        for key in (
            "become", "block", "changed_when", "delegate_to", "failed_when", "include_tasks",
            "import_tasks", "loop", "notify", "register", "set_fact", "when", "with_items",
        )
    ),
    ForeignFile("a list of pre-commit hooks", "id entry"),
    ForeignFile(
        "a journal, or results, of wps-run", "type status",
        "name the playbook of that run; `wps-run report` reads a journal",
    ),
    ForeignFile("an approved plan of wps-run", "type salt parts", "run it with `--plan FILE`"),
    ForeignFile("the steps of a plan of wps-run", "type actionName", "name the playbook"),
)  # fmt: skip
"""Lists, by the keys of an item."""

_TEXTS = (
    (r"\A\s*\$ANSIBLE_VAULT;", ForeignFile("a file encrypted by Ansible Vault", "")),
    (r'^[ \t]*"compilerOptions"[ \t]*:', ForeignFile("a tsconfig.json", "")),
    (
        r'^[ \t]*"IsEncrypted"[ \t]*:',
        ForeignFile("a local.settings.json", "", "name it with --settings, beside a playbook"),
    ),
    (
        r"^[ \t]*\{\{-? |:[ \t]+\{\{-? *(?:\.|include\b|quote\b|tpl\b)",
        ForeignFile("a template of Helm", "", "render it, and write the list `actions`"),
    ),
    (r"^[ \t]*\{%-? ", ForeignFile("a Jinja template", "", "render it first")),
)
"""Patterns of texts that are no YAML, and the files that have them."""

_DISTINCTIVE = frozenset({"actions", "actionname", "hub", "connection"})
_ACTION_NAMES = frozenset({"actionname", "operationkind"})
"""The key of an action, in lower case, and its name in the beta of the binding."""

_KEYS = frozenset(PLAYBOOK_KEYS) - {"name", "$schema"} | {"actions", GROUPS, EXPECT, FINALLY}
_ACTION_KEYS = frozenset(
    ("actionName", *(field.name for action in ACTIONS.values() for field in action.fields))
)
_SCHEMA = "playbook.schema.json"

_TEXT_MARKS = re.compile(
    rb"""["']?\b(?:actionName|operationKind)\b["']?\s*:|playbook\.schema\.json"""
    rb"""|^(?:actions|hub)[ \t]*:|\A[^][{}]*\{[^][{}]*["'](?:actions|hub)["']\s*:""",
    re.IGNORECASE | re.MULTILINE,
)
"""The key of an action anywhere, the schema, or a key of a playbook at the top level."""

_RECORD_MARK = re.compile(rb'\s*\{"type":')
"""The beginning of a journal, of results or of a plan, whose lines name actions, too."""


_JSON_IN_A_STRING = (
    "this is a JSON string that holds JSON, so it was encoded twice; write what is inside the "
    "string, for instance by `jq -r . FILE`"
)


def foreign_file(data: Any) -> Finding | None:  # noqa: ANN401 -- what YAML has
    """Return the error of a file that has nothing of a playbook or bare batch, or None.

    It is the only error of the file: what else a playbook would need is of no use.
    """
    items: list[tuple[Path, Any]]
    if isinstance(data, dict):
        items, kinds, unlike = [((), data)], _MAPPINGS, _UNLIKE_PLAYBOOK
    elif isinstance(data, list) and not _has_action(data):
        items, kinds = [((index,), item) for index, item in enumerate(data)], _LISTS
        unlike = _UNLIKE_BATCH
    elif isinstance(data, str) and looks_like_json(data) and json_error(data) is None:
        return Finding((), _JSON_IN_A_STRING, "foreign-file")
    else:
        return None
    for path, item in items[:_EXAMINED]:
        kind = _kind_of(item, kinds)
        if kind:
            key = kind.keys.split()[0]
            return Finding((*path, key), _message_of(kind), "foreign-file", at_key=True)
    if not data or any(_is_like_ours(item, is_list=isinstance(data, list)) for _, item in items):
        return None
    return Finding((), unlike, "foreign-file")


_EXAMINED = 20
"""The most items of a list by whose keys it is recognized."""

_UNLIKE_PLAYBOOK = f"this file has no key of a playbook; {_NEW}"
_UNLIKE_BATCH = (
    "no item of this list has an `actionName`; a bare batch is a list of actions, `- actionName: …`"
)


def foreign_text(text: str) -> str:
    """Return the error of a well-known file that is neither YAML nor JSON, or an empty text."""
    kind = next((kind for pattern, kind in _TEXTS if re.search(pattern, text, re.MULTILINE)), None)
    return _message_of(kind) if kind and not may_be_playbook(text.encode()) else ""


def _message_of(kind: ForeignFile) -> str:
    return f"this is {kind.name}, not a playbook of wps-run; {kind.remedy}"


def _is_like_ours(item: Any, *, is_list: bool) -> bool:  # noqa: ANN401 -- what YAML has
    """Return whether a mapping, or an item of a list, has a key of ours, or a similar one."""
    if isinstance(item, str):
        return is_list and (item in ACTIONS or bool(did_you_mean(item, ACTIONS)))
    if not isinstance(item, dict):
        return False
    known = [*_ACTION_KEYS, *ACTIONS, *([] if is_list else _KEYS)]
    schema = item.get("$schema")
    return (isinstance(schema, str) and schema.endswith(_SCHEMA)) or any(
        key in known or did_you_mean(key, known)
        for key in islice(item, SIMILAR_NAMES)
        if key not in {"name", "$schema"}
    )


def is_playbook(data: Any) -> bool:  # noqa: ANN401 -- what YAML has
    """Return whether data that was found in a folder is meant as a playbook or a bare batch."""
    if isinstance(data, list):
        return _has_action(data)
    if not isinstance(data, dict) or foreign_file(data):
        return False
    schema = data.get("$schema")
    return (
        not _KEYS.isdisjoint(data)
        or _names_action(data)
        or (isinstance(schema, str) and schema.endswith(_SCHEMA))
    )


def may_be_playbook(raw: bytes) -> bool:
    """Return whether a text that cannot be read as YAML or JSON is meant as a playbook."""
    raw = raw.replace(b"\0", b"")
    return bool(_TEXT_MARKS.search(raw)) and not _RECORD_MARK.match(raw)


def _kind_of(data: Any, kinds: tuple[ForeignFile, ...]) -> ForeignFile | None:  # noqa: ANN401 -- what YAML has
    if not isinstance(data, dict):
        return None
    own = {key.lower() for key in data} & _DISTINCTIVE
    own -= _ACTION_NAMES if isinstance(data.get("type"), str) else set()  # a record has one, too
    if own and not (own == {"hub"} and "clients" in data):  # a seed may have a hub, too
        return None
    groups = data.get(GROUPS)
    if isinstance(groups, list) and any(isinstance(it, dict) and "rules" in it for it in groups):
        return _RULES
    return next((kind for kind in kinds if all(key in data for key in kind.keys.split())), None)


def _has_action(items: list[Any]) -> bool:
    return any(isinstance(item, dict) and _names_action(item) for item in items)


def _names_action(mapping: dict[str, Any]) -> bool:
    """Return whether a mapping is an action, and no record of a run or a plan, which has a type."""
    return "type" not in mapping and any(key.lower() in _ACTION_NAMES for key in mapping)
