"""Click options that are made from the table, and `wps-run.yaml`, which has values for them.

Imports neither the modules that connect nor those that plan, so that `wps-run validate` is fast.
"""

import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from wps_run import input_limits
from wps_run.checking import read_text
from wps_run.cli.terminal import show_message
from wps_run.document.scalars import resolve_plain
from wps_run.paths import path_from
from wps_run.playbook.compiled_schema import compile_schema
from wps_run.playbook.configuration import FILE_NAME, Configuration, read_configuration
from wps_run.playbook.messages import value_error
from wps_run.playbook.options import (
    ACCESS_OPTIONS,
    CA_BUNDLE,
    CONFIRM,
    DURATION,
    PROCESSES,
    SETTINGS,
    TIMEOUT,
    Option,
    variable_of,
)
from wps_run.problems import PlaybookError, shorten
from wps_run.text import Label

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

FILE = click.Path(readable=False)
"""The type of arguments that name a file, so that shells complete them. Nothing is checked."""


class OptionValue(click.ParamType):  # type: ignore[type-arg]  # click 8.1 has no generics
    """The value of a playbook's key, which accepts what the playbook accepts."""

    def __init__(self, option: Option) -> None:
        self.name = option.key
        self._option = option

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        schema = self._option.schema
        is_plain = isinstance(value, str) and schema.get("type") != "string"
        plain = resolve_plain(value) if is_plain else value
        if not compile_schema(schema)(plain):
            message = value_error(param.opts[0] if param else self.name, schema, plain, value)
            self.fail(shorten(message), param, ctx)
        return plain


def override_option(
    option: Option,
    path: Sequence[str] = (),
    **attributes: Any,
) -> Callable[[Decorated], Decorated]:
    """Make the click option of a row of the table that has a flag.

    Args:
        option: The row.
        path: Leads to the key in a playbook that it overrides; () if it overrides none.
        attributes: Of the click option, where the row does not say them.
    """
    overrides = f"Overrides `{'.'.join(path)}` in the playbook." if path else ""
    value_range = f"Range: {option.shown_range}." if option.shown_range else ""
    return click.option(
        str(option.flag),
        envvar=option.variable,
        show_envvar=True,
        help=" ".join(filter(None, (option.summary, value_range, overrides))),
        show_default=option.shown_default or None,
        **{**_type_of(option), **attributes},
    )


def _type_of(option: Option) -> dict[str, Any]:
    """Return the attributes of a click option that follow from the schema."""
    schema = option.schema
    if option.metavar:
        return {"type": OptionValue(option), "metavar": option.metavar}
    if "enum" in schema:
        return {"type": click.Choice(schema["enum"])}
    if schema in (DURATION, TIMEOUT):
        return {"type": OptionValue(option), "metavar": "TIME"}
    kind = schema.get("type")
    if kind in {"integer", "number"}:
        return {"type": OptionValue(option), "metavar": "N"}
    if kind == "boolean":
        return {"is_flag": True}
    return {"metavar": "NAME"} if kind == "string" else {"multiple": True}


def parameter_name(option: Option) -> str:
    """Return the name under which click passes the value of an option."""
    return (option.flag or "").removeprefix("--").replace("-", "_")


CONFIGURATION = "configuration"
"""The entry that `configured` adds to the values of a command."""


def configuration_options(command: Decorated) -> Decorated:
    """Add `--config` and `--env`."""
    command = click.option(
        "--env",
        envvar=variable_of("--env"),
        show_envvar=True,
        metavar="NAME",
        shell_complete=_complete_environments,
        help=f"Use the options and variables of this environment of {FILE_NAME}.",
    )(command)
    return click.option(
        "--config",
        envvar=variable_of("--config"),
        show_envvar=True,
        type=FILE,
        metavar="FILE",
        help="Read defaults and environments from this file.  "
        f"[default: {FILE_NAME} in this folder or the nearest one above it]",
    )(command)


def _complete_environments(
    context: click.Context, _: click.Parameter, incomplete: str
) -> "list[CompletionItem]":
    from click.shell_completion import CompletionItem  # noqa: PLC0415 -- shells only

    try:
        names = load_configuration(context.params.get("config"), None).environments
    except Exception:  # noqa: BLE001 -- a shell has no use for the reason
        return []
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def load_configuration(
    file: str | None, environment: str | None, folder: str | None = None
) -> Configuration:
    """Read the configuration file, if there is one, and choose the environment.

    Args:
        file: The file that the user named; None to search for one, "" to read none.
        environment: The name of the environment; None or "" for none.
        folder: Where the search begins; None for the working folder.

    Raises:
        UsageError: The file cannot be read.
        PlaybookError: It is wrong, or has no such environment.
    """
    found = _find(folder) if file is None else None
    if found:
        text = read_text(found, input_limits.CONFIGURATION, found.parent)
        configuration = read_configuration(text, _shown(found), is_named=False)
    elif file:
        text = read_text(file, input_limits.CONFIGURATION)
        configuration = read_configuration(text, file, is_named=True)
    else:
        configuration = Configuration()
    configuration = configuration.of(environment) if environment else configuration
    return configuration._replace(
        defaults=_with_paths(configuration.defaults, file),
        options=_with_paths(configuration.options, file),
    )


def _with_paths(options: Mapping[str, Any], file: str | None) -> dict[str, Any]:
    """Return options with the absolute paths of files, which are relative to the named file."""
    files = [option.key for option in (SETTINGS, CA_BUNDLE) if file and option.key in options]
    folder = Path(file or "").parent
    return {**options, **{key: os.path.abspath(folder / options[key]) for key in files}}  # noqa: PTH100 -- links stay


def _find(start: str | None) -> Path | None:
    """Return the configuration file in a folder, or in the nearest one above it.

    The search ends at the home folder. A folder that cannot be searched has none.
    """
    try:
        folder = Path(start or Path.cwd()).resolve()
    except OSError:  # the working folder was deleted
        return None
    home = Path(os.path.realpath(os.path.expanduser("~")))  # noqa: PTH111 -- as it is without a home
    for parent in (folder, *folder.parents):
        file = parent / FILE_NAME
        try:
            status = file.lstat()
        except OSError:
            status = None
        if status and not stat.S_ISDIR(status.st_mode):
            return file if _is_trusted(file, status) else None
        if parent == home:
            break
    return None


def _is_trusted(file: Path, status: os.stat_result) -> bool:
    """Refuse the file of another user in a folder into which everybody may write, such as /tmp."""
    if os.name != "posix" or status.st_uid in {0, os.geteuid()}:
        return True
    if not file.parent.stat().st_mode & stat.S_IWOTH:
        return True
    show_message(
        Label.WARNING,
        f"`{file}` is not used: it is another user's, in a folder into which everybody may write; "
        "name it with --config if you trust it",
    )
    return False


def _shown(file: Path) -> str:
    """Return the path as it is written from the working folder."""
    try:
        return path_from(file, Path.cwd())
    except OSError:  # no working folder
        return str(file)


def configured(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of the command's options, with what the configuration file says of them.

    Options that a playbook may have, too, stay in the configuration, since some of its values
    override a playbook and others do not.

    Args:
        values: The values of the command line, `configuration_options` among them.

    Raises:
        UsageError: The file cannot be read.
        PlaybookError: It is wrong.
    """
    configuration = load_configuration(values["config"], values["env"])
    return with_configuration(values, configuration)


def with_configuration(values: Mapping[str, Any], configuration: Configuration) -> dict[str, Any]:
    """Return the values with those of a configuration file. See `configured`."""
    context = click.get_current_context()
    added = dict(_access_values(context, values, configuration))
    return {**values, **added, CONFIGURATION: configuration}


def configuration_of(values: Mapping[str, Any]) -> Configuration:
    """Return what `configured` has added to the values; an empty one if it was not called."""
    configuration: Configuration = values.get(CONFIGURATION) or Configuration()
    return configuration


def _access_values(
    context: click.Context, values: Mapping[str, Any], configuration: Configuration
) -> Iterator[tuple[str, Any]]:
    """Yield what the file says of options that no playbook has, by parameter name."""
    parameters = {parameter.name: parameter for parameter in context.command.params}
    for option in (*ACCESS_OPTIONS, CONFIRM, PROCESSES):
        name = parameter_name(option)
        value = configuration.value_of(option.key)
        is_given = context.get_parameter_source(name) not in {None, ParameterSource.DEFAULT}
        if value is None or name not in values or is_given:
            continue
        value = (value,) if parameters[name].multiple and isinstance(value, str) else value
        path = configuration.path_of(option.key)
        try:
            yield name, parameters[name].process_value(context, value)
        except click.BadParameter as error:
            if configuration.document is None or path is None:
                raise
            problem = configuration.document.problem(error.message, "value", path)
            raise PlaybookError([problem]) from None
