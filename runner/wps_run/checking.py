"""Load and check playbooks. Nothing here needs the modules that plan, connect or run."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import Enum
from functools import partial
from itertools import islice
from pathlib import Path

from wps_run import input_limits
from wps_run.actions.names import hub_error
from wps_run.document.loader import decode, load, parse
from wps_run.input_limits import Limit
from wps_run.playbook.compiled_schema import compile_schema
from wps_run.playbook.contradictions import contradictions
from wps_run.playbook.expectations import Expectation, ExpectationCheck, check_expectations
from wps_run.playbook.files import Files, open_input, read_input, require_below
from wps_run.playbook.lint import (
    PlaybookOfRun,
    find_late_changes,
    find_not_in_binding,
    find_unused_assignments,
    find_warnings,
    used_in,
    used_variables,
)
from wps_run.playbook.model import Playbook, check_document, read_playbook, variables_from
from wps_run.playbook.options import CONNECTION, HUB, Option
from wps_run.playbook.recognition import is_playbook, may_be_playbook
from wps_run.playbook.references import NotYetKnownError, UnusableReferenceError, reference_problem
from wps_run.playbook.rows import InputError
from wps_run.playbook.steps import check_steps
from wps_run.playbook.templates import substitute
from wps_run.playbook.variables import (
    VariableScope,
    VariableValue,
    missing_problems,
    resolve_variables,
)
from wps_run.problems import (
    PlaybookError,
    Position,
    Problem,
    Severity,
    UsageError,
    limited,
    sort_problems,
)
from wps_run.redaction import is_secret_value

DEFAULT_CONNECTION = str(CONNECTION.default)
"""The setting that holds the connection string unless the playbook names another one."""

LINES = (".ndjson", ".jsonl")
"""The suffixes of files with one JSON value in each line: rows, or actions of a bare batch."""


def load_playbook(path: str | Path) -> Playbook:
    """Read a playbook, or a bare batch of actions, from a YAML or JSON file.

    Raises:
        UsageError: The file cannot be read.
        PlaybookError: The file has errors; has all that can be found without its variables.
    """
    playbook = read_playbook(read_text(path), str(path))
    raise_errors(playbook.problems)
    return playbook


class Skipped(Enum):
    """Why a file that was found in a folder is not checked."""

    OTHER = "It is no playbook."
    UNREADABLE = "It is neither YAML nor JSON, and nothing in it looks like a playbook."


def read_found(path: str | Path, root: Path) -> Playbook | Skipped:
    """Read a file that was found in a folder, if it is a playbook or a bare batch.

    A broken file is an error only if a key in its text shows that a playbook is meant: templates,
    for example of Helm, are no YAML either.

    Raises:
        UsageError: The file cannot be read.
        PlaybookError: It is a playbook and cannot be parsed, or it must not be read.
    """
    if str(path).lower().endswith(LINES) and not _may_be_batch(path, root):
        return Skipped.OTHER
    raw = _read_file(path, input_limits.PLAYBOOK, root)
    try:
        document = parse(decode(raw, str(path)), str(path))
    except PlaybookError as error:
        if may_be_playbook(raw):
            raise
        is_empty = error.problems[0].rule == "empty"
        return Skipped.OTHER if is_empty else Skipped.UNREADABLE
    return check_document(document) if is_playbook(document.data) else Skipped.OTHER


def _may_be_batch(path: str | Path, root: Path) -> bool:
    """Check the beginning of a file of lines: rows may be more than a playbook may be."""
    try:
        with open_input(require_below(Path(path), root)) as file:
            return may_be_playbook(file.read(input_limits.PLAYBOOK.value))
    except (InputError, OSError, ValueError):
        return True  # reading it gives the error


def load_variables(path: str | Path) -> dict[str, VariableValue]:
    """Read variables from a YAML or JSON file: a mapping of names to single values or lists.

    An empty file has none.

    Raises:
        UsageError: The file cannot be read.
        PlaybookError: The file is not such a mapping.
    """
    text = read_text(path, input_limits.VARIABLES)
    try:
        return variables_from(load(text, str(path)))
    except PlaybookError as error:
        if error.problems[0].rule == "empty":
            return {}
        raise


def read_text(
    path: str | Path, limit: Limit = input_limits.PLAYBOOK, root: Path | None = None
) -> str:
    """Read a text file that the user named, or a pipe such as `/dev/fd/63`.

    Args:
        path: The file.
        limit: Its largest size.
        root: The folder below which it must be, if it was found and not named.

    Raises:
        UsageError: The file cannot be read; has the reason.
        PlaybookError: The file is too large, is no regular file, or is not UTF-8.
    """
    return decode(_read_file(path, limit, root), str(path))


def _read_file(path: str | Path, limit: Limit, root: Path | None = None) -> bytes:
    """Read a file; `root` is the folder in which it was found and below which it must be."""
    try:
        source = path if root is None else require_below(Path(path), root)
        return read_input(source, limit, may_be_pipe=root is None)
    except InputError as error:
        raise PlaybookError([Problem(str(error), "file", Position(str(path), 1))]) from None
    except IsADirectoryError:
        raise UsageError(f"`{path}` is a folder; name the playbooks in it") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"cannot read `{path}`: {reason}") from None


def validate(  # noqa: PLR0913 -- what `validate` can be told, by name
    playbook: Playbook,
    variables: Mapping[str, VariableValue],
    *,
    binding_only: bool = False,
    allowed_environment: Collection[str] = (),
    environment: Collection[str] | None = None,
    root: Path | None = None,
) -> tuple[Problem, ...]:
    """Return every problem of a playbook by position, warnings included.

    Names of environment variables are checked, but not their values.

    Args:
        playbook: What `read_playbook` returned.
        variables: Name to value; they override the playbook's `vars`.
        binding_only: Whether what the Functions output binding does not have is a problem.
        allowed_environment: The names of secrets that `${env.NAME}` may read all the same.
        environment: The names of the environment variables that are set, or None if unknown.
        root: The folder below which all files of the playbook must be, or None.
    """
    make_scope = partial(scope_of, variables=variables, environment=None, root=root)
    own = make_scope(playbook, connections=(DEFAULT_CONNECTION,), allowed=allowed_environment)
    playbook = fill_in_names(playbook, own)
    connections = connections_of(playbook)
    scope = make_scope(playbook, connections=connections, allowed=allowed_environment)
    checks = [check_steps(phase, scope) for phase in playbook.phases]
    errors = (
        *playbook.problems,
        *dict.fromkeys(problem for check in checks for problem in check.problems),
        *expectations_of(playbook, scope).problems,
        *limited(find_not_in_binding(playbook) if binding_only else ()),
    )
    found = _find_warnings(playbook, variables, environment)
    late = find_late_changes(
        PlaybookOfRun(phase, scope, playbook.hub or "") for phase in playbook.phases
    )
    warnings = (warning for check in checks for warning in check.warnings)
    return tuple(limited(sort_problems((*errors, *warnings, *found, *limited(late)))))


def _find_warnings(
    playbook: Playbook, variables: Collection[str], environment: Collection[str] | None = None
) -> list[Problem]:
    found = find_warnings(playbook, variables=variables, environment=environment)
    return limited(islice(found, input_limits.PROBLEMS.value + 1))


def expectations_of(playbook: Playbook, scope: VariableScope) -> ExpectationCheck:
    """Check the expectations of a playbook, together too. They are numbered from 0."""
    problems: list[Problem] = []
    expectations: list[Expectation] = []
    for part in playbook.parts:
        of_part = check_expectations(
            part.document,
            part.expectations,
            scope.of(part),
            slash_in_names=part.slash_in_names,
            first=len(expectations),
        )
        problems += of_part.problems
        expectations += of_part.expectations
    mask = scope.secrets.mask
    found = (
        problem._replace(message=mask(problem.message))
        for problem in contradictions((each.document, (), each) for each in expectations)
    )
    return ExpectationCheck(tuple(limited((*problems, *found))), tuple(expectations))


def scope_of(  # noqa: PLR0913 -- what `${…}` can name, by name
    playbook: Playbook,
    variables: Mapping[str, VariableValue],
    environment: Mapping[str, str] | None,
    *,
    connections: Collection[str],
    keys: Collection[str] = (),
    allowed: Collection[str] = (),
    root: Path | None = None,
) -> VariableScope:
    """Return what `${…}` can name in a playbook.

    Args:
        playbook: The playbook.
        variables: Name to value; they override the playbook's `vars`.
        environment: The variables of `${env.NAME}`. None when they are known only at run time;
            then declared variables need no values either.
        connections: The settings that hold connection strings; `${env.NAME}` does not read them.
        keys: The settings that hold keys of a gateway, likewise.
        allowed: The names of secrets that `${env.NAME}` may read all the same.
        root: The folder below which all files of the playbook must be, or None.
    """
    part = playbook.parts[0]
    document, declarations = part.document, part.declarations
    resolved = resolve_variables(document, part.variables, declarations, variables)
    if environment is not None:
        missing = missing_problems(document, declarations, resolved, used_in(part))
        resolved = resolved._replace(problems=(*resolved.problems, *missing))
    return VariableScope(
        resolved,
        environment,
        files_of(playbook, root),
        connections=connections,
        keys=keys,
        allowed=allowed,
    )


def fill_in_names(playbook: Playbook, scope: VariableScope) -> Playbook:
    """Return a playbook with the variables in its `hub` and `connection` filled in.

    One whose value is not known yet is left out, and so is a wrong one, which is a problem then.
    The message does not contain the value: somebody may have given the connection string itself.
    """
    hub = _filled_in(playbook, HUB, playbook.hub, scope)
    connection = _filled_in(playbook, CONNECTION, playbook.connection, scope)
    problems = [each for each in (hub, connection) if isinstance(each, Problem)]
    return playbook._replace(
        hub=hub if isinstance(hub, str) else None,
        connection=connection if isinstance(connection, str) else None,
        problems=tuple(limited(sort_problems((*playbook.problems, *problems)))),
    )


def _filled_in(
    playbook: Playbook, option: Option, text: str | None, scope: VariableScope
) -> str | Problem | None:
    if text is None or "${" not in text:
        return text
    document, path = playbook.document, (option.key,)
    try:
        name = substitute(text, scope)
    except NotYetKnownError:
        return None
    except UnusableReferenceError as error:
        return reference_problem(document, path, error.reference, error.message, error.rule)
    if is_secret_value(name) or scope.secrets.occur_in(name):
        reason = "would contain a connection string, a key or a token"
    elif compile_schema(option.schema)(name):
        return name
    else:
        reason = str(hub_error(name)) if option is HUB else "is not the name of a setting"
    message = f"`{option.key}`, with its variables filled in, {reason}"
    return document.problem(message, "value", path)


def find_run_warnings(
    playbooks: Sequence[Playbook], assigned: Iterable[str] = ()
) -> tuple[Problem, ...]:
    """Return the warnings about the playbooks of one run, file by file.

    First, those about variables in `assigned` that no playbook uses.
    """
    assigned = tuple(assigned)
    used = {name for playbook in playbooks for name in used_variables(playbook)} if assigned else ()
    warnings = [*find_unused_assignments(assigned, used)]
    for playbook in playbooks:
        warnings += sort_problems(_find_warnings(playbook, assigned))
    return tuple(warnings)


def raise_errors(problems: Sequence[Problem]) -> None:
    """Raise the problems if at least one of them is an error.

    Raises:
        PlaybookError: One of the problems is an error; has all of them.
    """
    if any(problem.severity is Severity.ERROR for problem in problems):
        raise PlaybookError(problems)


def connections_of(playbook: Playbook, override: str | None = None) -> tuple[str, ...]:
    """Return the names of the settings that may hold the connection string of a playbook."""
    return tuple(filter(None, (DEFAULT_CONNECTION, playbook.connection, override)))


def files_of(playbook: Playbook, root: Path | None = None) -> Files:
    """Return the reader of the files that a playbook names, relative to its folder."""
    return Files(Path(playbook.document.file).parent, root)
