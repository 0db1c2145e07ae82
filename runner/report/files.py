"""The formats of report files, by suffix."""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from runner.report.account import Account
from runner.report.junit import junit
from runner.report.markdown import markdown
from runner.report.page import page
from runner.report.records import json, ndjson

FILES: Mapping[str, Callable[[Account], Iterator[str]]] = MappingProxyType(
    {".json": json, ".ndjson": ndjson, ".xml": junit, ".html": page, ".md": markdown}
)
"""Suffix to what gives the file's text, piece by piece. The same account gives the same text."""
