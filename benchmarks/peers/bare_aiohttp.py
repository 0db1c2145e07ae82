"""The yardstick: as little around aiohttp as sends signed requests and looks at each answer.

`python bare_aiohttp.py ROWS.csv ORIGIN CONCURRENCY [CA]`, the access key in ACCESS_KEY. One
session, as many workers as requests in flight over one iterator, PyJWT's `encode` a request.
"""

import asyncio
import csv
import os
import ssl
import sys
import time
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import aiohttp
import jwt

KEY = os.environ["ACCESS_KEY"]
QUERY = "?api-version=2024-12-01"


async def work(session: aiohttp.ClientSession, rows: Iterator[list[str]], origin: str) -> None:
    """Send one request after the other until there is no row left."""
    for user, group in rows:
        url = f"{origin}/api/hubs/chat/users/{user}/groups/{group}"
        token = jwt.encode({"aud": url, "exp": int(time.time()) + 60}, KEY, algorithm="HS256")
        headers = {"Authorization": f"Bearer {token}"}
        async with session.put(url + QUERY, headers=headers) as answer:
            await answer.read()
            if answer.status != HTTPStatus.OK:
                sys.exit(f"{url}: {answer.status}")


async def send(
    rows: Iterator[list[str]], origin: str, concurrency: int, bundle: str | None = None
) -> None:
    """Send a request for each row."""
    tls = ssl.create_default_context(cafile=bundle) if bundle else True
    connector = aiohttp.TCPConnector(limit=concurrency, ssl=tls)
    async with aiohttp.ClientSession(connector=connector) as session:
        await asyncio.gather(*(work(session, rows, origin) for _ in range(concurrency)))


def main() -> None:
    """Send a request for each row."""
    name, origin, concurrency, *bundle = sys.argv[1:]
    with Path(name).open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        next(rows)
        asyncio.run(send(rows, origin, int(concurrency), *bundle))


if __name__ == "__main__":
    main()
