"""Options that several commands share; those of a run are made from `playbook.options`."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

import click
from click.core import ParameterSource

from wps_run import input_limits
from wps_run.checking import STDIN, load_seed, read_text
from wps_run.cli.configuration import (
    FILE,
    Decorated,
    configuration_of,
    configuration_options,
    override_option,
    parameter_name,
)
from wps_run.cli.inputs import read_input, read_variables, variable_options
from wps_run.cli.terminal import shell_line
from wps_run.connect.endpoint import Endpoint
from wps_run.connect.function_files import FunctionBinding, parse_function, parse_settings
from wps_run.connect.settings import (
    HUB_SETTING,
    merge_settings,
    parse_header_setting,
    resolve_endpoint,
    resolve_hub,
)
from wps_run.planning import RunOverrides
from wps_run.playbook.configuration import FILE_NAME
from wps_run.playbook.options import (
    CA_BUNDLE,
    CONFIRM,
    CONNECTION,
    ENDPOINT,
    HEADER,
    HUB,
    SELECTION_OPTIONS,
    SETTINGS,
    TAG_OPTIONS,
    Confirmation,
    Option,
    RunOptions,
    flagged_options,
    merge_options,
    override_values,
    parse_duration,
)
from wps_run.playbook.selection import parse_selection
from wps_run.playbook.shards import SHARD_VARIABLE, SHARDS_VARIABLE, resolve_shard
from wps_run.problems import JournalError, PlaybookError, SettingsError, UsageError
from wps_run.redaction import Secrets, mask_secrets

if TYPE_CHECKING:
    from wps_run.emulator.seed import SeedClient
    from wps_run.journal.format import KeptOptions


def run_options(command: Decorated) -> Decorated:
    """Add the flags that override a playbook's keys, those of shards, and those of variables."""
    overrides = [override_option(option, path) for path, option in flagged_options()]
    options = (
        configuration_options,
        override_option(HUB, [HUB.key]),
        *overrides,
        click.option(
            "--shard",
            metavar="K/N",
            help="Run only shard K of N, selected by the target of each action; all actions must "
            f"be independent. The rate is divided by N.  [env var: {SHARD_VARIABLE}]",
        ),
        click.option(
            "--shards",
            type=click.IntRange(1, 999_999),
            metavar="N",
            help="Run one of N shards; its number is JOB_COMPLETION_INDEX, which a Kubernetes "
            f"Indexed Job sets.  [env var: {SHARDS_VARIABLE}]",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return variable_options(_selecting(command, SELECTION_OPTIONS))


def tag_options(command: Decorated) -> Decorated:
    """Add `--tags` and `--skip-tags`."""
    return _selecting(command, TAG_OPTIONS)


def _selecting(command: Decorated, options: Sequence[Option]) -> Decorated:
    of_tags = {"metavar": "TAG,…", "shell_complete": _complete_tags}
    others = {"--only": {"metavar": "3,7..12"}, "--start-at": {"metavar": "NAME"}}
    for option in reversed(options):
        attributes: Mapping[str, Any] = others.get(str(option.flag), of_tags)
        command = override_option(option, **attributes)(command)
    return command


def _complete_tags(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Return the tags of the playbooks that the command line names, after the last comma."""
    before, comma, start = incomplete.rpartition(",")
    tags: set[str] = set()
    for path in context.args:  # where click leaves them, as the option has no value yet
        with suppress(PlaybookError, UsageError):
            if path != STDIN:
                tags |= read_input(path).tags
    return [f"{before}{comma}{tag}" for tag in sorted(tags) if tag.startswith(start)]


def overrides_from(values: Mapping[str, Any]) -> RunOverrides:
    """Read the command line once.

    Args:
        values: The values of `variable_options` and `--hub` by parameter name, and of
            `run_options`, `tag_options`, `settings_options`, `--connection` and `--header` where
            the command has them. Other entries are ignored.

    Raises:
        UsageError: A file cannot be read, or the shard or the selection is wrong.
        PlaybookError: A file of variables is wrong.
        SettingsError: The file of `--settings` or `--function-json` is not one.
    """
    binding = read_binding(values.get("function_json"))
    configuration = configuration_of(values)
    return RunOverrides(
        options=override_values(configuration.options, _options_in(values)),
        defaults=configuration.defaults,
        environment_name=configuration.environment,
        variables={
            **configuration.variables,
            **read_variables(values["assignments"], values["vars_files"]),
        },
        environment=read_environment(values.get("settings")),
        allowed_environment=values["allow_env"],
        hub=_first(values["hub"], binding.hub, configuration.options.get("hub")),
        connection=values.get("connection")
        or binding.connection
        or configuration.options.get("connection"),
        headers=values.get("header", ()),
        shard=(
            resolve_shard(values["shard"], values["shards"], os.environ)
            if "shard" in values
            else None
        ),
        selection=parse_selection(
            *(values.get(parameter_name(option)) for option in SELECTION_OPTIONS)
        ),
    )


def _first(*names: str | None) -> str | None:
    return next((name for name in names if name is not None), None)


def _options_in(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of the command line, by parameter name, as a playbook has them."""
    options: dict[str, Any] = {}
    for (*groups, key), option in flagged_options():
        value = values.get(parameter_name(option))
        if value is not None:
            parent = options
            for group in groups:
                parent = parent.setdefault(group, {})
            parent[key] = value
    return options


class HeaderSetting(click.ParamType):  # type: ignore[type-arg]  # click 8.1 has no generics
    """`NAME=SETTING`: the name of a header, and that of the setting with its value."""

    name = "header"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        try:
            return parse_header_setting(str(value))
        except SettingsError as error:
            self.fail(str(error), param, ctx)


def gateway_options(command: Decorated) -> Decorated:
    """Add `--endpoint` and `--header`."""
    header = override_option(HEADER, type=HeaderSetting(), metavar="NAME=SETTING")
    return override_option(ENDPOINT, metavar="URL")(header(command))


def port_option(default: int) -> Callable[[Decorated], Decorated]:
    """Make the `--port` of a command that listens."""
    return click.option(
        "--port",
        type=click.IntRange(0, 65535),
        default=default,
        show_default=True,
        metavar="N",
        help="Listen on this port, 0 to 65535; 0 selects a free one.",
    )


def records_option(command: Decorated) -> Decorated:
    """Add the `--output` of a command that reads the service."""
    return click.option(
        "--output",
        type=click.Choice(["text", "json", "ndjson"]),
        default="text",
        show_default=True,
        help="Print text for people, one JSON object, or one JSON object per line.",
    )(command)


def ca_bundle_option(command: Decorated) -> Decorated:
    """Add `--ca-bundle`."""
    return override_option(CA_BUNDLE, type=FILE, metavar="FILE")(command)


def hub_options(command: Decorated) -> Decorated:
    """Add the options of a command that reads a hub: where it is, and how it is asked."""
    options = (
        configuration_options,
        override_option(HUB),
        override_option(CONNECTION),
        settings_options,
        gateway_options,
        ca_bundle_option,
        *(override_option(option) for option in _READ_OPTIONS),
    )
    for option in reversed(options):
        command = option(command)
    return command


_READ_OPTIONS = tuple(
    option for _, option in flagged_options() if option.key in {"timeout", "attempts"}
)


class HubAccess(NamedTuple):
    """Where a hub is and how it is asked, by the options of the command line.

    Attributes:
        endpoint: The service.
        hub: The name of the hub.
        options: The timeout and the retries of reads.
        ca_bundle: A file of certificates to trust in addition to the system's, or None.
        secrets: The secrets of the settings, to mask.
    """

    endpoint: Endpoint
    hub: str
    options: RunOptions
    ca_bundle: str | None
    secrets: Secrets


def hub_access(values: Mapping[str, Any]) -> HubAccess:
    """Read the values of `hub_options`, by parameter name. Other entries are ignored.

    Raises:
        UsageError: A file cannot be read.
        SettingsError: A setting is missing, or it or an option cannot be used.
    """
    binding = read_binding(values["function_json"])
    environment = read_environment(values["settings"])
    headers = values["header"]
    configuration = configuration_of(values)
    names = (values["connection"], binding.connection, configuration.value_of(CONNECTION.key))
    connection = next(filter(None, names), str(CONNECTION.default))
    endpoint = resolve_endpoint(connection, environment, values["endpoint"], headers)
    hub = values["hub"] or binding.hub or configuration.value_of(HUB.key)
    hub = resolve_hub(hub, environment)
    secrets = RunOverrides(environment=environment, headers=headers).secrets
    options = merge_options(configuration.defaults, configuration.options, _options_in(values))
    return HubAccess(endpoint, hub, options, values["ca_bundle"], secrets)


def option_names(command: click.Command) -> frozenset[str]:
    """Return the names of all options of a command, such as `--quiet` and `-q`."""
    options = (option for option in command.params if isinstance(option, click.Option))
    return frozenset(name for option in options for name in (*option.opts, "-h", "--help"))


def split_arguments(
    command: click.Command, args: Sequence[str]
) -> Iterator[tuple[str | None, list[str]]]:
    """Yield each option with its value, and each other argument with None."""
    with_value = {
        name
        for option in command.params
        if isinstance(option, click.Option) and not option.is_flag and not option.count
        for name in option.opts
    }
    rest = iter(args)
    for arg in rest:
        if arg == "--":
            yield None, [arg, *rest]
        elif len(arg) > 1 and arg.startswith("-"):
            name, equals, _ = arg.partition("=")
            value = [next(rest, "")] if name in with_value and not equals else []
            yield name, [arg, *value]
        else:
            yield None, [arg]


class RecordingCommand(click.Command):
    """A command that keeps its arguments as they were given, for `given_options`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments."""
        ctx.meta[_ARGUMENTS] = tuple(args)
        return super().parse_args(ctx, args)


_ARGUMENTS = f"{__name__}.arguments"

ENVIRONMENT = "--env"
"""The option that chooses an environment. That of a run stays that of its journal."""

VARIABLES, VARIABLES_FILE, CONFIRMED = "--var", "--vars-file", "--yes"
"""Options that the command that resumes a run repeats. A journal has only the names of variables,
and a confirmation is not reused without asking."""

_NOT_REUSED = frozenset({VARIABLES, CONFIRMED, HUB_SETTING, FILE_NAME})
"""Entries of a journal that are no options of the command line, or not reused as such."""

_NOT_KEPT = frozenset(
    {
        *("--output", "--report", "--quiet", "--no-progress", "--log-level", "--verbose"),
        *("--journal", "--resume-if-exists", "--no-journal"),
        *("--resume", "--failed", "--skip-failed"),
        *("--plan", "--out", "--live", "--format"),
        *("--shard", "--shards", "--processes", VARIABLES),
    }
)
"""Options that a journal does not keep: how a run is shown, and which journal or plan it has.
Shard, processes and variables have their own entries. A journal keeps all others, also future
ones."""


def given_options(context: click.Context, recorded: "KeptOptions | None" = None) -> "KeptOptions":
    """Return the options that a journal or a plan keeps, as the user gave them, by name.

    Files are absolute, so that they are found from another folder. Secrets are masked: a
    rehearsal does not check what a run against the service would refuse.

    Args:
        context: The context of the command.
        recorded: The options of the journal that is resumed, or of the plan, or None. An
            environment variable, which is for all runs, does not override them.
    """
    parser = context.command.make_parser(context)
    parsed, _, _ = parser.parse_args(args=list(context.meta[_ARGUMENTS]))
    given: dict[str, str | bool | tuple[str, ...]] = {}
    for name, option in _kept_options(context.command):
        value, source = option.consume_value(context, parsed)
        is_variable = source is ParameterSource.ENVIRONMENT and (
            recorded is None or (name not in recorded and name != ENVIRONMENT)
        )
        if source is not ParameterSource.COMMANDLINE and not is_variable:
            continue
        kept = _kept_form(option.type)
        if isinstance(value, bool):
            given[name] = value
        else:
            given[name] = tuple(map(kept, value)) if option.multiple else kept(value)
    return given


def given_command(context: click.Context) -> str:
    """Return the command line as it was given, but for variables and secrets, for a shell."""
    words = ["wps-run", str(context.info_name)]
    for option, group in split_arguments(context.command, context.meta[_ARGUMENTS]):
        if option != VARIABLES:
            words += map(_without_secrets, group)
    return shell_line(words)


def configured_options(values: Mapping[str, Any]) -> "KeptOptions":
    """Return what the configuration file says of options, as a journal keeps it."""
    kept = configuration_of(values).kept()
    return {name: _without_secrets(text) for name, text in kept.items()}


def plan_command(context: click.Context, plan: click.Command) -> str:
    """Return the command line that plans what the arguments of a run would do, for a shell."""
    hidden = (option for option in plan.params if getattr(option, "hidden", False))
    known = option_names(plan) - {name for option in hidden for name in option.opts}
    words = ["wps-run", "plan"]
    for option, group in split_arguments(context.command, context.meta[_ARGUMENTS]):
        if option is None or option in known:
            words += map(_without_secrets, group)
    return shell_line(words)


def without_selection(
    context: click.Context,
    given: "KeptOptions",
    journal: str,
    selection: str,
    recorded: "KeptOptions",
    *,
    is_restarted: bool,
) -> "KeptOptions":
    """Return the options of a resumed run without those that select: it keeps its selection.

    Args:
        context: The context of the command.
        given: What `given_options` returned.
        journal: The name of the journal in messages.
        selection: The selection of its run, or "".
        recorded: The options in the journal.
        is_restarted: Whether the same command was started again, which repeats its options.

    Raises:
        UsageError: The command line has such an option.
    """
    flags = {str(option.flag): parameter_name(option) for option in SELECTION_OPTIONS}
    for flag, name in flags.items():
        is_repeated = is_restarted and given.get(flag) == recorded.get(flag)
        is_given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if is_given and not is_repeated:
            part = f"with the selection {selection}" if selection else "of all actions"
            raise UsageError(
                f"`{journal}` is the journal of a run {part}, which it keeps when it is resumed; "
                f"leave out {flag}, or start a new run with another journal"
            )
    return {flag: value for flag, value in given.items() if flag not in flags}


def reused_values(
    context: click.Context,
    recorded: "KeptOptions",
    given: "KeptOptions",
    file: str,
    recorder: click.Command | None = None,
) -> dict[str, Any]:
    """Return the values of the recorded options that were not given again, by parameter name.

    Args:
        context: The context of the command that runs.
        recorded: The options in the journal or the plan.
        given: What `given_options` returned.
        file: The name of the journal or plan in messages.
        recorder: The command that has recorded them; None for that of the context.

    Raises:
        JournalError: A recorded option does not exist here, or its value is invalid.
        UsageError: The file of an option cannot be read again.
    """
    options = dict(_kept_options(recorder or context.command))
    # A resumed run keeps its selection, also that it had none.
    values: dict[str, Any] = {
        name: options[str(option.flag)].process_value(context, None)
        for option in SELECTION_OPTIONS
        if context.get_parameter_source(name := parameter_name(option))
        is ParameterSource.ENVIRONMENT
    }
    for name, value in recorded.items():
        is_confirmed = (name, value) == (CONFIRM.flag, Confirmation.NEVER)
        if name in given or is_confirmed or name in _NOT_REUSED:
            continue
        if name not in options:
            raise JournalError(f"`{file}` has the option {name}, which wps-run does not know")
        if is_unrepeatable(value):
            raise UsageError(f"the run of `{file}` read {name} from a pipe; give {name} again")
        try:
            values[options[name].name or name] = options[name].process_value(context, value)
        except click.BadParameter as error:
            raise JournalError(f"{name} in `{file}`: {error.message}") from None
    return values


def is_unrepeatable(value: object) -> bool:
    """Whether the value of a stored option names a file that exists only for one command."""
    values = value if isinstance(value, tuple) else (value,)
    return any(str(each).startswith(("/dev/fd/", "/dev/std", "/proc/")) for each in values)


def map_files(
    command: click.Command, options: "KeptOptions", change: Callable[[str], str]
) -> "KeptOptions":
    """Return stored options with changed names of files, such as relative ones.

    Args:
        command: The command that has the options.
        options: What `given_options` returned for it.
        change: Returns the changed name.
    """
    changed = dict(options)
    for name, option in _kept_options(command):
        value = options.get(name)
        if isinstance(option.type, click.Path) and value and not is_unrepeatable(value):
            changed[name] = (
                tuple(map(change, value)) if isinstance(value, tuple) else change(str(value))
            )
    return changed


def _kept_options(command: click.Command) -> Iterator[tuple[str, click.Option]]:
    for option in command.params:
        name = max(option.opts, key=len)
        if isinstance(option, click.Option) and name not in _NOT_KEPT and not option.hidden:
            yield name, option


def _kept_form(value_type: object) -> Callable[[str], str]:
    if isinstance(value_type, click.Path):
        return _absolute
    # It contains no secret by its rules, and is used again to the letter.
    return str if isinstance(value_type, HeaderSetting) else _without_secrets


def _absolute(path: str) -> str:
    try:
        return path and str(Path(path).absolute())
    except OSError:  # the working folder was deleted
        return path


def _without_secrets(value: str) -> str:
    return mask_secrets(value, os.environ)


def read_environment(settings: str | None) -> Mapping[str, str]:
    """Return settings by name; the environment overrides a Functions `local.settings.json`.

    Raises:
        UsageError: The file cannot be read.
        SettingsError: The file has another content.
    """
    if settings is None:
        return dict(os.environ)
    text = read_text(settings, input_limits.SETTINGS)
    return merge_settings(parse_settings(text, settings), os.environ)


def settings_options(command: Decorated) -> Decorated:
    """Add `--settings` and `--function-json`."""
    command = click.option(
        "--function-json",
        type=FILE,
        metavar="FILE",
        help="Take hub and connection from the Web PubSub binding of this function.json, in place "
        "of those of the playbook; --hub and --connection override it.",
    )(command)
    return override_option(SETTINGS, type=FILE, metavar="FILE")(command)


def read_binding(function_json: str | None) -> FunctionBinding:
    """Return the hub and the connection that `--function-json` names.

    Raises:
        UsageError: The file cannot be read.
        SettingsError: The file has another content, or several hubs.
    """
    if function_json is None:
        return FunctionBinding()
    text = read_text(function_json, input_limits.SETTINGS)
    return parse_function(text, function_json)


def fault_options(command: Decorated) -> Decorated:
    """Add `--fault` and `--fault-seed`."""
    command = click.option(
        "--fault-seed",
        type=click.IntRange(min=0),
        metavar="N",
        help="Select the same requests again for faults with a share.",
        show_default="a new seed, which is shown",
    )(command)
    return click.option(
        "--fault",
        "faults",
        multiple=True,
        metavar="SPEC",
        help="Inject a fault into the emulator, such as 429,retry-after=2,count=3 or "
        "503,after,share=10%,on=SendToGroup. Repeatable; see `wps-run serve --help`.",
    )(command)


def _parse_absences(
    _: click.Context, __: click.Parameter, values: tuple[str, ...]
) -> tuple[tuple[str, float | None], ...]:
    """Split `NAME` or `NAME=DURATION`; a name may contain `=` if no duration follows."""
    absences: list[tuple[str, float | None]] = []
    for value in values:
        name, _equals, duration = value.rpartition("=")
        try:
            absences.append((name, parse_duration(duration)) if name else (value, None))
        except ValueError:
            absences.append((value, None))
    return tuple(absences)


def seed_option(command: Decorated) -> Decorated:
    """Add `--seed`."""
    return click.option(
        "--seed",
        type=FILE,
        metavar="FILE",
        help="With --local: connect the clients of this YAML or JSON file, and nobody else, in "
        "place of one for each name in the playbooks. `wps-run snapshot` writes such a file.",
    )(command)


def rehearsal_options(command: Decorated) -> Decorated:
    """Add `--seed`, `--absent`, `--fault` and `--fault-seed`."""
    command = seed_option(command)
    command = click.option(
        "--absent",
        callback=_parse_absences,
        multiple=True,
        metavar="NAME[=DURATION]",
        help="With --local: do not connect this user or connection, so that `onMissing` applies; "
        "with a duration, connect it that long after the start. Repeatable.",
    )(command)
    return fault_options(command)


class RehearsalArguments(TypedDict):
    """Arguments of `running.rehearsal`."""

    faults: Sequence[str]
    fault_seed: int | None
    absent: Mapping[str, float | None]
    seed: "Sequence[SeedClient] | None"


def rehearsal_arguments(
    faults: Sequence[str],
    fault_seed: int | None,
    absent: Sequence[tuple[str, float | None]],
    seed: str | None,
    *,
    local: bool,
) -> RehearsalArguments:
    """Return the values of these options as arguments of `running.rehearsal`.

    Raises:
        UsageError: They are given without `--local`, or the seed cannot be read.
        PlaybookError: The seed is invalid.
    """
    options = {
        "--seed": seed,
        "--fault": faults,
        "--fault-seed": fault_seed is not None,
        "--absent": absent,
    }
    given = [flag for flag, value in options.items() if value]
    if given and not local:
        raise UsageError(f"{given[0]} is for rehearsals; add --local")
    return {
        "faults": faults,
        "fault_seed": fault_seed,
        "absent": dict(absent),
        "seed": None if seed is None else load_seed(seed, default_hub=""),
    }
