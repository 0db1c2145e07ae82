"""`--report FILE`: each format from the run itself, and the same from its journal."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Script = Callable[..., subprocess.CompletedProcess[str]]

SUFFIXES = ("json", "ndjson", "xml", "html", "md", "prom")
PLAYBOOK = """\
hub: chat
mode: concurrent
onError: continue
actions:
  - {actionName: sendToAll, data: top secret words}
  - {forEach: [ada, bob, cy], actionName: addUserToGroup, userId: '${each}', group: red}
  - {name: '</script><b>', actionName: sendToGroup, group: red, data: hello}
"""


@pytest.fixture(autouse=True)
def playbook(tmp_path: Path) -> Path:
    """A playbook whose joins fail against a real service, where no client is connected."""
    file = tmp_path / "p.yaml"
    file.write_text(PLAYBOOK)
    return file


@pytest.fixture
def service(script: Path) -> Iterator[str]:
    """The connection string of an emulator in a process of its own."""
    with subprocess.Popen(
        [script, "serve", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()


def options(name: str) -> list[str]:
    """`--report` for a file of each kind."""
    return [arg for suffix in SUFFIXES for arg in ("--report", f"{name}.{suffix}")]


def equal_reports(folder: Path) -> list[str]:
    """The suffixes of which `then` and `now` are the same bytes."""
    return [
        suffix
        for suffix in SUFFIXES
        if (folder / f"then.{suffix}").read_bytes() == (folder / f"now.{suffix}").read_bytes()
    ]


def test_reports_of_a_run_are_made_again_from_its_journal(
    wps_run: Script, service: str, tmp_path: Path
) -> None:
    """Byte for byte, in every format, with the exit code of the run."""
    settings = {"WebPubSubConnectionString": service}
    then = wps_run("p.yaml", "--journal", "j", *options("then"), **settings)
    now = wps_run("report", "j", *options("now"))

    assert (then.returncode, now.returncode, now.stdout) == (1, 1, "")
    assert equal_reports(tmp_path) == list(SUFFIXES)
    results = json.loads((tmp_path / "then.json").read_text())["results"]
    assert [result["index"] for result in results] == [0, 1, 2, 3, 4]
    assert [result["status"] for result in results] == ["ok", "failed", "failed", "failed", "ok"]


def test_reports_of_a_resumed_run_are_made_again_too(
    wps_run: Script, service: str, tmp_path: Path
) -> None:
    """Those of the whole run, at the pace of its last part."""
    settings = {"WebPubSubConnectionString": service}
    wps_run("p.yaml", "--journal", "j", "--on-error", "stop", **settings)
    again = ("--resume", "j", "--failed", "--concurrency", "3")
    wps_run("p.yaml", *again, *options("then"), **settings)
    wps_run("report", "j", *options("now"))

    assert equal_reports(tmp_path) == list(SUFFIXES)
    assert "at most 3 in flight" in (tmp_path / "now.html").read_text()


def test_the_reports_of_a_rehearsal_have_its_simulation(wps_run: Script, tmp_path: Path) -> None:
    """Group members and messages with their recipients, the data of messages included."""
    done = wps_run("p.yaml", "--local", *options("then"))

    assert done.returncode == 0
    (simulation,) = json.loads((tmp_path / "then.json").read_text())["rehearsal"]
    assert simulation["groups"] == {"red": ["ada", "bob", "cy"]}
    assert [message["data"] for message in simulation["messages"]] == ["top secret words", "hello"]
    for suffix in ("html", "md", "ndjson"):
        assert "top secret words" in (tmp_path / f"then.{suffix}").read_text()


@pytest.mark.parametrize("args", [["--local"], ["--no-journal"]])
def test_a_run_without_a_journal_leaves_only_its_reports(
    wps_run: Script, service: str, tmp_path: Path, args: list[str]
) -> None:
    """The journal that the reports are made from is temporary."""
    environment = {"WebPubSubConnectionString": service}
    before = set(tmp_path.iterdir())

    done = wps_run(*args, "p.yaml", *options("then"), **environment)

    assert done.returncode in {0, 1}
    reports = {tmp_path / f"then.{suffix}" for suffix in SUFFIXES}
    assert set(tmp_path.iterdir()) - before == reports
    assert len(json.loads((tmp_path / "then.json").read_text())["results"]) == 5


def test_a_rehearsal_with_a_journal_stores_no_message(wps_run: Script, tmp_path: Path) -> None:
    """Nor do its reports, which can be made again from the journal."""
    wps_run("p.yaml", "--local", "--journal", "j", *options("then"))
    wps_run("report", "j", *options("now"))

    assert equal_reports(tmp_path) == list(SUFFIXES)
    for file in ("j", *(f"now.{suffix}" for suffix in SUFFIXES)):
        assert "top secret words" not in (tmp_path / file).read_text()
    (simulation,) = json.loads((tmp_path / "now.json").read_text())["rehearsal"]
    assert simulation["messages"][0]["bytes"] == len("top secret words")
    assert simulation["messages"][0]["receivedBy"] == ["ada", "bob", "cy"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--report", "r.txt"], "ends with .json, .ndjson, .xml, .html, .md or .prom"),
        (["--report", "html"], "ends with .json, .ndjson, .xml, .html, .md or .prom"),
        (["--report", "no/r.html"], "cannot write the report `no/r.html`: No such file"),
        (["--report", "p.yaml/r.html"], "cannot write the report `p.yaml/r.html`: Not a directory"),
        (["--report", "folder.html"], "the report `folder.html` is a folder"),
        (["--report", "r.md", "--report", "./r.md"], "the report `./r.md` is given twice"),
        (["--report", "j.json", "--journal", "j.json"], "would replace a file that the run"),
    ],
)
def test_a_report_that_cannot_be_written_is_refused_before_anything_is_sent(
    wps_run: Script, tmp_path: Path, args: list[str], message: str
) -> None:
    """Exit code 2, and nothing is left behind."""
    (tmp_path / "folder.html").mkdir()
    done = wps_run("p.yaml", "--local", *args)

    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.html", "p.yaml"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit for a file's size")
def test_a_report_that_does_not_fit_is_an_error_and_can_be_made_again(
    script: Path, wps_run: Script, tmp_path: Path
) -> None:
    """The others are written, the old file stays, and the printed command makes the report."""
    (tmp_path / "r.html").write_text("before")
    command = f"{script} --local p.yaml --journal j -q --report r.html --report r.md"
    done = subprocess.run(
        ["/bin/sh", "-c", f"ulimit -f 40; {command}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "r.html`: File too large" in done.stderr
    assert (tmp_path / "r.html").read_text() == "before"
    assert (tmp_path / "r.md").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["j", "p.yaml", "r.html", "r.md"]
    again = done.stderr.split("to write it again: wps-run ")[1].split()
    assert wps_run(*again).returncode == 0
    assert (tmp_path / "r.html").read_text().startswith("<!doctype html>")


def test_a_report_replaces_the_target_of_a_link(wps_run: Script, tmp_path: Path) -> None:
    """The link itself stays."""
    (tmp_path / "real.md").write_text("before")
    (tmp_path / "r.md").symlink_to("real.md")
    wps_run("p.yaml", "--local", "--report", "r.md")

    assert (tmp_path / "r.md").is_symlink()
    assert (tmp_path / "real.md").read_text().startswith("## ")


def test_the_job_summary_is_appended_to(wps_run: Script, tmp_path: Path) -> None:
    """The summaries of earlier steps stay."""
    page = tmp_path / "summary.md"
    page.write_text("before\n")
    wps_run("p.yaml", "--local", GITHUB_STEP_SUMMARY=str(page))
    wps_run("p.yaml", "--local", GITHUB_STEP_SUMMARY=str(page))

    assert page.read_text().startswith("before\n## ✅ p.yaml\n")
    assert page.read_text().count("## ✅ p.yaml\n") == 2


@pytest.mark.parametrize("filled", [True, False])
def test_a_job_summary_that_cannot_be_written_is_a_warning(
    wps_run: Script, tmp_path: Path, *, filled: bool
) -> None:
    """It changes no exit code; neither does one that is full."""
    page = tmp_path / "summary.md"
    if filled:
        page.write_text("x" * (1024 * 1024 - 100))
    else:
        page.mkdir()
    done = wps_run("p.yaml", "--local", GITHUB_STEP_SUMMARY=str(page))

    assert done.returncode == 0
    assert "warning: the job summary is not written" in done.stderr
