"""What lets a client in: the claims of its token, who makes it, and the URL it belongs to."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from wps_run.actions.names import name_error
from wps_run.actions.request import SAFE, Request
from wps_run.connect.auth import Signer
from wps_run.connect.endpoint import Endpoint
from wps_run.problems import UsageError, did_you_mean

LIFETIME = 3600
"""Seconds that a client may connect with a token, as in the official SDKs."""

MAX_GROUP_LENGTH = 1024
"""UTF-16 units of a group's name."""

_MINUTE = 60
_MOST_MINUTES = 2**31 - 1
_ANY_GROUP = ("webpubsub.joinLeaveGroup", "webpubsub.sendToGroup")
_PATTERNS = ("webpubsub.joinLeaveGroups", "webpubsub.sendToGroups")
_UNITS = {"s": 1, "m": _MINUTE, "h": 60 * _MINUTE, "d": 24 * 60 * _MINUTE}
_LIFETIME = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([smhd])")


@dataclass(frozen=True, slots=True)
class ClientTokenOptions:
    """What a client may do once it is in.

    Attributes:
        user: Who it is; "" for an anonymous client.
        roles: What it may do with groups.
        groups: The groups that it is in from the start.
        lifetime: Seconds within which it may connect. A connection outlives its token.
    """

    user: str = ""
    roles: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    lifetime: int = LIFETIME

    def check(self) -> None:
        """Refuse what the service would not take, or would silently not understand.

        Raises:
            UsageError: A user, a role or a group is none; says what to write instead.
        """
        if self.user and (fault := name_error(self.user, None)):
            raise UsageError(f"the user {fault}")
        for group in self.groups:
            if fault := name_error(group, MAX_GROUP_LENGTH):
                raise UsageError(f"a group {fault}")
        for role in self.roles:
            if fault := role_error(role):
                raise UsageError(f"the role `{role}` {fault}")


def role_error(role: str) -> str | None:
    """What is wrong with a role, as the end of a sentence, or None.

    Source: "Client URL" and "Wildcard group roles" in the service's documentation. The service
    itself takes any text, and a role that it does not know allows nothing.
    """
    known = (*_ANY_GROUP, *_PATTERNS)
    kind = next((one for one in known if role == one or role.startswith(f"{one}.")), None)
    if kind is None:
        return f"allows nothing{_meant(role)}"
    target = role.removeprefix(kind).removeprefix(".")
    if kind in _PATTERNS and not target:
        return f"lacks its pattern: `{kind}.launch-*`; for every group it is `{kind[:-1]}`"
    if role != kind and (fault := name_error(target, MAX_GROUP_LENGTH)):
        return f"names a group that {fault}"
    return None


def _meant(role: str) -> str:
    """What to write instead of a role that is none."""
    bare_role = re.sub(r"^webpubsub\.", "", role, flags=re.IGNORECASE)
    first, dot, rest = bare_role.partition(".")
    bare = [one.removeprefix("webpubsub.") for one in (*_ANY_GROUP, *_PATTERNS)]
    near = did_you_mean(first, bare)
    if near:
        return near.replace("you mean `", "you mean `webpubsub.").replace("`?", f"{dot}{rest}`?")
    return (
        f"; a role is {' or '.join(f'`{one}`' for one in _ANY_GROUP)}, or one of them and `.GROUP`"
    )


def parse_lifetime(text: str) -> int:
    """Whole seconds in `90s`, `60m`, `12h` or `7d`.

    Raises:
        ValueError: It is none of these, or not at least a second; says what to write instead.
    """
    found = _LIFETIME.fullmatch(text.strip())
    if not found:
        number = text.strip()
        instead = f"`{number}m` or `{number}s`" if number.isdigit() else "`90s`, `60m`, `12h`, `7d`"
        raise ValueError(f"a lifetime has a unit: write {instead}")
    seconds = math.floor(float(found[1]) * _UNITS[found[2]])
    if not 1 <= seconds <= _MOST_MINUTES * _MINUTE:
        raise ValueError("a lifetime is at least one second, and at most 2,147,483,647 minutes")
    return seconds


def sign_client_token(endpoint: Endpoint, hub: str, access: ClientTokenOptions, now: float) -> str:
    """A token signed with the access key, as the official SDKs make it.

    Args:
        endpoint: Where the service is, with its key.
        hub: The hub that the client may connect to.
        access: What it may do; checked.
        now: Seconds since the epoch.

    Raises:
        SettingsError: The key cannot be one.
    """
    claims: dict[str, Any] = {
        "aud": f"{endpoint.origin}/client/hubs/{hub}",
        "iat": int(now),
        "exp": int(now) + access.lifetime,
    }
    given = {"sub": access.user, "role": access.roles, "webpubsub.group": access.groups}
    return Signer(endpoint).sign({**claims, **{name: one for name, one in given.items() if one}})


def build_token_request(hub: str, access: ClientTokenOptions) -> Request:
    """The REST call by which the service makes a token, for a caller with Entra ID.

    Raises:
        UsageError: The lifetime is not in whole minutes, which is all that the call can say.

    Source: REST operation `WebPubSub_GenerateClientToken`.
    """
    minutes, rest = divmod(access.lifetime, _MINUTE)
    if rest:
        raise UsageError(
            "with Entra ID the service makes the token, for whole minutes: write `60m`"
        )
    pairs = [
        *([("userId", access.user)] if access.user else []),
        *(("role", role) for role in access.roles),
        ("minutesToExpire", str(minutes)),
        *(("group", group) for group in access.groups),
    ]
    query = "&".join(f"{name}={quote(value, safe=SAFE)}" for name, value in pairs)
    return Request("POST", f"/api/hubs/{quote(hub, safe=SAFE)}/:generateToken", query)


def parse_token_response(body: bytes) -> str | None:
    """The token in the service's answer, or None when there is none."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return None
    token = content.get("token") if isinstance(content, Mapping) else None
    return token if isinstance(token, str) and _TOKEN.fullmatch(token) else None


_TOKEN = re.compile(r"[\w-]+(\.[\w-]+){2}", re.ASCII)


def build_client_url(endpoint: Endpoint, hub: str, token: str) -> str:
    """The URL that a client connects to. It is a secret: whoever has it is let in."""
    return f"ws{endpoint.address.removeprefix('http')}/client/hubs/{hub}?access_token={token}"
