"""Verify and issue access tokens with one access key.

The caller passes the time, in seconds since the epoch, so that this module needs no clock.

Sources: RFC 7515, RFC 7518 section 3.2, and what the service accepts: HS256 with the access key as
UTF-8 text, `exp` required, five minutes of leeway, and an audience that is the request's URL or a
longer URL after a `/` or `?`. The scheme and the query are not compared. The service compares the
path as it reads it, decoded except for `%2F`, with the audience as it is and decoded once. So the
raw path is no audience for some names that mix escapes, such as `a%20b%2Fc`; the path as read is.

PyJWT issues tokens, but takes about five times as long as this module to verify one. Most requests
carry a new token, and a rehearsal runs the emulator and the executor on one event loop.
"""

import base64
import hmac
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any
from urllib.parse import unquote, unquote_plus

import jwt

from wps_run.emulator.names import is_group_name, is_id
from wps_run.emulator.targets import decode_path

LEEWAY = 300
"""The tolerated difference between two clocks, in seconds."""

RECONNECTION_LIFETIME = 7 * 24 * 3600
"""The lifetime of a reconnection token, in seconds."""

IDENTITY_AUDIENCE = "https://webpubsub.azure.com"
"""The audience of Entra ID tokens."""

_HEADER_CACHE_SIZE = 64
"""The number of cached token headers: callers use one or two."""

_TOKEN_CACHE_SIZE = 4096
"""The number of cached tokens: clients may use one for all calls to a path."""

_SCHEMES = frozenset({"http", "https", "ws", "wss"})

_CHECKED_CLAIMS = ("signature", "exp", "nbf", "iat", "aud", "iss", "sub", "jti")
_NO_CHECKS: Any = {f"verify_{name}": False for name in _CHECKED_CLAIMS}
"""PyJWT only decodes: its checks would read the clock and compare audiences differently."""


class DeniedError(Exception):
    """A token is refused. The message says why and never holds the token."""


class ClaimError(Exception):
    """A valid token has a claim that cannot be granted. The message says which."""


@dataclass(frozen=True, slots=True)
class ClientTokenParameters:
    """The contents of a client token to issue.

    Attributes:
        audience: The client URL.
        user_id: The user, "" for an anonymous client.
        lifetime: The lifetime of the token in seconds.
    """

    audience: str
    user_id: str
    roles: tuple[str, ...]
    groups: tuple[str, ...]
    lifetime: int


@dataclass(frozen=True, slots=True)
class ClientClaims:
    """The claims of a verified client token; an anonymous client has no user.

    Attributes:
        everything: All claims, as they are in the token.
    """

    user_id: str | None
    roles: tuple[str, ...]
    groups: tuple[str, ...]
    everything: Mapping[str, object] = field(default_factory=dict, compare=False)


class TokenVerifier:
    """Verifies and issues tokens with one access key.

    Args:
        allow_unvalidated_entra_tokens: Accept tokens with Entra ID's audience without checking
            who signed them. Use it only to test code that gets its tokens from Entra ID.
    """

    def __init__(self, key: str, *, allow_unvalidated_entra_tokens: bool = False) -> None:
        self._key = key.encode()
        self._allow_entra = allow_unvalidated_entra_tokens
        self._cached_claims = lru_cache(_TOKEN_CACHE_SIZE)(partial(_claims, key=self._key))

    def verify_rest_token(
        self, authorization: str, host: str, path: str, now: float, *, entra_only: bool = False
    ) -> None:
        """Verify the token in the Authorization header of a request to a host and a raw path.

        Raises:
            DeniedError: The token is missing, malformed, expired or for another URL.
        """
        token = bearer_token(authorization)
        if self._allow_entra:
            unverified = _claims(token, None)
            if IDENTITY_AUDIENCE in _audiences(unverified):
                _check_times(unverified, now)
                return
        if entra_only:
            raise DeniedError("this operation needs an Entra ID token")
        claims = self._cached_claims(token)
        _check_times(claims, now)
        if not any(_matches_url(audience, host, path) for audience in _audiences(claims)):
            raise DeniedError("the audience is not the URL of the request")

    def issue_client_token(self, parameters: ClientTokenParameters, now: float) -> str:
        """Issue a client token without empty claims."""
        issued = int(now)
        claims: dict[str, object] = {
            "aud": parameters.audience,
            "nbf": issued,
            "iat": issued,
            "exp": issued + parameters.lifetime,
        }
        if parameters.user_id:
            claims["sub"] = parameters.user_id
        if parameters.roles:
            claims["role"] = parameters.roles
        if parameters.groups:
            claims["webpubsub.group"] = parameters.groups
        return jwt.encode(claims, self._key, algorithm="HS256")

    def verify_client_token(self, token: str, host: str, hub: str, now: float) -> ClientClaims:
        """Verify the token of a client that connects to a hub, whose name may have any case.

        Raises:
            DeniedError: The token is missing, malformed, expired or for another URL.
            ClaimError: A group name is invalid.
        """
        if not token:
            raise DeniedError("there is no access token")
        claims = _claims(token, self._key)
        _check_times(claims, now)
        if not any(_matches_hub(audience, host, hub) for audience in _audiences(claims)):
            raise DeniedError("the audience is not the client URL of this hub")
        user_id = claims.get("sub") or None
        if user_id is not None and (not isinstance(user_id, str) or not is_id(user_id)):
            raise DeniedError("the token has no valid `sub`")
        groups = _strings(claims, "webpubsub.group")
        if not all(map(is_group_name, groups)):
            raise ClaimError("the token has an invalid group name")
        return ClientClaims(user_id, _strings(claims, "role"), groups, claims)

    def issue_reconnection_token(self, hub: str, connection_id: str, now: float) -> str:
        issued = int(now)
        audience = _reconnection_audience(hub, connection_id)
        claims = {"aud": audience, "nbf": issued, "exp": issued + RECONNECTION_LIFETIME}
        return jwt.encode(claims, self._key, algorithm="HS256")

    def verify_reconnection_token(
        self, token: str, hub: str, connection_id: str, now: float
    ) -> None:
        """Verify a reconnection token. Raises DeniedError."""
        claims = _claims(token, self._key)
        _check_times(claims, now)
        if claims.get("aud") != _reconnection_audience(hub, connection_id):
            raise DeniedError("the reconnection token is for another connection")


def bearer_token(authorization: str) -> str:
    """Return the token in an Authorization header. Raises DeniedError when there is none."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip() or not token.isascii():
        raise DeniedError("there is no bearer token")
    return token.strip()


def verify_token(token: str, key: bytes) -> Mapping[str, Any]:
    """Verify the signature of a compact ASCII token and decode its claims; times are not checked.

    Raises:
        ValueError: The token is malformed, has another algorithm, or is signed with another key.
    """
    signed, _, signature = token.rpartition(".")
    header, _, payload = signed.partition(".")
    digest = hmac.digest(key, signed.encode(), "sha256")
    if not hmac.compare_digest(digest, _decode_base64(signature)):
        raise ValueError("the signature is wrong")
    _check_header(header)
    return _decode_object(payload)


@lru_cache(_HEADER_CACHE_SIZE)
def _check_header(segment: str) -> None:
    """Raise ValueError unless a token's header requires HS256 and no extension."""
    header = _decode_object(segment)
    if header.get("alg") != "HS256" or "crit" in header or header.get("b64") is False:
        raise ValueError("the header requires more than HS256")


def _decode_object(segment: str) -> dict[str, Any]:
    value = json.loads(_decode_base64(segment))
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - one exception for malformed tokens
    return value


def _decode_base64(segment: str) -> bytes:
    if "+" in segment or "/" in segment:  # `b64decode` accepts these in addition to `altchars`
        raise ValueError("not base64url")
    padded = segment + "=" * (-len(segment) % 4)
    return base64.b64decode(padded, altchars=b"-_", validate=True)


def _claims(token: str, key: bytes | None) -> Mapping[str, Any]:
    """Decode the claims of a token; without a key, its signature is not verified."""
    try:
        if key is not None:
            return verify_token(token, key)
        unverified: Mapping[str, Any] = jwt.decode(token, options=_NO_CHECKS)
    except (jwt.InvalidTokenError, ValueError, RecursionError):
        raise DeniedError("the token is malformed or not signed with the access key") from None
    return unverified


def _check_times(claims: Mapping[str, Any], now: float) -> None:
    if now >= _time(claims, "exp") + LEEWAY:
        raise DeniedError("the token has expired")
    if "nbf" in claims and now < _time(claims, "nbf") - LEEWAY:
        raise DeniedError("the token is not valid yet")


def _time(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, int) and not isinstance(value, bool):  # too large, perhaps, for `isfinite`
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise DeniedError(f"the token has no valid `{name}`")


def _audiences(claims: Mapping[str, Any]) -> Iterator[str]:
    audience = claims.get("aud")
    for value in audience if isinstance(audience, list) else [audience]:
        if isinstance(value, str):
            yield value


def _strings(claims: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = claims.get(name, [])
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(item, str) for item in values):
        raise DeniedError(f"the token has no valid `{name}`")
    return tuple(values)


def _matches_url(audience: str, host: str, path: str) -> bool:
    """Whether an audience is for a raw path: as it is, or decoded once, as a form is."""
    decoded = decode_path(path).removesuffix("/")
    return _covers(audience, host, decoded) or _covers(unquote_plus(audience), host, decoded)


def _covers(audience: str, host: str, path: str) -> bool:
    """Whether an audience is the URL of a host and a decoded path, or continues it at `/` or `?`.

    The query begins at the first `?`, even if the path has one, too.
    """
    scheme, _, rest = audience.partition("://")
    if scheme.lower() not in _SCHEMES or rest[: len(host)].lower() != host.lower():
        return False
    url_path = rest[len(host) :]
    return url_path.startswith(path + "/") or path in {url_path, url_path.partition("?")[0]}


def _matches_hub(audience: str, host: str, hub: str) -> bool:
    scheme, _, location = audience.lower().partition("://")
    urls = (f"{host}/client/hubs/{hub}".lower(), f"{host}/client/?hub={hub}".lower())
    return scheme in _SCHEMES and any(
        form.startswith(url) and form[len(url) : len(url) + 1] in {"", "/", "?", "&"}
        for form in {location, unquote(location)}
        for url in urls
    )


def _reconnection_audience(hub: str, connection_id: str) -> str:
    """Return the audience of a reconnection token: not a URL, so that it is valid nowhere else."""
    return f"reconnect:{hub}/{connection_id}"
