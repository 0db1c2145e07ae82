"""Who may see the page: one-time links, and the sessions they are exchanged for. No I/O."""

import hashlib
import secrets

_LINKS_MOST = 16
"""The most links that wait to be used; the oldest makes room for a new one."""

_SESSIONS_MOST = 64
"""The most sessions; the oldest ends when a new one begins."""


class SessionStore:
    """Issues links that open once, and remembers whom they have let in.

    Only digests are kept, and they are looked up, not compared: nothing can be learnt from how
    long that takes.
    """

    def __init__(self) -> None:
        self._links: dict[bytes, None] = {}
        self._sessions: dict[bytes, None] = {}
        self.is_open = False
        """Whether there ever was a link: until then there is no page."""

    def link(self) -> str:
        """A new secret that opens the door once."""
        self.is_open = True
        return _add(self._links, _LINKS_MOST)

    def enter(self, shown: str) -> str | None:
        """The secret of a new session, for that of a link, which is used up; None for another."""
        digest = _digest(shown)
        if digest not in self._links:
            return None
        del self._links[digest]
        return _add(self._sessions, _SESSIONS_MOST)

    def knows(self, session: str) -> bool:
        """Whether this is the secret of a session."""
        return _digest(session) in self._sessions


def _add(kept: dict[bytes, None], most: int) -> str:
    secret = secrets.token_urlsafe(32)
    kept[_digest(secret)] = None
    if len(kept) > most:
        del kept[next(iter(kept))]
    return secret


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
