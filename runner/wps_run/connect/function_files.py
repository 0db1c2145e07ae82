"""Parse the files of Azure Functions with settings: `local.settings.json` and `function.json`."""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from wps_run.problems import SettingsError

CONNECTION_STRINGS = "ConnectionStrings"
"""The section of the settings with connection strings."""


def parse_settings(text: str, file: str) -> Mapping[str, str]:
    """Parse the settings of a Functions `local.settings.json`, as the Functions tools read it.

    Numbers and booleans are text. A value that is a list or an object stays JSON, so that it is
    an error only where it is used.

    Returns:
        Setting name to value, from `Values`, and with the name `ConnectionStrings:NAME` from
        `ConnectionStrings`.

    Raises:
        SettingsError: The file is invalid or encrypted. The message never contains a value.

    Source: `AppSettingsFile` of azure-functions-core-tools.
    """
    content = _lower_keys(_load_json(text, file), file)
    values, strings = content.get("values"), content.get(CONNECTION_STRINGS.lower())
    if not isinstance(values, dict) and not isinstance(strings, dict):
        raise SettingsError(
            f'`{file}` has no `Values`; it looks like {{"Values": {{"NAME": "value"}}}}'
        )
    if str(content.get("isencrypted")).lower() == "true":
        raise SettingsError(f"`{file}` is encrypted; decrypt it with `func settings decrypt`")
    settings = dict(values) if isinstance(values, dict) else {}
    for name, value in (strings if isinstance(strings, dict) else {}).items():
        string = _lower_keys(value, file).get("connectionstring", value)
        settings[f"{CONNECTION_STRINGS}:{name}"] = string
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in settings.items()
        if value is not None
    }


class FunctionBinding(NamedTuple):
    """The hub and the connection of a binding, as a `function.json` has them; None if absent."""

    hub: str | None = None
    connection: str | None = None


_BINDINGS = ("webpubsub", "webpubsubconnection", "webpubsubtrigger")
"""The types of bindings with a hub, in lower case; the first one that a function has counts."""


def parse_function(text: str, file: str) -> FunctionBinding:
    """Parse a `function.json`.

    Returns:
        The hub and the connection of its output binding of Web PubSub; of another binding of Web
        PubSub if it has none.

    Raises:
        SettingsError: The file is invalid, or has several hubs or connections.
    """
    content = _load_json(text, file)
    bindings = _lower_keys(content, file).get("bindings")
    if not isinstance(bindings, list):
        raise SettingsError(f"`{file}` has no `bindings`, so it is no `function.json`")
    by_type = defaultdict(list)
    for binding in (_lower_keys(binding, file) for binding in bindings):
        by_type[str(binding.get("type")).lower()].append(binding)
    chosen = next((by_type[each] for each in _BINDINGS if each in by_type), None)
    if chosen is None:
        raise SettingsError(f"`{file}` has no binding of type `webPubSub`")
    return FunctionBinding(*(_only_value(chosen, key, file) for key in FunctionBinding._fields))


def _only_value(bindings: Iterable[Mapping[str, Any]], key: str, file: str) -> str | None:
    """Return the value of a key that all bindings have in common, or None if none has it."""
    values = [binding.get(key) or None for binding in bindings]
    if not all(isinstance(value, str | None) for value in values):
        raise SettingsError(f"`{key}` of a binding in `{file}` must be a string")
    if len(set(values)) > 1:
        raise SettingsError(
            f"the bindings of `{file}` differ in `{key}`; give `--hub` and `--connection` in place "
            "of `--function-json`"
        )
    return values[0]


def _lower_keys(content: object, file: str) -> Mapping[str, Any]:
    """Return an object with its keys in lower case, as .NET compares them; {} for another value.

    Raises:
        SettingsError: Two keys differ only in case.
    """
    if not isinstance(content, dict):
        return {}
    names: dict[str, str] = {}
    for key in content:
        if (first := names.setdefault(key.lower(), key)) != key:
            raise SettingsError(
                f"`{file}` has `{first}` and `{key}`, which differ only in case; remove one of them"
            )
    return {lower: content[key] for lower, key in names.items()}


_RELAXED = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|//[^\r\n]*|/\*.*?(?:\*/|\Z)', re.DOTALL)
"""A string, which may contain the beginning of a comment, or a comment."""

_TRAILING_COMMA = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|,(?=\s*[}\]])', re.DOTALL)


def _load_json(text: str, file: str) -> object:
    """Load JSON as the tools of Azure read it: with comments and trailing commas.

    Numbers are returned as they are written.

    Raises:
        SettingsError: It is not JSON. The message has the position, and no part of the text.
    """
    text = _RELAXED.sub(_blank_unless_string, text.removeprefix("\ufeff"))
    text = _TRAILING_COMMA.sub(_blank_unless_string, text)
    try:
        return json.loads(text, strict=False, parse_int=str, parse_float=str)
    except (ValueError, RecursionError) as error:
        location = ""
        if isinstance(error, json.JSONDecodeError):
            location = f" at line {error.lineno}, column {error.colno}: {error.msg.lower()}"
        raise SettingsError(f"`{file}` is not JSON{location}") from None


def _blank_unless_string(match: re.Match[str]) -> str:
    """Replace a comment or comma by spaces, so that positions stay the same."""
    if match[0].startswith('"'):
        return match[0]
    return re.sub(r"[^\r\n]+", lambda part: " " * len(part[0]), match[0])
