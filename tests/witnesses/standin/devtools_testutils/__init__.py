"""A stand-in for the test tools of azure-sdk-for-python, which are not published.

As much of them as the suites inside two sdists import: nothing is recorded or played back, every
test runs live against the service that the environment names. It is on the path of the child
processes that run those suites, and nowhere else.
"""

import inspect
import os
import time
from collections.abc import Callable, Mapping
from typing import Any, Self, TypeVar

import jwt
import pytest
from azure.core.credentials import AccessToken

from .surroundings import surround

Function = TypeVar("Function", bound=Callable[..., Any])

AUDIENCE = "https://webpubsub.azure.com"

surround()


@pytest.fixture(scope="session")
def test_proxy() -> None:
    """There is no proxy that records."""


def add_general_regex_sanitizer(**_: str) -> None:
    """There are no recordings to clean."""


def recorded_by_proxy(function: Function) -> Function:
    """Nothing is recorded."""
    return function


class PowerShellPreparer:
    """Hands settings from the environment to a test: `service_name` from `SERVICE_NAME`.

    Args:
        _: The directory that the resources belong to.
        settings: The names of the settings, and what recordings say in their place.
    """

    def __init__(self, _: str, **settings: str) -> None:
        self._settings = {name: os.environ[name.upper()] for name in settings}

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Wrap a test, so that pytest looks for no fixtures of those names."""
        wanted = _wanted(function, self._settings)

        async def run_later(case: object) -> None:
            await function(case, **wanted)

        def run(case: object) -> None:
            function(case, **wanted)

        wrapper = run_later if inspect.iscoroutinefunction(function) else run
        wrapper.__name__ = function.__name__
        return wrapper


def _wanted(function: Callable[..., Any], settings: Mapping[str, str]) -> dict[str, str]:
    """The settings that a test has parameters for."""
    parameters = inspect.signature(function).parameters
    takes_all = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values())
    return {name: value for name, value in settings.items() if takes_all or name in parameters}


class AzureRecordedTestCase:
    """What the suites' own test cases begin with."""

    def is_playback(self) -> bool:
        """Never: the tests are live."""
        return False

    def get_credential(self, _: type, *, is_async: bool = False) -> object:
        """A credential that nobody has vouched for."""
        return AsyncCredential() if is_async else Credential()

    def create_client_from_credential(self, client: Callable[..., Any], **options: Any) -> Any:
        """A client with that credential."""
        return client(**options)


class Credential:
    """Gives out tokens that look like those of Entra ID."""

    def get_token(self, *_: str, **__: object) -> AccessToken:
        """A token for Web PubSub."""
        expires = int(time.time()) + 3600
        claims = {"aud": AUDIENCE, "exp": expires, "oid": "0"}
        return AccessToken(jwt.encode(claims, "signed by nobody who matters" * 2), expires)


class AsyncCredential:
    """The same for asynchronous clients."""

    async def get_token(self, *_: str, **__: object) -> AccessToken:
        """A token for Web PubSub."""
        return Credential().get_token()

    async def close(self) -> None:
        """Nothing is open."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None
