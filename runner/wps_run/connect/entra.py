"""Tokens of Entra ID, by the credential that the settings name."""

import asyncio
from importlib import import_module
from typing import Any, Protocol

from wps_run.connect.endpoint import Identity
from wps_run.problems import SettingsError
from wps_run.redaction import Secrets, clean_line

SCOPE = "https://webpubsub.azure.com/.default"
"""The scope of a token. Source: the official SDKs."""

RENEW_BEFORE = 300.0
"""Seconds before its expiry from which a token is no longer used."""

_MESSAGE_LENGTH = 300


class AccessToken(Protocol):
    """A token and its expiry, as in azure-core."""

    @property
    def token(self) -> str: ...

    @property
    def expires_on(self) -> int:
        """Seconds since the epoch."""


class Credential(Protocol):
    """A credential of azure-identity. A call may take seconds and run other programs."""

    def get_token(self, *scopes: str) -> AccessToken:
        """Return a token for these scopes."""


class EntraTokens:
    """One token for all requests, renewed five minutes before it expires.

    Args:
        credential: The source of tokens.
        secrets: Values to mask in messages of the credential.
    """

    def __init__(self, credential: Credential, *, secrets: tuple[str, ...] = ()) -> None:
        self._credential = credential
        self._secrets = Secrets(secrets)
        self._token = ""
        self._expires_on = 0.0
        self._lock = asyncio.Lock()

    async def renew(self, now: float) -> None:
        """Request a token unless the present one is still valid, in a thread.

        Args:
            now: Seconds since the epoch.

        Raises:
            SettingsError: The credential returns no token; the message has its reason.
        """
        if self._is_valid(now):
            return
        async with self._lock:
            if self._is_valid(now):  # another task has renewed it
                return
            try:
                token = await asyncio.to_thread(self._credential.get_token, SCOPE)
            except Exception as error:  # noqa: BLE001 -- credentials raise any exception
                reason = (
                    clean_line(str(error), self._secrets, _MESSAGE_LENGTH) or type(error).__name__
                )
                raise SettingsError(f"no token of Entra ID: {reason}") from None
            self._token, self._expires_on = token.token, float(token.expires_on)

    def token(self, path: str, now: float) -> str:
        """Return the present token, which is for every path. Call `renew` first."""
        del path, now
        return self._token

    def _is_valid(self, now: float) -> bool:
        return now < self._expires_on - RENEW_BEFORE


def create_entra_tokens(identity: Identity) -> EntraTokens:
    """Create the token source of an identity.

    Raises:
        SettingsError: azure-identity is not installed, or refuses the settings.
    """
    try:
        library = import_module("azure.identity")
    except ModuleNotFoundError:
        raise SettingsError("Entra ID needs azure-identity: pip install 'wps-run[entra]'") from None
    secrets = tuple(filter(None, (identity.client_secret,)))
    try:
        credential = _create_credential(library, identity)
    except ValueError as error:
        reason = clean_line(str(error), Secrets(secrets), _MESSAGE_LENGTH)
        raise SettingsError(f"the identity cannot be used: {reason}") from None
    return EntraTokens(credential, secrets=secrets)


def _create_credential(library: Any, identity: Identity) -> Credential:  # noqa: ANN401 -- a module
    client = identity.client_id or None
    tenant = identity.tenant_id or None
    credential: Credential
    if identity.managed:
        credential = library.ManagedIdentityCredential(client_id=client)
    elif identity.client_secret:
        credential = library.ClientSecretCredential(tenant, client, identity.client_secret)
    else:
        options = {
            "managed_identity_client_id": client,
            "workload_identity_client_id": client,
            "workload_identity_tenant_id": tenant,
        }
        set_options = {name: value for name, value in options.items() if value}
        credential = library.DefaultAzureCredential(**set_options)
    return credential
