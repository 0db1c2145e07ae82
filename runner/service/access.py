"""Who may call: REST tokens verified, client tokens issued. Keys in, verdicts out; no clock.

Source: what the service accepts, as its emulator was corrected to it: HS256 with the access key
as UTF-8 text, `exp` required, five minutes of leeway, and an audience that is the request's URL
or continues it at `/` or `?`. The scheme does not count, nor does the query.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any
from urllib.parse import unquote

import jwt

from runner.service.rest.targets import decode

LEEWAY = 300
"""Seconds by which clocks may differ."""

TOKENS_KEPT = 4096
"""How many verified tokens are remembered: clients may use one for all calls to a path."""

IDENTITY_AUDIENCE = "https://webpubsub.azure.com"
"""The audience of Entra ID tokens."""

_SCHEMES = frozenset({"http", "https", "ws", "wss"})


class DeniedError(Exception):
    """The call is not let in; the message says why, and never holds the token."""


@dataclass(frozen=True, slots=True)
class ClientAccess:
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


class Gate:
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

    def admit(
        self, authorization: str, host: str, path: str, now: float, *, identity_only: bool = False
    ) -> None:
        """Verify the token of a REST call.

        Args:
            authorization: The Authorization header, "" when there is none.
            host: The Host header the client used.
            path: The raw path.
            now: Seconds since the epoch.
            identity_only: Only an Entra ID token will do.

        Raises:
            DeniedError: The token is missing, malformed, expired or for something else.
        """
        token = _bearer(authorization)
        if self._allow_entra:
            unverified = _claims(token, None)
            if IDENTITY_AUDIENCE in _audiences(unverified):
                _check_times(unverified, now)
                return
        if identity_only:
            raise DeniedError("this needs a token of Entra ID")
        claims = self._verified(token)
        _check_times(claims, now)
        if not any(_covers(audience, host, path) for audience in _audiences(claims)):
            raise DeniedError("the audience is not the URL of the request")

    def client_token(self, access: ClientAccess, now: float) -> str:
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


def _bearer(authorization: str) -> str:
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip() or not token.isascii():
        raise DeniedError("there is no bearer token")
    return token.strip()


_OPTIONS: Mapping[str, bool] = dict.fromkeys(
    (
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
"""Only the signature is left to the library: it would ask the clock, and knows other audiences."""


def _claims(token: str, key: bytes | None) -> Mapping[str, Any]:
    """The claims of a token; without a key, its signature is not looked at."""
    options: Any = {**_OPTIONS, "verify_signature": key is not None}
    try:
        return jwt.decode(token, key or b"", algorithms=["HS256"], options=options)
    except (jwt.InvalidTokenError, ValueError, RecursionError):
        raise DeniedError("the token is malformed or not signed with the access key") from None


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


def _covers(audience: str, host: str, path: str) -> bool:
    """Whether an audience is for this URL, be it written with escapes or without."""
    path = path.removesuffix("/")
    if _continues(audience, host, path):
        return True
    decoded = decode(path)
    return any(_continues(form, host, decoded) for form in (audience, unquote(audience)))


def _continues(audience: str, host: str, path: str) -> bool:
    scheme, _, rest = audience.partition("://")
    if scheme.lower() not in _SCHEMES or rest[: len(host)].lower() != host.lower():
        return False
    place = rest[len(host) :]
    return place.startswith(path) and place[len(path) : len(path) + 1] in {"", "/", "?"}
