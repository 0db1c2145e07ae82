"""How a run connects: reverse proxy, gateway, CA bundle, identity."""

import subprocess
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
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


GATEWAY_KEY = "s3cret-of-the-gateway"
NO_KEY = b'{"statusCode": 401, "message": "Access denied due to missing subscription key."}'


class Gateway(BaseHTTPRequestHandler):
    """A gateway with the service at `/wps`, for callers with a key."""

    def do_PUT(self) -> None:
        """Answer as the service does, or refuse."""
        has_key = self.headers["Ocp-Apim-Subscription-Key"] == GATEWAY_KEY
        status, body = (200, b"") if has_key else (401, NO_KEY)
        if not self.path.startswith("/wps/api/hubs/chat/"):
            status, body = 404, b""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def gateway(serve: Callable[[HTTPServer], str]) -> str:
    """The URL of a gateway."""
    return serve(HTTPServer(("127.0.0.1", 0), Gateway))


def test_a_run_through_a_gateway_that_refused_it_is_resumed_with_a_key(
    wps_run: Script, playbook: str, gateway: str, tmp_path: Path
) -> None:
    """The journal has the name of the setting, and nothing has its value."""
    header = ("--header", "Ocp-Apim-Subscription-Key=APIM")
    args = (
        playbook,
        "--endpoint",
        f"{gateway}/wps/",
        *header,
        "--journal",
        "j",
        "--report",
        "r.md",
    )
    log = ("--log-level", "debug")
    refused = wps_run(*args, *log, WebPubSubConnectionString=STRING, APIM="last-years-key")
    resumed = wps_run(*("--resume", "j", *log), WebPubSubConnectionString=STRING, APIM=GATEWAY_KEY)

    assert refused.returncode == 1
    assert "http-401: Access denied due to missing subscription key." in refused.stdout
    assert "a gateway in front of the service refused the request" in refused.stdout
    assert "Ocp-Apim-Subscription-Key: ***" in refused.stderr
    assert resumed.returncode == 0, resumed.stderr
    written = (tmp_path / "j").read_text() + (tmp_path / "r.md").read_text()
    assert "Ocp-Apim-Subscription-Key=APIM" in written
    for text in (written, refused.stdout, refused.stderr, resumed.stdout, resumed.stderr):
        assert "last-years-key" not in text
        assert GATEWAY_KEY not in text


def test_a_value_in_the_place_of_a_setting_is_not_shown(wps_run: Script, playbook: str) -> None:
    """Written as for other tools, which take the value itself."""
    header = f"X-Key: {GATEWAY_KEY}"
    process = wps_run(playbook, "--header", header, WebPubSubConnectionString=STRING)

    assert process.returncode == 2
    assert "write NAME=SETTING" in process.stderr
    assert GATEWAY_KEY not in process.stderr
