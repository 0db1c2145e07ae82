"""What a run is made of, in digests, so that a journal is gone on with only by the same run. Pure.

Values may be secrets and are short, so every digest is keyed with a salt of the journal's own,
which the journals of one plan's shards have in common.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping

SHARD_PART = "the shard"
"""The part of a shard's fingerprint that the other shards of its plan do not have."""


def shared_salt(playbooks: Iterable[str]) -> str:
    """The salt of the journals of all shards of a plan: a digest of its playbooks.

    Shards share nothing but what they run, and their fingerprints are compared when their
    journals are merged. So equal values can be told by equal digests in all journals of a
    playbook's shards. A guess at a value costs as much as with a salt by chance, since each
    journal holds its salt; only a table of guesses serves for more than one run.
    """
    made = hashlib.sha256(b"wps-run shards")
    for text in playbooks:
        content = text.encode(errors="surrogatepass")
        made.update(len(content).to_bytes(8, "big") + content)
    return made.hexdigest()[:32]


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
