"""The pytest fixture `wps_local`: a fresh Web PubSub compatible emulator for one test.

This module has no hooks. The first test that uses the fixture imports the emulator and aiohttp.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from wps_run.emulator.testing import LocalPubSub


@pytest.fixture
def wps_local() -> "Iterator[LocalPubSub]":
    """A fresh Web PubSub emulator on a free port, with simulated clients and a request log.

    It runs in a thread of its own, for sync and async tests. See
    `wps_run.emulator.testing.LocalPubSub`.
    """
    from wps_run.emulator.testing import LocalPubSub  # noqa: PLC0415 - pytest starts without it

    with LocalPubSub() as emulator:
        yield emulator
