"""Resolve the values of YAML scalars by the core schema (YAML 1.2.2, section 10.3.2)."""

import re
from types import MappingProxyType

Scalar = str | int | float | bool | None

_CONSTANTS: MappingProxyType[str, Scalar] = MappingProxyType(
    {
        **dict.fromkeys(("", "~", "null", "Null", "NULL")),
        **dict.fromkeys(("true", "True", "TRUE"), True),
        **dict.fromkeys(("false", "False", "FALSE"), False),
        **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
        **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
        **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
    }
)
_FIRST_CHARACTERS = frozenset("~nNtTfF.+-0123456789")
"""The characters with which any value but a string can begin."""

_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_MAX_DIGITS = 3000
"""The longest integer that is converted, in decimal, octal or hexadecimal digits. Python refuses to
convert integers of more than 4,300 decimal digits to and from text. Longer ones are infinite."""

_PREFIX = "tag:yaml.org,2002:"


class Base64(str):
    """The base64 text of a `!!binary` scalar, distinct from a string."""

    __slots__ = ()


class TagError(ValueError):
    """An unknown tag, or a value that does not match its tag. The message says which."""


def resolve_plain(text: str) -> Scalar:
    """Return the value of an unquoted scalar: `no`, `12:30`, `1_000` and dates are strings."""
    if text and text[0] not in _FIRST_CHARACTERS:
        return text
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.fullmatch(text):
        return _parse_integer(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def resolve_tagged(tag: str, text: str) -> Scalar:
    """Return the value of a scalar with a tag; of `!!binary`, the base64 without white space.

    Raises:
        TagError: The tag is unknown, or the text does not match it.
    """
    name = tag.removeprefix(_PREFIX)
    if tag == "!" or name == "str":
        return text
    if name == "binary":
        return Base64("".join(text.split()))
    if name not in _TYPES or not tag.startswith(_PREFIX):
        raise TagError(
            f"the tag `{short_tag(tag)}` is not supported; use !!str, !!int, !!float, !!bool, "
            "!!null, !!map, !!seq or !!binary"
        )
    value = resolve_plain(text)
    if name == "float" and type(value) is int:
        return _as_float(value)
    if not isinstance(value, _TYPES[name]) or (name == "int" and isinstance(value, bool)):
        raise TagError(f"`{text}` is not a valid {short_tag(tag)}")
    return value


_TYPES: MappingProxyType[str, type] = MappingProxyType(
    {"int": int, "float": float, "bool": bool, "null": type(None)}
)


def short_tag(tag: str) -> str:
    """Return a tag in its short form, such as `!!int`."""
    return "!!" + tag.removeprefix(_PREFIX) if tag.startswith(_PREFIX) else tag


def _as_float(number: int) -> float:
    try:
        return float(number)
    except OverflowError:
        return float("inf") if number > 0 else float("-inf")


def _parse_integer(text: str) -> int | float:
    if len(text) > _MAX_DIGITS:
        return float("-inf" if text[0] == "-" else "inf")
    return int(text, 0) if text.startswith(("0o", "0x")) else int(text)
