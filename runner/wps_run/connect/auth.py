"""From the endpoint's key, a path and the time to the token that the service checks."""

import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Any, Protocol

from jwt.algorithms import HMACAlgorithm
from jwt.exceptions import InvalidKeyError

from wps_run.connect.endpoint import Endpoint
from wps_run.problems import SettingsError

LIFETIME = 60
"""Seconds that a token is good for, as in the official Python SDK.

A token is made for each attempt and checked when the request arrives, so it need only outlive
the way there. The service adds five minutes for clocks that differ.
"""


class TokenSource(Protocol):
    """Whoever can say which token lets a request in."""

    def token(self, path: str, now: float) -> str:
        """The bearer token for one request.

        Args:
            path: The raw path, percent-encoded as it is sent, without query.
            now: Seconds since the epoch.
        """
        ...


class Signer:
    """Signs tokens with the endpoint's access key: HS256, one audience a path.

    What all tokens begin with is encoded, and taken into the HMAC, once. A copy of that goes on
    with the claims, which costs a third less than a new HMAC for each request.

    Raises:
        SettingsError: The key cannot be one. The message never holds it.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._origin = endpoint.origin
        try:
            key = HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(endpoint.key)
        except (InvalidKeyError, UnicodeEncodeError):
            raise SettingsError(
                "the `AccessKey` of the connection string is not an access key of the service"
            ) from None
        self._beginning = _segment(b'{"alg":"HS256","typ":"JWT"}') + b"."
        self._begun = hmac.new(key, self._beginning, "sha256")

    def __repr__(self) -> str:
        return f"Signer({self._origin!r}, key=…)"

    def token(self, path: str, now: float) -> str:
        """The token for one path.

        The audience is origin and raw path, without query: the form that the service takes
        for every name a path can carry.

        Args:
            path: The raw path, percent-encoded as it is sent, without query.
            now: Seconds since the epoch.

        Source: "Authenticate via Microsoft Entra token or access key" in the REST reference.
        """
        audience = _text(self._origin + path)
        return self._sign(f'{{"aud":{audience},"exp":{int(now) + LIFETIME}}}')

    def sign(self, claims: Mapping[str, Any]) -> str:
        """The token that says these claims."""
        return self._sign(json.dumps(claims, separators=(",", ":")))

    def _sign(self, claims: str) -> str:
        payload = _segment(claims.encode())
        whole = self._begun.copy()
        whole.update(payload)
        return (self._beginning + payload + b"." + _segment(whole.digest())).decode("ascii")


_text = json.encoder.encode_basestring_ascii


def _segment(content: bytes) -> bytes:
    return urlsafe_b64encode(content).rstrip(b"=")
