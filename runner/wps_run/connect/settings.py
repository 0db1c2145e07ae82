"""Resolve the endpoint and the hub from settings, as the Functions host reads them."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

from wps_run.actions.names import hub_error
from wps_run.connect.endpoint import (
    CLOUDS,
    Cloud,
    CredentialKind,
    Endpoint,
    Identity,
    cloud_of,
    parse_connection_string,
    parse_origin,
    require_web_pubsub,
    strip_value,
    unusable_value,
)
from wps_run.connect.function_files import CONNECTION_STRINGS
from wps_run.problems import SettingsError
from wps_run.redaction import is_like_key, is_secret_name, is_secret_value, setting_key

HUB_SETTING = "WebPubSubHub"
"""The setting with the name of the hub, as in the Functions extension."""

_REFERENCE = re.compile("%([^%]*)%")


class SettingFinder:
    """Finds settings by name, in any case; `A__B` and `A:B` are the same name.

    Args:
        environment: Setting names to values, from every source, as of `merge_settings`.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._names: dict[str, list[str]] = defaultdict(list)
        for name in environment:
            self._names[setting_key(name)].append(name)

    def find(self, name: str) -> str:
        """Return the value of a setting without the white space around it; "" if there is none.

        Raises:
            SettingsError: Several settings have this name.
        """
        names = self._names.get(setting_key(name), ())
        if len(names) > 1:
            listed = " and ".join(f"`{each}`" for each in sorted(names))
            raise SettingsError(
                f"{listed} are the same setting, since case does not matter in names, and `:` is "
                "`__`; remove all but one"
            )
        return strip_value(self._environment[names[0]]) if names else ""

    def usable(self, name: str) -> str:
        """Return the value of a setting that needs no further parsing.

        Raises:
            SettingsError: Several settings have this name, or the value is not a final one.
        """
        value = self.find(name)
        if error := unusable_value(value):
            raise SettingsError(f"the value of the setting `{name}` {error}")
        return value

    def names_below(self, name: str) -> list[str]:
        """Return the names of the settings that begin with a name and `__`."""
        prefix = f"{setting_key(name)}:"
        return [
            each for key, names in self._names.items() if key.startswith(prefix) for each in names
        ]

    def fill(self, text: str, *, what: str) -> str:
        """Replace each `%NAME%` in a text by the setting with this name, as the binding does.

        Args:
            text: The text.
            what: The name of the text in messages.

        Raises:
            SettingsError: A setting is missing or cannot be used, or `%` stands alone.
        """

        def value_of(match: re.Match[str]) -> str:
            value = self.usable(match[1])
            if not value:
                raise SettingsError(
                    f"setting `{match[1]}` is missing, which {what} names as `{match[0]}`"
                )
            is_label = match[1].lower().endswith("name")
            if is_secret_value(value) or (is_secret_name(match[1]) and not is_label):
                raise SettingsError(
                    f"setting `{match[1]}` may hold a key, a password or a token, so {what} must "
                    "not contain its value"
                )
            return value

        if text.count("%") % 2:
            raise SettingsError(f"{what} has a `%` alone; a setting is named as `%NAME%`")
        return _REFERENCE.sub(value_of, text)


def merge_settings(settings: Mapping[str, str], overrides: Mapping[str, str]) -> dict[str, str]:
    """Add overrides to settings; an override replaces a setting in any spelling of its name."""
    overridden = set(map(setting_key, overrides))
    kept = {name: text for name, text in settings.items() if setting_key(name) not in overridden}
    return {**kept, **overrides}


def resolve_connection(name: str, environment: Mapping[str, str]) -> str:
    """Return the name of the setting of a connection, with each `%NAME%` replaced.

    Raises:
        SettingsError: A setting is missing, or the text is no name of a setting.
    """
    if "=" not in name and "%" in name:
        name = SettingFinder(environment).fill(name, what="`connection`")
    if "=" in name:
        raise SettingsError(
            "`connection` is the name of a setting, not the connection string itself; "
            "put the string into a setting and give its name"
        )
    return name


def resolve_endpoint(
    connection: str,
    environment: Mapping[str, str],
    via: str | None = None,
    headers: Iterable[tuple[str, str]] = (),
) -> Endpoint:
    """Resolve the endpoint that a setting describes, and the way to it.

    Args:
        connection: The name of the setting, in any case. May contain `%NAME%`.
        environment: Setting names to values, from every source, merged.
        via: The URL of a reverse proxy that requests go to instead, or None.
        headers: Names of headers for a gateway, and of the settings with their values.

    Raises:
        SettingsError: A setting is missing, or it or `via` is invalid.
    """
    endpoint = _resolve_service(connection, environment)
    endpoint = endpoint.behind(via) if via else endpoint
    return replace(endpoint, headers=_resolve_headers(headers, environment))


def _resolve_service(connection: str, environment: Mapping[str, str]) -> Endpoint:
    """Resolve the endpoint that a setting describes, with its key or identity.

    `NAME` contains a connection string, or NAME in the section `ConnectionStrings` does. When both
    are empty, `NAME__serviceUri` contains the endpoint for Entra ID, and further settings that
    begin with `NAME__` describe the identity.

    Args:
        connection: The name of the setting, in any case. May contain `%NAME%`.
        environment: Setting names to values, from every source, merged.

    Raises:
        SettingsError: The setting is missing or invalid. The message explains how to set it, and
            never contains its value.

    Source: `connection` of the Functions output binding, which is the name of a setting too.
    """
    name = resolve_connection(connection, environment)
    finder = SettingFinder(environment)
    text = finder.find(name) or finder.find(f"{CONNECTION_STRINGS}:{name}")
    if not text:
        return _identity_endpoint(name, finder)
    try:
        return parse_connection_string(text, name)
    except SettingsError as error:
        raise SettingsError(f"setting `{name}`: {error}") from None


def _identity_endpoint(name: str, finder: SettingFinder) -> Endpoint:
    uri = finder.usable(f"{name}__serviceUri")
    if not uri:
        raise SettingsError(_missing(name, finder))
    what = f"the setting `{name}__serviceUri`"
    if re.match(r"(?i)\s*endpoint\s*=", uri):
        raise SettingsError(f"{what} is a connection string; move it to the setting `{name}`")
    origin = parse_origin(uri, what=what)
    require_web_pubsub(origin, what=what)
    return Endpoint(origin, "", _identity(name, origin, finder))


_MANAGED_IDENTITY_SETTINGS = (
    "managedIdentityClientId",
    "managedIdentityResourceId",
    "managedIdentityObjectId",
)

_CREDENTIAL_SETTINGS = (
    "clientId",
    "tenantId",
    "clientSecret",
    "clientCertificate",
    *_MANAGED_IDENTITY_SETTINGS,
    "tokenFilePath",
    "serviceConnectionId",
    "systemAccessToken",
    "additionallyAllowedTenants",
)
"""The settings of a credential, each after `NAME__`. `Identity` has those that are not empty."""

_REQUIRED_SETTINGS: Mapping[CredentialKind, tuple[str, ...]] = MappingProxyType(
    {
        CredentialKind.SECRET: ("clientId", "tenantId"),
        CredentialKind.CERTIFICATE: ("clientId", "tenantId"),
        CredentialKind.FEDERATED: ("clientId", "tenantId"),
        CredentialKind.PIPELINES: (
            "clientId",
            "tenantId",
            "serviceConnectionId",
            "systemAccessToken",
        ),
    }
)


def _identity(name: str, origin: str, finder: SettingFinder) -> Identity:
    """Return the identity that the settings beside `NAME__serviceUri` describe."""
    values = {each: finder.usable(f"{name}__{each}") for each in _CREDENTIAL_SETTINGS}
    settings = {each: value for each, value in values.items() if value}
    kind = _credential_kind(name, finder.usable(f"{name}__credential"), settings)
    missing = [each for each in _REQUIRED_SETTINGS.get(kind, ()) if each not in settings]
    if missing:
        listed = " and ".join(f"`{name}__{each}`" for each in missing)
        raise SettingsError(f"the identity of `{name}__serviceUri` ({kind}) also needs {listed}")
    managed = [each for each in _MANAGED_IDENTITY_SETTINGS if each in settings]
    if kind is CredentialKind.MANAGED and "clientId" in settings:
        managed.append("clientId")
    if len(managed) > 1 or (kind is CredentialKind.FEDERATED and not managed):
        choices = ", ".join(f"`{name}__{each}`" for each in managed or _MANAGED_IDENTITY_SETTINGS)
        raise SettingsError(f"set exactly one of {choices}: each names the managed identity")
    scope, cloud = _scope(name, origin, finder)
    found = {each: finder.usable(each) for each in _LIBRARY_VARIABLES}
    variables = {each: value for each, value in found.items() if value}
    authority = variables.get("AZURE_AUTHORITY_HOST", "")
    return Identity(kind, scope, cloud, authority, settings, variables)


_LIBRARY_VARIABLES = (
    "AZURE_AUTHORITY_HOST",
    "AZURE_CLIENT_ID",
    "AZURE_TENANT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_CLIENT_CERTIFICATE_PATH",
    "AZURE_CLIENT_CERTIFICATE_PASSWORD",
    "AZURE_CLIENT_SEND_CERTIFICATE_CHAIN",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_TOKEN_CREDENTIALS",
    "IDENTITY_ENDPOINT",
    "IDENTITY_HEADER",
    "IDENTITY_SERVER_THUMBPRINT",
    "MSI_ENDPOINT",
    "MSI_SECRET",
)
"""What azure-identity reads from the environment, where Functions puts all settings."""


def _scope(name: str, origin: str, finder: SettingFinder) -> tuple[str, Cloud]:
    """Return the scope of tokens, and the cloud whose Entra ID issues them."""
    scope = finder.usable(f"{name}__scope")
    if scope and "://" not in scope:
        raise SettingsError(
            f"the setting `{name}__scope` must be a URL, such as `{CLOUDS['public'].scope}`"
        )
    cloud_name = finder.usable(f"{name}__azureCloud").lower()
    if cloud_name and cloud_name not in CLOUDS:
        raise SettingsError(f"the setting `{name}__azureCloud` must be {_any_of(CLOUDS)}")
    cloud = CLOUDS[cloud_name] if cloud_name else cloud_of(scope or origin)
    resource = (scope or cloud.scope).removesuffix(".default").rstrip("/")
    return f"{resource}/.default", cloud


def _credential_kind(name: str, credential: str, settings: Mapping[str, str]) -> CredentialKind:
    if not credential:
        kinds = (CredentialKind.SECRET, CredentialKind.CERTIFICATE)
        return next((kind for kind in kinds if kind in settings), CredentialKind.DEFAULT)
    named = [
        CredentialKind.MANAGED,
        CredentialKind.WORKLOAD,
        CredentialKind.FEDERATED,
        CredentialKind.PIPELINES,
    ]
    if credential.lower() in named:
        return CredentialKind(credential.lower())
    raise SettingsError(
        f"the setting `{name}__credential` must be {_any_of(named)}; leave it empty for "
        f"`{name}__clientSecret`, `az login` and all else that DefaultAzureCredential uses"
    )


def _any_of(values: Iterable[str]) -> str:
    *first, last = (f"`{value}`" for value in values)
    return f"{', '.join(first)} or {last}"


def resolve_hub(name: str | None, environment: Mapping[str, str], *, default: str = "") -> str:
    """Resolve the hub of a playbook: the name, else the setting `WebPubSubHub`, else the default.

    Args:
        name: The hub by the command line or the playbook; None or "" for none. May contain
            `%NAME%`.
        environment: Setting names to values.
        default: The hub when nothing names one, or a setting in the name is missing; "" for none.

    Raises:
        SettingsError: No hub is named, or the name is invalid.
    """
    finder = SettingFinder(environment)
    if default and not all(map(finder.find, _REFERENCE.findall(name or ""))):
        return default
    hub = finder.fill(name, what="`hub`") if name else finder.find(HUB_SETTING)
    hub = hub or default
    if not hub:
        raise SettingsError(
            "no hub is named: write `hub:` in the playbook, give `--hub NAME`, or set "
            f"`{HUB_SETTING}`"
        )
    if error := hub_error(hub):
        source = "the hub's name" if name else f"the hub's name in the setting `{HUB_SETTING}`"
        raise SettingsError(f"{source} {unusable_value(hub) or error}")
    return hub


def _missing(name: str, finder: SettingFinder) -> str:
    if beside := finder.names_below(name):
        return (
            f"setting `{name}__serviceUri` is missing, although there is `{beside[0]}`; set it to "
            f"the endpoint, or `{name}` to the connection string of your service"
        )
    variable = name.replace(":", "__")  # shells have no `:` in names
    return (
        f"setting `{name}` is missing; set it to the connection string of your service: as the "
        f"environment variable {variable}, or under `Values` in the file given by `--settings`"
    )


_RESERVED_HEADERS = frozenset(
    {
        *("host", "authorization", "accept", "accept-encoding", "expect", "x-ms-client-request-id"),
        *("content-type", "content-length", "content-encoding", "x-http-method-override"),
        *("connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"),
        *("proxy-authorization", "proxy-connection"),
    }
)
"""Headers that wps-run sets itself, or that would change how a request is read."""

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]+")
_SETTING_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:()-]{0,127}")


def parse_header_setting(text: str) -> tuple[str, str]:
    """Parse `NAME=SETTING` into the name of a header and that of the setting with its value.

    Raises:
        SettingsError: It is something else. The message contains nothing but the header's name,
            since people write the value, too, where the setting should be.
    """
    name, equals, setting = text.partition("=")
    if not equals or ":" in name:
        raise SettingsError(
            "write NAME=SETTING: the name of a header, and the name of the setting with its value"
        )
    if not _HEADER_NAME.fullmatch(name):
        raise SettingsError("the name of a header consists of letters, digits and hyphens")
    if name.lower() in _RESERVED_HEADERS:
        raise SettingsError(f"`{name}` cannot be added, since wps-run sets it or depends on it")
    if not _SETTING_NAME.fullmatch(setting) or is_like_key(setting) or is_secret_value(setting):
        raise SettingsError(
            f"`{name}` needs the name of a setting, not the value itself: put the value into an "
            f"environment variable, such as GATEWAY_KEY, and write {name}=GATEWAY_KEY"
        )
    return name, setting


def _resolve_headers(
    names: Iterable[tuple[str, str]], environment: Mapping[str, str]
) -> tuple[tuple[str, str], ...]:
    """Return the headers whose values are in settings.

    Args:
        names: The names of headers and of the settings with their values.
        environment: Setting names to values.

    Raises:
        SettingsError: A setting is missing or cannot be the value of a header, or a header is
            named twice. The message never contains a value.
    """
    finder = SettingFinder(environment)
    headers: dict[str, tuple[str, str]] = {}
    for name, setting in names:
        value = finder.usable(setting)
        if name.lower() in headers:
            raise SettingsError(f"the header `{name}` is given twice")
        if not value:
            raise SettingsError(
                f"setting `{setting}`, the value of the header `{name}`, is missing: set it as an "
                "environment variable, or under `Values` in the file given by `--settings`"
            )
        if not _HEADER_VALUE.fullmatch(value):
            raise SettingsError(
                f"setting `{setting}` cannot be the value of the header `{name}`: it contains a "
                "line break, or a character that is not ASCII"
            )
        headers[name.lower()] = (name, value)
    return tuple(headers.values())
