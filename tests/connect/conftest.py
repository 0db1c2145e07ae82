"""A raw HTTP server that notes every byte of a request line and answers as a test tells it."""

import asyncio
import contextlib
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from wps_run.connect.endpoint import Endpoint

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@dataclass(frozen=True)
class ReceivedRequest:
    """One request as it came in."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    connection: int

    def header(self, name: str) -> list[str]:
        """The values of a header, by its name in lower case."""
        return [value for key, value in self.headers if key.lower() == name]


@dataclass
class RawServer:
    """Listens on loopback. `answer` receives each request and the writer for its response."""

    requests: list[ReceivedRequest] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    most_open: int = 0
    writers: set[asyncio.StreamWriter] = field(default_factory=set)
    tls: ssl.SSLContext | None = None

    async def answer(self, request: ReceivedRequest, writer: asyncio.StreamWriter) -> None:
        """Respond with 200, unless a test replaces this."""
        del request
        writer.write(OK)

    def respond(self, *responses: bytes) -> None:
        """Respond with these bytes, one response a request; the last one for all later requests."""
        left = list(responses)

        async def answer(request: ReceivedRequest, writer: asyncio.StreamWriter) -> None:
            del request
            writer.write(left.pop(0) if len(left) > 1 else left[0])

        self.handle_with(answer)

    def handle_with(
        self, answer: Callable[[ReceivedRequest, asyncio.StreamWriter], Awaitable[None]]
    ) -> None:
        """Respond by a function of the test."""
        self.__dict__["answer"] = answer

    @property
    def endpoint(self) -> Endpoint:
        """Its address."""
        return Endpoint(f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}", "k" * 44)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection: requests and responses in turn, until either side closes."""
        self.connections += 1
        number = self.connections
        self.writers.add(writer)
        self.most_open = max(self.most_open, len(self.writers))
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while not writer.is_closing():
                request = await self._read_request(reader, number)
                self.requests.append(request)
                await self.answer(request, writer)
                await writer.drain()
        self.writers.discard(writer)
        writer.close()

    @staticmethod
    async def _read_request(reader: asyncio.StreamReader, number: int) -> ReceivedRequest:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ")
        headers = [(name, value.strip()) for name, _, value in (h.partition(":") for h in head[1:])]
        length = next((int(value) for name, value in headers if name == "Content-Length"), 0)
        return ReceivedRequest(
            method, target, headers[:-2], await reader.readexactly(length), number
        )


@contextlib.asynccontextmanager
async def listening(server: RawServer) -> AsyncIterator[RawServer]:
    """The server, listening on a free port."""
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=server.tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for writer in list(server.writers):
            writer.transport.abort()
        await listener.wait_closed()


@pytest.fixture
async def server() -> AsyncIterator[RawServer]:
    """A raw server over plain http."""
    async with listening(RawServer()) as running:
        yield running


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a key and a certificate for `localhost`, which is not trusted by default."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs openssl to make a certificate")
    folder = tmp_path_factory.mktemp("tls")
    args = (
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost "
        "-addext subjectAltName=DNS:localhost -keyout key.pem -out cert.pem"
    )
    subprocess.run([openssl, *args.split()], cwd=folder, check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_text((folder / "key.pem").read_text() + (folder / "cert.pem").read_text())
    return both


@pytest.fixture
def server_tls(certificate: Path) -> ssl.SSLContext:
    """The TLS context of the server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
async def tls_server(server_tls: ssl.SSLContext) -> AsyncIterator[RawServer]:
    """A raw server over TLS, with a certificate that is not trusted by default."""
    async with listening(RawServer(tls=server_tls)) as running:
        yield running


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the proxies of the machine that runs the tests."""
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
