"""Load and check playbooks. Nothing here needs the modules that plan, connect or run."""

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from enum import Enum
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from wps_run import input_limits
from wps_run.actions.names import hub_error
from wps_run.document.document import Document
from wps_run.document.loader import decode, load, parse
from wps_run.input_limits import Limit
from wps_run.paths import path_from
from wps_run.playbook.compiled_schema import compile_schema
from wps_run.playbook.contradictions import contradictions
from wps_run.playbook.expectations import (
    EXPECT,
    Expectation,
    ExpectationCheck,
    check_expectations,
)
from wps_run.playbook.files import NAME_IT, Files, open_input, read_input, require_below
from wps_run.playbook.includes import (
    INCLUDE,
    NO_VALUES,
    VARS,
    Include,
    IncludedValues,
    included_values,
)
from wps_run.playbook.lint import (
    PlaybookOfRun,
    find_late_changes,
    find_not_in_binding,
    find_unused_assignments,
    find_warnings,
    used_in,
    used_variables,
)
from wps_run.playbook.model import (
    ActionTemplate,
    Playbook,
    PlaybookPart,
    check_document,
    included_problems,
    read_playbook,
    variables_from,
)
from wps_run.playbook.options import CONNECTION, HUB, Option
from wps_run.playbook.recognition import is_playbook, may_be_playbook
from wps_run.playbook.references import NotYetKnownError, UnusableReferenceError, reference_problem
from wps_run.playbook.rows import InputError
from wps_run.playbook.schema import FINALLY
from wps_run.playbook.steps import check_steps
from wps_run.playbook.templates import substitute
from wps_run.playbook.variables import (
    Variables,
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
    did_you_mean,
    limited,
    sort_problems,
)
from wps_run.redaction import is_like_key, is_secret_value

if TYPE_CHECKING:
    from wps_run.emulator.seed import SeedClient

DEFAULT_CONNECTION = str(CONNECTION.default)
"""The setting that holds the connection string unless the playbook names another one."""

STDIN = "-"
"""The name of a playbook that is read from standard input."""

STDIN_NAME = "<stdin>"
"""What stands for it in messages."""

LINES = (".ndjson", ".jsonl")
"""The suffixes of files with one JSON value in each line: rows, or actions of a bare batch."""


def load_playbook(path: str | Path) -> Playbook:
    """Read a playbook, or a bare batch of actions, from a YAML or JSON file.

    Raises:
        UsageError: The file cannot be read.
        PlaybookError: The file has errors; has all that can be found without its variables.
    """
    playbook = with_includes(read_playbook(read_text(path), str(path)))
    raise_errors(playbook.problems)
    return playbook


def load_seed(path: str, default_hub: str | None = None) -> "list[SeedClient]":
    """Read the clients of a seed file.

    Args:
        path: The file.
        default_hub: The hub of clients for which the file has none; None for that of `serve`.

    Raises:
        UsageError: The file cannot be read, or is empty.
        PlaybookError: It is invalid; each problem has its position.
    """
    from wps_run.emulator import seed  # noqa: PLC0415 -- few commands need the emulator

    text = read_text(path, input_limits.SEED)
    if all(line.lstrip()[:1] in {"", "#"} for line in text.splitlines()):
        raise UsageError(f"the seed `{path}` is empty; write it as {seed.EXAMPLE}")
    document = load(text, path)
    try:
        return seed.read_seed(
            document.data, seed.DEFAULT_HUB if default_hub is None else default_hub
        )
    except seed.SeedError as error:
        raise PlaybookError(
            sort_problems(
                document.problem(problem.message, "seed", problem.path)
                for problem in error.problems
            )
        ) from None


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
    if not is_playbook(document.data):
        return Skipped.OTHER
    return with_includes(check_document(document), root)


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
        files = "the playbooks" if limit is input_limits.PLAYBOOK else "a file"
        raise UsageError(f"`{path}` is a folder; name {files} in it") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(f"cannot read `{path}`: {reason}") from None


def with_includes(playbook: Playbook, root: Path | None = None) -> Playbook:
    """Read the files that a playbook includes; return it with what they add.

    What is wrong with them is in its `problems`.

    Args:
        playbook: The playbook.
        root: The folder in which it was found and below which they must be, or None.
    """
    return _IncludeReader(playbook, root).read() if playbook.includes else playbook


def relative_name(part: PlaybookPart, playbook: Playbook) -> str:
    """Return the name of the file of a part, as seen from the folder of the playbook."""
    folder = Path(playbook.document.file).parent
    return path_from(part.document.file, folder)


_ActionLists: TypeAlias = tuple[list[ActionTemplate], list[ActionTemplate]]
"""The actions of a file, and those of `finally`."""


class _IncludeReader:
    """Reads the files that one playbook includes, each once."""

    def __init__(self, playbook: Playbook, root: Path | None) -> None:
        self._playbook = playbook
        folder = Path(playbook.document.file).parent.resolve()
        folders = (folder, *folder.parents)
        repository = next((each for each in folders if (each / GIT).exists()), folder)
        is_narrower = root is not None and root.resolve().is_relative_to(repository)
        self._root = root if root and is_narrower else repository
        self._remedy = NAME_IT if is_narrower else _OUTSIDE
        self._paths: dict[str, Path] = {}
        """The path of each file without symbolic links, by its name."""
        self._files: dict[Path, Playbook | None] = {}
        """What is in each file; None if it cannot be parsed."""
        self._is_full = False
        """Whether no more files are read, since too much is wrong or included."""
        self._parts = list(playbook.parts)
        self._size = len(playbook.document.text)
        self._problems: list[Problem] = []

    def read(self) -> Playbook:
        """Return the playbook with the actions of all files in the order in which they run."""
        own = self._playbook
        file = own.document.file
        actions, finally_actions = self._actions(own, own.parts[0], {Path(file).resolve(): file})
        problems = sort_problems(dict.fromkeys((*own.problems, *self._problems)))
        return own._replace(
            parts=tuple(self._parts),
            actions=tuple(actions),
            finally_actions=tuple(finally_actions),
            problems=tuple(limited(problems)),
            includes=(),
        )

    def _actions(
        self, playbook: Playbook, part: PlaybookPart, chain: Mapping[Path, str]
    ) -> _ActionLists:
        """Return the actions of a file with those of the files that it includes.

        What included files have in `finally` comes before what the file itself has there.

        Args:
            playbook: The file.
            part: What it adds in this place.
            chain: The files that include each other, from the first to this one, by their paths.
        """
        merged: dict[str, list[ActionTemplate]] = {"actions": [], FINALLY: []}
        last: list[ActionTemplate] = []
        for key, templates in (("actions", playbook.actions), (FINALLY, playbook.finally_actions)):
            own = [each._replace(part=part, tags=each.tags | part.tags) for each in templates]
            first = 0
            for include in playbook.includes:
                if include.path[0] != key:
                    continue
                actions, finally_actions = self._included(include, part, chain)
                merged[key] += (*own[first : include.before], *actions)
                (last if key == "actions" else merged[key]).extend(finally_actions)
                first = include.before
            merged[key] += own[first:]
        return merged["actions"], last + merged[FINALLY]

    def _included(
        self, include: Include, parent: PlaybookPart, chain: Mapping[Path, str]
    ) -> _ActionLists:
        """Return the actions of an included file; none if something is wrong with it."""
        if self._is_full or len(self._problems) > input_limits.PROBLEMS.value:
            return [], []
        place = (*include.path, INCLUDE)
        document = parent.document
        file = Path(document.file).parent / include.file
        name = os.path.normpath(file)
        try:
            if name not in self._paths:
                self._paths[name] = self._path_of(file)
            path = self._paths[name]
            _require_no_cycle(chain, path, name)
            playbook = self._read_once(path, name, document.position(place))
            self._require_limits(playbook)
        except InputError as error:
            self._problems.append(document.problem(str(error), INCLUDE, place))
            return [], []
        except (OSError, ValueError) as error:
            message = self._reason(document, include.file, error)
            self._problems.append(document.problem(message, INCLUDE, place))
            return [], []
        if playbook is None:
            return [], []
        part = replace(playbook.parts[0], include=include, parent=parent)
        self._problems += _problems_of_use(part, include, document)
        self._parts.append(part)
        return self._actions(playbook, part, {**chain, path: name})

    def _path_of(self, file: Path) -> Path:
        """Return the path of a file without symbolic links.

        Raises:
            InputError: It must not be read.
        """
        path = require_below(file, self._root, self._remedy)
        if GIT in map(str.lower, path.parts):
            raise InputError(f"`{file}` is in a folder `{GIT}`, and is not read")
        return path

    def _read_once(self, path: Path, name: str, user: Position) -> Playbook | None:
        """Read and check a file, unless that was done.

        Args:
            path: Its path, without symbolic links.
            name: Its name in problems.
            user: What includes it.

        Raises:
            InputError: It is too large, or no regular file.
            OSError: It cannot be read.
        """
        if path not in self._files:
            raw = read_input(path, input_limits.PLAYBOOK)
            try:
                playbook = read_playbook(decode(raw, name), name)
                problems = (*playbook.problems, *included_problems(playbook))
                is_meant = is_playbook(playbook.document.data)
            except PlaybookError as error:
                playbook, problems = None, error.problems
                is_meant = may_be_playbook(raw)
            self._files[path] = playbook
            self._problems += (
                # A line of another file may be confidential.
                problem._replace(related=user, line=problem.line if is_meant else "")
                for problem in problems
            )
        return self._files[path]

    def _require_limits(self, playbook: Playbook | None) -> None:
        """Count a file each time that it is included.

        Raises:
            InputError: There are too many files, or they are too large together.
        """
        self._size += len(playbook.document.text) if playbook else 0
        for size, limit in (
            (len(self._parts), input_limits.PLAYBOOK_FILES),
            (self._size, input_limits.PLAYBOOKS),
        ):
            if size > limit.value:
                self._is_full = True
                raise InputError(f"the playbook with what it includes up to here {limit.error}")

    def _reason(self, document: Document, file: str, error: OSError | ValueError) -> str:
        """Return why a file cannot be read, and what to write instead."""
        if isinstance(error, IsADirectoryError):
            return f"`{file}` is a folder; name a file in it"
        if not isinstance(error, FileNotFoundError):
            reason = error.strerror if isinstance(error, OSError) else error
            return f"cannot read `{file}`: {reason}"
        folder = Path(document.file).parent
        for other in (Path(self._playbook.document.file).parent, self._root):
            if (other / file).is_file():
                near = path_from(other / file, folder)
                return f"there is no file `{file}` beside this one; did you mean `{near}`?"
        names: Iterable[str] = ()
        with suppress(OSError):
            names = sorted(each.name for each in (folder / file).parent.iterdir())
        near = did_you_mean(file, (Path(file).with_name(name).as_posix() for name in names))
        return f"there is no file `{file}`{near or '; the path is relative to this file'}"


GIT = ".git"
"""The folder by which the root of a repository is recognized. It may hold credentials."""

_OUTSIDE = (
    f"includes stay below the folder with `{GIT}`, or without one that of the playbook; copy the "
    "file into it"
)


def _require_no_cycle(chain: Mapping[Path, str], path: Path, name: str) -> None:
    """Refuse a file that includes itself, and too many levels.

    Raises:
        InputError: The file is in the chain, or the chain is too long.
    """
    if path in chain:
        names = [*chain.values()][[*chain].index(path) :]
        shown = " → ".join(f"`{each}`" for each in (*names, name))
        raise InputError(f"this file would include itself: {shown}; remove one of the includes")
    if len(chain) > input_limits.INCLUDE_DEPTH.value:
        raise InputError(f"the chain of includes {input_limits.INCLUDE_DEPTH.error}")


def _problems_of_use(part: PlaybookPart, include: Include, document: Document) -> Iterator[Problem]:
    """Yield what is wrong with the place in which a file is included, and with what it is given."""
    for name in include.variables:
        if name not in part.declarations:
            near = did_you_mean(name, part.declarations)
            remedy = near or f"; declare it there: `vars: {{{name}: {{required: true}}}}`"
            message = f"`{include.file}` has no variable `{name}`{remedy}"
            path = (*include.path, VARS, name)
            yield document.problem(message, "undefined-variable", path, at_key=True)
    if part.is_final and part.expectations:
        message = (
            f"`{include.file}` has `{EXPECT}`, which is checked before `{FINALLY}`; include it in "
            f"`actions`, or leave `{EXPECT}` out"
        )
        yield document.problem(message, INCLUDE, (*include.path, INCLUDE))


def validate(  # noqa: PLR0913 -- the options of `validate`, by name
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
        playbook: What `load_playbook` returned.
        variables: Name to value; they override the playbook's `vars`.
        binding_only: Whether what the Functions output binding does not have is a problem.
        allowed_environment: The names of secrets that `${env.NAME}` may read nevertheless.
        environment: The names of the environment variables that are set, or None if unknown.
        root: The folder below which all files of the playbook must be, or None.
    """
    make_scope = partial(
        scope_of, variables=variables, environment=None, allowed=allowed_environment, root=root
    )
    make_own = partial(make_scope, playbook, connections=(DEFAULT_CONNECTION,))
    playbook = fill_in_names(playbook, make_own)
    scope = make_scope(playbook, connections=connections_of(playbook))
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
        expectations += (replace(each, tags=each.tags | part.tags) for each in of_part.expectations)
        if len(expectations) > input_limits.EXPECTATIONS.value:
            message = f"the playbook, with what it includes, {input_limits.EXPECTATIONS.error}"
            problems.append(part.document.problem(message, "too-many", (EXPECT,), at_key=True))
            return ExpectationCheck(tuple(limited(problems)), ())
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
        allowed: The names of secrets that `${env.NAME}` may read nevertheless.
        root: The folder below which all files of the playbook must be, or None.
    """
    is_run = environment is not None
    scope = VariableScope(
        _resolve(playbook.parts[0], variables, NO_VALUES, is_run=is_run),
        environment,
        files_of(playbook.document, root),
        connections=connections,
        keys=keys,
        allowed=allowed,
    )
    scopes: dict[object, VariableScope] = {}
    files = {playbook.document: scope.inputs}
    for part in playbook.parts[1:]:
        given = NO_VALUES
        if part.parent and part.include:
            outer = scopes.get(part.parent, scope)
            given = included_values(part.parent.document, part.include, outer)
        resolved = _resolve(part, variables, given, is_run=is_run)
        if part.document not in files:
            files[part.document] = files_of(part.document, root)
        scopes[part] = scope.of_part(resolved, files[part.document])
    return scope.with_parts(scopes) if scopes else scope


def _resolve(
    part: PlaybookPart,
    variables: Mapping[str, VariableValue],
    given: IncludedValues,
    *,
    is_run: bool,
) -> Variables:
    """Return the variables of a part: its own values, those given to it, and the overrides."""
    document, declarations = part.document, part.declarations
    own = {name: value for name, value in part.variables.items() if name not in given.unknown}
    resolved = resolve_variables(document, own, declarations, {**given.values, **variables})
    missing: Iterable[Problem] = ()
    if is_run or part.include:
        entry = (part.parent.document, part.include.path) if part.parent and part.include else None
        known = resolved._replace(wrong=resolved.wrong | given.unknown)
        missing = missing_problems(document, declarations, known, used_in(part), entry)
        if not is_run:  # a run may have it from the command line
            missing = (problem._replace(severity=Severity.WARNING) for problem in missing)
    return resolved._replace(problems=(*given.problems, *resolved.problems, *missing))


def fill_in_names(playbook: Playbook, make_scope: Callable[[], VariableScope]) -> Playbook:
    """Return a playbook with the variables in its `hub` and `connection` filled in.

    One whose value is not known yet is left out, and so is a wrong one, which is a problem then.
    The message does not contain the value: somebody may have given the connection string itself.

    Args:
        playbook: The playbook.
        make_scope: Makes what `${…}` can name in it, which is needed only if there are variables.
    """
    if "${" not in f"{playbook.hub}{playbook.connection}":
        return playbook
    scope = make_scope()
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
    is_key = option is CONNECTION and is_like_key(name)
    if is_key or is_secret_value(name) or scope.secrets.occur_in(name):
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


def files_of(document: Document, root: Path | None = None) -> Files:
    """Return the reader of the files that a playbook names, relative to its folder."""
    return Files(Path(document.file).parent, root)
