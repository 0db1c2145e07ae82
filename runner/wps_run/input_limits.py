"""The limits of all inputs. A limit is checked before an input is read, or before it grows."""

from typing import NamedTuple

MIB = 1024 * 1024


class Limit(NamedTuple):
    """The largest size of one input.

    Attributes:
        name: The input, as messages and the documentation name it.
        value: The limit.
        unit: What is counted; `bytes` in files, `characters` in texts.
        remedy: What to do when the input is larger.
    """

    name: str
    value: int
    unit: str
    remedy: str

    @property
    def shown(self) -> str:
        """The value with its unit, for readers."""
        if self.unit == "bytes" and self.value % MIB == 0:
            return f"{self.value // MIB:,} MiB"
        return f"{self.value:,} {self.unit}"

    @property
    def error(self) -> str:
        """What is wrong with a larger input, as the predicate of a sentence, and what to do."""
        return f"has more than {self.shown}; {self.remedy}"


_SPLIT = "split it into several files, or put rows into CSV or NDJSON files"

PLAYBOOK = Limit("a playbook or bare batch, also on standard input", 16 * MIB, "bytes", _SPLIT)
PLAYBOOKS = Limit(
    "all playbooks of a run together", 64 * MIB, "bytes", "run them in several commands"
)
WORK = Limit(
    "actions, mappings and texts of a run in Python, as JSON",
    64 * MIB,
    "bytes",
    "divide them among several runs, or put rows into CSV or NDJSON files",
)
PLAYBOOK_FILES = Limit(
    "playbooks of one command, named or found in folders",
    10_000,
    "files",
    "name fewer files or smaller folders",
)
INCLUDE_DEPTH = Limit(
    "files that include each other, one below the other",
    20,
    "levels",
    "include fewer in each other",
)
FOLDER_ENTRIES = Limit(
    "files and folders in a folder that `validate` searches",
    1_000_000,
    "entries",
    "name smaller folders",
)
VARIABLES = Limit("a file of variables", 1 * MIB, "bytes", "put rows into files of `forEach`")
CONFIGURATION = Limit(
    "a configuration file, `wps-run.yaml`", 1 * MIB, "bytes", "put rows into files of `forEach`"
)
ENVIRONMENTS = Limit(
    "`environments` of a configuration file",
    100,
    "environments",
    "put others into a file of their own, and name it with --config",
)
SETTINGS = Limit("a file of settings", 1 * MIB, "bytes", "is it a `local.settings.json`?")
SEED = Limit("a seed of the emulator", 16 * MIB, "bytes", "use `count` for similar clients")
CERTIFICATES = Limit(
    "a file of certificates, or of a private key", 4 * MIB, "bytes", "is it a PEM file?"
)
VARIABLE_COUNT = Limit(
    "`vars`, and a file of variables", 10_000, "variables", "put rows into files of `forEach`"
)
VARIABLE_VALUE = Limit("the value of `--var`", 1 * MIB, "characters", "use `dataFile`")
DATA = Limit("a message, in `data` or in a `dataFile`", 1 * MIB, "bytes", "send several messages")
ROWS_DOCUMENT = Limit(
    "a JSON or YAML file of rows", 16 * MIB, "bytes", "use CSV or NDJSON, which are streamed"
)
ROWS_STREAM = Limit(
    "a CSV or NDJSON file of rows", 4096 * MIB, "bytes", "split it into several files"
)
LINE = Limit(
    "a line of a file of rows, and a record of a CSV file",
    8 * MIB,
    "bytes",
    "put long messages into files and use `dataFile`",
)
COLUMNS = Limit("columns of a CSV file", 10_000, "columns", "leave out those that are not used")
ACTIONS = Limit(
    "actions of a run, each row counted",
    10_000_000,
    "actions",
    "run them in several commands",
)
MATRIX = Limit(
    "combinations of a `matrix`", 1_000_000, "rows", "put the rows into a CSV or NDJSON file"
)
MATRIX_TEXT = Limit(
    "values of one column of a `matrix` from a file",
    32 * MIB,
    "characters",
    "put the rows into a CSV or NDJSON file",
)
EXPANDED = Limit(
    "a property of an action after `${…}` is filled in",
    2 * MIB,
    "characters",
    "use shorter values or fewer `${…}`",
)
EXPECTATIONS = Limit(
    "entries of `expect`, of all playbooks of a run", 10_000, "entries", "use lists in them"
)
DEPTH = Limit("nested lists and mappings", 64, "levels", "a playbook needs five")
BAD_ROWS = Limit(
    "bad rows of one source that are counted", 1_000, "rows", "correct these and check again"
)
PROBLEMS = Limit(
    "problems of one file that are reported", 500, "problems", "correct these and check again"
)
ALL_PROBLEMS = Limit(
    "problems of one `validate` that are reported",
    5_000,
    "problems",
    "correct these and check again",
)
PROBLEM_MESSAGE = Limit("the message of one problem", 1_000, "characters", "the middle is cut out")
LIVE_PAGE = Limit(
    "a page of the connections in a group, as the service answers",
    4 * MIB,
    "bytes",
    "the service puts 200 connections on one",
)
LIVE_CONNECTIONS = Limit(
    "the connections in a group that is read of the service",
    1_000_000,
    "connections",
    "split it into several groups",
)
EVENT = Limit(
    "the body of an event that `wps-run listen` receives",
    1 * MIB,
    "bytes",
    "the service sends no larger message",
)
EVENT_HEADER = Limit(
    "a header of an event that `wps-run listen` receives",
    64 * 1024,
    "bytes",
    "keep less in the state of a connection",
)
EVENT_ANSWER = Limit(
    "the answer of an event handler to the emulator",
    1 * MIB,
    "bytes",
    "no client may receive a larger message",
)
EVENT_HANDLER_URL = Limit(
    "the URL of an event handler of the emulator", 4096, "characters", "use a shorter one"
)
JOURNAL_LINE = Limit(
    "a line of a journal, or of an approved plan", 16 * MIB, "bytes", "is it a journal?"
)
APPROVED_PLAN = Limit(
    "an approved plan (`run --plan`)", 4096 * MIB, "bytes", "plan fewer steps at once"
)

LIMITS: tuple[Limit, ...] = tuple(value for value in globals().values() if isinstance(value, Limit))
"""All of them, in the order of the documentation."""
