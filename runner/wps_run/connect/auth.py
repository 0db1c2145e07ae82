"""Sign the bearer tokens of requests with the endpoint's access key."""

import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import unquote

from jwt.algorithms import HMACAlgorithm
from jwt.exceptions import InvalidKeyError

from wps_run.connect.endpoint import Endpoint
from wps_run.problems import SettingsError

LIFETIME = 60
"""Seconds that a token is valid, as in the official Python SDK.

Each attempt has its own token, which the service checks when the request arrives, with a
tolerance of five minutes for different clocks.
"""


class TokenSource(Protocol):
    """A source of bearer tokens."""

    def token(self, path: str, now: float) -> str:
        """Return the bearer token for one request.

        Args:
            path: The raw path, percent-encoded as it is sent, without query.
            now: Seconds since the epoch.
        """


class Signer:
    """Signs tokens with the endpoint's access key (HS256).

    The header, which all tokens share, is encoded and hashed once. Each token continues a copy of
    that HMAC, which takes a third less time than a new one.

    Raises:
        SettingsError: The key is invalid. The message never contains it.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._origin = endpoint.origin
        try:
            key = HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(endpoint.key)
        except (InvalidKeyError, UnicodeEncodeError):
            raise SettingsError(
                "the `AccessKey` of the connection string is not an access key of the service"
            ) from None
        self._header = _segment(b'{"alg":"HS256","typ":"JWT"}') + b"."
        self._header_hmac = hmac.new(key, self._header, "sha256")

    def __repr__(self) -> str:
        return f"Signer({self._origin!r}, key=…)"

    def token(self, path: str, now: float) -> str:
        """Sign the token for one path.

        The audience is origin and path, without query. The service decodes the path except for
        `%2F`, and accepts that, or what becomes it when all escapes are decoded once. The raw path
        does, unless it has a `%2F` beside other escapes.

        Source: "Authenticate via Microsoft Entra token or access key" in the REST reference, and
        the tests of Microsoft's emulator.
        """
        if _SLASH in path:
            path = unquote(path.replace(_SLASH, "%252F"))
        audience = _json_string(self._origin + path)
        return self._sign(f'{{"aud":{audience},"exp":{int(now) + LIFETIME}}}')

    def sign(self, claims: Mapping[str, Any]) -> str:
        return self._sign(json.dumps(claims, separators=(",", ":")))

    def _sign(self, claims: str) -> str:
        payload = _segment(claims.encode())
        signature = self._header_hmac.copy()
        signature.update(payload)
        return (self._header + payload + b"." + _segment(signature.digest())).decode("ascii")


_SLASH = "%2F"

_json_string = json.encoder.encode_basestring_ascii


def _segment(content: bytes) -> bytes:
    return urlsafe_b64encode(content).rstrip(b"=")
