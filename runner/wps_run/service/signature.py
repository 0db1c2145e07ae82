"""HS256: the claims of a token whose signature holds. No clock: times are judged elsewhere.

Each request brings a token, most of them a new one. PyJWT, which issues tokens here, reads one in
about five times the time that this takes, and a rehearsal's service shares its loop with the
runner. Source: RFC 7515, RFC 7518 section 3.2.
"""

import base64
import hmac
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

HEADERS_KEPT = 64
"""How many headers of tokens are remembered: callers use one or two."""


def signed_claims(token: str, key: bytes) -> Mapping[str, Any]:
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
    padded = segment + "=" * (-len(segment) % 4)
    return base64.b64decode(padded, altchars=b"-_", validate=True)
