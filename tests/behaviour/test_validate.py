"""`wps-run validate`: warnings, formats and colors."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Script = Callable[..., subprocess.CompletedProcess[str]]

JOIN = "  - {actionName: addUserToGroup, userId: ada, group: red}\n"
REPEATED = f"hub: chat\nactions:\n{JOIN}{JOIN}"
BAD = f"hub: chat\nactions:\n{JOIN}".replace("group: red", "grup: red")


@pytest.fixture
def repeated(tmp_path: Path) -> str:
    """A playbook with a repeated action, which is a warning."""
    (tmp_path / "twice.yaml").write_text(REPEATED)
    return "twice.yaml"


def test_warnings_alone_exit_with_0_unless_strict(wps_run: Script, repeated: str) -> None:
    process = wps_run("validate", repeated)
    strict = wps_run("validate", "--strict", repeated)

    assert process.returncode == 0
    assert process.stdout.startswith("twice.yaml:4:18: warning: line 3 has the same")
    assert process.stdout.endswith("1 file checked, no problems, 1 warning\n")
    assert strict.returncode == 1
    assert strict.stdout.startswith("twice.yaml:4:18: error: line 3 has the same")
    assert strict.stdout.endswith("1 file checked, 1 problem\n")


@pytest.mark.parametrize("args", [("run", "--local"), ("plan",)])
def test_run_and_plan_print_warnings_on_stderr(
    wps_run: Script, repeated: str, args: tuple[str, ...]
) -> None:
    process = wps_run(*args, repeated, "--var", "room=red")

    assert process.returncode == 0
    assert "twice.yaml:4:18: warning: line 3 has the same" in process.stderr
    assert "warning: the variable `room` is given, but no playbook uses it" in process.stderr
    assert "warning" not in process.stdout


@pytest.mark.parametrize("args", [("run", "--local"), ("plan",), ("validate",)])
def test_warnings_about_rows_are_shown_by_all_three(
    wps_run: Script, tmp_path: Path, args: tuple[str, ...]
) -> None:
    (tmp_path / "rows.csv").write_text("team\nred \n")
    (tmp_path / "rows.yaml").write_text(
        "actions:\n"
        "  - {actionName: sendToGroup, group: '${each.team}', data: x, forEach: {file: rows.csv}}\n"
    )

    process = wps_run(*args, "rows.yaml")

    assert process.returncode == 0
    output = process.stdout if args == ("validate",) else process.stderr
    assert "rows.csv:2: warning: this cell has blanks around it" in output


def test_every_format_has_the_rules_of_warnings(wps_run: Script, tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("actions: []\n")

    outputs = {
        form: wps_run("validate", "--format", form, "empty.yaml").stdout
        for form in ("text", "json", "github", "sarif")
    }

    assert "warning: there are no actions" in outputs["text"]
    assert json.loads(outputs["json"])["problems"][0]["rule"] == "no-actions"
    assert outputs["github"].startswith("::warning file=empty.yaml,line=1")
    (rule,) = json.loads(outputs["sarif"])["runs"][0]["tool"]["driver"]["rules"]
    assert rule["id"] == "no-actions"
    assert rule["defaultConfiguration"] == {"level": "warning"}


def test_a_folder_is_searched_for_batches_of_lines(wps_run: Script, tmp_path: Path) -> None:
    """Rows, results and journals are files of lines, too."""
    batch = '{"data": "x"}\n{"ActionName": "sendToAl", "data": "x"}\n'
    result = '{"type": "result", "actionName": "sendToAll", "status": "ok"}\n'
    for suffix in ("ndjson", "jsonl"):
        (tmp_path / f"batch.{suffix}").write_text(batch)
        (tmp_path / f"rows.{suffix}").write_text('{"userId": "ada"}\n')
        (tmp_path / f"results.{suffix}").write_text(result + '{"type": "resu')
    with (tmp_path / "many.ndjson").open("w") as file:
        file.truncate(17 * 1024 * 1024)

    process = wps_run("validate", ".")

    assert process.returncode == 1
    assert "batch.ndjson:2:" in process.stdout
    assert "batch.jsonl:2:" in process.stdout
    assert process.stdout.endswith("2 files checked, 4 problems\n")
    assert process.stderr.endswith("5 files are no playbooks, skipped\n")


def test_warnings_never_hide_an_error_nor_become_one(wps_run: Script, tmp_path: Path) -> None:
    """However many there are."""
    (tmp_path / "many.yaml").write_text(REPEATED + JOIN * 600)
    (tmp_path / "wrong.yaml").write_text(REPEATED + JOIN * 600 + "  - {actionName: sendToAl}\n")

    assert wps_run("validate", "many.yaml").returncode == 0
    assert wps_run("validate", "wrong.yaml").returncode == 1


def test_plan_prints_ten_warnings_and_the_number_of_others(wps_run: Script, tmp_path: Path) -> None:
    (tmp_path / "many.yaml").write_text(REPEATED + JOIN * 20)

    process = wps_run("plan", "many.yaml")

    assert process.stderr.count("warning: line") == 10
    assert process.stderr.endswith("11 more warnings; `wps-run validate` shows them all\n")


def test_variable_that_any_file_uses_gets_no_warning(
    wps_run: Script, repeated: str, tmp_path: Path
) -> None:
    (tmp_path / "uses.yaml").write_text("actions: [{actionName: sendToAll, data: '${a}'}]")

    both = wps_run("validate", repeated, "uses.yaml", "--var", "a=1")
    unused = wps_run("validate", repeated, "--var", "a=1")

    assert "the variable `a`" not in both.stdout
    assert "warning: the variable `a` is given, but no playbook uses it" in unused.stdout


def test_unreadable_file_may_use_the_variable(wps_run: Script, tmp_path: Path) -> None:
    """So there is no warning."""
    (tmp_path / "broken.yaml").write_text("actions: [")

    process = wps_run("validate", "broken.yaml", "--var", "a=1")

    assert process.returncode == 1
    assert "the variable `a`" not in process.stdout


@pytest.mark.parametrize("format_name", ["text", "json", "github", "sarif"])
def test_exit_code_is_the_same_in_every_format(
    wps_run: Script, tmp_path: Path, format_name: str
) -> None:
    """0 without findings, 1 with some, 2 if a file cannot be read."""
    (tmp_path / "good.yaml").write_text(f"actions:\n{JOIN}")
    (tmp_path / "bad.yaml").write_text(BAD)

    codes = [
        wps_run("validate", "--format", format_name, f"{name}.yaml").returncode
        for name in ("good", "bad", "none")
    ]

    assert codes == [0, 1, 2]


def test_paths_for_github_are_relative_to_the_current_folder(
    wps_run: Script, tmp_path: Path
) -> None:
    """Also if an absolute path was given."""
    (tmp_path / "a b.yaml").write_text(BAD)

    github = wps_run("validate", "--format", "github", tmp_path / "a b.yaml").stdout
    sarif = json.loads(wps_run("validate", "--format", "sarif", tmp_path).stdout)

    assert github.startswith("::error file=a b.yaml,line=3,col=47,endColumn=51,title=unknown-key::")
    location = sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    assert location["artifactLocation"] == {"uri": "a%20b.yaml"}


def test_format_does_not_depend_on_github_actions(wps_run: Script, repeated: str) -> None:
    plain = wps_run("validate", repeated).stdout

    assert wps_run("validate", repeated, GITHUB_ACTIONS="true").stdout == plain


def test_colors_can_be_forced_and_disabled(wps_run: Script, repeated: str) -> None:
    """On a pipe there are none by default."""
    assert "\x1b[" not in wps_run("validate", repeated).stdout
    assert "\x1b[" in wps_run("validate", repeated, FORCE_COLOR="1").stdout
    assert "\x1b[" not in wps_run("validate", repeated, FORCE_COLOR="1", NO_COLOR="1").stdout
    assert "\x1b[" not in wps_run("validate", repeated, "--format", "json", FORCE_COLOR="1").stdout
    assert "\x1b[" in wps_run("plan", repeated, FORCE_COLOR="1").stderr


@pytest.mark.usefixtures("repeated")
def test_folders_are_searched_for_playbooks_only(wps_run: Script, tmp_path: Path) -> None:
    """`wps-run schema --write` may write beside them."""
    assert wps_run("schema", "--write", tmp_path / "schemas").returncode == 0

    assert wps_run("validate", ".").stdout.endswith("1 file checked, no problems, 1 warning\n")


NAMES = "  - {actionName: sendToAll, data: Hi}\n"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A folder with playbooks among files of other tools, as in a repository."""
    files: dict[str, str | bytes] = {
        "playbooks/good.yaml": f"actions:\n{NAMES}",
        "batch.json": '[{"actionName": "SENDTOALL", "data": "Hi"}]',
        "only-options.yml": "concurrency: 3\n",
        "playbooks/broken.yaml": f'actions:\n{NAMES}  - {{actionName: "sendToAll\n',
        "playbooks/utf-16.json": f"actions:\n{NAMES}".encode("utf-16"),
        "package.json": '{"name": "x", "version": "1.0.0"}',
        "members.yaml": "- {userId: ada}\n",
        "empty.yaml": "",
        "tsconfig.json": '{"$schema": "x"}',
        ".github/workflows/ci.yml": "actions: 1\n",
        "ci/workflow.yml": "on: push\nconcurrency: ci\njobs: {}\n",
        "chart/templates/app.yaml": "{{- if .Values.on }}\nkind: Pod\n{{- end }}\n",
        "node_modules/a/p.yaml": "actions: 1\n",
        ".venv/p.yaml": "actions: 1\n",
        "env/pyvenv.cfg": "",
        "env/lib/p.yaml": "actions: 1\n",
    }
    for name, text in files.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return tmp_path


@pytest.mark.usefixtures("repository")
def test_in_a_folder_only_playbooks_are_checked(wps_run: Script) -> None:
    """A broken file counts when its text has a key of a playbook; other files are counted."""
    process = wps_run("validate", "--format", "json", ".")

    report = json.loads(process.stdout)
    assert process.returncode == 1
    assert report["files"] == 5
    assert {problem["file"] for problem in report["problems"]} == {
        "only-options.yml",
        "playbooks/broken.yaml",
        "playbooks/utf-16.json",
    }
    assert process.stderr == (
        "note: 5 files are no playbooks, skipped\n"
        "note: 1 file is neither YAML nor JSON, and no playbook, skipped: "
        "chart/templates/app.yaml\n"
    )


@pytest.mark.usefixtures("repository")
def test_a_file_that_is_named_is_always_checked(wps_run: Script) -> None:
    """Also one in a folder that is not searched."""
    files = ["members.yaml", "package.json", "empty.yaml", "chart/templates/app.yaml"]

    process = wps_run("validate", "--format", "json", *files, "node_modules/a/p.yaml")

    report = json.loads(process.stdout)
    assert report["files"] == 5
    assert {problem["file"] for problem in report["problems"]} == {*files, "node_modules/a/p.yaml"}


def test_a_folder_without_a_playbook_is_wrong_usage(wps_run: Script, tmp_path: Path) -> None:
    """A check that checks nothing must not succeed."""
    (tmp_path / "values.yaml").write_text("replicas: 3\n")

    process = wps_run("validate", ".")

    assert process.returncode == 2
    assert process.stdout == ""
    assert "note: 1 file is no playbook, skipped\n" in process.stderr
    assert "no playbook was found" in process.stderr
