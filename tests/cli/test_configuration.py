"""Where the options of a run come from: flags, variables, `wps-run.yaml`, playbooks."""

from collections.abc import Callable
from pathlib import Path

import click
import pytest

from wps_run.cli.commands.run import command as run_command
from wps_run.cli.options import given_options, reused_values
from wps_run.playbook.options import (
    ACCESS_OPTIONS,
    CONFIRM,
    CONNECTION,
    DURATION,
    HUB,
    TIMEOUT,
    Option,
    flagged_options,
)

CommandLine = Callable[..., tuple[int, str, str]]

KEY = "bG9uZy1lbm91Z2gtZm9yLUhTMjU2LW9mLWEtdGVzdA=="
SEND = "{actionName: sendToGroup, group: red, data: hi}"
ROWS = [*(option for _, option in flagged_options()), HUB, CONNECTION, CONFIRM, *ACCESS_OPTIONS]


def sample(option: Option) -> str:
    """Return a value of an option that is not its default."""
    schema = option.schema
    if option.key == "header":
        return "X-Key=GATEWAY_KEY"
    if schema in (DURATION, TIMEOUT):
        return "1500ms"
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
    if not is_flag and option.schema.get("type") == "string" and "enum" not in option.schema:
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
