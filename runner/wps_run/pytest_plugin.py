"""The pytest fixture `wps_local`: a fresh Web PubSub compatible service for a test of yours.

Loading this module loads neither the service nor aiohttp; the first test that asks for the
fixture does. It has no hooks, and touches no test that does not ask for it.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from wps_run.emulator.testing import LocalPubSub


@pytest.fixture
def wps_local() -> "Iterator[LocalPubSub]":
    """A fresh service on a free port, with simulated clients and a ledger to assert on.

    It runs in a thread of its own, so that sync and async tests can use it alike. See
    `wps_run.emulator.testing.LocalPubSub`.
    """
    from wps_run.emulator.testing import LocalPubSub  # noqa: PLC0415 -- pytest starts without it

    with LocalPubSub() as service:
        yield service
