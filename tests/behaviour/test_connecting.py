"""How the installed script finds its way to a service: proxy, bundle, identity."""

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
    """One action."""
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
def test_an_unusable_option_is_reported_before_anything_is_sent(
    wps_run: Script, playbook: str, args: tuple[str, ...], message: str
) -> None:
    """Exit 2: nothing was sent."""
    done = wps_run(playbook, *args, WebPubSubConnectionString=STRING)

    assert done.returncode == 2
    assert message in done.stderr
    assert KEY not in done.stdout + done.stderr


def test_requests_go_to_the_reverse_proxy(wps_run: Script, playbook: str) -> None:
    """The endpoint itself has no address at all; the proxy refuses, and is known by that."""
    args = ("--endpoint", "http://127.0.0.1:9", "--attempts", "1")
    done = wps_run(playbook, *args, WebPubSubConnectionString=STRING)

    assert done.returncode == 1
    assert "a.invalid" in done.stdout
    assert "the service could not be reached" in done.stdout


def test_a_service_uri_needs_the_extra_for_entra_id(
    wps_run: Script, playbook: str, tmp_path: Path
) -> None:
    """Where azure-identity is not installed, how to install it; exit 2."""
    (tmp_path / "azure").mkdir()  # a package without `identity` stands before the installed one
    (tmp_path / "azure" / "__init__.py").touch()
    setting = {"WebPubSubConnectionString__serviceUri": "https://a.invalid"}
    done = wps_run(playbook, PYTHONPATH=str(tmp_path), **setting)

    assert done.returncode == 2
    assert "pip install 'wps-run[entra]'" in done.stderr
