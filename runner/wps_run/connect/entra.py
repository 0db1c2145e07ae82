"""Tokens of Entra ID, from whatever credential the settings name."""

import asyncio
from importlib import import_module
from typing import Any, Protocol

from wps_run.connect.endpoint import Identity
from wps_run.problems import SettingsError
from wps_run.text import clean_line

SCOPE = "https://webpubsub.azure.com/.default"
"""What a token is asked for. Source: the official SDKs."""

RENEW_BEFORE = 300.0
"""Seconds before its expiry in which a token is no longer used."""

_MESSAGE_LENGTH = 300


class AccessToken(Protocol):
    """A token and its end, as azure-core has it."""

    @property
    def token(self) -> str:
        """The bearer token."""
        ...

    @property
    def expires_on(self) -> int:
        """Seconds since the epoch."""
        ...


class Credential(Protocol):
    """A credential of azure-identity. It may take seconds, and run other programs."""

    def get_token(self, *scopes: str) -> AccessToken:
        """A token for these scopes."""
        ...


class EntraTokens:
    """One token for all requests, asked for anew five minutes before it ends.

    Args:
        credential: Who gives tokens.
        secrets: What must not be in a message, though a credential may say it.
    """

    def __init__(self, credential: Credential, *, secrets: tuple[str, ...] = ()) -> None:
        self._credential = credential
        self._secrets = secrets
        self._token = ""
        self._ends = 0.0
        self._lock = asyncio.Lock()

    async def renew(self, now: float) -> None:
        """Ask for a token unless the one at hand lasts. The event loop goes on meanwhile.

        Args:
            now: Seconds since the epoch.

        Raises:
            SettingsError: There is none to be had; says why.
        """
        if self._lasts(now):
            return
        async with self._lock:  # all but the first find the new one
            if self._lasts(now):
                return
            try:
                got = await asyncio.to_thread(self._credential.get_token, SCOPE)
            except Exception as error:  # noqa: BLE001 -- credentials raise what they like
                reason = (
                    clean_line(str(error), self._secrets, _MESSAGE_LENGTH) or type(error).__name__
                )
                raise SettingsError(f"no token of Entra ID: {reason}") from None
            self._token, self._ends = got.token, float(got.expires_on)

    def token(self, path: str, now: float) -> str:
        """The token at hand, which is for every path; `renew` comes first."""
        del path, now
        return self._token

    def _lasts(self, now: float) -> bool:
        return now < self._ends - RENEW_BEFORE


def create_entra_tokens(identity: Identity) -> EntraTokens:
    """Tokens by an identity.

    Raises:
        SettingsError: azure-identity is not installed, or refuses the settings.
    """
    try:
        library = import_module("azure.identity")
    except ModuleNotFoundError:
        raise SettingsError("Entra ID needs azure-identity: pip install 'wps-run[entra]'") from None
    secrets = tuple(filter(None, (identity.client_secret,)))
    try:
        credential = _credential(library, identity)
    except ValueError as error:
        reason = clean_line(str(error), secrets, _MESSAGE_LENGTH)
        raise SettingsError(f"the identity cannot be used: {reason}") from None
    return EntraTokens(credential, secrets=secrets)


def _credential(library: Any, identity: Identity) -> Credential:  # noqa: ANN401 -- a module
    client = identity.client_id or None
    tenant = identity.tenant_id or None
    made: Credential
    if identity.managed:
        made = library.ManagedIdentityCredential(client_id=client)
    elif identity.client_secret:
        made = library.ClientSecretCredential(tenant, client, identity.client_secret)
    else:
        named = {
            "managed_identity_client_id": client,
            "workload_identity_client_id": client,
            "workload_identity_tenant_id": tenant,
        }
        given = {name: value for name, value in named.items() if value}
        made = library.DefaultAzureCredential(**given)
    return made
