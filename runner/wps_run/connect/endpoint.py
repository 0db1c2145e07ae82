"""Endpoints of the service: parse connection strings and URLs."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from urllib.parse import unquote, urlsplit

from wps_run.problems import SettingsError

_SHAPE = "`Endpoint=https://…;AccessKey=…;Version=1.0;`"
HOST = re.compile(r"(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?|[0-9a-f:.]*:[0-9a-f:.]*")
"""An ASCII host name with labels that DNS accepts, or an IPv6 address without brackets."""

_DEFAULT_PORTS = {"http": 80, "https": 443}


class CredentialKind(StrEnum):
    """How a token of Entra ID is requested: the values of `NAME__credential`, and two without.

    Source: `CreateCredential` of Microsoft.Extensions.Azure, which the Functions host uses.
    """

    MANAGED = "managedidentity"
    WORKLOAD = "workloadidentity"
    FEDERATED = "managedidentityasfederatedidentity"
    PIPELINES = "azurepipelines"
    SECRET = "clientSecret"  # noqa: S105 -- the name of a setting
    CERTIFICATE = "clientCertificate"
    DEFAULT = ""


@dataclass(frozen=True, slots=True)
class Cloud:
    """A cloud of Azure.

    Attributes:
        domain: The end of its host names.
        authority: The host of its Entra ID.
        exchange: The scope with which a managed identity acts as an application.
    """

    domain: str
    authority: str
    exchange: str

    @property
    def scope(self) -> str:
        """The scope of tokens for Web PubSub."""
        return f"https://webpubsub{self.domain}/.default"


CLOUDS: Mapping[str, Cloud] = MappingProxyType(
    {
        "public": Cloud(".azure.com", "login.microsoftonline.com", "api://AzureADTokenExchange"),
        "usgov": Cloud(".azure.us", "login.microsoftonline.us", "api://AzureADTokenExchangeUSGov"),
        "china": Cloud(".azure.cn", "login.chinacloudapi.cn", "api://AzureADTokenExchangeChina"),
    }
)
"""The values of `NAME__azureCloud`.

Sources: the official SDKs (scope), azure-identity (authority), Microsoft.Extensions.Azure.
"""


def cloud_of(url: str) -> Cloud:
    """Return the cloud of an endpoint or scope by its host; the public one for any other host."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    found = (cloud for cloud in CLOUDS.values() if host.endswith(cloud.domain))
    return next(found, CLOUDS["public"])


@dataclass(frozen=True, slots=True)
class Identity:
    """How to get a token of Entra ID.

    Attributes:
        kind: How it is requested.
        scope: What it is for.
        cloud: The cloud whose Entra ID issues it.
        authority: The host of Entra ID in place of the cloud's, or "".
        settings: The settings of the credential, such as `clientId`, that are not empty. Some are
            secrets, so they are not in the repr; keep them out of messages.
        variables: Settings with the names of environment variables that azure-identity reads.
    """

    kind: CredentialKind = CredentialKind.DEFAULT
    scope: str = CLOUDS["public"].scope
    cloud: Cloud = CLOUDS["public"]
    authority: str = ""
    settings: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)
    variables: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The secrets in the settings and variables."""
        values = {**self.settings, **self.variables}
        return tuple(values[name] for name in _SECRET_SETTINGS if name in values)


_SECRET_SETTINGS = (
    "clientSecret",
    "systemAccessToken",
    "AZURE_CLIENT_SECRET",
    "AZURE_CLIENT_CERTIFICATE_PASSWORD",
    "IDENTITY_HEADER",
    "MSI_SECRET",
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The address of the service and its credentials.

    Attributes:
        origin: Scheme, host and port as in URLs and tokens: `https://host[:port]`, lower-case,
            no trailing slash, no port that the scheme implies.
        key: The access key, or "" with an identity. Not in the repr; keep it out of messages.
        identity: How to get a token of Entra ID, or None to use the key.
        reverse_proxy: The origin of a reverse proxy that requests go to instead, or "".
        path_prefix: What the reverse proxy has before the paths of the service, raw: `/wps`, or "".
        headers: Names and values of headers for the reverse proxy or gateway. Secrets: not in the
            repr; keep them out of messages.
    """

    origin: str
    key: str = field(repr=False)
    identity: Identity | None = None
    reverse_proxy: str = ""
    path_prefix: str = ""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @property
    def host(self) -> str:
        """Host and port."""
        return self.origin.partition("://")[2]

    @property
    def address(self) -> str:
        """The origin that requests go to."""
        return self.reverse_proxy or self.origin

    @property
    def is_loopback(self) -> bool:
        """Whether requests stay on this machine."""
        return _is_loopback(urlsplit(self.address).hostname or "")

    def behind(self, proxy: str) -> "Endpoint":
        """Return this endpoint behind a reverse proxy; tokens are still for the endpoint itself.

        Raises:
            SettingsError: The URL is not `https://host[:port][/path]`, or `http://` to another
                machine.
        """
        origin, path = _parse_proxy_url(proxy.strip(), what="`--endpoint`")
        return replace(self, reverse_proxy=origin, path_prefix=path)


_QUOTES = (
    "\"'`\u00b4\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u2032\u2033\u00ab\u00bb\u2039\u203a"
    "\u300c\u300d\u300e\u300f\u301d\u301e\u301f\uff02\uff07"
)
"""Straight and typographic quotes, in any combination, since editors replace them one by one."""

_QUOTE = rf"\\?[{_QUOTES}]|&(?:quot|apos|#34|#39);"
_QUOTED = re.compile(rf"{_QUOTE}|(?!(?:\w+\s+)?\w+\s*=\s*(?:{_QUOTE})).*(?:{_QUOTE})\Z", re.DOTALL)
"""A value that begins or ends with a quote, unless it is `NAME="value"`."""

_BLANKS = "\ufeff\u200b\u200e\u2060"
"""Invisible characters that copied texts begin or end with, in addition to white space."""

_UNRESOLVED: Mapping[str, str] = MappingProxyType(
    {
        r"(?i)@microsoft\.keyvault\b": "is a Key Vault reference, which only App Service and "
        "Functions resolve; set it to the secret itself: `az keyvault secret show --id SECRET_URI "
        "--query value --output tsv` prints it",
        r"(?i)@microsoft\.appconfiguration\b": "is an App Configuration reference, which only App "
        "Service and Functions resolve; set it to the value itself: `az appconfig kv show` prints "
        "it",
        r"\$?\{\{|\$\{[^{}]*\}$|\$\([^()]*\)$|\$(env:)?\w+$|%\w+%$|#\{[^{}]*\}#?$|__\w+__$"
        r"|@@\w+@@$": "is the name of a variable that nothing replaced (as `$NAME` in "
        "single quotes, or in a file that no shell reads); set it to the value of the variable",
        r"(?i)<[^<>]*>$|\[[^\[\]\"]*\]$|\{[^{}:\"]*\}$|x{3,}$|\*{3,}$|(todo|tbd|placeholder)\b"
        r"|(replace|change|insert|fill|enter|paste)[-_ ]?(me|this|in|your|with|here)(?![a-z])"
        r"|your[-_ ]|(my[-_ ]?)?(access[-_ ]?key|connection[-_ ]?string)([-_ ]?here)?$": "is still "
        "a placeholder; set it to the real value",
    }
)
"""Patterns of values that are not final, and what these are."""


def strip_value(text: str) -> str:
    """Remove white space and invisible characters around the value of a setting."""
    return text.strip().strip(_BLANKS).strip()


def unusable_value(value: str) -> str | None:
    """Return what is wrong with a value that no setting can have, or None.

    Args:
        value: The value, stripped.

    Returns:
        The predicate of a sentence, with the remedy and without the value.
    """
    if _QUOTED.match(value):
        return (
            "is in quotes; remove them (`az … --output tsv` prints a value without quotes, and "
            "`docker --env-file` keeps them)"
        )
    if value.endswith(("...", "\u2026")):
        return "is incomplete (it ends with `\u2026`); set it to the whole value"
    return _match(_UNRESOLVED, value)


def _match(errors: Mapping[str, str], value: str) -> str | None:
    """Return the error of the first pattern that a value begins with, or None."""
    return next((error for pattern, error in errors.items() if re.match(pattern, value)), None)


_KEY_COMMAND = (
    "`az webpubsub key show --name NAME --resource-group GROUP --query primaryConnectionString "
    "--output tsv` prints the connection string"
)

_OTHER_HOSTS: Mapping[str, str] = MappingProxyType(
    {
        ".service.signalr.": "Azure SignalR Service",
        ".signalr.azure.": "Azure SignalR Service",
        ".servicebus.": "Event Hubs or Service Bus",
        ".core.": "Azure Storage",
        ".azconfig.": "App Configuration",
        ".communication.": "Communication Services",
        ".documents.": "Cosmos DB",
        ".azure-devices.": "IoT Hub",
        ".eventgrid.": "Event Grid",
        ".redis.": "Azure Cache for Redis",
        ".vault.": "Key Vault",
        ".database.": "Azure SQL Database",
    }
)
"""Parts of the hosts of other services of Azure, which are taken for those of Web PubSub."""

_AZURE_HOST = re.compile(
    r"\.(signalr\.net|azconfig\.(io|azure\.(cn|us))|azure-devices\.(net|cn|us)|windows\.net"
    r"|azure\.(com|net|cn|us)|chinacloudapi\.cn|usgovcloudapi\.net)\.?$"
)

_OTHER_PARTS: Mapping[str, str] = MappingProxyType(
    {
        "accountname": "Azure Storage",
        "blobendpoint": "Azure Storage",
        "usedevelopmentstorage": "Azure Storage",
        "secret": "App Configuration",
        "accountendpoint": "Cosmos DB",
        "sharedaccesskeyname": "Event Hubs, Service Bus or IoT Hub",
        "instrumentationkey": "Application Insights",
        "server": "a database",
        "data source": "a database",
    }
)
"""Keys of the connection strings of other services, in lower case."""


def parse_connection_string(text: str, name: str = "NAME") -> Endpoint:
    """Parse a connection string.

    Keys are case-insensitive, values may contain `=`, and the optional `Port` replaces the
    endpoint's port, as in the official SDKs. A repeated key is an error, as in .NET.

    Args:
        text: The connection string, or what somebody takes for one.
        name: The name of its setting, for remedies.

    Raises:
        SettingsError: The text is no connection string. The message never contains its values.
    """
    value = strip_value(text)
    if re.match("(?i)https?://", value):
        require_web_pubsub(value, what="the value")
    if error := unusable_value(value) or _match(_OTHER_VALUES, value):
        raise SettingsError(f"the value {error}".replace("NAME__", f"{name}__"))
    parts = _split(value)
    endpoint, key = parts.get("endpoint", ""), parts.get("accesskey", "")
    what = "the `Endpoint` of the connection string"
    key_name = "the `AccessKey` of the connection string"
    if error := unusable_value(endpoint):
        raise SettingsError(f"{what} {error}")
    if error := unusable_value(key):
        raise SettingsError(f"{key_name} {error}")
    require_web_pubsub(endpoint, what=what)
    if not endpoint or not key:
        raise SettingsError(_incomplete(parts, name))
    if _PLACEHOLDER_HOST.search(endpoint):
        raise SettingsError(f"{what} has a placeholder in it; {_KEY_COMMAND}")
    origin = parse_origin(endpoint, parts.get("port"), what=what)
    if not key.isprintable() or " " in key:
        raise SettingsError(f"{key_name} has a space, a line break or a control character in it")
    return Endpoint(origin, key)


_PLACEHOLDER_HOST = re.compile(
    r"(?i)[<>{}*\u2026]|\bx{3,}\b|\byour[-_]?(web|service|resource|instance|name|app|hub|host|endp)"
)

_OTHER_VALUES: Mapping[str, str] = MappingProxyType(
    {
        r"[\[{]": "is JSON; set it to the text of the connection string alone, which "
        "`az … --output tsv` prints",
        r"RW5kcG9pbnQ": "is a connection string in base64, as Kubernetes keeps it; decode it: "
        "`base64 --decode`",
        r"(?i)(export\s+|set\s+)?(?!endpoint\s*=)\w+\s*=\s*[\"']?endpoint\s*=": "begins with a "
        "name and `=`; remove both, so that it begins with `Endpoint=`",
        r"(?i)endpoint\s*=[^;]*(\\;|[,&|\s])\s*accesskey\s*=": "has another character than `;` "
        f"between its parts; it looks like {_SHAPE}",
        r"(?i)wss?://": f"is a URL for clients, not a connection string; {_KEY_COMMAND}",
        r"(?i)https?://|[\w.-]+\.azure\.(com|cn|us)/?$": "is a URL, not a connection string: "
        "for Entra ID, move it to the setting `NAME__serviceUri`; for an access key, write "
        f"{_SHAPE} ({_KEY_COMMAND})",
        r"[A-Za-z0-9+/]{40,}={0,2}$": "is an access key alone; a connection string looks like "
        f"{_SHAPE} ({_KEY_COMMAND})",
        r"[^=]+$": f"is no connection string, which looks like {_SHAPE} ({_KEY_COMMAND})",
    }
)
"""Patterns of values that are given in place of a connection string, and what these are."""


def _incomplete(parts: Mapping[str, str], name: str) -> str:
    """Return what a connection string without endpoint or key is, and what to do."""
    if other := next((_OTHER_PARTS[part] for part in parts if part in _OTHER_PARTS), None):
        return f"the connection string is that of {other}, not of Web PubSub; {_KEY_COMMAND}"
    if not parts.get("endpoint"):
        return f"the connection string has no `Endpoint`; it looks like {_SHAPE}"
    identity = f"for Entra ID, set `{name}__serviceUri` to the endpoint, and leave `{name}` empty"
    if "authtype" not in parts:
        return (
            f"the connection string has no `AccessKey`; it looks like {_SHAPE} (a shell ends it at "
            f"the first `;` unless it is in quotes); {identity}"
        )
    if parts["authtype"].lower() == "azure.msi":
        identity += f", and `{name}__credential` to `{CredentialKind.MANAGED}`"
    more = "".join(
        f", `{name}__{setting}`" for part, setting in _IDENTITY_PARTS.items() if part in parts
    )
    return (
        "the connection string has no `AccessKey` but `AuthType`, which Web PubSub does not have; "
        + identity
        + (f"; its other parts belong into {more.removeprefix(', ')}" if more else "")
    )


_IDENTITY_PARTS: Mapping[str, str] = MappingProxyType(
    {
        "clientid": "clientId",
        "tenantid": "tenantId",
        "clientsecret": "clientSecret",
        "clientcert": "clientCertificate",
    }
)
"""Keys of the connection strings of SignalR, and the settings with the same content."""


def require_web_pubsub(url: str, *, what: str) -> None:
    """Refuse the endpoint of another service of Azure.

    Raises:
        SettingsError: It is one.
    """
    host = re.sub("^[^/]*//|[/:?].*", "", url.lower())
    if ".webpubsub." in host or not _AZURE_HOST.search(host):
        return
    for part, service in _OTHER_HOSTS.items():
        if part in host:
            raise SettingsError(
                f"{what} is that of {service}, not of Web PubSub, whose endpoints are like "
                "`https://NAME.webpubsub.azure.com`"
            )


def _split(text: str) -> dict[str, str]:
    parts: dict[str, str] = {}
    for number, segment in enumerate(filter(None, map(str.strip, text.split(";"))), start=1):
        name, equals, value = segment.partition("=")
        if not equals:
            raise SettingsError(
                f"part {number} of the connection string has no `=`; it looks like {_SHAPE}"
            )
        key = name.strip().lower()
        if key in parts:
            raise SettingsError(f"part {number} of the connection string repeats an earlier key")
        parts[key] = value.strip()
    return parts


def parse_origin(url: str, port: str | None = None, *, what: str) -> str:
    """Parse a URL into scheme, host and port, in the form of `Endpoint.origin`.

    Args:
        url: A URL without path; https when it has no scheme.
        port: Replaces the port of the URL, or None.
        what: The name of the URL in messages. They never contain the URL itself.

    Raises:
        SettingsError: The URL is invalid, or plain http to another machine.
    """
    try:
        parts = urlsplit(url if "://" in url else f"https://{url}")
        own_port = parts.port
    except ValueError:
        raise SettingsError(
            f"{what} is not a URL, or its port is not between 1 and 65535"
        ) from None
    host = parts.hostname or ""
    is_valid = parts.scheme in _DEFAULT_PORTS and HOST.fullmatch(host)
    if not is_valid or parts.username is not None:
        raise SettingsError(f"{what} is not an http(s) URL")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise SettingsError(f"{what} must end after the host")
    if parts.scheme == "http" and not _is_loopback(host):
        raise SettingsError(f"plain http is only for this machine; use an https URL in {what}")
    port_text = own_port if port is None else port
    number = None if port_text is None else _parse_port(str(port_text), what)
    suffix = "" if number in {None, _DEFAULT_PORTS[parts.scheme]} else f":{number}"
    return f"{parts.scheme}://" + (f"[{host}]" if ":" in host else host) + suffix


_PATH = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*")
"""A path as in RFC 3986, percent-encoded."""


def _parse_proxy_url(url: str, *, what: str) -> tuple[str, str]:
    """Parse a URL into its origin and its raw path, without a slash at the end.

    Raises:
        SettingsError: The URL is invalid, or plain http to another machine.
    """
    scheme, separator, rest = url.rpartition("://")
    host, slash, path = rest.partition("/")
    if "?" in rest or "#" in rest:
        raise SettingsError(f"{what} must end after the path, without `?` and `#`")
    path = (slash + path).rstrip("/")
    if not _PATH.fullmatch(path):
        raise SettingsError(f"{what}: its path must be percent-encoded, such as `/my%20api`")
    if not {".", ".."}.isdisjoint(unquote(path).split("/")):
        raise SettingsError(f"{what}: its path must not contain `.` or `..` as a part")
    return parse_origin(scheme + separator + host, what=what), path


def _parse_port(text: str, what: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:  # noqa: PLR2004
        raise SettingsError(f"the port of {what} must be between 1 and 65535")
    return int(text)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
