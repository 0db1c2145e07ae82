"""A browser's session with a service, over real HTTP."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from wps_run.emulator.server import Emulator


@pytest.fixture
async def watching(service: Emulator) -> AsyncIterator[aiohttp.ClientSession]:
    """Who has followed the link, and asks as the page does."""
    origin = service.endpoint.origin
    jar = aiohttp.CookieJar(unsafe=True)  # it takes cookies of addresses
    headers = {"Origin": origin}
    async with aiohttp.ClientSession(origin, cookie_jar=jar, headers=headers) as session:
        async with session.get(service.page_link()) as answer:
            assert answer.status == 200
        yield session
