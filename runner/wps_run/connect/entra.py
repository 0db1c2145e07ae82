"""Tokens of Entra ID, by the credential that the settings name."""

import asyncio
import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any, Protocol

from wps_run.connect.endpoint import CLOUDS, CredentialKind, Identity
from wps_run.problems import SettingsError
from wps_run.redaction import Secrets, clean_line

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
        scope: What the tokens are for.
        secrets: Values to mask in messages of the credential.
        variables: What is added to the environment while the credential is used.
    """

    def __init__(
        self,
        credential: Credential,
        *,
        scope: str = CLOUDS["public"].scope,
        secrets: tuple[str, ...] = (),
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._credential = credential
        self._scope = scope
        self._secrets = Secrets(secrets)
        self._variables = variables
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
                token = await asyncio.to_thread(self._request)
            except Exception as error:  # noqa: BLE001 -- credentials raise any exception
                reason = (
                    clean_line(str(error), self._secrets, _MESSAGE_LENGTH) or type(error).__name__
                )
                raise SettingsError(f"no token of Entra ID for {self._scope}: {reason}") from None
            self._token, self._expires_on = token.token, float(token.expires_on)

    def _request(self) -> AccessToken:
        with _environment(self._variables):
            return self._credential.get_token(self._scope)

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
    try:
        with _environment(identity.variables):
            credential = _create_credential(library, identity)
    except (ValueError, OSError) as error:
        reason = clean_line(str(error), Secrets(identity.secrets), _MESSAGE_LENGTH)
        raise SettingsError(f"the identity cannot be used: {reason}") from None
    return EntraTokens(
        credential,
        scope=identity.scope,
        secrets=identity.secrets,
        variables=identity.variables,
    )


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Add variables to the environment of this process for a while.

    azure-identity takes no argument instead. It reads some when a credential is created, others
    when a token is requested.
    """
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


_CREDENTIALS: Mapping[CredentialKind, tuple[str, Mapping[str, str]]] = MappingProxyType(
    {
        CredentialKind.WORKLOAD: (
            "WorkloadIdentityCredential",
            {"token_file_path": "tokenFilePath"},
        ),
        CredentialKind.FEDERATED: ("ClientAssertionCredential", {}),
        CredentialKind.PIPELINES: (
            "AzurePipelinesCredential",
            {
                "service_connection_id": "serviceConnectionId",
                "system_access_token": "systemAccessToken",
            },
        ),
        CredentialKind.SECRET: ("ClientSecretCredential", {"client_secret": "clientSecret"}),
        CredentialKind.CERTIFICATE: (
            "CertificateCredential",
            {"certificate_path": "clientCertificate"},
        ),
    }
)
"""The classes of azure-identity for applications, and their arguments as settings."""

_APPLICATION = MappingProxyType({"client_id": "clientId", "tenant_id": "tenantId"})


def _create_credential(library: Any, identity: Identity) -> Any:  # noqa: ANN401 -- a module
    """Create the credential that the Functions host would create from the same settings."""
    settings = identity.settings
    if identity.kind is CredentialKind.MANAGED:
        return library.ManagedIdentityCredential(**_managed_identity(settings, "clientId"))
    options = _common_options(identity)
    if identity.kind is CredentialKind.DEFAULT:
        return library.DefaultAzureCredential(**_default_options(settings), **options)
    if identity.kind is CredentialKind.FEDERATED:
        managed = library.ManagedIdentityCredential(**_managed_identity(settings))
        scope = f"{identity.cloud.exchange}/.default"
        options["func"] = lambda: managed.get_token(scope).token
    elif identity.kind is CredentialKind.CERTIFICATE:
        _require_file(settings["clientCertificate"])
    name, arguments = _CREDENTIALS[identity.kind]
    for argument, setting in {**_APPLICATION, **arguments}.items():
        if setting in settings:
            options[argument] = settings[setting]
    return getattr(library, name)(**options)


def _common_options(identity: Identity) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if identity.authority or identity.cloud != CLOUDS["public"]:
        options["authority"] = identity.authority or identity.cloud.authority
    if tenants := identity.settings.get("additionallyAllowedTenants"):
        options["additionally_allowed_tenants"] = [each.strip() for each in tenants.split(";")]
    return options


def _managed_identity(settings: Mapping[str, str], *more: str) -> dict[str, Any]:
    """Return the arguments that name a managed identity; {} for that of the system.

    Args:
        settings: The settings of the credential.
        more: Further settings that may have its client ID.
    """
    for setting in ("managedIdentityClientId", *more):
        if setting in settings:
            return {"client_id": settings[setting]}
    for key in ("resource_id", "object_id"):
        setting = f"managedIdentity{key.title().replace('_', '')}"
        if setting in settings:
            return {"identity_config": {key: settings[setting]}}
    return {}


def _default_options(settings: Mapping[str, str]) -> dict[str, Any]:
    options = _managed_identity(settings, "clientId")
    if options:  # None, since the library would take the client ID of its environment
        options["managed_identity_client_id"] = options.pop("client_id", None)
    for argument, setting in _APPLICATION.items():
        if setting in settings:
            options[f"workload_identity_{argument}"] = settings[setting]
    return options


def _require_file(certificate: str) -> None:
    """Refuse the thumbprint of a certificate, which .NET looks up in a store.

    Raises:
        ValueError: It is one.
    """
    if re.fullmatch("[0-9A-Fa-f]{40}|[0-9A-Fa-f]{64}", certificate):
        raise ValueError(
            "`clientCertificate` is a thumbprint, and only .NET reads the certificate store; set "
            "it to the path of a PEM or PFX file (on App Service for Linux, "
            "`/var/ssl/private/THUMBPRINT.p12`)"
        )
