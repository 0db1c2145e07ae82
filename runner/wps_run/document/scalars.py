"""Unquoted words to values, by the core schema of YAML 1.2 (section 10.3.2 of its text)."""

import re
from types import MappingProxyType

Scalar = str | int | float | bool | None

_WORDS: MappingProxyType[str, Scalar] = MappingProxyType(
    {
        **dict.fromkeys(("", "~", "null", "Null", "NULL")),
        **dict.fromkeys(("true", "True", "TRUE"), True),
        **dict.fromkeys(("false", "False", "FALSE"), False),
        **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
        **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
        **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    }
)
_FIRST = frozenset("~nNtTfF.+-0123456789")
"""How anything but a string can begin."""

_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_LONGEST_INTEGER = 4000
"""Digits; Python converts no text of more than 4,300, and no key here takes such a number."""

_PREFIX = "tag:yaml.org,2002:"


class Base64(str):
    """The base64 text of a `!!binary` scalar. A separate type, to tell it from a string."""

    __slots__ = ()


class TagError(ValueError):
    """A tag that is not known, or a value that it does not fit. The message says which."""


def resolve_plain(text: str) -> Scalar:
    """The value of an unquoted scalar: `no`, `12:30`, `1_000` and dates are strings."""
    if text and text[0] not in _FIRST:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return _integer(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def resolve_tagged(tag: str, text: str) -> Scalar:
    """The value of a scalar with a tag; `!!binary` gives its base64 without white space.

    Raises:
        TagError: Its message is for a person.
    """
    kind = tag.removeprefix(_PREFIX)
    if tag == "!" or kind == "str":
        return text
    if kind == "binary":
        return Base64("".join(text.split()))
    if kind not in _TYPES or not tag.startswith(_PREFIX):
        raise TagError(
            f"the tag `{short_tag(tag)}` is not known; only "
            "!!str, !!int, !!float, !!bool, !!null, !!map, !!seq and !!binary are"
        )
    value = resolve_plain(text)
    if kind == "float" and type(value) is int:
        return float(value)
    if not isinstance(value, _TYPES[kind]) or (kind == "int" and isinstance(value, bool)):
        raise TagError(f"`{text}` is no {short_tag(tag)}")
    return value


_TYPES: MappingProxyType[str, type] = MappingProxyType(
    {"int": int, "float": float, "bool": bool, "null": type(None)}
)


def short_tag(tag: str) -> str:
    """A tag as it is written."""
    return "!!" + tag.removeprefix(_PREFIX) if tag.startswith(_PREFIX) else tag


def _integer(text: str) -> int | float:
    if text.startswith(("0o", "0x")):
        return int(text, 0)
    return int(text) if len(text) <= _LONGEST_INTEGER else float(text)
