"""Tokens and URLs with which WebSocket clients connect."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wps_run.actions.names import name_error
from wps_run.actions.request import Request, percent_encode
from wps_run.connect.auth import Signer
from wps_run.connect.endpoint import Endpoint
from wps_run.problems import UsageError, did_you_mean

LIFETIME = 3600
"""Seconds that a token is valid for connecting, as in the official SDKs."""

MAX_GROUP_LENGTH = 1024
"""The most UTF-16 units of a group's name."""

_MINUTE = 60
_MOST_MINUTES = 2**31 - 1
_ANY_GROUP = ("webpubsub.joinLeaveGroup", "webpubsub.sendToGroup")
_PATTERNS = ("webpubsub.joinLeaveGroups", "webpubsub.sendToGroups")
_UNITS = {"s": 1, "m": _MINUTE, "h": 60 * _MINUTE, "d": 24 * 60 * _MINUTE}
_LIFETIME = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([smhd])")


@dataclass(frozen=True, slots=True)
class ClientTokenOptions:
    """The claims of a client's token.

    Attributes:
        user: The user's ID; "" for an anonymous client.
        roles: What the client may do with groups.
        groups: The groups that a connection joins at once.
        lifetime: Seconds that the token is valid for connecting. A connection outlives its token.
    """

    user: str = ""
    roles: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    lifetime: int = LIFETIME

    def validate(self) -> None:
        """Reject values that the service refuses, or accepts without effect.

        Raises:
            UsageError: The user, a role or a group is invalid; the message has the remedy.
        """
        if self.user and (fault := user_error(self.user)):
            raise UsageError(f"the user {fault}")
        for group in self.groups:
            if fault := group_error(group):
                raise UsageError(f"a group {fault}")
        for role in self.roles:
            if fault := role_error(role):
                raise UsageError(f"the role `{role}` {fault}")


def user_error(user: str) -> str | None:
    """Return what is wrong with a user, as the end of a sentence, or None."""
    return name_error(user, None)


def group_error(group: str) -> str | None:
    """Return what is wrong with a group, as the end of a sentence, or None."""
    return name_error(group, MAX_GROUP_LENGTH)


def role_error(role: str) -> str | None:
    """Return what is wrong with a role, as the end of a sentence, or None.

    Source: "Client URL" and "Wildcard group roles" in the service's documentation. The service
    accepts any text, and an unknown role allows nothing.
    """
    kinds = (*_ANY_GROUP, *_PATTERNS)
    kind = next((kind for kind in kinds if role == kind or role.startswith(f"{kind}.")), None)
    if kind is None:
        return f"allows nothing{_suggestion(role)}"
    target = role.removeprefix(kind).removeprefix(".")
    if kind in _PATTERNS and not target:
        return f"lacks its pattern: `{kind}.launch-*`; for every group it is `{kind[:-1]}`"
    if role != kind and (fault := name_error(target, MAX_GROUP_LENGTH)):
        return f"names a group that {fault}"
    return None


def _suggestion(role: str) -> str:
    bare_role = re.sub(r"^webpubsub\.", "", role, flags=re.IGNORECASE)
    first, dot, rest = bare_role.partition(".")
    names = [kind.removeprefix("webpubsub.") for kind in (*_ANY_GROUP, *_PATTERNS)]
    if near := did_you_mean(first, names):
        return near.replace("you mean `", "you mean `webpubsub.").replace("`?", f"{dot}{rest}`?")
    roles = " or ".join(f"`{kind}`" for kind in _ANY_GROUP)
    return f"; a role is {roles}, or one of them and `.GROUP`"


def parse_lifetime(text: str) -> int:
    """Parse `90s`, `60m`, `12h` or `7d` into whole seconds.

    Raises:
        ValueError: The text is none of these, or out of range; the message has the remedy.
    """
    match = _LIFETIME.fullmatch(text.strip())
    if not match:
        number = text.strip()
        instead = f"`{number}m` or `{number}s`" if number.isdigit() else "`90s`, `60m`, `12h`, `7d`"
        raise ValueError(f"a lifetime needs a unit: write {instead}")
    seconds = math.floor(min(float(match[1]) * _UNITS[match[2]], 1e18))
    if not 1 <= seconds <= _MOST_MINUTES * _MINUTE:
        raise ValueError("a lifetime is at least one second, and at most 2,147,483,647 minutes")
    return seconds


def sign_client_token(
    endpoint: Endpoint,
    hub: str,
    options: ClientTokenOptions,
    now: float,
    signer: Signer | None = None,
) -> str:
    """Sign a client's token with the access key, as the official SDKs do.

    Args:
        endpoint: The service.
        hub: The hub.
        options: The claims. They must be valid.
        now: Seconds since the epoch.
        signer: That of the endpoint, to sign many tokens; None for a new one.

    Raises:
        SettingsError: The key is invalid.
    """
    claims: dict[str, Any] = {
        "aud": f"{endpoint.origin}/client/hubs/{hub}",
        "iat": int(now),
        "exp": int(now) + options.lifetime,
    }
    optional = {"sub": options.user, "role": options.roles, "webpubsub.group": options.groups}
    return (signer or Signer(endpoint)).sign(
        {**claims, **{name: value for name, value in optional.items() if value}}
    )


def build_token_request(hub: str, options: ClientTokenOptions) -> Request:
    """Build the REST request for a client's token, for a caller with Entra ID.

    Raises:
        UsageError: The lifetime is not in whole minutes, as the operation needs it.

    Source: REST operation `WebPubSub_GenerateClientToken`.
    """
    minutes, rest = divmod(options.lifetime, _MINUTE)
    if rest:
        raise UsageError("with Entra ID the lifetime must be in whole minutes: write `60m`")
    pairs = [
        *([("userId", options.user)] if options.user else []),
        *(("role", role) for role in options.roles),
        ("minutesToExpire", str(minutes)),
        *(("group", group) for group in options.groups),
    ]
    query = "&".join(f"{name}={percent_encode(value)}" for name, value in pairs)
    return Request("POST", f"/api/hubs/{percent_encode(hub)}/:generateToken", query)


def parse_token_response(body: bytes) -> str | None:
    """Return the token in the body of the service's response, or None when there is none."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return None
    token = content.get("token") if isinstance(content, Mapping) else None
    return token if isinstance(token, str) and _TOKEN.fullmatch(token) else None


_TOKEN = re.compile(r"[\w-]+(\.[\w-]+){2}", re.ASCII)


def build_client_url(endpoint: Endpoint, hub: str, token: str) -> str:
    """Build the URL that a client connects to. It is a secret, since it contains the token."""
    base = f"ws{endpoint.address.removeprefix('http')}{endpoint.path_prefix}"
    return f"{base}/client/hubs/{hub}?access_token={token}"
