"""Every example of docs/scale-out.md is run, or held to the schema of the engine that reads it."""

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
ACTIONS_OF_POLICY = {"FailJob": {2}, "FailIndex": {EXIT_FAILED, EXIT_UNKNOWN}, "Ignore": {130, 143}}


def blocks(project: Path, language: str) -> list[str]:
    """The fenced blocks of a language in the document."""
    text = (project / "docs" / "scale-out.md").read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def manifests(project: Path, name: str) -> list[Any]:
    """The documents of a manifest."""
    return list(yaml.safe_load_all((project / "docs" / "scale-out" / name).read_text("utf-8")))


def of_kind(documents: list[Any], kind: str) -> Any:
    """The one document of that kind."""
    (found,) = [one for one in documents if one["kind"] == kind]
    return found


class Killer:
    """Kills the process of one shard, once, when some of its requests were carried out."""

    def __init__(self, folder: Path, shard: int, after: int) -> None:
        self.killed = 0
        self.seen: Counter[tuple[str, ...]] = Counter()
        self._folder, self._shard, self._after = folder, shard, after

    def __call__(self, exchange: RequestEntry) -> None:
        """Note a request that was carried out."""
        self.seen[exchange.names] += 1
        user, group = exchange.names
        if shard_number({"userId": user, "group": group}, 4) == self._shard:
            self._after -= 1
            if self._after == 0:
                self.killed = int((self._folder / f"{self._shard}.pid").read_text())
                os.kill(self.killed, signal.SIGKILL)


@pytest.mark.skipif(shutil.which("parallel") is None, reason="GNU parallel is not installed")
async def test_gnu_parallel_runs_four_shards_of_which_one_is_killed_and_resumed(
    project: Path, tmp_path: Path, script: Path
) -> None:
    """The lines of the document, word for word; the service's groups are what the report says."""
    (block,) = blocks(project, "sh")
    (tmp_path / "playbook.yaml").write_text(PLAYBOOK)
    rows = [f"{n},{n % 5}" for n in range(ROWS)]
    (tmp_path / "members.csv").write_text("\n".join(["n,team", *rows, ""]))
    # Stands before the script in the path, and notes the number of its process.
    shim = tmp_path / "bin" / "wps-run"
    shim.parent.mkdir()
    note = '[ "$1" = --shard ] && echo $$ > "${2%/*}.pid"'
    shim.write_text(f'#!/bin/sh\n{note}\nexec {shlex.quote(str(script))} "$@"\n')
    shim.chmod(0o755)
    killer = Killer(tmp_path, shard=2, after=10)
    service = Emulator(on_request=killer)
    async with service:
        for n in range(ROWS):
            service.attach("chat", NullClient(), user_id=f"u{n}")
        process = await asyncio.create_subprocess_exec(
            "bash",
            "-c",
            block.rstrip() + " --output json\n",
            cwd=tmp_path,
            env={
                **os.environ,
                "PATH": f"{shim.parent}:{os.environ['PATH']}",
                "HOME": str(tmp_path),
                "WebPubSubConnectionString": service.connection_string,
            },
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, error = await process.communicate()
        groups = {
            group: len(members) for group, members in service.hubs["chat"].groups.items() if members
        }

    assert process.returncode == 0, error.decode()
    report = json.loads(out)
    assert report["summary"]["total"] == report["summary"]["ok"] == ROWS
    assert [one["index"] for one in report["results"]] == list(range(ROWS))
    assert groups == Counter(one["target"]["group"] for one in report["results"])
    attempts = (tmp_path / "shards.log").read_text().splitlines()[1:]
    assert len(attempts) >= 4
    assert killer.killed != int((tmp_path / "2.pid").read_text())
    assert b'"resumed"' in (tmp_path / "2.journal").read_bytes()
    # What the killed process had in flight was asked for again, and nothing else.
    assert sum(number > 1 for number in killer.seen.values()) <= 4


@pytest.mark.parametrize("name", ["job.yaml", "report.yaml"])
def test_the_manifests_are_what_kubernetes_reads(project: Path, name: str) -> None:
    """By its own schemas, with no property that they do not know."""
    checker = Path(sys.executable).parent / "kubernetes-validate"

    done = subprocess.run(
        [checker, "--strict", project / "docs" / "scale-out" / name],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "did not validate" not in done.stdout + done.stderr


def test_a_wrong_manifest_would_be_found(project: Path, tmp_path: Path) -> None:
    """The check above can fail."""
    job = (project / "docs" / "scale-out" / "job.yaml").read_text("utf-8")
    (tmp_path / "job.yaml").write_text(job.replace("backoffLimitPerIndex", "backoffLimitPerShard"))

    done = subprocess.run(
        [Path(sys.executable).parent / "kubernetes-validate", "--strict", tmp_path / "job.yaml"],
        capture_output=True,
        check=False,
    )

    assert done.returncode != 0


def test_the_pods_of_the_job_are_told_their_shard_and_their_journal(
    project: Path, tmp_path: Path, wps_run: Script
) -> None:
    """Its words, playbook and variables give every action to one pod; nothing is sent."""
    documents = manifests(project, "job.yaml")
    spec = of_kind(documents, "Job")["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    for name, text in of_kind(documents, "ConfigMap")["data"].items():
        (tmp_path / name).write_text(text)
    journals = []
    for index in range(spec["completions"]):
        words = [
            word.replace("$(JOB_COMPLETION_INDEX)", str(index))
            .replace("/journals/", f"{tmp_path}/")
            .replace("/playbook/", f"{tmp_path}/")
            for word in container["args"]
        ]
        done = wps_run(*words, "--local", JOB_COMPLETION_INDEX=str(index))
        assert done.returncode == EXIT_OK, done.stderr
        journals += [word.partition("=")[2] for word in words if word.startswith("--journal=")]

    merged = wps_run("report", *journals, "--output", "json")

    assert merged.returncode == EXIT_OK, merged.stderr
    assert json.loads(merged.stdout)["summary"]["total"] == 2
    assert {env["name"] for env in container["env"]} == {"WebPubSubConnectionString"}
    assert spec["completions"] == spec["parallelism"] == 4


def test_the_failure_policy_of_the_job_has_our_exit_codes(project: Path) -> None:
    """Each exit code of a run that is not 0 is in one rule; a resumed pod has its journal alone."""
    spec = of_kind(manifests(project, "job.yaml"), "Job")["spec"]

    by_action = {
        rule["action"]: set(rule["onExitCodes"]["values"])
        for rule in spec["podFailurePolicy"]["rules"]
        if "onExitCodes" in rule
    }

    assert by_action == ACTIONS_OF_POLICY
    assert spec["podReplacementPolicy"] == "Failed"
    assert spec["template"]["spec"]["restartPolicy"] == "Never"


def test_the_exit_codes_in_the_document_are_ours(project: Path) -> None:
    """The table names each."""
    text = (project / "docs" / "scale-out.md").read_text("utf-8")

    for codes in ("0", "1", "2", "3", "130, 143"):
        assert re.search(rf"^\| {codes} \| ", text, re.MULTILINE), codes


def test_the_matrix_is_what_github_reads(project: Path) -> None:
    """By the schema of its workflows."""
    done = subprocess.run(
        [
            *(Path(sys.executable).parent / "check-jsonschema", "--builtin-schema"),
            *("vendor.github-workflows", project / "docs" / "scale-out" / "github-actions.yaml"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout


def test_the_jobs_of_the_matrix_are_told_their_shard(
    project: Path, tmp_path: Path, wps_run: Script
) -> None:
    """Its own lines, with what GitHub would fill in; the report takes all journals."""
    (tmp_path / "playbook.yaml").write_text(PLAYBOOK)
    (tmp_path / "members.csv").write_text("n,team\n" + "".join(f"{n},0\n" for n in range(9)))
    (workflow,) = manifests(project, "github-actions.yaml")
    shard, report = workflow["jobs"]["shard"], workflow["jobs"]["report"]
    numbers = shard["strategy"]["matrix"]["shard"]
    (step,) = [one for one in shard["steps"] if "wps-run" in one.get("run", "")]
    for number in numbers:
        words = shlex.split(step["run"])[1:]
        variable = step["env"]["WPS_RUN_SHARD"].replace("${{ matrix.shard }}", str(number))
        said = variable.replace("${{ strategy.job-total }}", str(len(numbers)))
        done = wps_run(*words, "--local", WPS_RUN_SHARD=said)
        assert done.returncode == EXIT_OK, done.stderr
        artifact = tmp_path / f"journal-{number}"
        artifact.mkdir()
        (tmp_path / "shard.journal").rename(artifact / "shard.journal")
    line = report["steps"][-1]["run"].partition("#")[0]
    journals = sorted(tmp_path.glob(shlex.split(line)[-1]))

    merged = wps_run("report", *journals)

    assert (merged.returncode, len(journals)) == (EXIT_OK, 4)


def test_the_table_and_the_plot_are_those_of_the_simulation(project: Path) -> None:
    """A part of it is run again; the same words give the same rows."""
    text = (project / "docs" / "scale-out.md").read_text("utf-8")

    words = ("--shards", "10", "--rates", "1.0", "1.1")
    printed = subprocess.run(
        [sys.executable, project / "benchmarks" / "scale_simulation.py", *words],
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    shown = re.findall(r"^\| 10 \| 1\.[01]0 .*$", text, re.MULTILINE)
    assert printed.splitlines()[2:] == shown
    assert len(shown) == 2
    assert "1,000 shards</text>" in (project / "docs/scale-out/simulation.svg").read_text("utf-8")


def test_the_refusal_in_the_document_is_what_is_printed(project: Path, wps_run: Script) -> None:
    """It shows both actions."""
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

    told = wps_run("plan", "--shard", "1/2", "-", stdin=playbook)

    shown = blocks(project, "text")[0].replace("welcome.yaml", "<stdin>")
    assert told.returncode == 2
    assert told.stderr.splitlines()[0] == shown.strip()
