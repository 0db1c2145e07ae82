"""What a run consists of, as digests, so that only the same run resumes a journal. Pure.

Values may be secrets and are short, so every digest is keyed with the salt of the journal,
which the journals of the shards of one plan share.
"""

import hashlib
import hmac
import json
from collections.abc import Iterable, Mapping

from wps_run.actions.fields import Origin
from wps_run.actions.table import Action
from wps_run.journal.reader import History
from wps_run.problems import JournalError

SHARD_PART = "the shard"
"""The part in which the shards of one plan differ."""

SELECTION_PART = "the selection of the actions"
"""The part that says which steps of the plan are carried out."""

ROWS_PART = "the rows file of "
"""The beginning of the names of the parts that were read live."""

ENDPOINT_PART = "the endpoint of "
"""The beginning of the names of the parts that say where the actions are sent."""

ACTIONS_PART = "the actions of wps-run"
"""The part that says what actions send."""

_ACTIONS_FORM = "2:"
"""The prefix of a digest of `actions_content`. The digests of older journals cover help texts as
well, and are not compared."""


def actions_content(actions: Iterable[Action], api_version: str) -> str:
    """Return what the actions send: method, path and fields, but no summary or help text."""
    rows = [
        [
            action.name,
            action.method,
            action.path,
            [
                [field.name, field.location, field.type]
                for field in action.fields
                if field.origin is not Origin.PLAYBOOK  # it is sent as the property it replaces
            ],
        ]
        for action in actions
    ]
    return json.dumps([api_version, rows], separators=(",", ":"))


def shared_salt(playbooks: Iterable[str]) -> str:
    """Return the salt of the journals of all shards of a plan: a digest of its playbooks.

    Shards share nothing but what they run, and their fingerprints are compared when their
    journals are merged, so equal values must have equal digests. A guess at a value costs as
    much as with a random salt, since each journal contains its salt; only a table of guesses
    serves for more than one run.
    """
    digest = hashlib.sha256(b"wps-run shards")
    for text in playbooks:
        content = text.encode(errors="surrogatepass")
        digest.update(len(content).to_bytes(8, "big") + content)
    return digest.hexdigest()[:32]


def fingerprint(salt: str, parts: Mapping[str, str | Iterable[bytes]]) -> dict[str, str]:
    """Return the digest of each part, under the part's name as messages use it."""
    digests = {name: _digest(salt, content) for name, content in parts.items()}
    if ACTIONS_PART in digests:
        digests[ACTIONS_PART] = _ACTIONS_FORM + digests[ACTIONS_PART]
    return digests


def changed_parts(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return the names of the parts in which two fingerprints differ."""
    comparable = all(
        digests.get(ACTIONS_PART, "").startswith(_ACTIONS_FORM) for digests in (before, now)
    )
    names = dict.fromkeys([*before, *now])
    return [
        name
        for name in names
        if before.get(name) != now.get(name) and (comparable or name != ACTIONS_PART)
    ]


def require_same(history: History, now: Mapping[str, str], name: str) -> None:
    """Refuse to resume the run of a journal as another run.

    Raises:
        JournalError: Something changed since; names it.
    """
    changed = changed_parts(history.header.fingerprint, now)
    if changed:
        raise JournalError(
            f"cannot resume `{name}`: this changed since the run started: {', '.join(changed)}; "
            "put it back, or start a new run"
        )


def _digest(salt: str, content: str | Iterable[bytes]) -> str:
    """Return the digest of a text, or of a file that is read piece by piece."""
    digest = hmac.new(salt.encode(), digestmod=hashlib.sha256)
    pieces = (content.encode(errors="surrogatepass"),) if isinstance(content, str) else content
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()[:32]
