"""A stand-in for the test tools of azure-sdk-for-python, which are not published.

It has the names that the suites in two sdists import. Nothing is recorded or played back: each test
runs against the emulator that the environment names. Only the child processes that run those
suites have it in their path.
"""

import inspect
import os
import time
from collections.abc import Callable, Mapping
from typing import Any, Self, TypeVar

import jwt
import pytest
from azure.core.credentials import AccessToken

from .environment import simulate_network

Function = TypeVar("Function", bound=Callable[..., Any])

AUDIENCE = "https://webpubsub.azure.com"

simulate_network()


@pytest.fixture(scope="session")
def test_proxy() -> None:
    """Do nothing: there is no recording proxy."""


def add_general_regex_sanitizer(**_: str) -> None:
    """Do nothing: there are no recordings."""


def recorded_by_proxy(function: Function) -> Function:
    """Return the test: nothing is recorded."""
    return function


class PowerShellPreparer:
    """Passes settings from the environment to a test: `service_name` from `SERVICE_NAME`.

    Args:
        _: The directory that the resources belong to.
        settings: The names of the settings, and their values in recordings.
    """

    def __init__(self, _: str, **settings: str) -> None:
        self._settings = {name: os.environ[name.upper()] for name in settings}

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap a test, so that pytest requires no fixtures of those names."""
        arguments = _arguments(function, self._settings)

        async def run_later(case: object) -> None:
            await function(case, **arguments)

        def run(case: object) -> None:
            function(case, **arguments)

        wrapper = run_later if inspect.iscoroutinefunction(function) else run
        wrapper.__name__ = function.__name__
        return wrapper


def _arguments(function: Callable[..., Any], settings: Mapping[str, str]) -> dict[str, str]:
    """Select the settings that a test has parameters for."""
    parameters = inspect.signature(function).parameters
    takes_all = any(
        parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()
    )
    return {name: value for name, value in settings.items() if takes_all or name in parameters}


class AzureRecordedTestCase:
    """The base class of the suites' test cases."""

    def is_playback(self) -> bool:
        """Return False: the tests are live."""
        return False

    def get_credential(self, _: type, *, is_async: bool = False) -> object:
        """Return a credential whose tokens are not validated."""
        return AsyncCredential() if is_async else Credential()

    def create_client_from_credential(self, client: Callable[..., Any], **options: Any) -> Any:
        """Return a client with that credential."""
        return client(**options)


class Credential:
    """Issues tokens with the audience of Entra ID."""

    def get_token(self, *_: str, **__: object) -> AccessToken:
        """Issue a token for Web PubSub."""
        expires = int(time.time()) + 3600
        claims = {"aud": AUDIENCE, "exp": expires, "oid": "0"}
        return AccessToken(jwt.encode(claims, "another signing key" * 2), expires)


class AsyncCredential:
    """The same for asynchronous clients."""

    async def get_token(self, *_: str, **__: object) -> AccessToken:
        """Issue a token for Web PubSub."""
        return Credential().get_token()

    async def close(self) -> None:
        """Do nothing."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None
