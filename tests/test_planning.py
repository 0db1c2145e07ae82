"""The package as a library: load, plan, run."""

from pathlib import Path

import pytest

import wps_run
from wps_run import RunOverrides, load_playbook, plan, run
from wps_run.emulator.server import Emulator
from wps_run.execution.result import Status
from wps_run.problems import PlaybookError, SettingsError, UsageError

PLAYBOOK = """
hub: chat
mode: concurrent
vars: {room: red}
actions:
  - {actionName: sendToGroup, group: '${room}', data: Hello}
  - {actionName: sendToAll, data: Bye}
"""


@pytest.fixture
def playbook(tmp_path: Path) -> Path:
    """A file with two sends."""
    file = tmp_path / "p.yaml"
    file.write_text(PLAYBOOK)
    return file


async def test_a_program_runs_a_playbook_and_sees_results_as_they_come(playbook: Path) -> None:
    """Everything that the command line does is a few calls."""
    async with Emulator() as service:
        settings = {"WebPubSubConnectionString": service.connection_string}
        plans = plan([load_playbook(playbook)], RunOverrides(environment=settings))

        results = [result async for result in run(plans)]

    assert [result.status for result in results] == [Status.OK, Status.OK]
    assert results[0].target == {"group": "red"}


def test_the_public_names_are_there_and_no_others() -> None:
    """`wps_run.plan` is the function, whatever modules there are."""
    assert all(callable(getattr(wps_run, name)) for name in wps_run.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = wps_run.nothing


async def test_without_a_connection_string_nothing_is_sent(playbook: Path) -> None:
    """The setting is named, so that it can be set."""
    plans = plan([load_playbook(playbook)], RunOverrides())

    with pytest.raises(SettingsError, match="WebPubSubConnectionString"):
        _ = [result async for result in run(plans)]


def test_a_wrong_playbook_is_refused_with_every_problem(tmp_path: Path) -> None:
    """When it is loaded, or when variables are filled in."""
    file = tmp_path / "p.yaml"
    file.write_text("hub: chat\nactions: [{actionName: sendToAl}, {actionName: sendToAll}]")
    with pytest.raises(PlaybookError) as caught:
        load_playbook(file)
    assert len(caught.value.problems) == 2

    file.write_text("hub: chat\nactions: [{actionName: sendToAll, data: '${a}'}]")
    with pytest.raises(PlaybookError, match="names no variable"):
        plan([load_playbook(file)], RunOverrides())


def test_the_setting_of_a_header_is_a_secret(tmp_path: Path) -> None:
    """Whatever its name: a playbook does not read it, and its value is masked."""
    file = tmp_path / "p.yaml"
    file.write_text("hub: chat\nactions:\n  - {actionName: sendToAll, data: '${env.APIM}'}\n")
    environment = {"APIM": "blue-harbour"}
    overrides = RunOverrides(environment=environment, headers=[("X-Key", "APIM")])

    with pytest.raises(PlaybookError, match="a playbook must not send it"):
        plan([load_playbook(file)], overrides)
    assert overrides.secrets.mask("blue-harbour") == "***"
    assert plan([load_playbook(file)], RunOverrides(environment=environment))


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    """Not there, a folder, or a name that no file can have."""
    for path, complaint in ((tmp_path / "none", "No such file"), (tmp_path, "is a folder")):
        with pytest.raises(UsageError, match=complaint):
            load_playbook(path)
    with pytest.raises(UsageError, match="cannot read"):
        load_playbook("a\0b")
