"""Injected faults as a client meets them, over real HTTP."""

import asyncio
import email.utils
import json
import ssl
import time
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from wps_run.emulator.request_log import RequestEntry
from wps_run.emulator.server import Emulator

SEND = "/api/hubs/chat/:send"

Make = Callable[[], Any]


def asked(emulator: Emulator) -> list[RequestEntry]:
    """The requests to hubs in the ledger."""
    found = (
        one.what for one in emulator.request_log.entries() if isinstance(one.what, RequestEntry)
    )
    return [one for one in found if one.hub]


@pytest.mark.parametrize(
    ("fault", "status", "heard"),
    [
        ("429", 429, 0),
        ("408", 408, 0),
        ("503", 503, 0),
        ("503,before", 503, 0),
        ("503,after", 503, 1),
        ("delay=1ms", 202, 1),
        ("delay=1ms,after", 202, 1),
    ],
)
async def test_a_status_comes_before_or_after_the_effect(
    make_rest_client: Any, make_client: Make, fault: str, status: int, heard: int
) -> None:
    """What was done is done, whatever the answer says; the ledger tells both."""
    one = make_client()
    async with Emulator(faults=[f"{fault},count=1"]) as emulator:
        emulator.attach("chat", one)
        ask = make_rest_client(emulator)
        told = await ask("POST", SEND, b"x")
        assert (told.status, len(one.received)) == (status, heard)

        assert (await ask("POST", SEND, b"x")).status == 202

    first, second = asked(emulator)
    assert (first.status, first.faults) == (status, (f"{fault},count=1",))
    assert (first.effect is not None) == bool(heard)
    assert (second.status, second.faults) == (202, ())


async def test_an_injected_error_says_what_it_is(make_rest_client: Any) -> None:
    """In the shape of the service's errors, with a code that nothing else has."""
    async with Emulator(faults=["503"]) as emulator:
        told = await make_rest_client(emulator)("POST", SEND, b"x")

    assert told.headers["x-ms-error-code"] == "Fault.OnDemand"
    assert json.loads(told.body)["message"] == "This fault was injected: `503`."


@pytest.mark.parametrize(
    ("fault", "header", "value"),
    [
        ("429", "Retry-After", None),
        ("429,retry-after=2", "Retry-After", "2"),
        ("503,after,retry-after=0", "Retry-After", "0"),
        ("429,retry-after-ms=250", "retry-after-ms", "250"),
    ],
)
async def test_a_caller_is_told_to_wait(
    make_rest_client: Any, fault: str, header: str, value: str | None
) -> None:
    """In the header that was asked for, and in no other."""
    async with Emulator(faults=[fault]) as emulator:
        told = await make_rest_client(emulator)("POST", SEND, b"x")

    told_to = {name.lower() for name in told.headers if name.lower().startswith("retry-after")}
    assert told.headers.get(header) == value
    assert told_to == ({header.lower()} if value else set())


async def test_a_caller_is_told_to_wait_until_a_date(make_rest_client: Any) -> None:
    """As HTTP writes dates."""
    async with Emulator(faults=["429,retry-after-date=60"]) as emulator:
        told = await make_rest_client(emulator)("POST", SEND, b"x")

    until = email.utils.parsedate_to_datetime(told.headers["Retry-After"]).timestamp()
    assert 55 < until - time.time() <= 61


async def test_a_delay_delays(make_rest_client: Any) -> None:
    """Before the effect, unless it is said otherwise; two add up."""
    async with Emulator(faults=["delay=60ms", "delay=40ms,after"]) as emulator:
        began = time.perf_counter()
        told = await make_rest_client(emulator)("POST", SEND, b"x")

    assert told.status == 202
    assert 0.099 < time.perf_counter() - began < 5


@pytest.mark.parametrize(("moment", "heard"), [("before", 0), ("after", 1)])
async def test_a_reset_gives_no_answer(
    make_rest_client: Any, make_client: Make, moment: str, heard: int
) -> None:
    """The connection is gone; a new one is served."""
    one = make_client()
    async with Emulator(faults=[f"reset,{moment},count=1"]) as emulator:
        emulator.attach("chat", one)
        ask = make_rest_client(emulator)
        with pytest.raises(aiohttp.ClientOSError, match="reset by peer"):
            await ask("POST", SEND, b"x")

        assert len(one.received) == heard
        assert (await ask("POST", SEND, b"x")).status == 202

    assert [one.status for one in asked(emulator)] == [0, 202]


@pytest.mark.parametrize(
    ("method", "path", "error"),
    [
        ("POST", SEND, aiohttp.ServerDisconnectedError),
        ("HEAD", "/api/hubs/chat/users/ada", aiohttp.ServerDisconnectedError),
        ("GET", "/api/hubs/chat/groups/g/connections", aiohttp.ClientPayloadError),
    ],
)
async def test_half_an_answer_breaks_off(
    make_rest_client: Any, make_client: Make, method: str, path: str, error: type[Exception]
) -> None:
    """Within its head, or within its body if it has one; what was asked for was done."""
    one = make_client()
    async with Emulator(faults=["half"]) as emulator:
        emulator.attach("chat", one)
        with pytest.raises(error):
            await make_rest_client(emulator)(method, path, b"x" if method == "POST" else None)

    assert len(one.received) == (method == "POST")
    assert {one.status for one in asked(emulator)} == {0}


@pytest.mark.parametrize(("moment", "heard"), [("before", 0), ("after", 1)])
async def test_a_stall_gives_no_answer_until_the_caller_gives_up(
    make_rest_client: Any, make_client: Make, moment: str, heard: int
) -> None:
    """Others are served meanwhile, and nothing is kept of who gave up."""
    one = make_client()
    async with Emulator(faults=[f"stall,{moment},count=1"]) as emulator:
        emulator.attach("chat", one)
        ask = make_rest_client(emulator)
        stalled = asyncio.ensure_future(ask("POST", SEND, b"x"))
        while not asked(emulator):
            await ask("HEAD", "/api/health")
        tasks = len(asyncio.all_tasks())
        assert (await ask("POST", SEND, b"x")).status == 202
        assert not stalled.done()

        stalled.cancel()
        while len(asyncio.all_tasks()) >= tasks:
            await ask("HEAD", "/api/health")

    assert len(one.received) == heard + 1


async def test_a_stop_does_not_wait_for_what_is_stalled_or_delayed(make_rest_client: Any) -> None:
    """Their callers are told by the end of the connection, at once."""
    faults = ["stall,count=5", "delay=60m,nth=6"]
    async with Emulator(faults=faults) as emulator:
        ask = make_rest_client(emulator)
        waiting = [asyncio.ensure_future(ask("POST", SEND, b"x")) for _ in range(6)]
        while sum(one.matched for one in emulator.faults.counters) < 12:
            await ask("HEAD", "/api/health")
        began = time.perf_counter()

    ends = await asyncio.gather(*waiting, return_exceptions=True)
    assert time.perf_counter() - began < 0.5
    assert sum(isinstance(end, aiohttp.ClientConnectionError) for end in ends) >= 5


async def test_faults_strike_over_tls_too(
    certificate: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """A caller who gives up, one who is held till the end, a reset and half an answer."""
    cert, key = certificate
    trust = ssl.create_default_context(cafile=cert)
    faults = ["reset,nth=1", "half,nth=2", "stall"]
    emulator = Emulator(tls_cert=cert, tls_key=key, faults=faults)
    async with emulator, aiohttp.ClientSession() as session:
        origin = emulator.endpoint.origin

        async def ask() -> None:
            async with session.post(f"{origin}{SEND}", ssl=trust, data=b"x"):
                pass

        for _ in range(2):
            with pytest.raises(aiohttp.ClientConnectionError):
                await ask()
        gives_up, held = (asyncio.ensure_future(ask()) for _ in range(2))
        while len(asked(emulator)) < 4:
            async with session.head(f"{origin}/api/health", ssl=trust):
                pass
        tasks = len(asyncio.all_tasks())
        gives_up.cancel()
        while len(asyncio.all_tasks()) >= tasks:
            async with session.head(f"{origin}/api/health", ssl=trust):
                pass
        assert not held.done()

    with pytest.raises(aiohttp.ClientConnectionError):
        await held
    assert caplog.records == []


async def test_a_refusal_may_be_struck_too(make_rest_client: Any) -> None:
    """A fault strikes whatever the answer would have been; health is never struck."""
    async with Emulator(faults=["503"]) as emulator:
        ask = make_rest_client(emulator)

        assert (await ask("POST", SEND, b"x", Authorization=None)).status == 503
        assert (await ask("HEAD", "/api/health")).status == 200
        assert (await ask("GET", "/nowhere")).status == 404


async def test_a_large_body_is_taken_before_an_error_is_answered(make_rest_client: Any) -> None:
    """The connection can be used again."""
    async with Emulator(faults=["429,count=1"]) as emulator:
        ask = make_rest_client(emulator)

        assert (await ask("POST", SEND, b"x" * 1024 * 1024)).status == 429
        assert (await ask("POST", SEND, b"x")).status == 202


def test_a_fault_that_cannot_be_read_is_refused() -> None:
    """When the service is made."""
    with pytest.raises(ValueError, match="did you mean `stall`"):
        Emulator(faults=["stal"])
