"""Tables of the reference that are written by hand have what the package has."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from tests.rest_operations import HUB, OPERATIONS

from wps_run.cli.errors import BUG
from wps_run.connect.reply import NoReplyCode
from wps_run.execution.result import Result, SkipReason
from wps_run.execution.summary import EXIT_FAILED, EXIT_OK, EXIT_UNKNOWN
from wps_run.library.keywords import OPTION_KEYWORDS, OptionKeywords

PROJECT = Path(__file__).parents[1]
REFERENCE = PROJECT / "docs" / "reference"


def first_cells(page: str, heading: str) -> list[str]:
    """Return the first cells of the first table after a heading, without its head."""
    text = (REFERENCE / page).read_text("utf-8").partition(f"{heading}\n")[2]
    rows = re.findall(r"^\| (.*?) \|", text.partition("\n|")[2].partition("\n\n")[0], re.MULTILINE)
    return [row for row in rows if not row.startswith("-")]


def test_the_page_of_records_has_every_key_of_a_result() -> None:
    cells = " ".join(first_cells("records.md", "# Records"))

    assert re.findall(r"`(\w+)`", cells) == list(Result.__struct_encode_fields__)


def test_the_page_of_exit_codes_has_every_exit_code() -> None:
    """Those of signals and of a closed pipe are 128 and the number of the signal."""
    cells = first_cells("exit-codes.md", "## Runs")
    codes = {int(code) for cell in cells for code in re.findall(r"\d+", cell)}

    killed = {137}
    assert codes - killed == {EXIT_OK, EXIT_FAILED, 2, EXIT_UNKNOWN, BUG, 129, 130, 141, 143}


def test_the_keywords_of_options_are_typed() -> None:
    """The page on Python lists those that have a type."""
    assert list(OptionKeywords.__annotations__) == list(OPTION_KEYWORDS)


def operations_in(cells: list[str]) -> Iterator[tuple[str, str]]:
    """Yield method and path: `PUT`, `HEAD /a` are two of one path, `/b` has the last methods."""
    methods: list[str] = []
    for cell in cells:
        is_complete = True
        for span in re.findall(r"`(.*?)`", cell):
            method, _, path = span.rpartition(" ") if "/" in span else (span, "", "")
            if method:
                methods = [method] if is_complete else [*methods, method]
            is_complete = bool(path)
            if path:
                yield from ((method, path) for method in methods)


def test_the_page_of_the_emulator_has_every_operation() -> None:
    documented = sorted(operations_in(first_cells("emulator.md", "## Operations")))

    assert documented == sorted(
        (operation.method, operation.path.removeprefix(HUB)) for operation in OPERATIONS
    )


def test_the_page_of_error_codes_has_exactly_the_codes_of_the_package() -> None:
    """Each code is a heading, so that it has an anchor."""
    text = (REFERENCE / "errors.md").read_text("utf-8")

    assert sorted(re.findall(r"^### `(.*)`$", text, re.MULTILINE)) == sorted(error_codes())


def error_codes() -> set[str]:
    """Return the codes of errors: of two types, and those that are written where an error is."""
    codes = {*get_args(NoReplyCode), *SkipReason}
    for file in (PROJECT / "runner").rglob("*.py"):
        source = file.read_text("utf-8")
        if not re.search(r"ActionError\(|ReadError\(|NOT_MET =", source):
            continue
        for node in ast.walk(ast.parse(source)):
            match node:
                case ast.Call(
                    func=ast.Name("ActionError" | "ReadError"), args=[ast.Constant(str(code)), *_]
                ):
                    codes.add(code)
                case ast.Call(
                    func=ast.Attribute(attr="_error"), args=[_, ast.Constant(str(code)), *_]
                ):
                    codes.add(code)
                case ast.Assign(targets=[ast.Name("NOT_MET")], value=ast.Constant(str(code))):
                    codes.add(code)
                case _:
                    pass
    return codes
