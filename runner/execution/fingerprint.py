"""What a run is made of, in digests, so that a journal is gone on with only by the same run. Pure.

Values may be secrets and are short, so every digest is keyed with a salt of the journal's own.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping


def digest(salt: str, content: str | Iterable[bytes]) -> str:
    """A digest of a text, or of what is read piece by piece."""
    made = hmac.new(salt.encode(), digestmod=hashlib.sha256)
    pieces = (content.encode(errors="surrogatepass"),) if isinstance(content, str) else content
    for piece in pieces:
        made.update(piece)
    return made.hexdigest()[:32]


def fingerprint(salt: str, parts: Mapping[str, str | Iterable[bytes]]) -> dict[str, str]:
    """Each part's name, as a person would say it, with the digest of its content."""
    return {name: digest(salt, content) for name, content in parts.items()}
