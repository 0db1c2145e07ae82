"""Where the options of a run come from: flags, variables, `wps-run.yaml`, playbooks."""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from wps_run.checking import load_playbook
from wps_run.cli.commands.run import command as run_command
from wps_run.cli.configuration import configured
from wps_run.cli.options import given_options, overrides_from, reused_values
from wps_run.emulator.testing import LocalPubSub
from wps_run.planning import RunOverrides, plan
from wps_run.playbook.configuration import FILE_NAME, read_configuration
from wps_run.playbook.options import (
    ACCESS_OPTIONS,
    CONFIGURATION_KEYS,
    CONFIRM,
    CONNECTION,
    DURATION,
    FAILURE_LIMIT,
    HUB,
    MOMENT,
    PROCESS_COUNT,
    PROCESSES,
    TIMEOUT,
    Option,
    RunOptions,
    flagged_options,
)
from wps_run.playbook.schema import configuration_schema
from wps_run.problems import PlaybookError

CommandLine = Callable[..., tuple[int, str, str]]

KEY = "bG9uZy1lbm91Z2gtZm9yLUhTMjU2LW9mLWEtdGVzdA=="
SEND = "{actionName: sendToGroup, group: red, data: hi}"
ROWS = [
    *(option for _, option in flagged_options()),
    HUB,
    CONNECTION,
    CONFIRM,
    PROCESSES,
    *ACCESS_OPTIONS,
]


def sample(option: Option) -> str:
    """Return a value of an option that is not its default."""
    schema = option.schema
    if option.key == "header":
        return "X-Key=GATEWAY_KEY"
    if schema in (DURATION, TIMEOUT):
        return "1500ms"
    if schema in (FAILURE_LIMIT, MOMENT):
        return "2.5%" if schema == FAILURE_LIMIT else "2031-05-09T07:30:15+02:00"
    if schema == PROCESS_COUNT:
        return "auto"
    if "enum" in schema:
        return str(schema["enum"][-1])
    return {"integer": "7", "number": "2.5", "boolean": "1"}.get(schema.get("type", ""), "other")


def context_of(*args: str) -> click.Context:
    return run_command.make_context("run", list(args))


@pytest.mark.parametrize("option", ROWS, ids=lambda option: option.key)
def test_every_option_has_a_variable(option: Option, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read like the flag, the help names it, and a flag overrides it."""
    is_flag = option.schema.get("type") == "boolean"
    flag = [str(option.flag)] if is_flag else [str(option.flag), sample(option)]
    expected = context_of(*flag).params

    monkeypatch.setenv(option.variable, sample(option))

    assert context_of().params == expected
    assert f"env var: {option.variable}" in " ".join(run_command.get_help(context_of()).split())
    if option.schema.get("type") == "string" and sample(option) == "other":
        assert "third" in context_of(str(option.flag), "third").params.values()


def test_a_variable_does_not_change_a_run_that_is_resumed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is for all runs; what the journal has was chosen for this one."""
    monkeypatch.setenv("WPS_RUN_RATE", "9")
    monkeypatch.setenv("WPS_RUN_TIMEOUT", "9s")
    recorded = {"--rate": "5"}
    context = context_of("--resume", "j")

    given = given_options(context, recorded)

    assert given == {"--timeout": "9s"}
    assert reused_values(context, recorded, given, "j") == {"rate": 5}


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, and settings for a service that is not on this machine, behind a closed port."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("WPS_RUN_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv(
        "WebPubSubConnectionString", f"Endpoint=https://prod.example;AccessKey={KEY};"
    )
    (tmp_path / "send.yaml").write_text(f"hub: chat\nactions: [{SEND}]\n")
    (tmp_path / "close.yaml").write_text("hub: chat\nactions: [{actionName: closeAllConnections}]")
    return tmp_path


@pytest.mark.parametrize(
    ("playbook", "rule", "asks"),
    [
        ("send.yaml", "always", True),
        ("close.yaml", "always", True),
        ("send.yaml", "destructive", False),
        ("close.yaml", "destructive", True),
        ("close.yaml", "never", False),
    ],
)
@pytest.mark.usefixtures("remote")
def test_what_is_confirmed(
    command_line: CommandLine, playbook: str, rule: str, *, asks: bool
) -> None:
    """Without a terminal, what would be asked is an error."""
    code, _, errors = command_line("--attempts", "1", "--confirm", rule, playbook)

    assert (code == 2) is asks
    assert ("add --yes" in errors) is asks
    assert ("run on hub `chat` at prod.example (1 action)" in errors) is (rule == "always")
    assert command_line("--attempts", "1", "--confirm", rule, "--yes", playbook)[0] == 1


FILE = """\
defaults: {rate: 100, timeout: 40s, concurrency: 5, mode: concurrent, hub: spare}
environments:
  dev: {hub: chat_dev, vars: {room: lobby}}
  prod:
    hub: chat
    connection: ProdConnection
    rate: 7
    retry: {attempts: 2}
    onMissing: skip
    vars: {room: launch, teams: [red, blue]}
"""
PLAYBOOK = """\
hub: ${hub}
concurrency: 3
rate: 50
vars: {room: none, teams: [x], hub: own}
actions:
  - forEach: ${teams}
    actionName: sendToGroup
    group: ${room}-${each}
    data: hi
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a configuration file and a playbook, in a home folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in ("WPS_RUN_ENV", "WPS_RUN_CONFIG", "WebPubSubHub"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / FILE_NAME).write_text(FILE)
    (folder / "p.yaml").write_text(PLAYBOOK)
    return folder


def overrides_of(*args: str) -> tuple[RunOverrides, RunOptions]:
    """Return the overrides of a command line, and the options of `p.yaml` with them."""
    with context_of(*args) as context:
        overrides = overrides_from(configured(context.params))
    (made,) = plan([load_playbook("p.yaml")], overrides, default_hub="HUB")
    return overrides, made.options


@pytest.mark.usefixtures("project")
def test_flag_variable_environment_playbook_and_defaults_override_each_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Key by key, in this order; the built-in defaults come last."""
    assert overrides_of()[1].rate == 50
    options = overrides_of("--env", "prod")[1]
    assert (options.rate, options.concurrency, options.timeout) == (7, 3, 40)
    assert options.on_missing.rule == "skip"
    assert (options.retry.attempts, options.retry.backoff) == (2, 0.5)
    monkeypatch.setenv("WPS_RUN_RATE", "8")
    assert overrides_of("--env", "prod")[1].rate == 8
    assert overrides_of("--env", "prod", "--rate", "9", "--attempts", "1")[1].rate == 9
    monkeypatch.setenv("WPS_RUN_ENV", "dev")
    assert overrides_of()[0].environment_name == "dev"
    assert overrides_of("--env", "prod")[0].environment_name == "prod"
    assert overrides_of("--env", "")[0].environment_name is None


@pytest.mark.usefixtures("project")
def test_hub_and_variables_come_from_the_environment(command_line: CommandLine) -> None:
    """A variable of the command line overrides them; `hub: ${hub}` has the playbook's own."""
    assert "hub own ·" in command_line("plan", "p.yaml")[1]
    output = command_line("plan", "p.yaml", "--env", "prod")[1]
    assert "· environment prod · hub chat ·" in output
    assert "/api/hubs/chat/groups/launch-blue/" in output
    assert "launch" not in command_line("plan", "p.yaml", "--env", "prod", "--var", "room=x")[1]
    Path("vars.yaml").write_text("room: y\n")
    output = command_line("plan", "p.yaml", "--env", "prod", "--vars-file", "vars.yaml")[1]
    assert "group=y-red" in output
    assert "hub other ·" in command_line("plan", "p.yaml", "--env", "dev", "--hub", "other")[1]


@pytest.mark.usefixtures("project")
def test_the_default_hub_counts_where_the_playbook_has_none(command_line: CommandLine) -> None:
    Path("bare.yaml").write_text(f"[{SEND}]\n")

    assert "hub spare ·" in command_line("plan", "bare.yaml")[1]
    assert "hub chat_dev ·" in command_line("plan", "bare.yaml", "--env", "dev")[1]


def test_the_file_is_found_above_the_working_folder_or_named(
    project: Path, command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = project / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    playbook = str(project / "p.yaml")
    assert "environment dev" in command_line("plan", playbook, "--env", "dev")[1]
    (below / FILE_NAME).mkdir()  # is no file
    assert "environment dev" in command_line("plan", playbook, "--env", "dev")[1]
    (project / "a" / FILE_NAME).write_text("environments: {near: }\n")
    assert "environment near" in command_line("plan", playbook, "--env", "near")[1]
    monkeypatch.setenv("WPS_RUN_CONFIG", str(project / FILE_NAME))
    assert "environment dev" in command_line("plan", playbook, "--env", "dev")[1]
    code, _, errors = command_line("plan", playbook, "--env", "dev", "--config", "")
    assert code == 2
    assert "there is no environment `dev`, since no `wps-run.yaml` is in this folder" in errors


def test_the_search_ends_at_the_home_folder(
    project: Path, command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(project / "home"))
    below = project / "home" / "work"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)

    assert command_line("plan", str(project / "p.yaml"), "--env", "dev")[0] == 2


def test_an_unknown_environment_is_an_error_with_those_that_are_there(
    project: Path, command_line: CommandLine
) -> None:
    code, output, errors = command_line("--env", "prd", "p.yaml")

    assert (code, output) == (2, "")
    assert errors.startswith(
        "wps-run.yaml:2:1: error: `prd` is no environment of this file, which has `dev` and "
        "`prod`; did you mean `prod`?\n"
    )
    (project / FILE_NAME).write_text("# nothing yet\n")
    assert "which has no `environments`" in command_line("--env", "prd", "p.yaml")[2]


NAMED_ONLY = [
    "endpoint: https://evil.example",
    "header: X-Key=GATEWAY_KEY",
    "settings: evil.json",
    "ca-bundle: evil.pem",
    "allow-env: [SECRET_KEY]",
    "yes: true",
    "confirm: never",
]


@pytest.mark.parametrize(
    ("line", "parent"),
    list(zip(NAMED_ONLY, ["defaults", "environments:\n  prod"] * 4, strict=False)),
)
def test_what_could_redirect_a_token_counts_only_in_a_named_file(
    project: Path, command_line: CommandLine, line: str, parent: str
) -> None:
    """Also below an environment that is not chosen."""
    (project / FILE_NAME).write_text(f"{parent}: {{{line}}}\n")
    key = line.partition(":")[0]

    code, output, errors = command_line("show", "user", "ada")
    assert (code, output) == (2, "")
    assert f"error: `{key}" in errors
    assert "counts only in a file that you name" in errors
    code, _, errors = command_line("plan", "p.yaml", "--config", FILE_NAME)
    assert "counts only" not in errors
    assert code == (0 if key in {"endpoint", "ca-bundle", "header"} else code)


def test_options_of_a_named_file_count(project: Path, command_line: CommandLine) -> None:
    """Files are relative to it; a flag overrides it."""
    (project / "conf").mkdir()
    (project / "conf" / "s.json").write_text(
        f'{{"Values": {{"ProdConnection": "Endpoint=https://prod.example;AccessKey={KEY};"}}}}'
    )
    (project / "conf" / "c.yaml").write_text(
        "defaults: {settings: s.json}\n"
        "environments:\n"
        "  prod: {connection: ProdConnection, hub: chat, endpoint: 'http://127.0.0.1:9',\n"
        "         confirm: always, retry: {attempts: 1}}\n"
        "  calm: {connection: ProdConnection, hub: chat, endpoint: 'http://127.0.0.1:9',\n"
        "         yes: true, retry: {attempts: 1}}\n"
    )
    (project / "close.yaml").write_text("actions: [{actionName: closeAllConnections}]\n")
    common = ["close.yaml", "--config", "conf/c.yaml", "--no-journal"]

    code, _, errors = command_line(*common, "--env", "prod")
    assert code == 2
    assert "warning: run on hub `chat` at prod.example, environment prod (1 action)" in errors
    code, output, _ = command_line(*common, "--env", "prod", "--confirm", "never")
    assert code == 1
    assert output.startswith("SERVICE prod.example · environment prod · hub chat ·")
    assert command_line(*common, "--env", "calm")[0] == 1
    url = command_line("client-url", "--config", "conf/c.yaml", "--env", "prod")[1]
    assert url.startswith("ws://127.0.0.1:9/client/hubs/chat?")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rate: 5", "`rate` belongs below `defaults`, or below an environment"),
        ("defaults: {rat: 5}", "`rat` is not a key of `defaults`; did you mean `rate`?"),
        ("defaults: {rate: fast}", "wps-run.yaml:1:18: error: `rate` must be a number"),
        ("defaults: {vars: {a: 1}}", "`vars` belongs to an environment"),
        ("defaults: {hub: a b}", "`hub` must begin with a letter"),
        ("defaults: {hub: '${room}'}", "`hub` has no variables here"),
        ("defaults: {retry: {attempts: 0}}", "`attempts` must be a whole number from 1 to 100"),
        ("environments: {a b: {}}", "the name of an environment begins with a letter"),
        ("environments: [prod]", "`environments` must be a mapping of names to options"),
        ("environments: {a: {vars: {x: {}}}}", "`x` is a mapping"),
        ("environments: {a: {rate: 1, rate: 2}}", "the key `rate` is here for the second time"),
        ("actions: []", "this is a playbook; a configuration file is a mapping"),
        ("a: [", "wps-run.yaml:1:"),
        ("#" * 2**20 + "\n", "has more than 1 MiB"),
        (
            f"environments: {{{', '.join(f'e{n}: ' for n in range(101))}}}",
            "has more than 100 environments",
        ),
        (f"defaults: {{connection: 'Endpoint=https://x;AccessKey={KEY}'}}", "never the connection"),
    ],
    ids=lambda text: text[:30],
)
def test_a_wrong_file_is_an_error_with_its_place(
    project: Path, command_line: CommandLine, text: str, message: str
) -> None:
    (project / FILE_NAME).write_text(text)

    code, output, errors = command_line("plan", "p.yaml")

    assert (code, output) == (2, "")
    assert message in errors
    assert KEY not in errors


def test_a_found_file_that_is_no_plain_file_below_its_folder_is_refused(
    project: Path, command_line: CommandLine
) -> None:
    """A link must not show what is in another file; a pipe has no end."""
    file = project / FILE_NAME
    file.unlink()
    (project.parent / "secret").write_text("secret: text\n")
    file.symlink_to(project.parent / "secret")
    code, _, errors = command_line("plan", "p.yaml")
    assert code == 2
    assert "is a symbolic link that leads out of the folder" in errors
    assert "text" not in errors
    file.unlink()
    file.symlink_to("nowhere")
    assert command_line("plan", "p.yaml")[0] == 2
    file.unlink()
    os.mkfifo(file)
    code, _, errors = command_line("plan", "p.yaml")
    assert code == 2
    assert "is a pipe" in errors


@pytest.mark.skipif(
    getattr(os, "geteuid", lambda: 1)() != 0, reason="needs root, to make a file another user's"
)
def test_the_file_of_another_user_in_a_shared_folder_is_not_used(
    project: Path, command_line: CommandLine
) -> None:
    project.chmod(0o1777)
    os.chown(project / FILE_NAME, 65534, 65534)

    code, output, errors = command_line("plan", "p.yaml")

    assert code == 0
    assert "at most 16 in flight" not in output
    assert "sequential" in output
    assert "is not used: it is another user's" in errors


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Secrets in the environment."""
    monkeypatch.setenv("HUB_TOKEN", "s3cr3t")
    monkeypatch.setenv("WebPubSubConnectionString", f"Endpoint=https://x.example;AccessKey={KEY};")


@pytest.mark.parametrize(
    ("keys", "args", "message"),
    [
        ("hub: ${rom}", (), "p.yaml:1:6: error: `${rom}` names no variable; did you mean `room`?"),
        ("hub: ${each}", (), "`${each}` names no variable"),
        ("hub: ${room}", ("--var", "room=a b"), "`hub`, with its variables filled in, must begin"),
        ("hub: ${env.HUB_TOKEN}", (), "by its name holds a key, a password or a token"),
        ("hub: ${env.WebPubSubConnectionString}", (), "by its name holds a key"),
        (
            "connection: ${room}",
            ("--var", f"room=Endpoint=https://x.example;AccessKey={KEY};"),
            "`connection`, with its variables filled in, would contain a connection string",
        ),
        ("connection: ${room}", ("--var", "room=a b"), "is not the name of a setting"),
        (
            "connection: ${room}",
            ("--var", f"room={KEY.rstrip('=')}"),
            "`connection`, with its variables filled in, would contain a connection string",
        ),
        ("hub: ${teams}", (), "`${teams}` is a list, which cannot be part of a text"),
    ],
)
@pytest.mark.usefixtures("project", "secrets")
def test_a_wrong_variable_in_hub_or_connection_is_an_error(
    command_line: CommandLine, keys: str, args: Sequence[str], message: str
) -> None:
    """Nothing shows the value, which may be the connection string itself."""
    playbook = f"{keys}\nvars: {{room: r, teams: [a]}}\nactions: [{SEND}]\n"
    Path("p.yaml").write_text(playbook)

    code, output, errors = command_line("plan", "p.yaml", *args)

    assert (code, output) == (2, "")
    assert message in errors
    assert KEY.rstrip("=") not in errors
    assert "s3cr3t" not in errors


def test_a_variable_names_the_setting_that_no_action_may_read(
    project: Path, command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OtherSetting", "harmless by its look")
    (project / "p.yaml").write_text(
        "connection: ${which}\nhub: h\nvars: {which: OtherSetting}\n"
        "actions: [{actionName: sendToAll, data: '${env.OtherSetting}'}]\n"
    )

    assert "the environment variable `OtherSetting` by its name" in command_line("p.yaml")[2]


def test_a_resumed_run_keeps_its_environment(
    project: Path, command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The values in force are those of its start, from any folder; variables are read again."""
    run = ["--local", "p.yaml", "--env", "prod", "--journal", "j", "--var", "hub=h"]
    assert command_line(*run)[0] == 0
    (project / FILE_NAME).write_text(
        FILE.replace("rate: 7", "rate: 9").replace("hub: chat\n", "hub: moved\n")
    )
    monkeypatch.setenv("WPS_RUN_ENV", "dev")
    monkeypatch.chdir(project.parent)

    journal = str(project / "j")
    code, output, errors = command_line("--local", "--resume", journal, "--var", "hub=h")

    assert code == 0, errors
    assert "environment prod · hub chat ·" in output
    code, _, errors = command_line("--local", "--resume", journal, "--var", "hub=h", "--env", "dev")
    assert code == 2
    assert "is the journal of a run for the environment `prod`" in errors
    (project / FILE_NAME).write_text(FILE.replace("room: launch", "room: other"))
    code, _, errors = command_line("--local", "--resume", journal, "--var", "hub=h")
    assert code == 2
    assert "the variable room" in errors


def test_reports_and_runs_name_the_environment(project: Path, command_line: CommandLine) -> None:
    suffixes = ["json", "xml", "html", "md"]
    reports = [word for suffix in suffixes for word in ("--report", f"r.{suffix}")]

    code, output, _ = command_line(
        "--local", "p.yaml", "--env", "dev", "--journal", "j", "--output", "ndjson", *reports
    )

    assert code == 0
    assert json.loads(output.splitlines()[-1])["environment"] == "dev"
    for suffix in suffixes:
        assert "dev" in (project / f"r.{suffix}").read_text("utf-8").replace("chat_dev", "")
    assert json.loads((project / "j").read_text().splitlines()[0])["environment"] == "dev"
    assert "environment dev" in command_line("report", "j")[1]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2000) | st.sampled_from(["chat", "1s", "always"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.just("wait"), inner, max_size=1),
    max_leaves=3,
)
SECTIONS = st.none() | st.dictionaries(
    st.sampled_from([*CONFIGURATION_KEYS, "vars", "rats"]),
    VALUES | st.dictionaries(st.sampled_from(["a", "each", "attempts"]), VALUES, max_size=2),
    max_size=3,
)


@given(defaults=SECTIONS, environments=st.dictionaries(st.sampled_from(["a", "b b"]), SECTIONS))
def test_the_schema_and_the_reader_agree(defaults: Any, environments: Any) -> None:
    data = {"defaults": defaults, "environments": environments}

    try:
        read_configuration(json.dumps(data), FILE_NAME, is_named=True)
        is_accepted = True
    except PlaybookError:
        is_accepted = False

    assert Draft7Validator(configuration_schema()).is_valid(data) is is_accepted


def test_validate_checks_every_environment_unless_one_is_chosen(
    project: Path, command_line: CommandLine
) -> None:
    (project / "p.yaml").write_text(
        "vars: {room: {enum: [lobby]}}\n"
        "actions: [{actionName: sendToGroup, group: '${room}', data: '${unknown}'}]\n"
    )

    code, output, _ = command_line("validate", "p.yaml")
    assert code == 1
    assert output.count("`${unknown}` names no variable") == 1
    assert "`room` must be `lobby`, not `launch`" in output
    assert "(with the variables of `prod`)" in output
    for environment in ("dev", ""):
        assert "launch" not in command_line("validate", "--env", environment, "p.yaml")[1]
    assert "launch" not in command_line("validate", "--var", "room=lobby", "p.yaml")[1]


def test_validate_reports_a_wrong_configuration_with_the_playbooks(
    project: Path, command_line: CommandLine
) -> None:
    """Once, also if it is in the folder that is checked; one that may be named is no error."""
    code, output, _ = command_line("validate", "--env", "prd", "p.yaml")
    assert code == 1
    assert "`prd` is no environment of this file, which has `dev` and `prod`" in output
    (project / FILE_NAME).write_text("defaults: {rate: fast}\n")
    code, output, _ = command_line("validate", ".")
    assert code == 1
    assert output.count("wps-run.yaml:1:18: error: `rate` must be a number") == 1
    assert output.endswith("2 files checked, 1 problem\n")
    (project / FILE_NAME).unlink()
    (project / "conf").mkdir()
    (project / "conf" / FILE_NAME).write_text("defaults: {yes: true}\n")
    assert command_line("validate", ".")[0] == 0
    (project / "conf" / "ci.yaml").write_text("environments: {prod: }\n")
    output = command_line("validate", "conf/ci.yaml")[1]
    assert "a configuration file of wps-run" in output
    assert "name it with --config" in output


def test_config_shows_where_each_value_comes_from(
    command_line: CommandLine, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WPS_RUN_TIMEOUT", "5s")
    key = f"Endpoint=https://x.example;AccessKey={KEY};"
    args = ["--env", "prod", "--mode", "sequential", "--var", "pin_token=1234", "--var", f"x={key}"]

    code, output, _ = command_line("config", "p.yaml", *args, "--output", "json")

    assert (code, KEY in output, "1234" in output) == (0, False, False)
    record = json.loads(output)
    found = {
        key: (each["value"], each["source"], each["place"])
        for key, each in {**record["options"], **record["variables"]}.items()
    }
    assert (record["file"], record["environment"]) == (FILE_NAME, "prod")
    assert found["rate"] == (7, "environment prod", "wps-run.yaml:7:11")
    assert found["retry.attempts"] == (2, "environment prod", "wps-run.yaml:8:23")
    assert found["concurrency"] == (3, "playbook", "p.yaml:2:14")
    assert found["mode"] == ("sequential", "flag --mode", None)
    assert found["timeout"] == ("5s", "variable WPS_RUN_TIMEOUT", None)
    assert found["delivery"] == ("atMostOnce", "built-in default", None)
    assert found["confirm"] == ("destructive", "built-in default", None)
    assert found["room"] == ("launch", "environment prod", "wps-run.yaml:10:18")
    assert found["pin_token"] == ("***", "flag --var", None)
    (project / "h.yaml").write_text("hub: ${h}\nvars: {h: {required: true}}\nactions: []\n")
    assert "${h}" in command_line("config", "h.yaml")[1]
    text = command_line("config", "p.yaml", *args)[1]
    assert "environment  prod (of dev, prod)" in text
    assert "environment prod, wps-run.yaml:7:11" in text
    (project / FILE_NAME).write_text("defaults: {header: [X-A=GATE], confirm: always}\n")
    text = command_line("config", "--config", FILE_NAME)[1]
    assert 'header            ["X-A=GATE"]' in text


def test_the_failure_that_stopped_the_run_is_found_by_the_options_that_were_in_force(
    project: Path, command_line: CommandLine
) -> None:
    """Of an environment with `onError: continue`, no failure stopped it; so nothing is retried."""
    (project / FILE_NAME).write_text("environments: {calm: {onError: continue}, strict: }\n")
    (project / "p.yaml").write_text(
        "hub: h\nactions: [{actionName: addUserToGroup, userId: ada, group: red}]\n"
    )
    for environment, is_retried in (("calm", False), ("strict", True)):
        run = ["--local", "p.yaml", "--env", environment, "--journal", environment]
        assert command_line(*run, "--absent", "ada")[0] == 1

        code, output, _ = command_line("--local", "--resume", environment, "--fault-seed", "1")

        assert ("done earlier, nothing sent" in output) is not is_retried
        assert code == 1


def test_a_journal_does_not_confirm_the_run_that_it_resumes(
    remote: Path, command_line: CommandLine
) -> None:
    """It may be somebody else's. A file counts again if it is named again."""
    (remote / "c.yaml").write_text("defaults: {yes: true}\n")
    for number, option in enumerate((["--confirm", "never"], ["--config", "c.yaml"])):
        journal = f"j{number}"
        run = ["close.yaml", "--attempts", "1", "--journal", journal, *option]
        assert command_line(*run)[0] == 1

        assert command_line("--resume", journal)[0] == 2
        assert "add --yes" in command_line("--resume", journal)[2]
        assert command_line("--resume", journal, *option)[0] == 1


def test_commands_that_read_the_service_use_the_environment(
    project: Path, command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / FILE_NAME).write_text("environments: {dev: {hub: chat, connection: Dev}}\n")
    (project / "p.yaml").write_text(
        "hub: ${room}\nvars: {room: own}\nactions: []\nexpect: [{group: red, has: [ada]}]\n"
    )
    with LocalPubSub() as service:
        service.client(hub="chat", user="ada", groups=["red"])
        monkeypatch.setenv("Dev", service.connection_string)

        shown = command_line("show", "user", "ada", "--env", "dev")
        verified = command_line("verify", "p.yaml", "--env", "dev")
        people = command_line("snapshot", "--group", "red", "--env", "dev")
        monkeypatch.setenv("WPS_RUN_ENV", "dev")
        compared = command_line("diff", "p.yaml")

    assert (shown[0], verified[0], people[0], compared[0]) == (0, 0, 0, 0)
    assert "environment dev · hub chat" in verified[1]
    assert "environment dev · hub chat" in compared[1]
    assert 'userId: "ada"' in people[1]
    assert "no action uses" not in command_line("validate", "p.yaml")[1]


@pytest.mark.parametrize("option", ["--config", "--vars-file", "--settings"])
def test_a_folder_in_place_of_a_file_of_options_is_an_error(
    project: Path, command_line: CommandLine, option: str
) -> None:
    (project / "folder").mkdir()
    code, _, errors = command_line("plan", "p.yaml", option, "folder")
    assert (code, errors) == (2, "error: `folder` is a folder; name a file in it\n")
