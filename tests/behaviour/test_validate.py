"""`wps-run validate`: warnings, formats and colours as its users meet them."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Script = Callable[..., subprocess.CompletedProcess[str]]

JOIN = "  - {actionName: addUserToGroup, userId: ada, group: red}\n"
TWICE = f"hub: chat\nactions:\n{JOIN}{JOIN}"
BAD = f"hub: chat\nactions:\n{JOIN}".replace("group: red", "grup: red")


@pytest.fixture
def twice(tmp_path: Path) -> str:
    """A playbook that is allowed, but hardly meant."""
    (tmp_path / "twice.yaml").write_text(TWICE)
    return "twice.yaml"


def test_warnings_alone_are_0_unless_strict(wps_run: Script, twice: str) -> None:
    """They are marked; `--strict` takes them for problems."""
    done = wps_run("validate", twice)
    strict = wps_run("validate", "--strict", twice)

    assert done.returncode == 0
    assert done.stdout.startswith("twice.yaml:4:18: warning: line 3 has the same")
    assert done.stdout.endswith("1 file checked, no problems, 1 warning\n")
    assert strict.returncode == 1
    assert strict.stdout.startswith("twice.yaml:4:18: line 3 has the same")
    assert strict.stdout.endswith("1 file checked, 1 problem\n")


@pytest.mark.parametrize("args", [("run", "--local"), ("plan",)])
def test_run_and_plan_tell_warnings_and_go_on(
    wps_run: Script, twice: str, args: tuple[str, ...]
) -> None:
    """On stderr, so that reports stay what they are."""
    done = wps_run(*args, twice, "--var", "room=red")

    assert done.returncode == 0
    assert "twice.yaml:4:18: warning: line 3 has the same" in done.stderr
    assert "warning: the variable `room` is given, but no playbook uses it" in done.stderr
    assert "warning" not in done.stdout


def test_a_run_shows_ten_warnings_and_how_many_more(wps_run: Script, tmp_path: Path) -> None:
    """The report is not to be buried."""
    (tmp_path / "many.yaml").write_text(TWICE + JOIN * 20)

    done = wps_run("plan", "many.yaml")

    assert done.stderr.count("warning: line") == 10
    assert done.stderr.endswith("11 more warnings; `wps-run validate` shows them all\n")


def test_a_variable_that_one_of_the_files_uses_is_used(
    wps_run: Script, twice: str, tmp_path: Path
) -> None:
    """One `--var` may be for several playbooks."""
    (tmp_path / "uses.yaml").write_text("actions: [{actionName: sendToAll, data: '${a}'}]")

    both = wps_run("validate", twice, "uses.yaml", "--var", "a=1")
    one = wps_run("validate", twice, "--var", "a=1")

    assert "the variable `a`" not in both.stdout
    assert "warning: the variable `a` is given, but no playbook uses it" in one.stdout


def test_a_file_that_is_no_yaml_may_have_used_the_variable(wps_run: Script, tmp_path: Path) -> None:
    """So nothing is said of it."""
    (tmp_path / "broken.yaml").write_text("actions: [")

    done = wps_run("validate", "broken.yaml", "--var", "a=1")

    assert done.returncode == 1
    assert "the variable `a`" not in done.stdout


@pytest.mark.parametrize("form", ["text", "json", "github", "sarif"])
def test_the_exit_code_is_the_same_in_every_format(
    wps_run: Script, tmp_path: Path, form: str
) -> None:
    """0 without findings, 1 with some, 2 for what cannot be read."""
    (tmp_path / "good.yaml").write_text(f"actions:\n{JOIN}")
    (tmp_path / "bad.yaml").write_text(BAD)

    codes = [
        wps_run("validate", "--format", form, f"{name}.yaml").returncode
        for name in ("good", "bad", "none")
    ]

    assert codes == [0, 1, 2]


def test_files_are_named_from_the_current_folder_for_github(
    wps_run: Script, tmp_path: Path
) -> None:
    """As the files of a repository are, even when an absolute path was given."""
    (tmp_path / "a b.yaml").write_text(BAD)

    github = wps_run("validate", "--format", "github", tmp_path / "a b.yaml").stdout
    sarif = json.loads(wps_run("validate", "--format", "sarif", tmp_path).stdout)

    assert github.startswith("::error file=a b.yaml,line=3,col=47,endColumn=51,title=unknown-key::")
    place = sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "a%20b.yaml"}


def test_in_github_actions_the_format_is_still_text(wps_run: Script, twice: str) -> None:
    """What a command prints does not depend on where it runs."""
    plain = wps_run("validate", twice).stdout

    assert wps_run("validate", twice, GITHUB_ACTIONS="true").stdout == plain


def test_colours_can_be_forced_and_refused(wps_run: Script, twice: str) -> None:
    """On a pipe there are none by default."""
    assert "\x1b[" not in wps_run("validate", twice).stdout
    assert "\x1b[" in wps_run("validate", twice, FORCE_COLOR="1").stdout
    assert "\x1b[" not in wps_run("validate", twice, FORCE_COLOR="1", NO_COLOR="1").stdout
    assert "\x1b[" not in wps_run("validate", twice, "--format", "json", FORCE_COLOR="1").stdout
    assert "\x1b[" in wps_run("plan", twice, FORCE_COLOR="1").stderr


def test_folders_are_searched_for_playbooks_not_for_schemas(
    wps_run: Script, tmp_path: Path, twice: str
) -> None:
    """`wps-run schema --write` may write beside them."""
    assert wps_run("schema", "--write", tmp_path / "schemas").returncode == 0

    assert wps_run("validate", ".").stdout.endswith("1 file checked, no problems, 1 warning\n")
    assert twice
