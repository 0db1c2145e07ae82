"""List the members of a group in pages, with continuation tokens."""

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from urllib.parse import urlencode

from wps_run.emulator.hub import Hub
from wps_run.emulator.rest.responses import RefusedError, bad_request
from wps_run.emulator.targets import API_VERSION, API_VERSIONS, Query, parse_integer

PAGE_LIMIT = 200
"""The maximum and default number of members on a page."""

INT_MAX = 2**31 - 1
"""The maximum of an integer parameter."""

_SIGNATURE_BYTES = 16


@dataclass(frozen=True, slots=True)
class ContinuationTokens:
    """Encodes and decodes continuation tokens, signed by `key` for one hub and group, `scope`."""

    key: bytes
    scope: str

    def encode(self, connection_id: str) -> str:
        """Make the token of the page that begins after a connection."""
        text = connection_id.encode("utf-8", "surrogatepass")
        return base64.urlsafe_b64encode(self._sign(text) + text).decode().rstrip("=")

    def decode(self, token: str) -> str:
        """Return the connection after which the page begins.

        Raises:
            RefusedError: 400; the token is malformed, forged or of another group.
        """
        try:
            raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except (binascii.Error, ValueError):
            raw = b""
        signature, text = raw[:_SIGNATURE_BYTES], raw[_SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, self._sign(text)):
            raise RefusedError(bad_request("Invalid continuationToken.", "continuationToken"))
        return text.decode("utf-8", "surrogatepass")

    def _sign(self, text: bytes) -> bytes:
        scope = hashlib.sha256(self.scope.encode("utf-8", "surrogatepass")).digest()
        return hmac.digest(self.key, scope + text, "sha256")[:_SIGNATURE_BYTES]


def list_members(
    hub: Hub, group: str, query: Query, tokens: ContinuationTokens, url: str
) -> object:
    """Return one page of a group's members, sorted by connection ID, as a JSON value.

    The query has `maxpagesize`, `top` and `continuationToken`. The URL is that of the list,
    without a query, for `nextLink`, which is null on the last page.

    Raises:
        RefusedError: 400; a parameter is out of range, repeated or forged.
    """
    size = _number(query, "maxpagesize", PAGE_LIMIT) or PAGE_LIMIT
    top = _number(query, "top", INT_MAX)
    token = _single(query, "continuationToken")
    limit = size if top is None else min(size, top)
    members = hub.members(group, tokens.decode(token) if token else "", limit + 1)
    page = members[:limit]
    link = None
    if len(members) > limit and (top is None or top > limit):
        parameters = {
            API_VERSION: API_VERSIONS[-1],
            "maxpagesize": str(size),
            "continuationToken": tokens.encode(page[-1].connection_id),
        }
        if top is not None:
            parameters["top"] = str(top - limit)
        link = f"{url}?{urlencode(parameters)}"
    value = [{"connectionId": member.connection_id, "userId": member.user_id} for member in page]
    return {"value": value, "nextLink": link}


def _single(query: Query, name: str) -> str | None:
    values = query.all(name)
    if not values:
        return None
    if len(values) > 1 or not values[0].strip():
        raise RefusedError(bad_request(f"Invalid {name}.", name))
    return values[0]


def _number(query: Query, name: str, maximum: int) -> int | None:
    text = _single(query, name)
    if text is None:
        return None
    number = parse_integer(text)
    if number is None or not 1 <= number <= maximum:
        raise RefusedError(bad_request(f"Invalid {name}.", name))
    return number
