"""Tokens of Entra ID: kept, renewed, and never in a message."""

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import azure.identity
import jwt
import pytest

from wps_run.actions.request import Request
from wps_run.actions.table import ACTIONS
from wps_run.connect.client import Client
from wps_run.connect.endpoint import CLOUDS, CredentialKind, Endpoint, Identity
from wps_run.connect.entra import RENEW_BEFORE, EntraTokens, create_entra_tokens
from wps_run.connect.reply import NoReply, Reply
from wps_run.connect.settings import resolve_endpoint
from wps_run.emulator.server import Emulator
from wps_run.execution.errors import error_for
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
    assert login.scopes == [("https://webpubsub.azure.com/.default",)]


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

    with pytest.raises(
        SettingsError,
        match=r"no token of Entra ID for https://.*/\.default: AADSTS7000215: .* \*\*\*",
    ):
        await client.__aenter__()


async def test_a_login_that_ends_during_a_run_is_an_outcome() -> None:
    """Nothing was sent, so that every action may be tried again."""
    login = Login(lifetime=0)
    async with Client(
        Endpoint("http://127.0.0.1:9", ""), concurrency=1, tokens=EntraTokens(login)
    ) as client:
        login.trouble = "signed out"
        outcome, _ = await client.send(SEND, timeout=10, request_id="a")

    assert isinstance(outcome, NoReply)
    assert (outcome.sent, outcome.code) == (False, "token")
    assert outcome.message.startswith("no token of Entra ID for https://webpubsub.azure.com")
    assert outcome.message.endswith(": signed out")


def test_a_token_is_in_no_repr() -> None:
    """Nor is a secret."""
    identity = Identity(CredentialKind.SECRET, settings={"clientSecret": HIDDEN})

    assert HIDDEN not in repr(identity)
    assert HIDDEN not in repr(Endpoint("https://a", "", identity))


def test_without_azure_identity_the_way_to_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra by its name."""
    monkeypatch.setitem(sys.modules, "azure.identity", None)

    with pytest.raises(SettingsError, match=r"pip install 'wps-run\[entra\]'"):
        Client(Endpoint("https://a.example", "", Identity()), concurrency=1)


class Library(ModuleType):
    """Has every credential of azure-identity, and notes what each of them gets."""

    def __init__(self) -> None:
        super().__init__("azure.identity")
        self.made: list[tuple[str, dict[str, object]]] = []

    def __getattr__(self, name: str) -> Callable[..., Login]:
        """Return the credential with this name; azure-identity has one of this name, too."""
        getattr(azure.identity, name)

        def create(**options: object) -> Login:
            self.made.append((name, options))
            return Login()

        return create


CHINA = CLOUDS["china"]
IDS = {"clientId": "c", "tenantId": "t"}
IDENTITIES: list[tuple[Identity, str, dict[str, object]]] = [
    (Identity(CredentialKind.MANAGED), "ManagedIdentityCredential", {}),
    (
        Identity(CredentialKind.MANAGED, cloud=CHINA, settings={"clientId": "c"}),
        "ManagedIdentityCredential",
        {"client_id": "c"},
    ),
    (
        Identity(CredentialKind.MANAGED, settings={"managedIdentityResourceId": "r"}),
        "ManagedIdentityCredential",
        {"identity_config": {"resource_id": "r"}},
    ),
    (
        Identity(CredentialKind.MANAGED, settings={"managedIdentityObjectId": "o"}),
        "ManagedIdentityCredential",
        {"identity_config": {"object_id": "o"}},
    ),
    (
        Identity(CredentialKind.WORKLOAD, settings={**IDS, "tokenFilePath": "f"}),
        "WorkloadIdentityCredential",
        {"client_id": "c", "tenant_id": "t", "token_file_path": "f"},
    ),
    (
        Identity(
            CredentialKind.PIPELINES,
            settings={**IDS, "serviceConnectionId": "s", "systemAccessToken": HIDDEN},
        ),
        "AzurePipelinesCredential",
        {
            "client_id": "c",
            "tenant_id": "t",
            "service_connection_id": "s",
            "system_access_token": HIDDEN,
        },
    ),
    (
        Identity(CredentialKind.SECRET, cloud=CHINA, settings={**IDS, "clientSecret": HIDDEN}),
        "ClientSecretCredential",
        {
            "client_id": "c",
            "tenant_id": "t",
            "client_secret": HIDDEN,
            "authority": "login.chinacloudapi.cn",
        },
    ),
    (
        Identity(
            CredentialKind.SECRET,
            authority="login.example",
            settings={**IDS, "clientSecret": "x", "additionallyAllowedTenants": "a; b"},
        ),
        "ClientSecretCredential",
        {
            "client_id": "c",
            "tenant_id": "t",
            "client_secret": "x",
            "authority": "login.example",
            "additionally_allowed_tenants": ["a", "b"],
        },
    ),
    (Identity(), "DefaultAzureCredential", {}),
    (
        Identity(settings=IDS),
        "DefaultAzureCredential",
        {
            "managed_identity_client_id": "c",
            "workload_identity_client_id": "c",
            "workload_identity_tenant_id": "t",
        },
    ),
    (
        Identity(settings={"managedIdentityResourceId": "r"}),
        "DefaultAzureCredential",
        {"managed_identity_client_id": None, "identity_config": {"resource_id": "r"}},
    ),
]


@pytest.mark.parametrize(("identity", "name", "options"), IDENTITIES)
def test_identity_selects_the_credential(
    monkeypatch: pytest.MonkeyPatch, identity: Identity, name: str, options: dict[str, object]
) -> None:
    """As the Functions host does from the same settings."""
    library = Library()
    monkeypatch.setitem(sys.modules, "azure.identity", library)

    create_entra_tokens(identity)

    assert library.made == [(name, options)]


@pytest.mark.parametrize("identity", [identity for identity, _, _ in IDENTITIES])
def test_azure_identity_accepts_the_arguments(
    monkeypatch: pytest.MonkeyPatch, identity: Identity
) -> None:
    """Nothing is requested before the first token."""
    monkeypatch.setenv("AZURE_CLIENT_ID", "of-the-environment")
    monkeypatch.setenv("SYSTEM_OIDCREQUESTURI", "https://pipelines.example")

    create_entra_tokens(identity)


def test_certificate_is_a_file(tmp_path: Path) -> None:
    """The thumbprint of .NET is explained; another file is refused by azure-identity."""
    thumbprint = Identity(
        CredentialKind.CERTIFICATE, settings={**IDS, "clientCertificate": "0a" * 20}
    )
    with pytest.raises(SettingsError, match=r"is a thumbprint.* path of a PEM or PFX file"):
        create_entra_tokens(thumbprint)

    file = tmp_path / "c.pem"
    file.write_text("no certificate")
    for path in (file, tmp_path / "none.pem"):
        settings = {**IDS, "clientCertificate": str(path)}
        with pytest.raises(SettingsError, match="the identity cannot be used: "):
            create_entra_tokens(Identity(CredentialKind.CERTIFICATE, settings=settings))


@pytest.fixture
def token_requests(
    monkeypatch: pytest.MonkeyPatch, serve: Callable[[HTTPServer], str]
) -> list[dict[str, list[str]]]:
    """The queries that the identity endpoint of App Service receives, one on this machine."""
    queries: list[dict[str, list[str]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            queries.append(parse_qs(urlsplit(self.path).query))
            token = {"access_token": f"token-{len(queries)}", "token_type": "Bearer"}
            content = json.dumps({**token, "expires_on": str(int(time.time()) + 3600)}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: object) -> None:
            pass

    url = serve(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{url}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", "x")
    return queries


@pytest.mark.parametrize("domain", ["com", "cn", "us"])
async def test_managed_identity_gets_a_token_for_the_cloud_of_the_endpoint(
    token_requests: list[dict[str, list[str]]], domain: str
) -> None:
    settings = {
        "Mine__serviceUri": f"https://contoso.webpubsub.azure.{domain}",
        "Mine__credential": "managedidentity",
        "Mine__clientId": "user-assigned",
    }
    identity = resolve_endpoint("Mine", settings).identity
    assert identity is not None
    tokens = create_entra_tokens(identity)
    await tokens.renew(time.time())

    assert tokens.token("/x", 0.0) == "token-1"
    (query,) = token_requests
    assert query["resource"] == [f"https://webpubsub.azure.{domain}"]
    assert query["client_id"] == ["user-assigned"]


async def test_azure_identity_reads_the_variables_among_the_settings(
    monkeypatch: pytest.MonkeyPatch, token_requests: list[dict[str, list[str]]]
) -> None:
    """Functions puts `Values` of `local.settings.json` into the environment; it stays as it was."""
    settings = {name: os.environ[name] for name in ("IDENTITY_ENDPOINT", "IDENTITY_HEADER")}
    for name in settings:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AZURE_CLIENT_ID", "of-the-environment")
    settings |= {
        "Mine__serviceUri": "https://contoso.webpubsub.azure.com",
        "azure_client_id": "of-the-settings",
    }
    environment = dict(os.environ)

    identity = resolve_endpoint("Mine", settings).identity
    assert identity is not None
    assert settings["IDENTITY_HEADER"] in identity.secrets
    tokens = create_entra_tokens(identity)
    await tokens.renew(time.time())

    assert [query["client_id"] for query in token_requests] == [["of-the-settings"]]
    assert dict(os.environ) == environment


def test_application_signs_in_with_the_token_of_a_managed_identity(
    monkeypatch: pytest.MonkeyPatch, token_requests: list[dict[str, list[str]]]
) -> None:
    """`managedidentityasfederatedidentity`, with the audience of the cloud."""
    library = Library()
    vars(library)["ManagedIdentityCredential"] = azure.identity.ManagedIdentityCredential
    monkeypatch.setitem(sys.modules, "azure.identity", library)
    settings = {**IDS, "managedIdentityClientId": "m"}
    create_entra_tokens(Identity(CredentialKind.FEDERATED, cloud=CHINA, settings=settings))

    ((name, options),) = library.made
    assert name == "ClientAssertionCredential"
    assertion = options.pop("func")
    assert callable(assertion)
    assert assertion() == "token-1"
    assert token_requests[0]["resource"] == ["api://AzureADTokenExchangeChina"]
    assert token_requests[0]["client_id"] == ["m"]
    assert options == {"client_id": "c", "tenant_id": "t", "authority": "login.chinacloudapi.cn"}


@pytest.mark.parametrize(
    ("status", "hint"), [(401, "the token's scope"), (403, "Web PubSub Service Owner")]
)
async def test_refused_identity_gets_a_hint_about_the_identity(
    server: Any, status: int, hint: str
) -> None:
    """Where a key is used, the same statuses speak of the key."""
    server.respond(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode())
    hints = {}
    for tokens in (EntraTokens(Login()), None):
        async with Client(server.endpoint, concurrency=1, tokens=tokens) as client:
            outcome, _ = await client.send(SEND, timeout=10, request_id="a")
        hints[tokens is None] = error_for(ACTIONS["sendToAll"], outcome, in_doubt=False).hint

    assert hint in hints[False]
    assert "key" not in hints[False]
    assert "key" in hints[True]
    assert "identity" not in hints[True]


def test_an_identity_that_is_refused_says_so() -> None:
    """In the words of azure-identity."""
    settings = {"clientId": "c", "tenantId": "no tenant", "clientSecret": HIDDEN}

    with pytest.raises(SettingsError, match=r"cannot be used: Invalid tenant ID") as caught:
        create_entra_tokens(Identity(CredentialKind.SECRET, settings=settings))
    assert HIDDEN not in str(caught.value)
