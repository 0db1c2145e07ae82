"""Problems of playbooks as text, for people and for machines: one module a format."""

import importlib
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from wps_run.problems import Problem

FORMATS: Mapping[str, str] = MappingProxyType(
    {"text": "text", "json": "records", "github": "github", "sarif": "sarif"}
)
"""Format name to its module in this package, which is imported when it is asked for."""


def shown(form: str, problems: Sequence[Problem], files: int) -> str:
    """The problems that were found in so many files, in one of `FORMATS`."""
    module = importlib.import_module(f"{__name__}.{FORMATS[form]}")
    text: str = module.shown(problems, files)
    # A name of a file may hold bytes that are no UTF-8; machines are owed UTF-8 all the same.
    return text.encode(errors="surrogateescape").decode(errors="replace")
