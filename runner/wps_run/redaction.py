"""Keep secrets, and what a request contains, out of texts that are shown.

A secret is recognized by the name of its setting, by the form of its value, or because this run
uses it as a key or a token.
"""

import binascii
import json
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from itertools import chain, pairwise
from math import inf
from typing import Any
from urllib.parse import quote, unquote

from wps_run.text import ELLIPSIS, one_line

MASK = "***"

SHORTEST_SECRET = 8
"""Characters; masking shorter values would remove ordinary words from the text."""

SHORTEST_ECHO = 12
"""Characters; shorter parts of a payload occur in ordinary messages, too."""

_EXAMINED = 1024
"""The most characters of a server's text that are examined, and so the most that are shown."""

_SECRET_WORDS = frozenset(
    {
        *("key", "keys", "apikey", "apikeys", "accesskey", "accountkey", "sharedaccesskey"),
        *("token", "tokens", "secret", "secrets", "sas"),
        *("password", "passwords", "passwd", "passphrase", "pwd"),
        *("connectionstring", "connectionstrings", "connstr"),
    }
)
_WORDS = r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+"
_WORDS_AFTER_CAPITALS = r"(?<=[A-Z]{2})[a-z]+"  # as in `APIkey`
_PART = r"\s*([A-Za-z][\w .-]*)=(.*\S.*)"
"""A name and a value of a connection string."""

_SECRET_PARTS = frozenset({"sharedaccesssignature", "sig"})
_SECRET_VALUES = (
    r"(?i)(?:access|account)key\s*=",
    r"[A-Za-z][\w+.-]{0,30}://[^\s/@:]{0,500}:[^\s/@]{1,500}@",  # a URL with a password
    r"[?&]sig=",  # a URL with a signature
    r"\beyJ[\w-]{4,}\.[\w-]+\.[\w-]*",  # a JSON Web Token
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
)
_APP_SERVICE_PREFIX = r"(?i)[a-z]+connstr_"
"""App Service prefixes the names of connection strings with their kind: `CUSTOMCONNSTR_`."""


def is_secret_name(name: str) -> bool:
    """Check whether one of the words of a setting's name says that its value is a secret.

    Words are separated by any character but a letter, or by a change of case: `MyAPIKey` and
    `DB_CONNECTION_STRING` have one, `MONKEY` has none.
    """
    if re.match(_APP_SERVICE_PREFIX, name):
        return True
    for pattern in (_WORDS, _WORDS_AFTER_CAPITALS):
        words = [word.lower() for word in re.findall(pattern, name)]
        pairs = (first + second for first, second in pairwise(words))
        if not _SECRET_WORDS.isdisjoint((*words, *pairs)):
            return True
    return False


def setting_key(name: str) -> str:
    """Return what all spellings of a setting's name have in common, as .NET reads them.

    Case does not matter, `A__B` is `A:B`, and `CUSTOMCONNSTR_A` is `ConnectionStrings:A`.
    """
    if prefix := re.match(_APP_SERVICE_PREFIX, name):
        name = f"ConnectionStrings:{name[prefix.end() :]}"
    return name.replace("__", ":").lower()


def is_setting_of(connection: str, name: str) -> bool:
    """Check whether a setting describes a connection: its string, or one of `CONNECTION__…`."""
    key, connection_key = setting_key(name), setting_key(connection)
    return key == connection_key or key.startswith(f"{connection_key}:")


def is_secret_value(value: str) -> bool:
    """Check whether a value looks like a connection string, a token or a private key."""
    parts = _parts(value)
    names = {name.lower() for name, _ in parts}
    is_connection_string = len(parts) > 1 and "endpoint" in names
    return (
        is_connection_string
        or any(_is_secret_part(name) for name, _ in parts)
        or any(re.search(pattern, value) for pattern in _SECRET_VALUES)
    )


def is_like_key(name: str) -> bool:
    """Check whether what should be a name is as long and as random as a key."""
    return bool(re.fullmatch(_LIKE_A_KEY, name))


_LIKE_A_KEY = r"(?i)[0-9a-f-]{32,}|(?=.*[0-9])(?=.*[a-z])[0-9a-z]{32,}"


def keys_in(value: str) -> Iterator[str]:
    """Yield the keys and passwords in a connection string."""
    return (part for name, part in _parts(value) if _is_secret_part(name))


def _parts(value: str) -> list[tuple[str, str]]:
    """Return the names and values of a connection string; [] for any other text."""
    segments = [segment for segment in value.strip().strip("\"'").split(";") if segment.strip()]
    if len(segments) == 1 and len(value.split()) > 1:
        return []  # a sentence
    matches = [re.fullmatch(_PART, segment, re.DOTALL) for segment in segments]
    return [(match[1].strip(), match[2].strip()) for match in matches if match and all(matches)]


def _is_secret_part(name: str) -> bool:
    is_label = name.lower().endswith(("name", "id"))  # `SharedAccessKeyName` is no key
    return name.lower() in _SECRET_PARTS or (is_secret_name(name) and not is_label)


class Secrets:
    """Values that must not be shown, in every form that a text may have them in.

    The repr shows no value. Values that are shorter than `SHORTEST_SECRET` are masked only as
    they are, since their encodings are too short to be distinguished from other text.

    Args:
        values: The values.
    """

    def __init__(self, values: Iterable[str] = ()) -> None:
        self.values = tuple(dict.fromkeys(filter(None, values)))
        self._shortest = min(map(len, self.values), default=inf)
        """No form is shorter than its value."""

    @cached_property
    def _forms(self) -> list[str]:
        """The forms of all values, the longest first, since one can contain another."""
        forms = {form for value in self.values for form in _forms(value)}
        return sorted(forms, key=lambda form: (-len(form), form))

    def __repr__(self) -> str:
        return f"Secrets(<{len(self.values)}>)"

    def with_values(self, *values: str) -> "Secrets":
        """Return these secrets and more of them."""
        return Secrets((*self.values, *values))

    def mask(self, text: str) -> str:
        """Replace each secret in a text by `MASK`."""
        if len(text) < self._shortest:  # nearly always
            return text
        for form in self._forms:
            if form in text:
                text = text.replace(form, MASK)
        return text

    def masked(self, value: Any) -> Any:  # noqa: ANN401 -- the type stays
        """Replace each secret in a value: a text, or a tuple of texts."""
        if isinstance(value, str):
            return value if len(value) < self._shortest else self.mask(value)
        return tuple(map(self.mask, value)) if isinstance(value, tuple) else value

    def occur_in(self, text: str) -> bool:
        return len(text) >= self._shortest and any(form in text for form in self._forms)


NO_SECRETS = Secrets()


def secrets_of(
    environment: Mapping[str, str], allowed: Iterable[str] = (), keys: Iterable[str] = ()
) -> Secrets:
    """Return the secrets of an environment that a run may meet.

    Args:
        environment: Settings by name. Those with connection strings are secrets.
        allowed: The names of settings that `${env.NAME}` may read although they are secrets.
            Those that are secrets by name or value are masked, too.
        keys: The names of settings that are secrets as a whole, such as the key of a gateway.
    """
    parts = [part for value in environment.values() for part in keys_in(value)]
    secret = set(map(setting_key, keys))
    whole = [value.strip() for name, value in environment.items() if setting_key(name) in secret]
    read = [(name, environment.get(name, "").strip()) for name in allowed]
    # The key of a connection string is masked, but its endpoint is not.
    whole += [
        value
        for name, value in read
        if (is_secret_name(name) or is_secret_value(value)) and not any(keys_in(value))
    ]
    long_enough = [value for value in (*parts, *whole) if len(value) >= SHORTEST_SECRET]
    return Secrets(long_enough) if long_enough else NO_SECRETS


def _forms(value: str) -> Iterator[str]:
    """Yield a value as it is, percent-encoded, in JSON, in hexadecimal and in base64.

    Base64 has three forms, depending on the number of bytes before the value. Without the
    characters that also depend on the bytes around it, the form is the same in every text.
    """
    yield value
    if len(value) < SHORTEST_SECRET:
        return
    raw = value.encode(errors="surrogatepass")
    yield from (quote(raw, safe="-._~"), json.dumps(value)[1:-1])
    yield from (raw.hex(), raw.hex().upper())
    for offset, first in enumerate((0, 2, 3)):
        encoded = b64encode(bytes(offset) + raw).decode()
        complete = encoded[first : (offset + len(raw)) * 8 // 6]
        yield from (complete, complete.replace("+", "-").replace("/", "_"))


def clean_line(
    text: str | None, secrets: Secrets, length: int, echoes: Iterable[str] = ()
) -> str | None:
    """Turn text of a server into one line without secrets, echoes and invisible characters.

    Invisible characters are removed first, secrets and echoes next, and the length is limited
    last: in another order, a part of a secret could stay. If a secret remains in another encoding,
    or broken by spaces, the whole text is masked; if an echo remains, nothing is left.

    Args:
        text: The text, or None.
        secrets: The values to mask.
        length: The most characters of the result.
        echoes: What the text must not repeat, whole or in parts of `SHORTEST_ECHO` characters.

    Returns:
        The line, or None when nothing is left.
    """
    line = one_line(text or "")
    if not line:
        return None
    if len(line) > _EXAMINED:
        line = line[:_EXAMINED]
        line = line.rpartition(" ")[0] or line  # the last word may be a part of a secret
    for secret in secrets.values:
        line = line.replace(secret, MASK)
    sources = [source.lower() for source in map(one_line, echoes) if source]
    keys = [secret.lower() for secret in secrets.values]
    line = _cut(_cut(line, keys, MASK), sources)
    for view in _decoded(line):
        if _repeats(view, keys):
            return MASK
        if _repeats(view, sources):
            return None
    if not line.strip(f" {ELLIPSIS}"):
        return None
    return line if len(line) <= length else line[: length - 1] + ELLIPSIS


def _cut(text: str, sources: Iterable[str], mark: str = ELLIPSIS) -> str:
    """Replace each part of a text that is also, in any case, in one of the lower-case sources."""
    for source in sources:
        lower = text.lower() if len(text.lower()) == len(text) else text
        if len(source) < SHORTEST_ECHO:
            if source in lower:
                text = re.sub(_as_words(source), mark, text, flags=re.IGNORECASE)
        elif _may_share(lower, source):
            text = _cut_parts(text, lower, source, mark)
    return text


def _as_words(source: str) -> str:
    before = r"(?<!\w)" if source[0].isalnum() else ""
    after = r"(?!\w)" if source[-1].isalnum() else ""
    return before + re.escape(source) + after


_BLOCK = SHORTEST_ECHO // 2
"""Each part of `SHORTEST_ECHO` characters contains one of the blocks of a text as a whole."""


def _may_share(text: str, source: str) -> bool:
    starts = range(0, len(text) - _BLOCK + 1, _BLOCK)
    return any(text[start : start + _BLOCK] in source for start in starts)


def _cut_parts(text: str, lower: str, source: str, mark: str) -> str:
    kept: list[str] = []
    start = 0
    while start < len(text):
        end = start + SHORTEST_ECHO
        if end > len(text) or lower[start:end] not in source:
            kept.append(text[start])
            start += 1
            continue
        while end < len(text) and lower[start : end + 1] in source:
            end += 1
        kept.append(mark)
        start = end
    return "".join(kept)


def _repeats(view: str, sources: Iterable[str]) -> bool:
    """Check a decoded text. Texts of a few characters are in it by chance."""
    known = [source for source in sources if len(source) >= _SHORTEST_DECODED]
    return _cut(view, known) != view


_SHORTEST_DECODED = 4
_JSON_ESCAPE = r"\\(?:u([0-9a-fA-F]{4})|(.))"
_BASE64_RUN = r"[A-Za-z0-9+/_-]{6,}"
_HEX_RUN = r"(?:[0-9a-fA-F]{2}){4,}"
_MAX_DECODED = 3
"""How many encodings around each other are decoded."""


def _decoded(text: str) -> Iterator[str]:
    """Yield a text without its spaces, and with percent, JSON and other encodings decoded."""
    for _ in range(_MAX_DECODED):
        yield text.replace(" ", "")
        yield "\n".join(chain(*map(_base64_decoded, re.findall(_BASE64_RUN, text))))
        yield "\n".join(_text_of(binascii.unhexlify(run)) for run in re.findall(_HEX_RUN, text))
        decoded = re.sub(_JSON_ESCAPE, _unescape, unquote(text))
        if "&" in decoded:
            from html import unescape  # noqa: PLC0415 -- a large table of entities, seldom needed

            decoded = unescape(decoded)
        if decoded == text:
            return
        text = one_line(decoded)
        yield text


def _unescape(match: re.Match[str]) -> str:
    if match[1]:
        return chr(int(match[1], 16))
    return " " if match[2] in "nrt" else match[2]


def _base64_decoded(run: str) -> Iterator[str]:
    """Decode base64 of which the first character is one of the first four of the run."""
    standard = run.replace("-", "+").replace("_", "/")
    for first in range(4):
        characters = standard[first:]
        padding = "=" * (-len(characters) % 4)
        try:
            yield _text_of(b64decode(characters + padding))
        except binascii.Error:  # of the last four characters, there is only one
            yield _text_of(b64decode(characters[:-1]))


def _text_of(raw: bytes) -> str:
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return text if text.isprintable() else one_line(text)


_SENSITIVE_NAME = r"(?i)connectionstring|secret|password|token|key"
_CONNECTION_STRING = r"(?i)accesskey\s*="
_ACCESS_KEY = r"(?i:(?P<name>accesskey\s*=\s*))[^;\s\"'`]+"
_SECRETS = (
    _ACCESS_KEY,
    r"(?i:(?P<name>bearer\s+))[^\s\"'`,]+",
    r"(?P<name>)\beyJ[\w-]{4,}(\.[\w-]*){0,2}",
    # A key by itself, from a settings file: base64 of 30 bytes or more, and no path.
    (
        r"(?P<name>)(?<![\w+/.-])(?=[\w+/]*[a-z])(?=[\w+/]*[A-Z])(?=[\w+/]*[0-9])"
        r"[A-Za-z0-9+][A-Za-z0-9+/]{39,}={0,2}"
    ),
)


def mask_secrets(text: str, environment: Mapping[str, str]) -> str:
    """Mask keys, tokens and connection strings in a traceback.

    Args:
        text: The traceback.
        environment: Settings by name. Values that are connection strings, or whose name contains
            a word such as `key`, are masked wherever they occur.
    """
    values = [value.strip() for name, value in environment.items() if _may_be_secret(name, value)]
    values += [key for value in values for key in keys_in(value)]
    text = Secrets(value for value in values if len(value) >= SHORTEST_SECRET).mask(text)
    for pattern in _SECRETS:
        text = re.sub(pattern, rf"\g<name>{MASK}", text)
    return text


def _may_be_secret(name: str, value: str) -> bool:
    return bool(re.search(_SENSITIVE_NAME, name) or re.search(_CONNECTION_STRING, value))


def mask_access_keys(text: str) -> str:
    """Replace the access keys of connection strings by asterisks; the length stays."""
    return re.sub(_ACCESS_KEY, lambda match: match["name"].ljust(len(match[0]), "*"), text)
