"""How a run connects: reverse proxy, CA bundle, identity."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Script = Callable[..., subprocess.CompletedProcess[str]]

KEY = "c2VjcmV0LWtleS1vZi10aGUtdGVzdC1zZXJ2aWNl"
STRING = f"Endpoint=https://a.invalid;AccessKey={KEY};"
PLAYBOOK = "hub: chat\nactions:\n  - {actionName: addUserToGroup, userId: ada, group: red}\n"


@pytest.fixture
def playbook(tmp_path: Path) -> str:
    """A playbook with one action."""
    (tmp_path / "p.yaml").write_text(PLAYBOOK)
    return "p.yaml"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--endpoint", "http://proxy.example"), "`--endpoint`"),
        (("--ca-bundle", "none.pem"), "cannot read the CA bundle `none.pem`"),
        (("--ca-bundle", "p.yaml"), "the CA bundle `p.yaml` contains no certificate"),
    ],
)
def test_unusable_option_is_reported_before_anything_is_sent(
    wps_run: Script, playbook: str, args: tuple[str, ...], message: str
) -> None:
    process = wps_run(playbook, *args, WebPubSubConnectionString=STRING)

    assert process.returncode == 2
    assert message in process.stderr
    assert KEY not in process.stdout + process.stderr


def test_requests_go_to_the_reverse_proxy(wps_run: Script, playbook: str) -> None:
    """The host of the endpoint has no address; nothing listens at the proxy's."""
    args = ("--endpoint", "http://127.0.0.1:9", "--attempts", "1")
    process = wps_run(playbook, *args, WebPubSubConnectionString=STRING)

    assert process.returncode == 1
    assert "a.invalid" in process.stdout
    assert "the service could not be reached" in process.stdout


def test_missing_azure_identity_is_reported_with_the_command_that_installs_it(
    wps_run: Script, playbook: str, tmp_path: Path
) -> None:
    (tmp_path / "azure").mkdir()  # a package without `identity` stands before the installed one
    (tmp_path / "azure" / "__init__.py").touch()
    setting = {"WebPubSubConnectionString__serviceUri": "https://a.invalid"}
    process = wps_run(playbook, PYTHONPATH=str(tmp_path), **setting)

    assert process.returncode == 2
    assert "pip install 'wps-run[entra]'" in process.stderr
