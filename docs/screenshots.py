"""Draw the pictures in docs/pictures/ from real runs, or check that they are up to date.

`python docs/screenshots.py` draws them. With `--check` it runs all commands again and exits with 1
if a picture is outdated, apart from times and the order of concurrent actions. It needs wps-run
with its `test` extra, and pseudo-terminals, which Windows does not have.

A picture is an SVG with text, so that screen readers, searches and comparisons work.
"""

import fcntl
import os
import re
import select
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html import escape
from importlib import import_module
from itertools import groupby
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

pyte: Any = import_module("pyte")

DOCS = Path(__file__).parent
PICTURES_FOLDER = DOCS / "pictures"
SCRIPT = Path(sys.executable).parent / "wps-run"
SVG = "{http://www.w3.org/2000/svg}"


@dataclass(frozen=True, slots=True)
class Screenshot:
    """A picture of a terminal in which one command has run.

    Attributes:
        file: Its name in docs/pictures/.
        args: The arguments of `wps-run`.
        columns: The width of the terminal.
        files: Files in the working folder besides playbooks/: name to content.
        until: The pattern on the screen at which the picture is taken; None for the end of the run.
        rows: The number of rows that are shown, the last ones; None for all.
    """

    file: str
    args: tuple[str, ...]
    columns: int = 100
    files: Mapping[str, str] = field(default_factory=dict)
    until: str | None = None
    rows: int | None = None

    def draw(self) -> bytes:
        """Run the command and draw the screen."""
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "playbooks").symlink_to(DOCS.parent / "playbooks")
            for name, content in self.files.items():
                (Path(folder) / name).write_text(content, "utf-8")
            screen = _screen(self, Path(folder))
        return _svg(f"wps-run {' '.join(self.args)}", _rows(screen, self.rows)).encode()

    def stable_lines(self, svg: bytes) -> list[str]:
        """Return the lines of a picture without times, sorted.

        Of a run in progress, return the command and the words of the progress line.
        """
        rows = ET.fromstring(svg).iter(f"{SVG}g")  # noqa: S314 -- a file of this project
        lines = ["".join(row.itertext()).replace(NO_BREAK_SPACE, " ").rstrip() for row in rows]
        if self.until:
            return [lines[0], re.sub(r"[0-9]+(\.[0-9]+)?|[=]", "", lines[-1])]
        return sorted(re.sub(r" +[0-9.]+ (ms|s)\b", " TIME", line) for line in lines)


def _screen(shot: Screenshot, folder: Path) -> Any:  # noqa: ANN401 -- pyte has no types
    """Run the command in a pseudo-terminal and return its screen."""
    controller, terminal = os.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 60, shot.columns, 0, 0))
    inherited = ("PATH", "HOME", "LANG", "LC_ALL")
    environment = {name: os.environ[name] for name in inherited if name in os.environ}
    process = subprocess.Popen(
        [SCRIPT, *shot.args],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        cwd=folder,
        env={**environment, "TERM": "xterm-256color"},
        start_new_session=True,
    )
    os.close(terminal)
    screen = pyte.Screen(shot.columns, 60)
    stream = pyte.ByteStream(screen)
    for chunk in _chunks(controller):
        stream.feed(chunk)
        if shot.until and re.search(shot.until, "\n".join(screen.display)):
            break
    process.kill()
    process.wait()
    os.close(controller)
    return screen


def _chunks(terminal: int) -> Iterator[bytes]:
    """Yield the output of a terminal until its command has ended."""
    while select.select([terminal], [], [], 60)[0]:
        try:
            chunk = os.read(terminal, 65536)
        except OSError:  # Linux reports the end of the output as an error
            return
        if not chunk:
            return
        yield chunk


@dataclass(frozen=True, slots=True)
class Run:
    """Adjacent cells with the same style: the first column, their number, text and style."""

    column: int
    cells: int
    text: str
    color: str
    bold: bool


def _rows(screen: Any, limit: int | None) -> list[list[Run]]:  # noqa: ANN401 -- pyte has no types
    """Return the rows of a screen without the blank ones at its end."""
    rows = [_runs(screen.buffer[row], screen.columns) for row in range(screen.lines)]
    while rows and not rows[-1]:
        rows.pop()
    return rows[-limit:] if limit else rows


def _runs(row: Any, columns: int) -> list[Run]:  # noqa: ANN401 -- pyte has no types
    cells = [row[column] for column in range(columns)]
    runs = []
    for style, group in groupby(range(columns), lambda at: (cells[at].fg, cells[at].bold)):
        positions = list(group)
        text = "".join(cells[at].data for at in positions)
        if text.strip():
            last = max(at for at in positions if cells[at].data != " ")  # "" after a wide one
            runs.append(Run(positions[0], last + 1 - positions[0], text.rstrip(), *style))
    return runs


# Colors of a dark terminal, each with a contrast of at least 7 to 1 on its background.
COLORS = {
    "default": "#e6edf3",
    "green": "#56d364",
    "red": "#ff9b94",
    "brown": "#e3b341",  # what pyte calls yellow
    "cyan": "#76e3ea",
    "magenta": "#d2a8ff",
    "blue": "#9ecbff",
}
BACKGROUND = "#0d1117"
CELL, LINE, EDGE, TOP = 8.4, 19, 16, 40
FONT = 'font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace"'
NO_BREAK_SPACE = "\N{NO-BREAK SPACE}"
"""Readers of SVG do not collapse these."""


def _svg(command: str, rows: list[list[Run]]) -> str:
    """Return a window with the command and its output. Every text is as wide as its cells."""
    prompt = [
        Run(0, 1, "$", "green", bold=True),
        Run(2, len(command), command, "default", bold=True),
    ]
    rows = [prompt, *rows]
    total_columns = max((run.column + run.cells for row in rows for run in row), default=0)
    width, height = round(total_columns * CELL + 2 * EDGE), TOP + len(rows) * LINE + EDGE // 2
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    label = f'role="img" aria-label="{escape(command)} in a terminal"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {label} font-size="14" {FONT}>',
        f'<rect width="{width}" height="{height}" rx="8" fill="{BACKGROUND}"/>',
        *(
            f'<circle cx="{EDGE + 6 + 20 * number}" cy="18" r="6" fill="{color}"/>'
            for number, color in enumerate(("#ff5f57", "#febc2e", "#28c840"))
        ),
    ]
    for number, row in enumerate(rows):
        lines.append(f"<g>{''.join(_texts(row, TOP + number * LINE + 14))}</g>")
    return "\n".join([*lines, "</svg>", ""])


def _texts(row: list[Run], baseline: int) -> Iterator[str]:
    """Yield the texts of a row, with the spaces between them, so that it reads as a line."""
    at = 0
    for run in row:
        gap = " " * (run.column - at)
        at = run.column + run.cells
        bold = ' font-weight="bold"' if run.bold else ""
        yield (
            f'<text x="{EDGE + (run.column - len(gap)) * CELL:.1f}" y="{baseline}" '
            f'textLength="{(len(gap) + run.cells) * CELL:.1f}" '
            f'fill="{COLORS.get(run.color, COLORS["default"])}"{bold}>'
            f"{escape(gap + run.text, quote=False).replace(' ', NO_BREAK_SPACE)}</text>"
        )


FAILURE = """\
hub: chat
onError: continue
actions:
  - name: Close the connection of a spammer
    actionName: closeClientConnection
    connectionId: wall-display
    reason: Spam
  - name: Add it to a group
    actionName: addConnectionToGroup
    connectionId: wall-display
    group: launch-red
  - actionName: sendToGroup
    group: launch-red
    data: The launch continues
"""
INVALID = """\
hub: chat
actions:
  - actionName: addUserToGruop
    userId: ada
    group: launch-red
  - actionName: sendToGroup
    group: launch-red
    data: {text: Welcome}
"""
MANY = f"""\
hub: chat
mode: concurrent
rate: 100
actions:
  - actionName: addUserToGroup
    forEach: [{", ".join(f"user{number}" for number in range(400))}]
    userId: ${{each}}
    group: launch-red
"""

PICTURES = (
    Screenshot("rehearsal.svg", ("--local", "playbooks/group-setup.yaml"), columns=146),
    Screenshot(
        "failure.svg", ("--local", "failure.yaml"), columns=126, files={"failure.yaml": FAILURE}
    ),
    Screenshot("validate.svg", ("validate", "rooms.yaml"), files={"rooms.yaml": INVALID}),
    Screenshot(
        "progress.svg",
        ("--local", "many.yaml"),
        columns=112,
        files={"many.yaml": MANY},
        until=r"[45][0-9] %.* in flight .* left",
        rows=8,
    ),
)


def main(args: list[str]) -> int:
    """Draw or check the pictures that the arguments name, or all; return the exit code."""
    check = "--check" in args
    names = {arg for arg in args if arg != "--check"}
    outdated = []
    for picture in PICTURES:
        if names and picture.file not in names:
            continue
        path = PICTURES_FOLDER / picture.file
        svg = picture.draw()
        if not check:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(svg)
        elif not path.exists() or (
            picture.stable_lines(svg) != picture.stable_lines(path.read_bytes())
        ):
            outdated.append(picture.file)
    for file in outdated:
        print(f"docs/pictures/{file} is outdated; run python docs/screenshots.py {file}")
    return 1 if outdated else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
