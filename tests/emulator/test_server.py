"""Tests of starting and stopping, keys, TLS and simulated clients."""

import asyncio
import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from wps_run.connect.endpoint import parse_connection_string
from wps_run.emulator.server import Emulator


async def test_it_answers_when_started_and_not_when_stopped(
    make_rest_client: Callable[[Emulator], Any],
) -> None:
    """Both together take less than a second."""
    began = time.perf_counter()
    emulator = Emulator()
    await emulator.start()
    send = make_rest_client(emulator)
    assert (await send("HEAD", "/api/health")).status == 200

    await emulator.stop()
    with pytest.raises(aiohttp.ClientConnectionError):
        await send("HEAD", "/api/health")

    assert time.perf_counter() - began < 1


async def test_a_stop_does_not_wait_for_idle_clients(emulator: Emulator) -> None:
    """An idle connection is closed; a second stop has no effect."""
    port = int(emulator.endpoint.origin.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    await emulator.stop()
    await emulator.stop()

    assert await reader.read() == b""
    writer.close()


@pytest.mark.parametrize("turns", range(6))
@pytest.mark.filterwarnings("error::ResourceWarning")
async def test_a_stop_closes_what_is_accepted_in_that_moment(turns: int) -> None:
    """Whatever the emulator does with new connections, it leaves no socket open."""
    emulator = Emulator()
    await emulator.start()
    await asyncio.sleep(0)  # noqa: TID251 -- it waits for connections
    address = "127.0.0.1", int(emulator.endpoint.origin.rpartition(":")[2])
    with ExitStack() as clients:
        for _ in range(3):
            clients.enter_context(socket.create_connection(address))
        for _ in range(turns):
            await asyncio.sleep(0)  # noqa: TID251 -- a turn of the event loop
        await emulator.stop()


async def test_two_emulators_run_side_by_side(
    emulator: Emulator, make_rest_client: Callable[[Emulator], Any]
) -> None:
    """Each has its own port, key and hubs."""
    async with Emulator() as other:
        await make_rest_client(other)("POST", "/api/hubs/chat/:send", b"x")

        assert emulator.endpoint.origin != other.endpoint.origin
        assert emulator.endpoint.key != other.endpoint.key
        assert list(emulator.hubs) == []
        assert list(other.hubs) == ["chat"]


async def test_a_port_in_use_is_an_error(emulator: Emulator) -> None:
    """The failed start releases its resources."""
    port = int(emulator.endpoint.origin.rpartition(":")[2])

    with pytest.raises(OSError, match="in use"):
        await Emulator(port=port).start()


async def test_the_connection_string_can_be_read(emulator: Emulator) -> None:
    """By this package, as by the SDK. The key is in no repr."""
    assert parse_connection_string(emulator.connection_string) == emulator.endpoint
    assert emulator.endpoint.key not in repr(emulator) + repr(emulator.endpoint)


@pytest.mark.parametrize("key", ["k" * 32, "é" * 16, "with = and + / of base64" + "=" * 10])
def test_valid_keys(key: str) -> None:
    """At least 32 bytes of UTF-8."""
    assert Emulator(access_key=key).endpoint.key == key


@pytest.mark.parametrize("key", ["", "k" * 31, ";" * 40, " " * 40, "k" * 40 + "\n", "\ud800" * 40])
def test_invalid_keys(key: str) -> None:
    """Too short, or not allowed in a connection string. The message does not quote them."""
    with pytest.raises(ValueError, match="at least 32 bytes") as error:
        Emulator(access_key=key)

    assert len(key) < 2 or key not in str(error.value)


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("0.0.0.0", "http://127.0.0.1:7"),  # noqa: S104 - nothing listens in this test
        ("::", "http://[::1]:7"),
        ("localhost", "http://localhost:7"),
    ],
)
def test_the_url_of_an_emulator(host: str, origin: str) -> None:
    """One that listens on all addresses has the loopback address."""
    assert Emulator(host=host, port=7).endpoint.origin == origin


async def test_https(certificate: tuple[str, str]) -> None:
    """With a certificate and its key, it accepts TLS only."""
    cert, key = certificate
    trust = ssl.create_default_context(cafile=cert)
    async with (
        Emulator(tls_cert=cert, tls_key=key) as emulator,
        aiohttp.ClientSession() as session,
        session.head(emulator.endpoint.origin + "/api/health", ssl=trust) as response,
    ):
        assert emulator.endpoint.origin.startswith("https://127.0.0.1:")
        assert response.status == 200


@pytest.mark.parametrize("files", [{"tls_cert": "a"}, {"tls_key": "a"}])
def test_half_of_a_certificate_is_refused(files: dict[str, str]) -> None:
    """It needs both files."""
    with pytest.raises(ValueError, match="both"):
        Emulator(**files)  # type: ignore[arg-type]  # one of the two, by its name


async def test_a_missing_certificate_is_an_error() -> None:
    """When it starts."""
    with pytest.raises(ValueError, match=r"certificate `missing\.pem`.*No such file"):
        await Emulator(tls_cert="missing.pem", tls_key="missing.pem").start()


async def test_attached_clients_are_connections(
    emulator: Emulator, make_client: Callable[[], Any]
) -> None:
    """With an ID of their own, or a new one, until they leave."""
    first = emulator.attach("Chat", make_client(), user_id="ada", groups=["g"])
    second = emulator.attach("chat", make_client(), connection_id="c", groups=iter(["g"]))
    hub = emulator.hubs["chat"]

    assert second == "c"
    assert len(first) == 31
    assert list(hub.groups["g"]) == [first, "c"]

    emulator.detach("CHAT", first)
    emulator.detach("chat", "gone")
    emulator.detach("nowhere", "c")

    assert list(hub.connections) == ["c"]
    assert "ada" not in hub.users


@pytest.mark.parametrize(
    "wrong",
    [
        {"hub": "1"},
        {"user_id": " "},
        {"connection_id": ""},
        {"groups": [""]},
        {"connection_id": "taken"},
    ],
)
async def test_a_client_with_a_wrong_name_is_refused(
    emulator: Emulator, make_client: Callable[[], Any], wrong: dict[str, Any]
) -> None:
    """So is an ID that is in use; its client stays connected."""
    client = make_client()
    emulator.attach("chat", client, connection_id="taken")

    with pytest.raises(ValueError):  # noqa: PT011 - two subclasses
        emulator.attach(**{"hub": "chat", "client": make_client(), **wrong})

    assert list(emulator.hubs["chat"].connections) == ["taken"]


def test_it_prints_nothing_and_reads_no_environment(project: Path) -> None:
    """Not even for invalid HTTP."""
    program = """
import asyncio
from wps_run.emulator.server import Emulator

async def main():
    async with Emulator() as emulator:
        reader, writer = await asyncio.open_connection(*emulator.endpoint.host.split(":"))
        writer.write(b"GET / HTTP/9.9\\r\\n\\r\\n")
        await reader.read()
        writer.close()

asyncio.run(main())
"""
    process = subprocess.run(
        [sys.executable, "-c", program],
        cwd=project,
        check=True,
        capture_output=True,
        env={**os.environ, "WPS_LOCAL_ACCESS_KEY": "short"},
    )

    assert (process.stdout, process.stderr) == (b"", b"")


async def test_an_invalid_pem_file_is_named(tmp_path: Path) -> None:
    """The error has the names of the files, not OpenSSL's message."""
    file = tmp_path / "not.pem"
    file.write_text("hello", encoding="utf-8")

    with pytest.raises(ValueError, match=r"certificate `.*not\.pem`.*not a PEM pair"):
        await Emulator(tls_cert=str(file), tls_key=str(file)).start()
