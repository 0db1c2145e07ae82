"""An embedded service, clients that take notes, and calls over real HTTP."""

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
    """A test that asks for `operation` runs once for each operation of the REST API."""
    if "operation" in metafunc.fixturenames:
        operations = _rest_operations().OPERATIONS
        metafunc.parametrize("operation", operations, ids=lambda one: one.operation_id)


@dataclass
class Listener:
    """A simulated client that takes notes."""

    heard: list[Message] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)

    def deliver(self, message: Message) -> None:
        """Note a message."""
        self.heard.append(message)

    def close(self, reason: str) -> None:
        """Note an end."""
        self.ends.append(reason)

    @property
    def texts(self) -> list[bytes]:
        """The payloads heard."""
        return [message.data for message in self.heard]


@pytest.fixture
def make_listener() -> Callable[[], Listener]:
    """Makes clients that take notes."""
    return Listener


@dataclass(frozen=True)
class Told:
    """An answer, read whole."""

    status: int
    headers: Any
    body: bytes


@dataclass
class Caller:
    """Calls a service as a careful client would: a token for the path, a Content-Length."""

    service: Emulator
    session: aiohttp.ClientSession

    def token(self, path: str, **changes: Any) -> str:
        """A token for a path. Claims that are changed to None are left out."""
        key = changes.pop("key", self.service.endpoint.key)
        algorithm = changes.pop("algorithm", "HS256")
        origin = self.service.endpoint.origin
        claims = {"aud": origin + path, "exp": int(time.time()) + 60, **changes}
        kept = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(kept, key, algorithm=algorithm)

    async def __call__(
        self, method: str, target: str, body: bytes | None = None, **headers: str | None
    ) -> Told:
        """Ask for a target, to the byte. Headers that are None are left out."""
        sent: dict[str, str | None] = {
            "Authorization": f"Bearer {self.token(target.partition('?')[0])}",
            "Content-Type": "text/plain" if body is not None else None,
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        async with self.session.request(
            method,
            URL(self.service.endpoint.origin + target, encoded=True),
            data=io.BytesIO(body) if body is not None else None,
            headers={name: value for name, value in sent.items() if value is not None},
            skip_auto_headers=("Content-Type",),
            allow_redirects=False,
        ) as response:
            return Told(response.status, response.headers, await response.read())


@pytest.fixture
async def service() -> AsyncIterator[Emulator]:
    """A fresh service on a free port."""
    async with Emulator() as one:
        yield one


@pytest.fixture
async def call(service: Emulator) -> AsyncIterator[Caller]:
    """Calls the fresh service."""
    async with aiohttp.ClientSession() as session:
        yield Caller(service, session)


@pytest.fixture
async def make_caller() -> AsyncIterator[Callable[[Emulator], Caller]]:
    """Makes callers of other services than the fresh one."""
    async with aiohttp.ClientSession() as session:
        yield lambda service: Caller(service, session)


@pytest.fixture
def entra() -> str:
    """What a credential would send."""
    claims = {"aud": "https://webpubsub.azure.com", "exp": 9_999_999_999}
    return "Bearer " + jwt.encode(claims, "not the service's business" * 2)


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[str, str]:
    """A self-signed certificate for 127.0.0.1, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs openssl to make a certificate")
    words = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=x -keyout key.pem -out cert.pem"
    name = ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([openssl, *words.split(), *name], cwd=tmp_path, check=True, capture_output=True)
    return str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
