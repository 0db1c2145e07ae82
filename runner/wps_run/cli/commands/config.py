"""`wps-run config`: show the options in force, and where each comes from."""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import click
from click.core import ParameterSource

from wps_run.checking import fill_in_names, raise_errors
from wps_run.cli.configuration import (
    FILE,
    configuration_of,
    configured,
    override_option,
    parameter_name,
)
from wps_run.cli.inputs import read_inputs, read_variables
from wps_run.cli.options import (
    ca_bundle_option,
    gateway_options,
    overrides_from,
    read_binding,
    run_options,
    settings_options,
)
from wps_run.cli.terminal import use_utf8_stdout
from wps_run.connect.settings import HUB_SETTING, SettingFinder
from wps_run.document.document import Document, Path
from wps_run.playbook.configuration import Configuration
from wps_run.playbook.model import Playbook
from wps_run.playbook.options import (
    CONFIGURATION_KEYS,
    CONFIRM,
    CONNECTION,
    HEADER,
    HUB,
    YES,
    Option,
    options_of,
)
from wps_run.playbook.variables import ListVariable, position_of
from wps_run.redaction import MASK, is_secret_name, is_secret_value, mask_secrets
from wps_run.report.findings import indented_json
from wps_run.text import display_width, pad, replace_invisible


class Setting(NamedTuple):
    """An option or a variable in force.

    Attributes:
        key: Its key: `rate`, `retry.attempts`; of a variable, its name.
        value: Its value as its source has it, without secrets; None if it has none.
        source: What has it, such as `environment prod`; "" without a value.
        place: Where it is in a file, or None.
    """

    key: str
    value: Any
    source: str
    place: str | None = None

    def record(self) -> dict[str, Any]:
        return {"value": self.value, "source": self.source or None, "place": self.place}


class Layer(NamedTuple):
    """Values of options that override those of the layers before it.

    Attributes:
        values: Values by key; those of a group are a mapping.
        label: What has them.
        document: The file that has them, or None.
        path: The path of the values in it.
    """

    values: Mapping[str, Any]
    label: str
    document: Document | None = None
    path: Path = ()

    def setting(self, path: Path) -> Setting | None:
        """Return the option at a path, or None if no value is there."""
        value: Any = self.values
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        if value is None:
            return None
        place = str(self.document.position((*self.path, *path))) if self.document else None
        return Setting(_key(path), value, self.label, place)


def _key(path: Path) -> str:
    return ".".join(map(str, path))


@click.command("config")
@click.argument("playbook", required=False, type=FILE, metavar="[PLAYBOOK]")
@override_option(CONNECTION, [CONNECTION.key])
@settings_options
@gateway_options
@ca_bundle_option
@run_options
@override_option(CONFIRM)
@override_option(YES)
@click.option(
    "--output",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Print text for people, or one JSON object for programs.",
)
def command(playbook: str | None, output: str, **options: Any) -> None:
    """Show the options in force, and where each comes from.

    Takes the options of `wps-run run`, and shows what a run of PLAYBOOK would use. An option is
    taken from the first of these that has it: its flag, its variable WPS_RUN_…, the chosen
    environment of wps-run.yaml, the playbook, the defaults of wps-run.yaml. Sends nothing, and
    shows no secret.

    \b
    Examples:
      wps-run config --env prod playbook.yaml
      wps-run config --output json | jq .options.rate.value
    """
    context = click.get_current_context()
    values = configured(options)
    configuration = configuration_of(values)
    read = read_inputs([playbook])[0] if playbook else None
    record = _record(configuration, read, _settings(context, values, read))
    if output == "json":
        use_utf8_stdout()
        click.echo(indented_json(record), nl=False)
    else:
        click.echo("\n".join(_lines(record)))


def _record(
    configuration: Configuration,
    playbook: Playbook | None,
    settings: tuple[Sequence[Setting], Sequence[Setting]],
) -> dict[str, Any]:
    options, variables = settings
    document = configuration.document
    return {
        "playbook": playbook.document.file if playbook else None,
        "file": document.file if document else None,
        "isNamed": configuration.is_named,
        "environment": configuration.environment,
        "environments": list(configuration.environments),
        "options": {each.key: each.record() for each in options},
        "variables": {each.key: each.record() for each in variables},
    }


def _lines(record: Mapping[str, Any]) -> Iterator[str]:
    how = "named" if record["isNamed"] else "found"
    yield f"file         {record['file']} ({how})" if record["file"] else "file         none"
    if record["environments"]:
        names = ", ".join(record["environments"])
        yield f"environment  {record['environment'] or 'none'} (of {names})"
    if record["playbook"]:
        yield f"playbook     {record['playbook']}"
    for title in ("options", "variables"):
        rows = [
            (
                key,
                "" if each["value"] is None else _shown(each["value"]),
                ", ".join(filter(None, (each["source"], each["place"]))),
            )
            for key, each in record[title].items()
        ]
        if rows:
            yield f"\n{title}"
            keys, texts = (max(display_width(row[n]) for row in rows) for n in (0, 1))
            for key, text, source in rows:
                yield f"  {pad(key, keys)}  {pad(text, min(texts, _WIDTH))}  {source}".rstrip()


_WIDTH = 40
"""Columns of values; what is longer moves the source to the right."""


def _shown(value: object) -> str:
    return replace_invisible(value if isinstance(value, str) else json.dumps(value))


def _settings(
    context: click.Context, values: Mapping[str, Any], playbook: Playbook | None
) -> tuple[Sequence[Setting], Sequence[Setting]]:
    """Return the options and the variables in force for a playbook, or without one."""
    configuration = configuration_of(values)
    overrides = overrides_from(values)
    environment = overrides.environment
    if playbook:
        filled = fill_in_names(playbook, partial(overrides.scope, playbook))
        raise_errors(filled.problems)
        # A variable without a value stays as it is written.
        playbook = filled._replace(
            hub=filled.hub or playbook.hub, connection=filled.connection or playbook.connection
        )
    layers = [*_layers(context, values, playbook)]
    setting = SettingFinder(environment).find(HUB_SETTING)
    options = []
    for path, option in _leaves(CONFIGURATION_KEYS.values()):
        found = next(filter(None, (layer.setting(path) for layer in reversed(layers))), None)
        if found is None and option is HUB and setting:
            found = Setting(HUB.key, setting, f"setting {HUB_SETTING}")
        default = "built-in default" if option.default is not None else ""
        options.append(found or Setting(_key(path), option.default, default))
    variables = _variables(playbook, configuration, values)
    return [_masked(each, environment) for each in options], [
        _masked(each, environment) for each in variables
    ]


def _leaves(options: Any, above: Path = ()) -> Iterator[tuple[Path, Option]]:
    for option in options:
        if option.group:
            rows = (row for _, row in options_of(option.group))
            yield from _leaves(rows, (*above, option.key))
        else:
            yield (*above, option.key), option


def _layers(
    context: click.Context, values: Mapping[str, Any], playbook: Playbook | None
) -> Iterator[Layer]:
    """Yield what has values of options; later layers override earlier ones."""
    configuration = configuration_of(values)
    document = configuration.document
    yield Layer(configuration.defaults, "defaults", document, ("defaults",))
    if playbook:
        own = {**playbook.options, "hub": playbook.hub, "connection": playbook.connection}
        yield Layer(own, "playbook", playbook.document)
    name = configuration.environment
    path: Path = ("environments", str(name))
    yield Layer(configuration.options, f"environment {name}", document, path)
    binding = read_binding(values["function_json"])
    yield Layer({"hub": binding.hub, "connection": binding.connection}, "flag --function-json")
    for source, label in (
        (ParameterSource.ENVIRONMENT, "variable {0.variable}"),
        (ParameterSource.COMMANDLINE, "flag {0.flag}"),
    ):
        for option_path, option in _leaves(CONFIGURATION_KEYS.values()):
            parameter = parameter_name(option)
            if option.flag and context.get_parameter_source(parameter) is source:
                value = values[parameter]
                value = list(map("=".join, value)) if option is HEADER else value
                for key in reversed(option_path):
                    value = {key: value}
                yield Layer(value, label.format(option))


def _variables(
    playbook: Playbook | None, configuration: Configuration, values: Mapping[str, Any]
) -> Iterator[Setting]:
    part = playbook.parts[0] if playbook else None
    own = part.variables if part else {}
    files = read_variables((), values["vars_files"])
    assigned = read_variables(values["assignments"], ())
    sources = {
        "playbook": own,
        f"environment {configuration.environment}": configuration.variables,
        "flag --vars-file": files,
        "flag --var": assigned,
    }
    for name in dict.fromkeys(name for variables in sources.values() for name in variables):
        source = [source for source, variables in sources.items() if name in variables][-1]
        value = sources[source][name]
        place = position_of(value)
        if source == "playbook" and part:
            place = part.document.position(("vars", name))
        plain = list(value.items) if isinstance(value, ListVariable) else str(value)
        yield Setting(name, plain, source, str(place) if place else None)


def _masked(setting: Setting, environment: Mapping[str, str]) -> Setting:
    """Return a setting without what is a secret by its name or value."""
    return setting._replace(value=_without_secrets(setting.key, setting.value, environment))


def _without_secrets(name: str, value: Any, environment: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_secrets(key, item, environment) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_secrets(name, item, environment) for item in value]
    if not isinstance(value, str):
        return value
    is_option = name.partition(".")[0] in CONFIGURATION_KEYS
    is_secret = is_secret_value(value) or (not is_option and is_secret_name(name))
    return MASK if is_secret else mask_secrets(value, environment)
