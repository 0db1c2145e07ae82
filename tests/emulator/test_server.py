"""Starting and stopping, keys, TLS, and clients that need no socket."""

import asyncio
import os
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from wps_run.connect.endpoint import parse_connection_string
from wps_run.emulator.server import Emulator


async def test_it_is_ready_when_started_and_gone_when_stopped(
    make_rest_client: Callable[[Emulator], Any],
) -> None:
    """Well under a second each, on a port of its own."""
    began = time.perf_counter()
    emulator = Emulator()
    await emulator.start()
    ask = make_rest_client(emulator)
    assert (await ask("HEAD", "/api/health")).status == 200

    await emulator.stop()
    with pytest.raises(aiohttp.ClientConnectionError):
        await ask("HEAD", "/api/health")

    assert time.perf_counter() - began < 1


async def test_a_stop_does_not_wait_for_idle_clients(emulator: Emulator) -> None:
    """A connection that says nothing is closed; stopping twice is once too often, but harmless."""
    port = int(emulator.endpoint.origin.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    await emulator.stop()
    await emulator.stop()

    assert await reader.read() == b""
    writer.close()


async def test_two_services_live_side_by_side(
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
    """Nothing is left behind by the one that failed."""
    port = int(emulator.endpoint.origin.rpartition(":")[2])

    with pytest.raises(OSError, match="in use"):
        await Emulator(port=port).start()


async def test_the_connection_string_can_be_read(emulator: Emulator) -> None:
    """By the runner; the SDK's tests read it, too. The key is in no repr."""
    assert parse_connection_string(emulator.connection_string) == emulator.endpoint
    assert emulator.endpoint.key not in repr(emulator) + repr(emulator.endpoint)


@pytest.mark.parametrize("key", ["k" * 32, "é" * 16, "with = and + / of base64" + "=" * 10])
def test_keys_that_are_taken(key: str) -> None:
    """At least 32 bytes of UTF-8."""
    assert Emulator(access_key=key).endpoint.key == key


@pytest.mark.parametrize("key", ["", "k" * 31, ";" * 40, " " * 40, "k" * 40 + "\n", "\ud800" * 40])
def test_keys_that_are_refused(key: str) -> None:
    """Too short, or no part of a connection string. The message does not quote them."""
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
def test_where_it_is_reached(host: str, origin: str) -> None:
    """A service on all addresses is reached on this machine's own."""
    assert Emulator(host=host, port=7).endpoint.origin == origin


async def test_https(certificate: tuple[str, str]) -> None:
    """With a certificate and its key, it speaks TLS and nothing else."""
    cert, key = certificate
    trust = ssl.create_default_context(cafile=cert)
    async with (
        Emulator(tls_cert=cert, tls_key=key) as emulator,
        aiohttp.ClientSession() as session,
        session.head(emulator.endpoint.origin + "/api/health", ssl=trust) as response,
    ):
        assert emulator.endpoint.origin.startswith("https://127.0.0.1:")
        assert response.status == 200


@pytest.mark.parametrize("given", [{"tls_cert": "a"}, {"tls_key": "a"}])
def test_half_of_a_certificate_is_refused(given: dict[str, str]) -> None:
    """It needs both files."""
    with pytest.raises(ValueError, match="both"):
        Emulator(**given)  # type: ignore[arg-type]  # one of the two, by its name


async def test_a_certificate_that_is_not_there_is_an_error() -> None:
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
    """So is an ID that is in use; the one who has it keeps it."""
    one = make_client()
    emulator.attach("chat", one, connection_id="taken")

    with pytest.raises(ValueError):  # noqa: PT011 - two kinds
        emulator.attach(**{"hub": "chat", "client": make_client(), **wrong})

    assert list(emulator.hubs["chat"].connections) == ["taken"]


def test_it_prints_nothing_and_reads_no_environment(project: Path) -> None:
    """It is a guest in this process: even what is no HTTP, and a newer version, stay silent."""
    program = """
import asyncio
from wps_run.emulator.server import Emulator

async def main():
    async with Emulator() as service:
        reader, writer = await asyncio.open_connection(*service.endpoint.host.split(":"))
        writer.write(b"GET / HTTP/9.9\\r\\n\\r\\n")
        await reader.read()
        writer.close()

asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=project,
        check=True,
        capture_output=True,
        env={**os.environ, "WPS_LOCAL_ACCESS_KEY": "short"},
    )

    assert (done.stdout, done.stderr) == (b"", b"")


async def test_files_that_are_no_pem_pair_are_named(tmp_path: Path) -> None:
    """What OpenSSL refuses is told with the files' names, not in OpenSSL's words."""
    file = tmp_path / "not.pem"
    file.write_text("hello", encoding="utf-8")

    with pytest.raises(ValueError, match=r"certificate `.*not\.pem`.*not a PEM pair"):
        await Emulator(tls_cert=str(file), tls_key=str(file)).start()
