"""Tokens of Entra ID: kept, renewed, and never in a message."""

import asyncio
import sys
import threading
import time
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import NamedTuple

import jwt
import pytest

from wps_run.actions.request import Request
from wps_run.connect.client import Client
from wps_run.connect.endpoint import Endpoint, Identity
from wps_run.connect.entra import RENEW_BEFORE, SCOPE, EntraTokens, create_entra_tokens
from wps_run.connect.reply import NoReply, Reply
from wps_run.emulator.server import Emulator
from wps_run.problems import SettingsError

HIDDEN = "s3cr3t!"
SEND = Request("POST", "/api/hubs/chat/:send", "", b"hi", "text/plain")


class Token(NamedTuple):
    """As azure-core has it."""

    token: str
    expires_on: int


@dataclass
class Login:
    """A credential that keeps the protocol of azure-identity, without Azure."""

    lifetime: int = 3600
    now: int = field(default_factory=lambda: int(time.time()))
    scopes: list[tuple[str, ...]] = field(default_factory=list)
    threads: set[int] = field(default_factory=set)
    trouble: str = ""

    def get_token(self, *scopes: str) -> Token:
        """A new token, a number more than the last."""
        self.scopes.append(scopes)
        self.threads.add(threading.get_ident())
        if self.trouble:
            raise RuntimeError(self.trouble)
        ends = self.now + self.lifetime
        claims = {"aud": "https://webpubsub.azure.com", "exp": ends, "n": len(self.scopes)}
        return Token(jwt.encode(claims, "k" * 32), ends)


async def test_a_run_with_an_identity_is_let_in() -> None:
    """The service sees a token for its audience; one is enough for many requests."""
    login = Login()
    service = Emulator(allow_unvalidated_entra_tokens=True)
    await service.start()
    endpoint = replace(service.endpoint, key="")
    async with Client(endpoint, concurrency=4, tokens=EntraTokens(login)) as client:
        sends = (client.send(SEND, timeout=10, request_id=str(n)) for n in range(20))
        outcomes = await asyncio.gather(*sends)
    await service.stop()

    assert [outcome for outcome, _ in outcomes] == [Reply(202)] * 20
    assert login.scopes == [(SCOPE,)]


async def test_a_token_is_renewed_five_minutes_before_it_ends_and_once() -> None:
    """All who need it wait for the same one; the loop is not held up by it."""
    login = Login(now=1000)
    tokens = EntraTokens(login)
    last_moment = 1000 + 3600 - RENEW_BEFORE

    await asyncio.gather(*(tokens.renew(1000.0) for _ in range(10)))
    first = tokens.token("/x", 1000.0)
    await tokens.renew(last_moment - 1)
    assert len(login.scopes) == 1
    login.now = int(last_moment)
    await asyncio.gather(*(tokens.renew(last_moment) for _ in range(10)))

    assert len(login.scopes) == 2
    assert tokens.token("/y", last_moment) != first
    assert threading.get_ident() not in login.threads


async def test_an_identity_without_a_token_is_found_before_anything_is_sent() -> None:
    """Opening the client says why, without the secret that the credential tells."""
    tokens = EntraTokens(Login(trouble=f"AADSTS7000215: bad secret {HIDDEN}"), secrets=(HIDDEN,))
    client = Client(Endpoint("http://127.0.0.1:9", ""), concurrency=1, tokens=tokens)

    with pytest.raises(SettingsError, match=r"no token of Entra ID: AADSTS7000215: .* \*\*\*"):
        await client.__aenter__()


async def test_a_login_that_ends_during_a_run_is_an_outcome() -> None:
    """Nothing was sent, so that every action may be tried again."""
    login = Login(lifetime=0)
    async with Client(
        Endpoint("http://127.0.0.1:9", ""), concurrency=1, tokens=EntraTokens(login)
    ) as client:
        login.trouble = "signed out"
        outcome, _ = await client.send(SEND, timeout=10, request_id="a")

    assert outcome == NoReply(sent=False, code="token", message="no token of Entra ID: signed out")


def test_a_token_is_in_no_repr() -> None:
    """Nor is a secret."""
    identity = Identity(client_secret=HIDDEN)

    assert HIDDEN not in repr(identity)
    assert HIDDEN not in repr(Endpoint("https://a", "", identity))


def test_without_azure_identity_the_way_to_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra by its name."""
    monkeypatch.setitem(sys.modules, "azure.identity", None)

    with pytest.raises(SettingsError, match=r"pip install 'wps-run\[entra\]'"):
        Client(Endpoint("https://a.example", "", Identity()), concurrency=1)


class Library(ModuleType):
    """Credentials with the names and parameters of azure-identity, which note what they get."""

    def __init__(self) -> None:
        super().__init__("azure.identity")
        self.made: list[tuple[object, ...]] = []

    def ManagedIdentityCredential(self, *, client_id: str | None = None) -> Login:  # noqa: N802
        """The machine's own."""
        self.made.append(("managed", client_id))
        return Login()

    def ClientSecretCredential(self, tenant_id: str, client_id: str, secret: str) -> Login:  # noqa: N802
        """An application's."""
        self.made.append(("secret", tenant_id, client_id, secret))
        return Login()

    def DefaultAzureCredential(self, **given: str) -> Login:  # noqa: N802
        """Whatever is there."""
        if given.get("workload_identity_tenant_id") == "no tenant":
            raise ValueError("Invalid tenant ID provided.")
        self.made.append(("default", given))
        return Login()


@pytest.mark.parametrize(
    ("identity", "made"),
    [
        (Identity(managed=True), ("managed", None)),
        (Identity(managed=True, client_id="c"), ("managed", "c")),
        (
            Identity(client_id="c", tenant_id="t", client_secret=HIDDEN),
            ("secret", "t", "c", HIDDEN),
        ),
        (Identity(), ("default", {})),
        (
            Identity(client_id="c", tenant_id="t"),
            (
                "default",
                {
                    "managed_identity_client_id": "c",
                    "workload_identity_client_id": "c",
                    "workload_identity_tenant_id": "t",
                },
            ),
        ),
    ],
)
def test_the_identity_chooses_the_credential(
    monkeypatch: pytest.MonkeyPatch, identity: Identity, made: tuple[object, ...]
) -> None:
    """Managed, an application with its secret, or what the environment offers."""
    library = Library()
    monkeypatch.setitem(sys.modules, "azure.identity", library)

    create_entra_tokens(identity)

    assert library.made == [made]


def test_an_identity_that_is_refused_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the words of azure-identity."""
    monkeypatch.setitem(sys.modules, "azure.identity", Library())

    with pytest.raises(SettingsError, match=r"cannot be used: Invalid tenant ID"):
        create_entra_tokens(Identity(tenant_id="no tenant"))
