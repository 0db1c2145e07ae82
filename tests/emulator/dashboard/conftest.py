"""A browser's session with an emulator, over real HTTP."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from wps_run.emulator.server import Emulator


@pytest.fixture
async def dashboard_session(emulator: Emulator) -> AsyncIterator[aiohttp.ClientSession]:
    """A client that has opened the link and sends the headers of the dashboard."""
    origin = emulator.endpoint.origin
    jar = aiohttp.CookieJar(unsafe=True)  # it takes cookies of addresses
    headers = {"Origin": origin}
    async with aiohttp.ClientSession(origin, cookie_jar=jar, headers=headers) as session:
        async with session.get(emulator.dashboard_link()) as answer:
            assert answer.status == 200
        yield session
