"""An emulator, clients that record, and requests over real HTTP."""

import importlib.util
import io
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import aiohttp
import jwt
import pytest
from yarl import URL

from wps_run.emulator.effects import Message
from wps_run.emulator.server import Emulator


def _rest_operations() -> ModuleType:
    path = Path(__file__).parent.parent / "rest_operations.py"
    spec = importlib.util.spec_from_file_location("rest_operations", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test with the fixture `operation` once for each operation of the REST API."""
    if "operation" in metafunc.fixturenames:
        operations = _rest_operations().OPERATIONS
        metafunc.parametrize("operation", operations, ids=lambda operation: operation.operation_id)


@dataclass
class RecordingClient:
    """A simulated client that records what it receives."""

    received: list[Message] = field(default_factory=list)
    close_reasons: list[str] = field(default_factory=list)

    def deliver(self, message: Message) -> None:
        """Record a message."""
        self.received.append(message)

    def close(self, reason: str) -> None:
        """Record the reason of a close."""
        self.close_reasons.append(reason)

    @property
    def payloads(self) -> list[bytes]:
        """The data of the received messages."""
        return [message.data for message in self.received]


@pytest.fixture
def make_client() -> Callable[[], RecordingClient]:
    """Make clients that record."""
    return RecordingClient


@dataclass(frozen=True)
class HttpResponse:
    """A complete response."""

    status: int
    headers: Any
    body: bytes


@dataclass
class RestClient:
    """Sends requests to an emulator, with a token for the path and a Content-Length."""

    emulator: Emulator
    session: aiohttp.ClientSession

    def token(self, path: str, **changes: Any) -> str:
        """Issue a token for a path. Claims that are changed to None are omitted."""
        key = changes.pop("key", self.emulator.endpoint.key)
        algorithm = changes.pop("algorithm", "HS256")
        origin = self.emulator.endpoint.origin
        claims = {"aud": origin + path, "exp": int(time.time()) + 60, **changes}
        present = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(present, key, algorithm=algorithm)

    async def __call__(
        self, method: str, target: str, body: bytes | None = None, **headers: str | None
    ) -> HttpResponse:
        """Send a request with exactly this target. Headers that are None are omitted."""
        all_headers: dict[str, str | None] = {
            "Authorization": f"Bearer {self.token(target.partition('?')[0])}",
            "Content-Type": "text/plain" if body is not None else None,
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        async with self.session.request(
            method,
            URL(self.emulator.endpoint.origin + target, encoded=True),
            data=io.BytesIO(body) if body is not None else None,
            headers={name: value for name, value in all_headers.items() if value is not None},
            skip_auto_headers=("Content-Type",),
            allow_redirects=False,
        ) as response:
            return HttpResponse(response.status, response.headers, await response.read())


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    """A fresh emulator on a free port."""
    async with Emulator() as running:
        yield running


@pytest.fixture
async def call(emulator: Emulator) -> AsyncIterator[RestClient]:
    """Send requests to the fresh emulator."""
    async with aiohttp.ClientSession() as session:
        yield RestClient(emulator, session)


@pytest.fixture
async def make_rest_client() -> AsyncIterator[Callable[[Emulator], RestClient]]:
    """Make clients of further emulators."""
    async with aiohttp.ClientSession() as session:
        yield lambda emulator: RestClient(emulator, session)


@pytest.fixture
def entra() -> str:
    """The Authorization header of an Entra ID credential."""
    claims = {"aud": "https://webpubsub.azure.com", "exp": 9_999_999_999}
    return "Bearer " + jwt.encode(claims, "another signing key" * 2)


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[str, str]:
    """A self-signed certificate for 127.0.0.1, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs openssl to make a certificate")
    arguments = (
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=x -keyout key.pem -out cert.pem"
    )
    name = ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(
        [openssl, *arguments.split(), *name], cwd=tmp_path, check=True, capture_output=True
    )
    return str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
