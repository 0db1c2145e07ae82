"""The members of a group, page by page, and the tokens that lead from one page to the next."""

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from urllib.parse import urlencode

from wps_run.emulator.hub import Hub
from wps_run.emulator.rest.responses import RefusedError, bad_request
from wps_run.emulator.rest.targets import Query

PAGE_LIMIT = 200
"""The most members on a page, and how many are on it when nobody says."""

INT_MAX = 2**31 - 1
_SEAL = 16


@dataclass(frozen=True, slots=True)
class ContinuationTokens:
    """Makes and opens continuation tokens. One of another group, or a forged one, is refused.

    Attributes:
        key: A secret of this service.
        scope: What they are good for: hub and group.
    """

    key: bytes
    scope: str

    def token_after(self, connection_id: str) -> str:
        """The token of the page that begins after this connection."""
        text = connection_id.encode("utf-8", "surrogatepass")
        return base64.urlsafe_b64encode(self._seal(text) + text).decode().rstrip("=")

    def place(self, token: str) -> str:
        """The connection after which the page begins.

        Raises:
            RefusedError: 400; it is not one of our tokens.
        """
        try:
            raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except (binascii.Error, ValueError):
            raw = b""
        seal, text = raw[:_SEAL], raw[_SEAL:]
        if not hmac.compare_digest(seal, self._seal(text)):
            raise RefusedError(bad_request("Invalid continuationToken.", "continuationToken"))
        return text.decode("utf-8", "surrogatepass")

    def _seal(self, text: bytes) -> bytes:
        scope = hashlib.sha256(self.scope.encode("utf-8", "surrogatepass")).digest()
        return hmac.digest(self.key, scope + text, "sha256")[:_SEAL]


def list_members(
    hub: Hub, group: str, query: Query, cursors: ContinuationTokens, url: str
) -> object:
    """One page of a group's members, sorted by connection ID.

    Args:
        hub: The hub.
        group: The group; one without members has an empty page.
        query: `maxpagesize`, `top`, `continuationToken`.
        cursors: Those of this hub and group.
        url: The URL of the list as the client wrote it, without a query.

    Returns:
        The value of the JSON answer; `nextLink` is null on the last page.

    Raises:
        RefusedError: 400; a parameter is out of range, repeated or forged.
    """
    size = _number(query, "maxpagesize", PAGE_LIMIT) or PAGE_LIMIT
    top = _number(query, "top", INT_MAX)
    token = _only(query, "continuationToken")
    limit = size if top is None else min(size, top)
    found = hub.members(group, cursors.place(token) if token else "", limit + 1)
    page = found[:limit]
    link = None
    if len(found) > limit and (top is None or top > limit):
        following = {
            "api-version": query.first("api-version") or "2024-12-01",
            "maxpagesize": str(size),
            "continuationToken": cursors.token_after(page[-1].connection_id),
        }
        if top is not None:
            following["top"] = str(top - limit)
        link = f"{url}?{urlencode(following)}"
    value = [{"connectionId": one.connection_id, "userId": one.user_id} for one in page]
    return {"value": value, "nextLink": link}


def _only(query: Query, name: str) -> str | None:
    values = query.all(name)
    if not values:
        return None
    if len(values) > 1 or not values[0].strip():
        raise RefusedError(bad_request(f"Invalid {name}.", name))
    return values[0]


def _number(query: Query, name: str, limit: int) -> int | None:
    text = _only(query, name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(limit))):
        raise RefusedError(bad_request(f"Invalid {name}.", name))
    if not 1 <= int(text) <= limit:
        raise RefusedError(bad_request(f"Invalid {name}.", name))
    return int(text)
