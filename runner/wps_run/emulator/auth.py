"""HS256: the claims of a token whose signature holds. No clock: times are judged elsewhere.

Each request brings a token, most of them a new one. PyJWT, which issues tokens here, reads one in
about five times the time that this takes, and a rehearsal's service shares its loop with the
runner. Source: RFC 7515, RFC 7518 section 3.2.

Who may call: REST tokens verified, client tokens issued. Keys in, verdicts out; no clock.

Source: what the service accepts, as its emulator was corrected to it: HS256 with the access key
as UTF-8 text, `exp` required, five minutes of leeway, and an audience that is the request's URL
or continues it at `/` or `?`. The scheme does not count, nor does the query.
"""

import base64
import hmac
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any
from urllib.parse import unquote

import jwt

from wps_run.emulator.names import is_group_name, is_id
from wps_run.emulator.rest.targets import decode_path

HEADERS_KEPT = 64
"""How many headers of tokens are remembered: callers use one or two."""


def verify_token(token: str, key: bytes) -> Mapping[str, Any]:
    """Verify a token's signature and read its claims.

    Args:
        token: The token in its compact form, ASCII.
        key: The access key.

    Raises:
        ValueError: It is malformed, asks for another algorithm, or the key did not sign it.
    """
    signed, _, signature = token.rpartition(".")
    header, _, payload = signed.partition(".")
    if not hmac.compare_digest(hmac.digest(key, signed.encode(), "sha256"), _bytes(signature)):
        raise ValueError("the signature does not hold")
    _check_header(header)
    return _object(payload)


@lru_cache(HEADERS_KEPT)
def _check_header(segment: str) -> None:
    """Raise ValueError unless a header asks for HS256, and for nothing that is not done here."""
    header = _object(segment)
    if header.get("alg") != "HS256" or "crit" in header or header.get("b64") is False:
        raise ValueError("the header asks for something else than HS256")


def _object(segment: str) -> dict[str, Any]:
    value = json.loads(_bytes(segment))
    if not isinstance(value, dict):
        raise ValueError("this is no JSON object")  # noqa: TRY004 - one kind for what is malformed
    return value


def _bytes(segment: str) -> bytes:
    if "+" in segment or "/" in segment:  # Python accepts them beside `altchars`
        raise ValueError("this is not base64url")
    padded = segment + "=" * (-len(segment) % 4)
    return base64.b64decode(padded, altchars=b"-_", validate=True)


LEEWAY = 300
"""Seconds by which clocks may differ."""

TOKENS_KEPT = 4096
"""How many verified tokens are remembered: clients may use one for all calls to a path."""

RECONNECTION_LIFETIME = 7 * 24 * 3600
"""Seconds a reconnection token is valid."""

IDENTITY_AUDIENCE = "https://webpubsub.azure.com"
"""The audience of Entra ID tokens."""

_SCHEMES = frozenset({"http", "https", "ws", "wss"})


class DeniedError(Exception):
    """The call is not let in; the message says why, and never holds the token."""


class ClaimError(Exception):
    """A token is genuine, but what it claims cannot be granted; the message says what."""


@dataclass(frozen=True, slots=True)
class ClientTokenParameters:
    """What a client's token says.

    Attributes:
        audience: The URL it opens.
        user_id: Whose it is, "" for an anonymous client.
        roles: What the client may do.
        groups: The groups it is in from the start.
        lifetime: Seconds the token is valid.
    """

    audience: str
    user_id: str
    roles: tuple[str, ...]
    groups: tuple[str, ...]
    lifetime: int


@dataclass(frozen=True, slots=True)
class ClientClaims:
    """What a client's token grants.

    Attributes:
        user_id: Whose the connection is, or None for an anonymous client.
        roles: What the client may do.
        groups: The groups it is in from the start.
    """

    user_id: str | None
    roles: tuple[str, ...]
    groups: tuple[str, ...]


class TokenVerifier:
    """Verifies and issues tokens with one access key.

    Args:
        key: The access key.
        allow_unvalidated_entra_tokens: Let tokens for Entra ID's audience in without checking
            who signed them. For tests of code that uses credentials; never a check of anything.
    """

    def __init__(self, key: str, *, allow_unvalidated_entra_tokens: bool = False) -> None:
        self._key = key.encode()
        self._allow_entra = allow_unvalidated_entra_tokens
        self._verified = lru_cache(TOKENS_KEPT)(partial(_claims, key=self._key))

    def verify_rest_token(
        self, authorization: str, host: str, path: str, now: float, *, entra_only: bool = False
    ) -> None:
        """Verify the token of a REST call.

        Args:
            authorization: The Authorization header, "" when there is none.
            host: The Host header the client used.
            path: The raw path.
            now: Seconds since the epoch.
            entra_only: Only an Entra ID token will do.

        Raises:
            DeniedError: The token is missing, malformed, expired or for something else.
        """
        token = bearer_token(authorization)
        if self._allow_entra:
            unverified = _claims(token, None)
            if IDENTITY_AUDIENCE in _audiences(unverified):
                _check_times(unverified, now)
                return
        if entra_only:
            raise DeniedError("this needs a token of Entra ID")
        claims = self._verified(token)
        _check_times(claims, now)
        if not any(_covers(audience, host, path) for audience in _audiences(claims)):
            raise DeniedError("the audience is not the URL of the request")

    def issue_client_token(self, access: ClientTokenParameters, now: float) -> str:
        """Issue a client's token at `now` (seconds since the epoch), without empty claims."""
        issued = int(now)
        claims: dict[str, object] = {
            "aud": access.audience,
            "iat": issued,
            "exp": issued + access.lifetime,
        }
        if access.user_id:
            claims["sub"] = access.user_id
        if access.roles:
            claims["role"] = access.roles
        if access.groups:
            claims["webpubsub.group"] = access.groups
        return jwt.encode(claims, self._key, algorithm="HS256")

    def verify_client_token(self, token: str, host: str, hub: str, now: float) -> ClientClaims:
        """Verify the token of a client that connects.

        Args:
            token: The token, "" when there is none.
            host: The Host header the client used.
            hub: The hub it wants to connect to, in any case.
            now: Seconds since the epoch.

        Raises:
            DeniedError: The token is missing, malformed, expired or for something else.
            ClaimError: A group has a name that no group has.
        """
        if not token:
            raise DeniedError("there is no access token")
        claims = _claims(token, self._key)
        _check_times(claims, now)
        if not any(_opens(audience, host, hub) for audience in _audiences(claims)):
            raise DeniedError("the audience is not the URL of this hub's clients")
        user_id = claims.get("sub") or None
        if user_id is not None and (not isinstance(user_id, str) or not is_id(user_id)):
            raise DeniedError("the token has no valid `sub`")
        groups = _texts(claims, "webpubsub.group")
        if not all(map(is_group_name, groups)):
            raise ClaimError("the token names a group that cannot exist")
        return ClientClaims(user_id, _texts(claims, "role"), groups)

    def issue_reconnection_token(self, hub: str, connection_id: str, now: float) -> str:
        """Issue a token with which one connection, and no other, can be recovered."""
        claims = {"aud": _seat(hub, connection_id), "exp": int(now) + RECONNECTION_LIFETIME}
        return jwt.encode(claims, self._key, algorithm="HS256")

    def verify_reconnection_token(
        self, token: str, hub: str, connection_id: str, now: float
    ) -> None:
        """Verify a reconnection token. Raises DeniedError."""
        claims = _claims(token, self._key)
        _check_times(claims, now)
        if claims.get("aud") != _seat(hub, connection_id):
            raise DeniedError("the reconnection token is for another connection")


def bearer_token(authorization: str) -> str:
    """The token in an Authorization header. Raises DeniedError when there is none."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip() or not token.isascii():
        raise DeniedError("there is no bearer token")
    return token.strip()


_OPTIONS: Any = dict.fromkeys(
    (
        "verify_signature",
        "verify_exp",
        "verify_nbf",
        "verify_iat",
        "verify_aud",
        "verify_iss",
        "verify_sub",
        "verify_jti",
    ),
    False,
)
"""The library checks nothing: it would ask the clock, and knows other audiences."""


def _claims(token: str, key: bytes | None) -> Mapping[str, Any]:
    """The claims of a token; without a key, its signature is not looked at."""
    try:
        return verify_token(token, key) if key is not None else _unsigned(token)
    except (jwt.InvalidTokenError, ValueError, RecursionError):
        raise DeniedError("the token is malformed or not signed with the access key") from None


def _unsigned(token: str) -> Mapping[str, Any]:
    claims: Mapping[str, Any] = jwt.decode(token, options=_OPTIONS)
    return claims


def _check_times(claims: Mapping[str, Any], now: float) -> None:
    if now >= _time(claims, "exp") + LEEWAY:
        raise DeniedError("the token has expired")
    if "nbf" in claims and now < _time(claims, "nbf") - LEEWAY:
        raise DeniedError("the token is not valid yet")


def _time(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, int | float) and not isinstance(value, bool) and _is_finite(value):
        return value
    raise DeniedError(f"the token has no valid `{name}`")


def _is_finite(value: float) -> bool:
    """JSON in Python knows NaN and infinity; an int may be too large to be asked."""
    return isinstance(value, int) or math.isfinite(value)


def _audiences(claims: Mapping[str, Any]) -> Iterator[str]:
    audience = claims.get("aud")
    for value in audience if isinstance(audience, list) else [audience]:
        if isinstance(value, str):
            yield value


def _texts(claims: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """The values of a claim that is one text or a list of them."""
    value = claims.get(name, [])
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(one, str) for one in values):
        raise DeniedError(f"the token has no valid `{name}`")
    return tuple(values)


def _opens(audience: str, host: str, hub: str) -> bool:
    """Whether an audience is for the clients of a hub; case does not count."""
    scheme, _, place = audience.lower().partition("://")
    doors = (f"{host}/client/hubs/{hub}".lower(), f"{host}/client/?hub={hub}".lower())
    forms = {place, unquote(place)}
    return scheme in _SCHEMES and any(
        form.startswith(door) and form[len(door) : len(door) + 1] in {"", "/", "?", "&"}
        for form in forms
        for door in doors
    )


def _seat(hub: str, connection_id: str) -> str:
    """The audience of a reconnection token: no URL, so that it opens nothing else."""
    return f"reconnect:{hub}/{connection_id}"


def _covers(audience: str, host: str, path: str) -> bool:
    """Whether an audience is for this URL, be it written with escapes or without."""
    path = path.removesuffix("/")
    if _continues(audience, host, path):
        return True
    decoded = decode_path(path)
    return any(_continues(form, host, decoded) for form in (audience, unquote(audience)))


def _continues(audience: str, host: str, path: str) -> bool:
    scheme, _, rest = audience.partition("://")
    if scheme.lower() not in _SCHEMES or rest[: len(host)].lower() != host.lower():
        return False
    place = rest[len(host) :]
    return place.startswith(path) and place[len(path) : len(path) + 1] in {"", "/", "?"}
