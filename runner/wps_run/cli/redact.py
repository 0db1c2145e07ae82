"""What of a text may be shown: everything but keys, tokens and connection strings."""

import re
from collections.abc import Mapping

MASK = "***"

SHORTEST_SECRET = 8
"""Characters; masking shorter values would take words out of the text that are no secrets."""

_SECRET_NAME = re.compile(r"connectionstring|secret|password|token|key", re.IGNORECASE)
_CONNECTION_STRING = re.compile(r"accesskey\s*=", re.IGNORECASE)
_PATTERNS = (
    re.compile(r"(?i:(?P<kept>accesskey\s*=\s*))[^;\s\"'`]+"),
    re.compile(r"(?i:(?P<kept>bearer\s+))[^\s\"'`,]+"),
    re.compile(r"(?P<kept>)\beyJ[\w-]{4,}(\.[\w-]*){0,2}"),
    # A key by itself, from a settings file: base64 of 30 bytes or more, and no path.
    re.compile(
        r"(?P<kept>)(?<![\w+/.-])(?=[\w+/]*[a-z])(?=[\w+/]*[A-Z])(?=[\w+/]*[0-9])"
        r"[A-Za-z0-9+][A-Za-z0-9+/]{39,}={0,2}"
    ),
)


def redacted(text: str, environment: Mapping[str, str]) -> str:
    """The text without what lets anybody in.

    Args:
        text: What is to be shown, such as a traceback.
        environment: Settings by name. Values that are connection strings, or whose name speaks
            of a secret, are masked wherever they stand.
    """
    secrets = {value.strip() for name, value in environment.items() if _is_secret(name, value)}
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, MASK)
    for pattern in _PATTERNS:
        text = pattern.sub(rf"\g<kept>{MASK}", text)
    return text


def _is_secret(name: str, value: str) -> bool:
    named = _SECRET_NAME.search(name) and len(value.strip()) >= SHORTEST_SECRET
    return bool(named or _CONNECTION_STRING.search(value))
