"""The published schemas: as generated, understood by other validators, of one mind with ours."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from wps_run.actions.names import NAME_PATTERN, name_error
from wps_run.actions.table import ACTIONS
from wps_run.cli.commands.init import FIRST
from wps_run.document.loader import decode, load
from wps_run.playbook.batch import is_batch
from wps_run.playbook.catalog import schema_catalog
from wps_run.playbook.configuration import FILE_NAME
from wps_run.playbook.model import read_playbook
from wps_run.playbook.options import SETTING_PATTERN
from wps_run.playbook.recognition import is_playbook
from wps_run.playbook.schema import (
    BASE64_PATTERN,
    SCHEMA_FILES,
    SchemaForm,
    actions_schema,
    playbook_schema,
    schema_text,
)
from wps_run.playbook.validator import PlaybookValidator, default_validator
from wps_run.problems import PlaybookError
from wps_run.version import SCHEMAS

PLAYBOOKS = Path(__file__).parent.parent / "playbooks"

BEYOND_A_SCHEMA = {
    "data-binary-as-text": "to a schema, what `!!binary` holds is a string",
    "data-not-json": "JSON in a string",
    "each-misused": "which columns there are is not for a schema",
    "name-too-long-in-utf-16": "a schema counts characters",
    "options-nan": "JSON has no NaN",
}
"""Bad files that a schema accepts, and why."""

OTHER_READERS = {
    "binary-tag.yaml": "it gives a schema bytes for `!!binary`",
    "data-binary-as-text.yaml": "the same",
    "numbers-of-yaml-1.1.yaml": "it reads `1_000` and `0b1` as numbers, against YAML 1.2",
}
"""Files that check-jsonschema refuses because it does not read them as YAML 1.2, and why."""

PUBLISHED = {True: Draft7Validator(actions_schema()), False: Draft7Validator(playbook_schema())}
"""The schemas, by whether the data is a bare batch."""


def readable() -> Iterator[tuple[Path, Any]]:
    """Every file of the corpus that can be read, with its data."""
    for folder in ("bad", "ok"):
        for file in sorted((PLAYBOOKS / folder).iterdir()):
            if file.suffix == ".err":
                continue
            try:
                yield file, load(decode(file.read_bytes(), file.name), file.name).data
            except PlaybookError:
                continue


READABLE = dict(readable())


def expected(file: Path) -> bool:
    """Whether a schema should accept a file."""
    return file.parent.name == "ok" or file.stem in BEYOND_A_SCHEMA


@pytest.mark.parametrize("file", SCHEMA_FILES)
def test_the_committed_schemas_are_the_generated_ones(project: Path, file: str) -> None:
    """`wps-run schema --write schemas` makes them so."""
    committed = (project / "schemas" / file).read_bytes().decode()

    assert committed == schema_text(SCHEMA_FILES[file]())


def test_catalog_names_the_files_of_each_schema(project: Path) -> None:
    """The patterns are of no other tool, and the hook checks the same files."""
    hook = re.search(r"files: (.+)", (project / ".pre-commit-hooks.yaml").read_text("utf-8"))
    assert hook is not None

    entries = schema_catalog()["schemas"]

    for entry in entries:
        file = entry["url"].removeprefix(f"{SCHEMAS}/")
        assert SCHEMA_FILES[file]()["$id"] == entry["url"]
        assert entry["url"].startswith("https://")
    playbooks, configuration = (entry["fileMatch"] for entry in entries)
    assert configuration == [FILE_NAME]
    assert all(re.search(hook[1], pattern.replace("*", "red")) for pattern in playbooks)


@pytest.mark.parametrize("make", SCHEMA_FILES.values(), ids=list(SCHEMA_FILES))
def test_a_schema_is_draft_7_with_words_for_every_property(make: Any) -> None:
    """Editors show the words when one points at a key."""
    schema = make()

    Draft7Validator.check_schema(schema)
    for name in ACTIONS if "definitions" in schema else ():
        definition = schema["definitions"][name]
        assert definition["title"] == name
        for one in definition["properties"].values():
            reference = one.get("$ref", "").rpartition("/")[2]
            assert (schema["definitions"][reference] if reference else one)["description"]
    assert all(one["description"] for one in schema.get("properties", {}).values())


@pytest.mark.parametrize("file", READABLE, ids=lambda file: file.name)
def test_the_published_schema_and_ours_agree_on_every_file(file: Path) -> None:
    """But for what a schema cannot say."""
    data = READABLE[file]

    assert PUBLISHED[is_batch(data)].is_valid(data) is expected(file)
    assert bool(read_playbook(decode(file.read_bytes(), "f"), "f").problems) is (
        file.parent.name == "bad"
    )


SCALARS = st.sampled_from(
    ["", "a", "a/b", "..", " ", "a\n", "10s", "${x}", "a/${x}", "${x}\n", "text", "json", "binary",
     "stop", "aGk=", "aGk", "sendToGroup", "\x7f", "\ufeff", "x" * 1025, 0, 1, -1, 1.0, 301, True,
     None]
)  # fmt: skip
ANYTHING = SCALARS | st.lists(SCALARS, max_size=2) | st.just({"type": "Buffer", "data": [1]})
KEYS = sorted({one.name for action in ACTIONS.values() for one in action.fields})


@st.composite
def actions(draw: st.DrawFn) -> object:
    """An action out of its examples, with some properties changed, added or left out."""
    action = draw(st.sampled_from(list(ACTIONS.values())))
    mapping: dict[str, Any] = {"actionName": action.name}
    for one in action.fields:
        if one.required or draw(st.booleans()):
            example = one.example
            mapping[one.name] = list(example) if isinstance(example, tuple) else example
    keys = st.sampled_from([*mapping, *KEYS, "name", "onError", "timeout", "forEach", "Data"])
    mapping |= draw(st.dictionaries(keys, ANYTHING, max_size=2))
    if draw(st.booleans()) and draw(st.booleans()):
        mapping.pop(draw(st.sampled_from(sorted(mapping))))
    return mapping


@given(action=actions(), slash=st.sampled_from(["refuse", "allow"]))
def test_the_published_schema_and_ours_agree_on_any_action(action: object, slash: str) -> None:
    """The look-up by `actionName` gives the verdict of the whole."""
    found = default_validator().validate_action(
        action, SchemaForm.TEMPLATE, slash_in_names=slash == "allow"
    )

    data = {"actions": [action], "slashInNames": slash}
    assert PUBLISHED[False].is_valid(data) is (not found), found


@given(batch=st.lists(actions(), max_size=2))
def test_a_batch_without_findings_fits_the_published_schema(batch: list[Any]) -> None:
    """Of bare batches the schema asks no more than we do."""
    found = [
        default_validator().validate_action(one, SchemaForm.BATCH, slash_in_names=False)
        for one in batch
    ]

    assert any(found) or PUBLISHED[True].is_valid(batch)


TOP_LEVEL = sorted(set(playbook_schema()["properties"]) - {"actions", "finally"})


@given(
    data=st.dictionaries(st.sampled_from([*TOP_LEVEL, "x-y", "Hub"]), ANYTHING | st.just({"a": 1}))
)
def test_the_published_schema_and_ours_agree_on_the_other_keys(data: dict[str, Any]) -> None:
    """Run options, variables, hub and connection; the items of lists of actions are not checked."""
    playbook = {**data, "actions": []}

    assert PUBLISHED[False].is_valid(playbook) is (
        not default_validator().validate_document(playbook)
    )


def test_check_jsonschema_agrees_on_every_file(project: Path) -> None:
    """The validator that most people have in pre-commit."""
    pytest.importorskip("check_jsonschema", reason="not there with the lowest click")
    for bare, schema in ((False, "playbook"), (True, "actions")):
        files = [file for file, data in READABLE.items() if is_batch(data) is bare]
        ran = subprocess.run(
            [sys.executable, "-m", "check_jsonschema", "--output-format", "json", "--schemafile",
             str(project / "schemas" / f"{schema}.schema.json"), *map(str, files)],
            capture_output=True, text=True, check=False, timeout=50,
        )  # fmt: skip
        report = json.loads(ran.stdout)
        refused = {Path(one["filename"]).name for one in report["errors"]}
        assert not report["parse_errors"]
        assert refused == {
            file.name for file in files if file.name in OTHER_READERS or not expected(file)
        }


def shipped(project: Path) -> Iterator[tuple[str, str]]:
    """The playbooks of the project, of `init`, and in its documents, with their names."""
    yield "init", FIRST
    for file in sorted((project / "playbooks").glob("*.yaml")):
        yield file.stem, file.read_text("utf-8")
    for file in (project / "README.md", *sorted((project / "docs").rglob("*.md"))):
        blocks = re.findall(
            r"^```yaml\n(.*?)^```", file.read_text("utf-8"), re.DOTALL | re.MULTILINE
        )
        for number, block in enumerate(blocks):
            if is_playbook(load(block, file.name).data):
                yield f"{file.stem}-{number}", block


def test_other_validators_accept_every_playbook_that_is_shipped(
    project: Path, tmp_path: Path
) -> None:
    """They read `!!binary` as bytes, which no schema allows: the examples have base64."""
    pytest.importorskip("check_jsonschema", reason="not there with the lowest click")
    examples = dict(shipped(project))
    files: dict[str, list[Path]] = {"playbook": [], "actions": []}
    for name, text in examples.items():
        data = load(text, name).data
        is_whole = isinstance(data, list) or "actions" in data or "actionName" in data
        file = tmp_path / f"{name}.yaml"
        file.write_text(text if is_whole else f"{text}\nactions: []\n", "utf-8")
        files["actions" if is_batch(data) else "playbook"].append(file)

    assert len(examples) > 20
    for schema, paths in files.items():
        ran = subprocess.run(
            [sys.executable, "-m", "check_jsonschema", "--schemafile",
             str(project / "schemas" / f"{schema}.schema.json"), *map(str, paths)],
            capture_output=True, text=True, check=False, timeout=50,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stdout
        assert not [path for path in paths if read_playbook(path.read_text("utf-8"), "f").problems]


AJV = """
const {readFileSync} = require("fs");
const Ajv = require(process.argv[1] + "/ajv");
const {schemas, cases} = JSON.parse(readFileSync(0, "utf8"));
const quiet = {strict: true, strictTypes: true, strictRequired: false, logger: {
  log() {}, warn(text) { throw Error(text); }, error(text) { throw Error(text); }}};
const checks = schemas.map((schema) => new Ajv(quiet).compile(schema));
console.log(JSON.stringify(cases.map(([which, data]) => checks[which](data))));
"""


@pytest.mark.skipif(
    "WPS_RUN_NODE_MODULES" not in os.environ,
    reason="WPS_RUN_NODE_MODULES names no node_modules folder with ajv 8",
)
def test_ajv_agrees_on_every_file() -> None:
    """In strict mode, so that no keyword is unknown to it, with the `u` flag on each pattern."""
    files = [file for file in READABLE if file.stem != "options-nan"]
    cases = [[int(is_batch(READABLE[file])), READABLE[file]] for file in files]
    sent = json.dumps({"schemas": [playbook_schema(), actions_schema()], "cases": cases})

    ran = subprocess.run(  # the name is looked up in PATH, as on any machine with Node
        ["node", "-e", AJV, os.environ["WPS_RUN_NODE_MODULES"]],  # noqa: S607 -- see above
        input=sent, capture_output=True, text=True, check=True, timeout=50,
    )  # fmt: skip

    assert dict(zip(files, json.loads(ran.stdout), strict=True)) == {
        file: expected(file) for file in files
    }


@given(
    name=st.text("a./ \n\t\x1c\x85\xa0\u2028\ufeff", max_size=4)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
)
def test_the_pattern_of_names_says_what_the_rules_say(name: str) -> None:
    """Blank, dots, control characters; a trailing line break too."""
    assert bool(re.search(NAME_PATTERN, name)) is (name_error(name, None) is None)


@pytest.mark.parametrize(
    ("text", "fits"),
    [("", True), ("aGk=", True), ("aGkh\naGkh\n", True), ("YQ==", True), ("Y Q = =", True),
     ("a", False), ("YQ=", False), ("YQ", False), ("YQ==YQ==", False), ("=", False),
     ("-_-_", False)],
)  # fmt: skip
def test_the_pattern_of_base64(text: str, *, fits: bool) -> None:
    """Padded, with white space between; not the alphabet of URLs."""
    assert bool(re.search(BASE64_PATTERN, text)) is fits


def test_the_pattern_of_base64_takes_a_whole_message() -> None:
    """A mebibyte, broken into lines, good or bad at its very end."""
    text = ("A" * 76 + "\n") * 18_000

    assert re.search(BASE64_PATTERN, text)
    assert not re.search(BASE64_PATTERN, text + "!")


@pytest.mark.parametrize("text", ["Endpoint=https://h;AccessKey=x;", "https://h", "a b", "", "a\n"])
def test_no_connection_string_is_a_setting_name(text: str) -> None:
    """So that a pasted one is refused before it is committed."""
    assert not re.search(SETTING_PATTERN, text)


def test_a_row_added_to_the_table_is_in_the_schemas() -> None:
    """Adding an action is one row."""
    row = replace(ACTIONS["sendToAll"], name="sendToMoon", summary="Send a message to the moon.")
    table = {**ACTIONS, row.name: row}
    action = {"actionName": "sendToMoon", "data": "Hello"}

    assert Draft7Validator(playbook_schema(table)).is_valid({"actions": [action]})
    assert Draft7Validator(actions_schema(table)).is_valid([action])
    assert (
        PlaybookValidator(table).validate_action(action, SchemaForm.EXPANDED, slash_in_names=False)
        == []
    )
    assert not PUBLISHED[False].is_valid({"actions": [action]})
