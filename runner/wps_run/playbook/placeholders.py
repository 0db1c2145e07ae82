"""Placeholders of other tools, such as `{{ x }}`, which nothing replaces in a playbook."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from wps_run.actions.table import OverlapKind
from wps_run.document.document import Path
from wps_run.playbook.expectations import EXPECT
from wps_run.playbook.foreach import columns_of, strings_in
from wps_run.playbook.includes import VARS, Include
from wps_run.playbook.model import ActionTemplate, Playbook, PlaybookPart, is_of_group
from wps_run.playbook.options import OPTIONS
from wps_run.playbook.rows import VALUE_COLUMN
from wps_run.problems import Problem, Severity


class _Placeholder(NamedTuple):
    """A part of a text that another tool would replace.

    Attributes:
        start: Its offset in the text.
        text: The part.
        remedy: What to write instead.
    """

    start: int
    text: str
    remedy: str


_BRACES = re.compile(r"(?<![{$\\])\{\{\{?(?P<name>[^{}\n]{1,200})\}\}\}?")
_FIRST_NAME = re.compile(r"[-~&\s.$]*(?P<name>[A-Za-z_][\w.-]*)\s*(?:\|.*)?[-~]?\s*", re.ASCII)
_DOLLAR = re.compile(
    r"(?<![\w$\\?&])\$(?:env[.:](?P<env>[A-Za-z_]\w*)|(?P<each>each(?:\.\w+)?)\b"
    r"|\((?P<call>[A-Za-z_]\w*)\)|(?P<name>[A-Za-z_]\w*))",
    re.ASCII,
)
_PERCENT = re.compile(
    r"(?<![0-9%])%(?P<name>[A-Z_][\w.:-]*[A-Z0-9])(?=%)",
    re.ASCII | re.IGNORECASE,
)
_URL_ENCODED = re.compile(r"[0-9A-F]{2}.*%[0-9A-F]{2}", re.IGNORECASE | re.DOTALL)
_ENVIRONMENT_NAME = re.compile(r"[A-Z][A-Z0-9_]+")
_LETTER = re.compile(r"[^\W\d_]")
_KEY_END = re.compile(r'"\s*:')


def _placeholders(text: str, names: Mapping[str, str]) -> Iterator[_Placeholder]:
    """Yield the first placeholder of each form in a text: `{{ x }}`, `$x` and `%x%`.

    A `$` is one only before a name in `names`, `env` or `each`, or a name in capitals like those of
    environment variables: prices, `$schema` and `$ref` are none.

    Args:
        text: The text.
        names: The names of variables and columns, and what is written for each of them.
    """
    for find in (_find_braces, _find_dollar, _find_percent):
        placeholder = find(text, names)
        if placeholder:
            yield placeholder


def _find_braces(text: str, names: Mapping[str, str]) -> _Placeholder | None:
    for match in _BRACES.finditer(text) if "{{" in text else ():
        name = _FIRST_NAME.fullmatch(match["name"])
        if name or _LETTER.search(match["name"]):
            remedy = _remedy(name["name"], names, "${%s}") if name else "${name}"
            return _Placeholder(match.start(), match[0], remedy)
    return None


def _find_dollar(text: str, names: Mapping[str, str]) -> _Placeholder | None:
    for match in _DOLLAR.finditer(text) if "$" in text else ():
        remedy = _dollar_remedy(match, names)
        if remedy:
            return _Placeholder(match.start(), match[0], remedy)
    return None


def _find_percent(text: str, names: Mapping[str, str]) -> _Placeholder | None:
    for match in _PERCENT.finditer(text) if "%" in text else ():
        if not _URL_ENCODED.match(text, match.start("name"), match.end() + 3):
            remedy = _remedy(match["name"], names, "${env.%s}")
            return _Placeholder(match.start(), f"{match[0]}%", remedy)
    return None


def _dollar_remedy(match: re.Match[str], names: Mapping[str, str]) -> str | None:
    """Return what to write instead of a name after a `$`, or None if it is just a text."""
    text, (start, end) = match.string, match.span()
    if text[start - 1 : start] == '"' and _KEY_END.match(text, end):
        return None  # a key of JSON, such as "$type"
    if match["env"]:
        return f"${{env.{match['env']}}}"
    if match["each"]:
        return f"${{{match['each']}}}" if "each" in names else None
    name = match["call"] or match["name"]
    is_known = name in names or _ENVIRONMENT_NAME.fullmatch(name)
    return _remedy(name, names, "${env.%s}") if is_known else None


def _remedy(name: str, names: Mapping[str, str], form: str) -> str:
    return names.get(name) or names.get(name.lower()) or form % name


def find_placeholders(playbook: Playbook, variables: Iterable[str]) -> Iterator[Problem]:
    """Yield a warning for each placeholder in the texts of a playbook or bare batch.

    Args:
        playbook: The playbook.
        variables: The names of the variables from outside.
    """
    outside = tuple(variables)
    names = {
        part: {name: f"${{{name}}}" for name in (*part.declarations, *outside)}
        for part in playbook.parts
    }
    for part in playbook.parts:
        yield from _placeholders_besides_actions(part, names[part])
        if part.parent and part.include:
            yield from _placeholders_in_include(part.parent, part.include, names[part.parent])
    for entry in playbook.group_entries:
        for placeholder in _placeholders(str(entry.path[-1]), names[entry.part]):
            yield _placeholder_problem(entry.part, entry.path, placeholder, is_filled_in=True)
    for template in (*playbook.actions, *playbook.finally_actions):
        columns = columns_of(template.for_each) or ()
        each = {"each": ""} if template.for_each is not None else {}
        known = {**names[template.part], **{column: _each(column) for column in columns}, **each}
        yield from _placeholders_in(template, known)


def _placeholders_besides_actions(
    part: PlaybookPart, names: Mapping[str, str]
) -> Iterator[Problem]:
    """Yield the placeholders in the name, the variables and the expectations of a file."""
    literals: list[tuple[Path, str]] = [(("name",), part.name or "")]
    literals += strings_in(part.document.data["vars"], ("vars",)) if part.variables else ()
    for path, text in literals:
        for placeholder in _placeholders(text, names):
            yield _placeholder_problem(part, path, placeholder, is_filled_in=False)
    for index, entry in part.expectations.items():
        for path, text in strings_in(entry, (EXPECT, index)):
            for placeholder in _placeholders(text, names):
                yield _placeholder_problem(part, path, placeholder, is_filled_in=True)


def _placeholders_in_include(
    part: PlaybookPart, include: Include, names: Mapping[str, str]
) -> Iterator[Problem]:
    """Yield the placeholders in the values that an entry gives to variables."""
    entry = part.document.value_at(include.path)
    for path, text in strings_in(entry.get(VARS), (*include.path, VARS)):
        for placeholder in _placeholders(text, names):
            yield _placeholder_problem(part, path, placeholder, is_filled_in=True)


def find_column_placeholders(template: ActionTemplate, columns: Iterable[str]) -> Iterator[Problem]:
    """Yield a warning for each `$column` in an action whose rows are in a file."""
    names = {column: _each(column) for column in columns}
    return _placeholders_in(template, names, only_names=True)


def _placeholders_in(
    template: ActionTemplate,
    names: Mapping[str, str],
    *,
    only_names: bool = False,
) -> Iterator[Problem]:
    """Yield the placeholders in the strings of an action.

    Args:
        template: The action.
        names: The names of variables and columns, and what is written for each of them.
        only_names: Whether to yield only those of a `$` before one of the names.
    """
    part = template.part
    is_filled_in = not part.is_bare
    for path, text in _texts(template):
        for placeholder in _placeholders(text, names):
            if not only_names or placeholder.text.strip("$()") in names:
                yield _placeholder_problem(part, path, placeholder, is_filled_in=is_filled_in)
        if part.is_bare and "${" in text:
            start = text.index("${")
            reference = text[start : text.find("}", start) + 1] or "${"
            placeholder = _Placeholder(start, reference, "")
            yield _placeholder_problem(part, path, placeholder, is_filled_in=False)


def _texts(template: ActionTemplate) -> Iterator[tuple[Path, str]]:
    """Yield the strings of an action that are sent or name something, with their paths.

    Of a bare batch, which a function returns, these are the names: messages are its own.
    """
    names = {field.name for field in template.action.fields if field.is_name}
    is_binary = template.values.get("dataType") == "binary"
    if is_of_group(template):
        if template.action.overlap.kind is OverlapKind.JOIN:
            yield from strings_in(template.for_each, template.rows_path)
        return
    for key, value in template.part.document.value_at(template.path).items():
        is_own = key in names if template.part.is_bare else key not in _WITHOUT_TEXT
        if is_own and not (key == "data" and is_binary):
            yield from strings_in(value, (*template.path, key))


_WITHOUT_TEXT = frozenset({"actionName", *OPTIONS})


def _placeholder_problem(
    part: PlaybookPart, path: Path, placeholder: _Placeholder, *, is_filled_in: bool
) -> Problem:
    instead = f"write `{placeholder.remedy}`" if is_filled_in else "write the value itself"
    message = f"`{placeholder.text}` is not replaced here, it stays as it is; {instead}"
    if not isinstance(part.document.value_at(path), str):  # the name of a group
        return part.document.problem(
            message, "placeholder", path, at_key=True, severity=Severity.WARNING
        )
    return part.document.problem_in_string(
        message,
        "placeholder",
        path,
        placeholder.start,
        len(placeholder.text),
        severity=Severity.WARNING,
    )


def _each(column: str) -> str:
    return "${each}" if column == VALUE_COLUMN else f"${{each.{column}}}"
