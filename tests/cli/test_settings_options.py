"""`--settings` and `--function-json`: the files of a function are used as they are."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from wps_run.cli.commands import client_url, plan, run
from wps_run.planning import RunOverrides
from wps_run.playbook.model import read_playbook
from wps_run.problems import SettingsError

KEY = "bG9uZy1lbm91Z2gtZm9yLUhTMjU2LW9mLWEtdGVzdA=="
SETTINGS = f"""{{
  "IsEncrypted": false,
  "Values": {{
    "Stage": "eu", // the other one is "us"
    "SettingName": "Main",
    "BatchSize": 50,
  }},
  "ConnectionStrings": {{"Main": "Endpoint=https://shop.example;AccessKey={KEY};"}},
}}"""
FUNCTION = """{"bindings": [
  {"type": "webPubSub", "direction": "out", "name": "actions",
   "hub": "chat_%Stage%", "connection": "%SettingName%"}
]}"""
BATCH = '[{"actionName": "sendToAll", "data": "hi"}]'


@pytest.fixture
def function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """The options for the files of a function, in the working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "local.settings.json").write_text(SETTINGS)
    (tmp_path / "function.json").write_text(FUNCTION)
    (tmp_path / "batch.json").write_text(BATCH)
    return ("--settings", "local.settings.json", "--function-json", "function.json")


def output_of(command: click.Command, *args: str) -> str:
    result = CliRunner().invoke(command, args, standalone_mode=False)
    if result.exception:
        raise result.exception
    return result.output


def test_url_is_for_hub_and_connection_of_the_function(function: tuple[str, ...]) -> None:
    output = output_of(client_url.command, *function)

    assert output.startswith("wss://shop.example/client/hubs/chat_eu?access_token=")


def test_hub_and_connection_of_the_command_line_come_first(function: tuple[str, ...]) -> None:
    output = output_of(client_url.command, *function, "--hub", "%Stage%", "--connection", "MAIN")

    assert output.startswith("wss://shop.example/client/hubs/eu?")


def test_plan_and_rehearsal_use_the_hub_of_the_function(function: tuple[str, ...]) -> None:
    assert "/api/hubs/chat_eu/:send" in output_of(plan.command, *function, "batch.json")
    assert "hub chat_eu" in output_of(run.command, *function, "--local", "batch.json")


def test_plan_and_rehearsal_need_no_settings(function: tuple[str, ...]) -> None:
    binding = function[2:]
    assert "/api/hubs/HUB/:send" in output_of(plan.command, *binding, "batch.json")
    assert "hub local" in output_of(run.command, *binding, "--local", "batch.json")


def test_missing_setting_of_the_function_is_named(function: tuple[str, ...]) -> None:
    with pytest.raises(SettingsError, match="setting `SettingName` is missing"):
        output_of(client_url.command, *function[2:])


def test_connection_named_by_a_setting_is_not_read_by_a_playbook() -> None:
    """Nor a setting beside it: `${env.NAME}` does not get what a connection consists of."""
    playbook = read_playbook("hub: h\nconnection: '%Which%'\nactions: []\n", "p.yaml")
    scope = RunOverrides(environment={"Which": "My:Own"}).scope(playbook)

    assert scope.refusal_of("my__own__clientId")
    assert scope.refusal_of("Which") is None
