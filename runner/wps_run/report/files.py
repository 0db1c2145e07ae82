"""The formats of report files, by suffix."""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from wps_run.report.account import Account
from wps_run.report.junit import junit
from wps_run.report.markdown import markdown
from wps_run.report.page import page
from wps_run.report.records import json, ndjson

FILES: Mapping[str, Callable[[Account], Iterator[str]]] = MappingProxyType(
    {".json": json, ".ndjson": ndjson, ".xml": junit, ".html": page, ".md": markdown}
)
"""Suffix to what gives the file's text, piece by piece. The same account gives the same text."""
