"""The examples of the pages on scaling out run, or are valid by the schema of their engine."""

import asyncio
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from wps_run.emulator.clients import NullClient
from wps_run.emulator.request_log import RequestEntry
from wps_run.emulator.server import Emulator
from wps_run.execution.summary import EXIT_FAILED, EXIT_OK, EXIT_UNKNOWN
from wps_run.playbook.shards import shard_number

Script = Callable[..., subprocess.CompletedProcess[str]]

ROWS = 120
PLAYBOOK = """\
hub: chat
mode: concurrent
concurrency: 4
actions:
  - {forEach: {file: members.csv}, actionName: addUserToGroup, userId: 'u${each.n}',
     group: 'team-${each.team}'}
"""
ACTIONS_OF_POLICY = {
    "FailJob": {2},
    "FailIndex": {EXIT_FAILED, EXIT_UNKNOWN},
    "Ignore": {129, 130, 143},
}


def blocks(project: Path, language: str) -> list[str]:
    """Return the fenced blocks of a language in the document."""
    text = (project / "docs" / "how-to" / "scale-out.md").read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def manifests(project: Path, name: str) -> list[Any]:
    """Return the documents of a manifest."""
    return list(yaml.safe_load_all((project / "docs" / "scale-out" / name).read_text("utf-8")))


def of_kind(documents: list[Any], kind: str) -> Any:
    """Return the only document of a kind."""
    (document,) = [document for document in documents if document["kind"] == kind]
    return document


class Killer:
    """Kills the process of one shard, once, after some of its requests."""

    def __init__(self, folder: Path, shard: int, remaining: int) -> None:
        self.killed = 0
        self.seen: Counter[tuple[str, ...]] = Counter()
        self._folder, self._shard, self._remaining = folder, shard, remaining

    def __call__(self, entry: RequestEntry) -> None:
        """Count a request; kill the process when its number is reached."""
        self.seen[entry.names] += 1
        user, group = entry.names
        if shard_number({"userId": user, "group": group}, 4) == self._shard:
            self._remaining -= 1
            if self._remaining == 0:
                self.killed = int((self._folder / f"{self._shard}.pid").read_text())
                os.kill(self.killed, signal.SIGKILL)


@pytest.mark.skipif(shutil.which("parallel") is None, reason="GNU parallel is not installed")
async def test_gnu_parallel_resumes_a_killed_shard(
    project: Path, tmp_path: Path, script: Path
) -> None:
    """With the commands of the document; the groups of the emulator match the report."""
    (block,) = blocks(project, "sh")
    (tmp_path / "playbook.yaml").write_text(PLAYBOOK)
    rows = [f"{n},{n % 5}" for n in range(ROWS)]
    (tmp_path / "members.csv").write_text("\n".join(["n,team", *rows, ""]))
    # Found before the script in PATH; records the ID of its process.
    shim = tmp_path / "bin" / "wps-run"
    shim.parent.mkdir()
    record_pid = '[ "$1" = --shard ] && echo $$ > "${2%/*}.pid"'
    shim.write_text(f'#!/bin/sh\n{record_pid}\nexec {shlex.quote(str(script))} "$@"\n')
    shim.chmod(0o755)
    killer = Killer(tmp_path, shard=2, remaining=10)
    emulator = Emulator(on_request=killer)
    async with emulator:
        for n in range(ROWS):
            emulator.attach("chat", NullClient(), user_id=f"u{n}")
        process = await asyncio.create_subprocess_exec(
            "bash",
            "-c",
            block.rstrip() + " --output json\n",
            cwd=tmp_path,
            env={
                **os.environ,
                "PATH": f"{shim.parent}:{os.environ['PATH']}",
                "HOME": str(tmp_path),
                "WebPubSubConnectionString": emulator.connection_string,
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, error = await process.communicate()
        groups = {
            group: len(members)
            for group, members in emulator.hubs["chat"].groups.items()
            if members
        }

    assert process.returncode == 0, error.decode()
    report = json.loads(out)
    assert report["summary"]["total"] == report["summary"]["ok"] == ROWS
    assert [result["index"] for result in report["results"]] == list(range(ROWS))
    assert groups == Counter(result["target"]["group"] for result in report["results"])
    attempts = (tmp_path / "shards.log").read_text().splitlines()[1:]
    assert len(attempts) >= 4
    assert killer.killed != int((tmp_path / "2.pid").read_text())
    assert b'"resumed"' in (tmp_path / "2.journal").read_bytes()
    # Only requests that the killed process had in flight were repeated.
    assert sum(number > 1 for number in killer.seen.values()) <= 4


@pytest.mark.parametrize("name", ["job.yaml", "report.yaml"])
def test_manifests_are_valid_for_kubernetes(project: Path, name: str) -> None:
    """By its own schemas, without unknown properties."""
    checker = Path(sys.executable).parent / "kubernetes-validate"

    process = subprocess.run(
        [checker, "--strict", project / "docs" / "scale-out" / name],
        capture_output=True,
        text=True,
        check=False,
    )

    assert process.returncode == 0, process.stdout + process.stderr
    assert "did not validate" not in process.stdout + process.stderr


def test_invalid_manifest_is_detected(project: Path, tmp_path: Path) -> None:
    """The check above can fail."""
    job = (project / "docs" / "scale-out" / "job.yaml").read_text("utf-8")
    (tmp_path / "job.yaml").write_text(job.replace("backoffLimitPerIndex", "backoffLimitPerShard"))

    process = subprocess.run(
        [Path(sys.executable).parent / "kubernetes-validate", "--strict", tmp_path / "job.yaml"],
        capture_output=True,
        check=False,
    )

    assert process.returncode != 0


def test_pods_of_the_job_run_all_shards(project: Path, tmp_path: Path, wps_run: Script) -> None:
    """Its arguments, playbook and variables, in rehearsals."""
    documents = manifests(project, "job.yaml")
    spec = of_kind(documents, "Job")["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    for name, text in of_kind(documents, "ConfigMap")["data"].items():
        (tmp_path / name).write_text(text)
    journals = []
    for index in range(spec["completions"]):
        args = [
            arg.replace("$(JOB_COMPLETION_INDEX)", str(index))
            .replace("/journals/", f"{tmp_path}/")
            .replace("/playbook/", f"{tmp_path}/")
            for arg in container["args"]
        ]
        process = wps_run(*args, "--local", JOB_COMPLETION_INDEX=str(index))
        assert process.returncode == EXIT_OK, process.stderr
        journals += [arg.partition("=")[2] for arg in args if arg.startswith("--journal=")]

    merged = wps_run("report", *journals, "--output", "json")

    assert merged.returncode == EXIT_OK, merged.stderr
    assert json.loads(merged.stdout)["summary"]["total"] == 2
    assert {env["name"] for env in container["env"]} == {"WebPubSubConnectionString"}
    assert spec["completions"] == spec["parallelism"] == 4


def test_failure_policy_of_the_job_covers_all_exit_codes(project: Path) -> None:
    spec = of_kind(manifests(project, "job.yaml"), "Job")["spec"]

    by_action = {
        rule["action"]: set(rule["onExitCodes"]["values"])
        for rule in spec["podFailurePolicy"]["rules"]
        if "onExitCodes" in rule
    }

    assert by_action == ACTIONS_OF_POLICY
    assert spec["podReplacementPolicy"] == "Failed"
    assert spec["template"]["spec"]["restartPolicy"] == "Never"


def test_document_names_all_exit_codes(project: Path) -> None:
    text = (project / "docs" / "reference" / "exit-codes.md").read_text("utf-8")

    for codes in ("0", "1", "2", "3", "129, 130, 143"):
        assert re.search(rf"^\| {codes} \| ", text, re.MULTILINE), codes


def test_matrix_is_valid_for_github(project: Path) -> None:
    """By the schema of its workflows."""
    process = subprocess.run(
        [
            *(Path(sys.executable).parent / "check-jsonschema", "--builtin-schema"),
            *("vendor.github-workflows", project / "docs" / "scale-out" / "github-actions.yaml"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )

    assert process.returncode == 0, process.stdout


def test_jobs_of_the_matrix_run_all_shards(project: Path, tmp_path: Path, wps_run: Script) -> None:
    """With the values that GitHub would insert; the report reads all journals."""
    (tmp_path / "playbook.yaml").write_text(PLAYBOOK)
    (tmp_path / "members.csv").write_text("n,team\n" + "".join(f"{n},0\n" for n in range(9)))
    (workflow,) = manifests(project, "github-actions.yaml")
    shard, report = workflow["jobs"]["shard"], workflow["jobs"]["report"]
    numbers = shard["strategy"]["matrix"]["shard"]
    (step,) = [step for step in shard["steps"] if "wps-run" in step.get("run", "")]
    for number in numbers:
        args = shlex.split(step["run"])[1:]
        variable = step["env"]["WPS_RUN_SHARD"].replace("${{ matrix.shard }}", str(number))
        shard_setting = variable.replace("${{ strategy.job-total }}", str(len(numbers)))
        process = wps_run(*args, "--local", WPS_RUN_SHARD=shard_setting)
        assert process.returncode == EXIT_OK, process.stderr
        artifact = tmp_path / f"journal-{number}"
        artifact.mkdir()
        (tmp_path / "shard.journal").rename(artifact / "shard.journal")
    line = report["steps"][-1]["run"].partition("#")[0]
    journals = sorted(tmp_path.glob(shlex.split(line)[-1]))

    merged = wps_run("report", *journals)

    assert (merged.returncode, len(journals)) == (EXIT_OK, 4)


def test_table_in_the_document_is_that_of_the_simulation(project: Path) -> None:
    """A part of it is simulated again."""
    text = (project / "docs" / "explanation" / "rate-limits.md").read_text("utf-8")

    args = ("--shards", "10", "--rates", "1.0", "1.1")
    printed = subprocess.run(
        [sys.executable, project / "benchmarks" / "scale_simulation.py", *args],
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    shown = re.findall(r"^\| 10 \| 1\.[01]0 .*$", text, re.MULTILINE)
    assert printed.splitlines()[2:] == shown
    assert len(shown) == 2
    assert "1,000 shards</text>" in (project / "docs/scale-out/simulation.svg").read_text("utf-8")


def test_error_in_the_document_is_what_is_printed(project: Path, wps_run: Script) -> None:
    playbook = (
        "hub: chat\n"
        "actions:\n"
        "  - name: Add members\n"
        "    forEach: [ada, bob]\n"
        "    actionName: addUserToGroup\n"
        "    userId: ${each}\n"
        "    group: red\n"
        "  - {name: Greet, actionName: sendToGroup, group: red, data: Hello}\n"
    )

    process = wps_run("plan", "--shard", "1/2", "-", stdin=playbook)

    shown = blocks(project, "text")[1].replace("welcome.yaml", "<stdin>")
    assert process.returncode == 2
    assert process.stderr.splitlines()[0] == shown.strip()
