"""The official Python SDK, synchronous for one request in flight, asynchronous for more.

`python official_sdk.py ROWS.csv ORIGIN CONCURRENCY`, the access key in ACCESS_KEY.
"""

import asyncio
import csv
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from azure.messaging.webpubsubservice import WebPubSubServiceClient
from azure.messaging.webpubsubservice.aio import WebPubSubServiceClient as AsyncClient


def one_by_one(settings: str, rows: Iterator[list[str]]) -> None:
    """A loop, as the SDK's documentation writes it."""
    with WebPubSubServiceClient.from_connection_string(settings, hub="chat") as client:
        for user, group in rows:
            client.add_user_to_group(group=group, user_id=user)


async def together(settings: str, rows: Iterator[list[str]], concurrency: int) -> None:
    """As many workers as requests in flight, over one iterator."""

    async def work() -> None:
        for user, group in rows:
            await client.add_user_to_group(group=group, user_id=user)

    async with AsyncClient.from_connection_string(settings, hub="chat") as client:
        await asyncio.gather(*(work() for _ in range(concurrency)))


def main() -> None:
    """Send a request for each row."""
    settings = f"Endpoint={sys.argv[2]};AccessKey={os.environ['ACCESS_KEY']};Version=1.0;"
    concurrency = int(sys.argv[3])
    with Path(sys.argv[1]).open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        next(rows)
        if concurrency == 1:
            one_by_one(settings, rows)
        else:
            asyncio.run(together(settings, rows, concurrency))


if __name__ == "__main__":
    main()
