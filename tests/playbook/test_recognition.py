"""Playbooks and bare batches are told from other files."""

from typing import Any

import pytest

from wps_run.playbook.model import read_playbook
from wps_run.playbook.recognition import foreign_file, is_playbook, may_be_playbook
from wps_run.problems import PlaybookError


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("- hosts: all\n  tasks: []\n", "an Ansible playbook"),
        ("groups:\n- name: a\n  rules: []\n", "a file of rules for Prometheus"),
        ("- import_playbook: a.yaml\n", "an Ansible playbook"),
        ("on: [push]\njobs: {}\n", "a GitHub Actions workflow"),
        ("trigger: none\nsteps: []\n", "an Azure pipeline"),
        ("apiVersion: v1\nkind: Pod\nmetadata: {}\n---\nkind: Pod\n", "a Kubernetes resource"),
        ("services: {}\nname: x\n", "a Docker Compose file"),
        ('{"bindings": [{"hub": "chat"}]}', "the function.json of an Azure function"),
        ('{"IsEncrypted": false, "Values": {}}', "a local.settings.json"),
        ('{"version": "2.0", "logging": {}}', "the host.json of a function app"),
        ('{"name": "x", "version": "1", "name": "x"}', "a package.json of npm"),
        ("openapi: 3.0.0\ninfo: {}\n", "an OpenAPI description"),
        ('{"$schema": "x", "properties": {"hub": {}}}', "a JSON Schema"),
        (
            '[{"type": "run"}, {"type": "result", "actionName": "sendToAll", "status": "ok"}]',
            "a journal, or results,",
        ),
        (
            '{"type": "plan", "salt": "a", "parts": {}}\n{"type": "step", "actionName": "b"}',
            "an approved plan",
        ),
        ('[{"type": "step", "index": 0, "actionName": "sendToAll"}]', "the steps of a plan"),
        ("hub: chat\nclients: [{userId: ada}]\n", "a seed of the emulator"),
        ("- name: a\n  apt: {name: b}\n- name: c\n  copy: {}\n  notify: d\n", "a list of Ansible"),
    ],
)
def test_a_foreign_file_is_one_error(text: str, name: str) -> None:
    """Which says what it is, and hides what else a playbook would need."""
    (problem,) = read_playbook(text, "f.yaml").problems

    assert problem.rule == "foreign-file"
    assert problem.message.startswith(f"this is {name}")
    assert not read_playbook(text, "f.yaml").actions


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("replicaCount: 1\nname: x\nimage: {}\n", "this file has no key of a playbook"),
        ("- name: a\n  apt: {name: b}\n- name: c\n  copy: {}\n", "no item of this list has"),
        ("[1, 2, 3]", "no item of this list has an `actionName`"),
        ("- a\n- b\n", "no item of this list has an `actionName`"),
    ],
)
def test_a_file_of_an_unknown_kind_is_one_error_too(text: str, message: str) -> None:
    (problem,) = read_playbook(text, "f.yaml").problems

    assert problem.rule == "foreign-file"
    assert problem.message.startswith(message)


@pytest.mark.parametrize(
    ("text", "file", "name"),
    [
        ('{\n // of TypeScript\n "compilerOptions": {"strict": true,},\n}', "tsconfig.json",
         "a tsconfig.json"),
        ('{\n  "IsEncrypted": false, // no\n  "Values": {"hub": "x"}\n}', "l.json",
         "a local.settings.json"),
        ("kind: Pod\nname: {{ .Release.Name }}\n{{- if .x }}\n", "p.yaml", "a template of Helm"),
        ("a: 1\n{% if b %}\nc: 2\n{% endif %}\n", "p.yaml", "a Jinja template"),
    ],
)  # fmt: skip
def test_a_foreign_file_that_cannot_be_parsed_is_recognized(
    text: str, file: str, name: str
) -> None:
    with pytest.raises(PlaybookError) as error:
        read_playbook(text, file)

    (problem,) = error.value.problems
    assert problem.message.startswith(f"this is {name}")


def test_a_broken_playbook_keeps_its_own_error() -> None:
    with pytest.raises(PlaybookError, match="begins here is not closed"):
        read_playbook("hub: chat\nactions:\n{{ each }}: [\n  when: x\n", "p.yaml")


@pytest.mark.parametrize(
    "data",
    [
        {"actions": [], "services": {}},
        {"actionName": "sendToAll", "steps": 1},
        {"hub": "chat", "on": 1, "jobs": 1},
        {"name": "x", "action": []},
        [{"actionsname": "sendToAll"}, {"x": 1}],
        [{"userId": "ada"}],
        [{"sendToAll": {"data": "x"}}],
        ["sendToAl"],
        [{"actionName": "sendToAll", "hosts": 1}],
        [{"ActionName": "sendToAll", "type": 1, "status": 2}],
        [],
        "text",
        None,
    ],
)
def test_what_has_our_keys_is_not_foreign(data: Any) -> None:
    """Its wrong keys are reported one by one."""
    assert foreign_file(data) is None


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        ([{"ACTIONNAME": "x"}], True),
        ([1, {"actionName": "x"}], True),
        ([{"operationKind": "x"}], True),
        ([{"userId": "ada"}], False),
        ([], False),
        ({"vars": {}}, True),
        ({"actionname": "x"}, True),
        ({"name": "x"}, False),
        ({"$schema": "https://json.schemastore.org/x"}, False),
        ({"$schema": "../schemas/playbook.schema.json"}, True),
        ({"timeout": 3, "apiVersion": "v1", "kind": "x"}, False),
        ("actions", False),
    ],
)
def test_a_playbook_is_known_by_its_keys(data: Any, *, answer: bool) -> None:
    assert is_playbook(data) is answer


@pytest.mark.parametrize(
    ("raw", "answer"),
    [
        (b"name: x\nactions:\n - [", True),
        (b'[{"ActionName": "x",', True),
        (b'{\n  "actions": [', True),
        ("- actionName: [".encode("utf-16"), True),
        (b"# $schema=../schemas/playbook.schema.json\n]", True),
        (b"{{ if }}\nkind: x", False),
        (b'{"a": {"actions": 1}, // nested\n}', False),
        (b'// one\n{"a": 1, "actions": [,]}', True),
        (b"\n" * 2_000_000, False),
        (b'"actions"' * 200_000, False),
        (b"spec:\n  actions: {{ .Values.actions }}", False),
        (b"", False),
    ],
)
def test_a_broken_playbook_is_known_by_its_text(raw: bytes, *, answer: bool) -> None:
    assert may_be_playbook(raw) is answer
