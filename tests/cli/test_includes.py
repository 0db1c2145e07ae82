"""`- include: FILE`: the actions of other files, their variables, and what is wrong with them."""

import io
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import CommandLine

from wps_run import input_limits
from wps_run.checking import load_playbook
from wps_run.emulator.testing import LocalPubSub
from wps_run.problems import PlaybookError

Write = Callable[..., None]

JOIN = "{actionName: addUserToGroup, userId: ada, group: '${team}'}"
COMMON = f"vars: {{team: {{required: true}}}}\nactions: [{JOIN}]\n"


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes files below an empty folder, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    def call(**files: str) -> None:
        for name, text in files.items():
            file = Path(f"{name.replace('__', '/')}.yaml")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, "utf-8")

    return call


@pytest.fixture
def steps_of(command_line: CommandLine) -> Callable[..., list[dict[str, Any]]]:
    """Returns the steps of a plan."""

    def call(*args: str) -> list[dict[str, Any]]:
        code, out, err = command_line("plan", "--hub", "chat", "--format", "ndjson", *args)
        assert code == 0, err
        lines = map(json.loads, out.splitlines())
        return [line for line in lines if line["type"] == "step"]

    return call


Steps = Callable[..., list[dict[str, Any]]]


def test_actions_of_a_file_run_where_it_is_included(write: Write, steps_of: Steps) -> None:
    """Groups of the file come first; steps are numbered on, and have the place in their file."""
    write(
        main="""
actions:
  - {actionName: sendToAll, data: first}
  - include: teams/common.yaml
    vars: {team: red}
  - {actionName: sendToAll, data: last}
""",
        teams__common="""
vars: {team: {required: true}}
groups: {"${team}-staff": {users: [boss]}}
actions:
  - forEach: {file: people.csv}
    actionName: addUserToGroup
    userId: ${each.id}
    group: ${team}
""",
    )
    Path("teams/people.csv").write_text("id\nada\nbob\n")

    found = [
        (step["index"], step["action"], step["target"].get("group"), step["source"])
        for step in steps_of("main.yaml")
    ]
    assert found == [
        (0, 0, None, "main.yaml:3"),
        (1, 1, "red-staff", "teams/common.yaml:3"),
        (2, 2, "red", "teams/people.csv:2"),
        (3, 2, "red", "teams/people.csv:3"),
        (4, 3, None, "main.yaml:6"),
    ]


def test_each_place_gives_its_own_values(write: Write, steps_of: Steps) -> None:
    """They may use variables of the file that includes, lists too; `--var` overrides them."""
    write(
        main="""
vars: {room: launch, everyone: [ada, bob]}
actions:
  - include: common.yaml
    vars: {team: "${room}-red", people: "${everyone}"}
  - include: common.yaml
    vars: {team: 007, people: [cy]}
""",
        common="""
vars: {team: {required: true}, people: {type: list}, suffix: x}
actions:
  - forEach: ${people}
    actionName: addUserToGroup
    userId: ${each}
    group: ${team}-${suffix}
""",
    )

    def targets(*args: str) -> list[str]:
        steps = steps_of("main.yaml", *args)
        return [f"{step['target']['userId']}@{step['target']['group']}" for step in steps]

    assert targets() == ["ada@launch-red-x", "bob@launch-red-x", "cy@007-x"]
    assert targets("--var", "suffix=y", "--var", "team=t") == ["ada@t-y", "bob@t-y", "cy@t-y"]


def test_includes_below_includes_are_relative_to_their_own_file(
    write: Write, steps_of: Steps
) -> None:
    write(
        main="actions: [{include: a/one.yaml, vars: {team: red}}]",
        a__one=f"vars: {{team: x}}\nactions: [{{include: ../b/two.yaml}}, {JOIN}]",
        b__two="vars: {team: blue}\nactions: [{include: three.yaml, vars: {team: '${team}-3'}}]",
        b__three=COMMON,
    )

    sources = [(step["target"]["group"], step["source"]) for step in steps_of("main.yaml")]
    assert sources == [("blue-3", "b/three.yaml:2"), ("red", "a/one.yaml:2")]


def test_finally_of_included_files_runs_at_the_end(write: Write, steps_of: Steps) -> None:
    write(
        main="""
actions: [{include: inner.yaml}, {actionName: sendToAll, data: own}]
finally: [{actionName: sendToAll, data: end}, {include: inner.yaml}]
""",
        inner="actions: [{actionName: sendToGroup, group: in, data: x}]\n"
        "finally: [{actionName: closeGroupConnections, group: in}]\n",
    )

    assert [step["actionName"] for step in steps_of("main.yaml")] == [
        "sendToGroup",
        "sendToAll",
        "closeGroupConnections",
        "sendToAll",
        "sendToGroup",
        "closeGroupConnections",
    ]


def test_expectations_of_included_files_are_checked(
    write: Write, command_line: CommandLine
) -> None:
    expect = "expect: [{group: '${team}', has: [ada]}, {group: '${team}', hasNot: [eve]}]\n"
    write(
        main="actions: [{include: c.yaml, vars: {team: a}}, {include: c.yaml, vars: {team: b}}]",
        c=COMMON + expect,
    )

    code, out, _ = command_line("main.yaml", "--local")

    assert code == 0
    assert "4 expectations: 4 ok" in out


def test_tags_of_an_include_are_added_to_those_of_its_actions(write: Write) -> None:
    write(
        main="actions: [{include: one.yaml, tags: [a]}, {actionName: sendToAll, data: x}]",
        one="groups: {red: {users: [ada]}}\nactions: [{include: two.yaml, tags: [b]}]",
        two="actions: [{actionName: sendToAll, data: y}]",
    )

    tags = [sorted(template.tags) for template in load_playbook("main.yaml").actions]
    assert tags == [["a"], ["a", "b"], []]


def test_a_run_can_select_what_was_included_by_its_tags(
    write: Write, steps_of: Steps, command_line: CommandLine
) -> None:
    """Its expectations, too."""
    entry = "{{include: c.yaml, tags: [{0}], vars: {{team: {0}}}}}"
    write(
        main=f"hub: chat\nactions: [{entry.format('red')}, {entry.format('blue')}]",
        c=f"{COMMON}expect: [{{group: '${{team}}', has: [ada]}}]\n",
    )

    steps = steps_of("main.yaml", "--tags", "blue")
    assert [(step["index"], step["target"]["group"]) for step in steps] == [(1, "blue")]
    code, out, _ = command_line("main.yaml", "--local", "--tags", "blue")
    assert (code, "1 expectation: 1 ok" in out) == (0, True)


FILE = "  - include: common.yaml\n"

BAD: dict[str, tuple[str, str]] = {
    "missing": ("  - include: comon.yaml\n", "3:14: error: there is no file `comon.yaml`; did you"),
    "elsewhere": (
        "  - include: main.yaml\n  - include: sub/x.yaml\n",
        "4:14: error: there is no file `sub/x.yaml`; the path is relative to this file",
    ),
    "folder": ("  - include: folder\n", "3:14: error: `folder` is a folder; name a file in it"),
    "itself": ("  - include: ./main.yaml\n", "`main.yaml` → `main.yaml`"),
    "outside": ("  - include: ../x.yaml\n", "3:14: error: `../x.yaml` is outside the folder"),
    "absolute": ("  - include: /etc/passwd\n", "3:14: error: `include` is relative to the file"),
    "variable": ("  - include: ${x}.yaml\n", "3:14: error: `include` is read before variables"),
    "number": ("  - include: 7\n", "3:14: error: `include` must be the name of a file, not a num"),
    "empty": ("  - include:\n", "3:13: error: `include` has no value"),
    "misspelled": ("  - includ: common.yaml\n", "3:5: error: `includ` is not a key of an action;"),
    "key": (f"{FILE}    forEach: [a]\n", "4:5: error: `forEach` is not a key of an entry with `in"),
    "action": (f"{FILE}    actionName: sendToAll\n", "4:5: error: an entry is an action or inclu"),
    "values": (f"{FILE}    vars: [a]\n", "4:11: error: `vars` must be a mapping of names to value"),
    "declared": (f"{FILE}    vars: {{team: {{type: list}}}}\n", "4:18: error: `team` is declared"),
    "null": (f"{FILE}    vars: {{team: }}\n", "error: `team` must be a string, a number, true or"),
    "name": (f"{FILE}    vars: {{7x: a}}\n", "4:12: error: `7x` cannot name a variable"),
    "tags": (f"{FILE}    tags: red\n", "4:11: error: `tags` must be a list"),
    "row": (f"{FILE}    vars: {{team: '${{each}}'}}\n", "`${each}` names a row, and an include ha"),
    "list": (f"{FILE}    vars: {{team: ['${{x}}']}}\n", "`${x}` is not replaced in a list; pass a"),
    "unknown": (f"{FILE}    vars: {{taem: red}}\n", "4:12: error: `common.yaml` has no variable `"),
    "undefined": (f"{FILE}    vars: {{team: '${{x}}'}}\n", "4:19: error: `${x}` names no variable"),
    "secret": (
        f"{FILE}    vars: {{team: '${{env.API_KEY}}'}}\n",
        "4:19: error: the environment variable `API_KEY` by its name holds a key",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("entries", "message"), BAD.values(), ids=BAD)
def test_wrong_includes_are_errors_at_their_place(
    write: Write, command_line: CommandLine, entries: str, message: str
) -> None:
    """`validate` reports them, and nothing runs."""
    write(main=f"hub: chat\nactions:\n{entries}", common=COMMON, folder__file="", unused__x="")

    code, out, err = command_line("validate", "main.yaml")
    assert code == 1
    assert message in out
    assert "Traceback" not in out + err

    assert command_line("main.yaml", "--local")[0] == 2


IN_FILE: dict[str, tuple[str, str]] = {
    "hub": (f"hub: x\n{COMMON}", "common.yaml:1:1: error: `hub` is for the playbook that includes"),
    "option": (f"{COMMON}rate: 5\n", "common.yaml:3:1: error: `rate` is for the playbook that inc"),
    "connection": (f"connection: C\n{COMMON}", "common.yaml:1:1: error: `connection` is for the p"),
    "batch": ("- {actionName: sendToAll, data: x}\n", "common.yaml:1:1: error: a bare batch canno"),
    "syntax": ("actions: [\n", "common.yaml:2:1: error: "),
    "nothing": ("", "common.yaml:1:1: error: the file is empty"),
    "other": ("services: {a: b}\n", "common.yaml:1:1: error: this is a Docker Compose file"),
    "action": ("actions:\n  - actionName: sendToAl\n    data: x\n", "common.yaml:2:17: error: `se"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "message"), IN_FILE.values(), ids=IN_FILE)
def test_what_is_wrong_in_an_included_file_is_reported_there(
    write: Write, command_line: CommandLine, text: str, message: str
) -> None:
    """Once, however often it is included; with the place that includes it."""
    write(
        main="hub: chat\nactions:\n  - include: common.yaml\n  - include: common.yaml\n",
        common=text,
    )

    code, out, _ = command_line("validate", "main.yaml")

    assert code == 1
    assert out.count(message) == 1
    assert "used in main.yaml:3:14" in out


def test_other_formats_have_the_place_in_the_included_file(
    write: Write, command_line: CommandLine
) -> None:
    write(main="actions: [{include: sub/c.yaml}]", sub__c="actions: [{actionName: sendToAl}]")

    github = command_line("validate", "--format", "github", "main.yaml")[1]
    sarif = json.loads(command_line("validate", "--format", "sarif", "main.yaml")[1])

    assert "file=sub/c.yaml,line=1,col=24" in github
    (result,) = sarif["runs"][0]["results"]
    location = result["locations"][0]["physicalLocation"]
    assert location["artifactLocation"]["uri"] == "sub/c.yaml"
    assert location["region"]["startColumn"] == 24


def test_a_folder_is_checked_with_its_included_files_alone(
    write: Write, command_line: CommandLine
) -> None:
    """A file that declares what it needs passes; an error in it is reported once."""
    write(main="actions: [{include: sub/c.yaml, vars: {team: red}}]", sub__c=COMMON)
    assert command_line("validate", ".")[:2] == (0, "2 files checked, no problems\n")

    write(sub__c=COMMON.replace("addUserToGroup", "addUserToGrup"))
    code, out, _ = command_line("validate", ".")

    assert (code, out.count("error:")) == (1, 1)
    assert out.endswith("2 files checked, 1 problem\n")


def test_a_variable_without_a_value_is_an_error_of_the_include(
    write: Write, command_line: CommandLine
) -> None:
    """`validate` warns, since `--var` may give the value."""
    write(main="hub: chat\nactions:\n  - include: common.yaml\n", common=COMMON)

    code, out, _ = command_line("validate", "main.yaml")
    assert code == 0
    assert "main.yaml:3:14: warning: the variable `team` has no value in this file; add `va" in out
    code, _, err = command_line("plan", "main.yaml")
    assert code == 2
    assert "main.yaml:3:14: error: the variable `team` has no value in this file; add `vars:" in err
    assert command_line("plan", "main.yaml", "--var", "team=red")[0] == 0


SIZE = "actions: [{actionName: sendToAll, data: '${size}'}]\n"


def test_a_value_that_is_passed_on_is_missing_once(write: Write, command_line: CommandLine) -> None:
    """Where it is needed first: in the playbook, not in each file below it."""
    entry = "actions: [{include: %s.yaml, vars: {team: '${team}'}}]"
    write(
        main=f"hub: chat\nvars: {{team: {{required: true}}}}\n{entry % 'sub'}",
        sub=f"vars: {{team: {{required: true}}}}\n{entry % 'common'}",
        common=COMMON,
    )

    assert command_line("validate", "main.yaml")[1] == "1 file checked, no problems\n"
    err = command_line("plan", "main.yaml")[2]
    assert err.count("error: the variable `team` has no value") == err.count("has no value") == 1


def test_values_are_checked_by_the_declarations_of_the_included_file(
    write: Write, command_line: CommandLine
) -> None:
    write(
        main="hub: chat\nactions:\n  - include: c.yaml\n    vars: {size: many}\n",
        c=f"vars: {{size: {{type: number, required: true}}}}\n{SIZE}",
    )

    code, _, err = command_line("plan", "main.yaml")

    assert code == 2
    assert "`size` must be a number, not `many`; the value is in main.yaml:4:18" in err


def test_values_that_are_not_known_yet_are_not_checked(
    write: Write, command_line: CommandLine
) -> None:
    """`validate` does not know the environment, so the default of the file must not stand in."""
    write(
        main="actions: [{include: c.yaml, vars: {size: '${env.SIZE}'}}]",
        c=f"vars: {{size: {{type: number, default: 1}}}}\n{SIZE}",
    )

    assert command_line("validate", "c.yaml", "main.yaml")[0] == 0


def test_files_stay_below_the_repository(
    write: Write, command_line: CommandLine, tmp_path: Path
) -> None:
    """Its root is the nearest parent with `.git`; symbolic links are followed before."""
    write(
        repository__plays__main="hub: chat\nactions: [{include: ../common.yaml}]",
        repository__common="actions: [{actionName: sendToAll, data: x}]",
        repository__plays__out="hub: chat\nactions: [{include: link.yaml}]",
        private="actions: [{actionName: sendToAll, data: private}]",
    )
    Path("repository/plays/link.yaml").symlink_to(tmp_path / "private.yaml")
    assert command_line("validate", "repository/plays/main.yaml")[0] == 1

    Path("repository/.git").mkdir()
    assert command_line("validate", "repository/plays/main.yaml")[0] == 0
    for path in ("repository", "repository/plays/out.yaml"):
        code, out, _ = command_line("validate", path)
        assert code == 1
        assert "out.yaml:2:21: error: `repository/plays/link.yaml` is a symbolic link that" in out


def test_a_folder_that_is_checked_is_not_left(write: Write, command_line: CommandLine) -> None:
    """Also for a file of the same repository, which can be named."""
    write(
        plays__main="actions: [{include: ../common.yaml}]",
        common="actions: [{actionName: sendToAll, data: x}]",
    )
    Path(".git").mkdir()

    code, out, _ = command_line("validate", "plays")
    assert code == 1
    assert "is outside the folder `plays`, and is not read; name the file itself" in out
    assert command_line("validate", "plays/main.yaml")[0] == 0


@pytest.mark.parametrize("text", ["key: SECRET\n", "{a: 'SECRET\n", '{"Values": {"K": "SECRET"}}'])
def test_lines_of_other_files_are_not_shown(
    write: Write, command_line: CommandLine, text: str
) -> None:
    """A stranger's playbook may include what is confidential; of git's folder nothing is read."""
    write(main="hub: x\nactions:\n  - include: s.yaml\n  - include: .git/config\n", s=text)
    Path(".git").mkdir()
    Path(".git/config").write_text("extraheader: SECRET\n")

    for command in ("validate", "plan"):
        code, out, err = command_line(command, "main.yaml")
        assert code
        assert "s.yaml:" in out + err
        assert "`.git/config` is in a folder `.git`, and is not read" in out + err
        assert "SECRET" not in out + err


@pytest.mark.parametrize(("levels", "code"), [(20, 0), (21, 2)])
def test_files_include_each_other_up_to_twenty_levels(
    write: Write, command_line: CommandLine, levels: int, code: int
) -> None:
    write(**{f"f{n}": f"actions: [{{include: f{n + 1}.yaml}}]" for n in range(levels)})
    write(**{f"f{levels}": "actions: [{actionName: sendToAll, data: x}]"})

    found, _, err = command_line("plan", "--hub", "chat", "f0.yaml")

    assert found == code
    assert ("f20.yaml:1:21: error: the chain of includes has more than 20 levels" in err) == (
        code == 2
    )


def test_a_cycle_is_an_error_that_names_the_files(write: Write, command_line: CommandLine) -> None:
    write(
        main="actions: [{include: sub/a.yaml}]",
        sub__a="actions: [{include: b.yaml}]",
        sub__b="actions: [{include: ../sub/a.yaml}]",
    )

    code, out, _ = command_line("validate", "main.yaml")

    assert code == 1
    assert "sub/b.yaml:1:21: error: this file would include itself: " in out
    assert "`sub/a.yaml` → `sub/b.yaml` → `sub/a.yaml`" in out


def test_includes_cannot_multiply_without_limit(
    write: Write, command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each place counts: twenty levels of two includes each would be a million."""
    monkeypatch.setattr(
        input_limits, "PLAYBOOK_FILES", input_limits.PLAYBOOK_FILES._replace(value=300)
    )
    twice = "actions: [{{include: f{0}.yaml}}, {{include: f{0}.yaml}}]"
    write(**{f"f{n}": twice.format(n + 1) for n in range(20)})
    write(f20="actions: [{actionName: sendToAll, data: x}]")

    code, out, _ = command_line("validate", "f0.yaml")

    assert code == 1
    assert out.count("has more than 300 files") == 1


def test_the_size_of_a_file_counts_each_time_it_is_included(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(main="actions: [{include: c.yaml}, {include: c.yaml}]", c=f"# {'x' * 500}\nactions: []\n")
    load_playbook("main.yaml")

    monkeypatch.setattr(input_limits, "PLAYBOOKS", input_limits.PLAYBOOKS._replace(value=800))
    with pytest.raises(PlaybookError, match="has more than 800 bytes"):
        load_playbook("main.yaml")


def test_a_playbook_on_standard_input_includes_from_the_working_directory(
    write: Write, command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(common=COMMON)
    text = "hub: chat\nactions: [{include: common.yaml, vars: {team: red}}]"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    code, out, _ = command_line("-", "--local")

    assert (code, "group=red" in out) == (0, True)


def test_the_same_text_with_other_values_is_no_repetition(
    write: Write, command_line: CommandLine
) -> None:
    """Nor does it undo what other values did. Warnings about the file itself appear once."""
    leave = JOIN.replace("addUserToGroup", "removeUserFromGroup")
    write(
        main="actions:\n"
        + "".join(f"  - {{include: c.yaml, vars: {{team: {team}}}}}\n" for team in "ab"),
        c=f"vars: {{team: {{required: true}}, unused: x}}\nactions: [{leave}, {JOIN}]",
    )

    _, out, _ = command_line("validate", "main.yaml")

    assert re.findall(r": warning: (.*);", out) == ["no action uses the variable `unused`"]


def test_what_is_the_same_each_time_a_file_is_included_is_said_so(
    write: Write, command_line: CommandLine
) -> None:
    """An expectation may be; an action is a warning, and a contradiction an error."""
    write(
        main="""
actions:
  - {include: a.yaml, vars: {user: ada}}
  - {include: a.yaml, vars: {user: bob}}
""",
        a="""
vars: {user: {required: true}}
actions: [{actionName: sendToUser, userId: ada, data: x}]
expect:
  - {user: ada, connected: true}
  - {group: "of-${user}", users: ["${user}"]}
""",
    )
    code, out, _ = command_line("validate", "main.yaml")
    assert (code, out.count("problem"), out.count("warning: ")) == (0, 1, 1)
    assert "a.yaml:3:24: warning: another include of this file has the same `sendToUser`" in out

    write(a=Path("a.yaml").read_text().replace("of-${user}", "all"))
    code, out, _ = command_line("validate", "main.yaml")
    assert code == 1
    assert "error: this contradicts the entry in another include of this file: " in out


def test_an_action_that_another_file_makes_useless_is_a_warning(
    write: Write, command_line: CommandLine
) -> None:
    write(
        main="actions:\n  - {actionName: closeAllConnections}\n  - include: c.yaml\n",
        c="actions: [{actionName: sendToAll, data: x}]",
    )

    out = command_line("validate", "main.yaml")[1]

    assert (
        "c.yaml:1:24: warning: `sendToAll` comes after `closeAllConnections` at main.yaml:2" in out
    )


def test_a_group_is_listed_once_in_all_files(write: Write, command_line: CommandLine) -> None:
    write(
        main="groups: {red: {users: [ada]}}\nactions: [{include: c.yaml}]",
        c="groups: {red: {users: [bob]}}\nactions: []",
    )

    out = command_line("validate", "main.yaml")[1]

    assert "c.yaml:1:10: error: the group `red` is already listed at main.yaml:1:10" in out


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalPubSub]:
    with LocalPubSub() as running:
        monkeypatch.setenv("WebPubSubConnectionString", running.connection_string)
        yield running


@pytest.mark.usefixtures("service")
def test_a_resumed_run_names_the_included_file_that_changed(
    write: Write, command_line: CommandLine
) -> None:
    """Also a file of rows that only an included file reads."""
    write(
        main="hub: chat\nonError: continue\nactions: [{include: sub/c.yaml, vars: {team: red}}]",
        sub__c=COMMON.replace("actions: [", "actions: [{forEach: {file: r.csv}, actionName: "
                              "sendToUser, userId: '${each.id}', data: x}, "),
    )  # fmt: skip
    Path("sub/r.csv").write_text("id\nbob\n")
    assert command_line("main.yaml", "--journal", "j")[0] == 1  # ada is not connected
    text = Path("sub/c.yaml").read_text("utf-8")

    write(sub__c=text.replace("data: x", "data: y"))
    code, _, err = command_line("main.yaml", "--resume", "j")
    assert code == 2
    assert "the included file sub/c.yaml of the playbook main.yaml" in err

    write(sub__c=text)
    Path("sub/r.csv").write_text("id\neve\n")
    code, _, err = command_line("main.yaml", "--resume", "j")
    assert code == 2
    assert "the file r.csv of the included file sub/c.yaml of the playbook main.yaml" in err

    Path("sub/r.csv").write_text("id\nbob\n")
    assert command_line("main.yaml", "--resume", "j", "--failed")[0] == 1
