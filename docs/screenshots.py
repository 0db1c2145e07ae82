"""Draws the pictures in docs/pictures/ from real runs, or checks that they are still true.

`python docs/screenshots.py` draws them; with `--check` it runs everything again and exits 1 when
what is shown has changed, times and the order of concurrent actions aside. It needs wps-run with
its `test` extra, and pseudo-terminals, which Windows has not.

A picture of the terminal is an SVG: its words are words, so they can be read aloud, searched and
compared. A further kind of picture is another class with `draw` and `told`, listed in `PICTURES`.
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
from typing import Any, Protocol
from xml.etree import ElementTree as ET

pyte: Any = import_module("pyte")

DOCS = Path(__file__).parent
PICTURES_FOLDER = DOCS / "pictures"
SCRIPT = Path(sys.executable).parent / "wps-run"
SVG = "{http://www.w3.org/2000/svg}"


class Picture(Protocol):
    """A picture that can be made again."""

    @property
    def file(self) -> str:
        """Its name in docs/pictures/."""
        ...

    def draw(self) -> bytes:
        """Make it, from a real run."""
        ...

    def told(self, drawn: bytes) -> list[str]:
        """What it says, without what differs from run to run."""
        ...


@dataclass(frozen=True, slots=True)
class Shot:
    """A picture of a terminal in which one command has run.

    Attributes:
        file: Its name.
        words: What is typed after `wps-run`.
        columns: How wide the terminal is.
        files: Files that are there, besides those of playbooks/: name to content.
        until: The picture is taken when the screen has this; at the end unless given.
        rows: The most rows that are shown, the last ones; None for all.
    """

    file: str
    words: tuple[str, ...]
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
        return _svg(f"wps-run {' '.join(self.words)}", _rows(screen, self.rows)).encode()

    def told(self, drawn: bytes) -> list[str]:
        """Its lines without times, in a fixed order; of a run under way, the line's words."""
        rows = ET.fromstring(drawn).iter(f"{SVG}g")  # noqa: S314 -- a file of this project
        lines = ["".join(row.itertext()).replace(HARD, " ").rstrip() for row in rows]
        if self.until:
            return [lines[0], re.sub(r"[0-9]+(\.[0-9]+)?|[=]", "", lines[-1])]
        return sorted(re.sub(r" +[0-9.]+ (ms|s)\b", " TIME", line) for line in lines)


def _screen(shot: Shot, folder: Path) -> Any:  # noqa: ANN401 -- pyte has no types
    """The screen of a terminal in which the command has run."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 60, shot.columns, 0, 0))
    kept = ("PATH", "HOME", "LANG", "LC_ALL")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    process = subprocess.Popen(
        [SCRIPT, *shot.words],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=folder,
        env={**environment, "TERM": "xterm-256color"},
        start_new_session=True,
    )
    os.close(theirs)
    screen = pyte.Screen(shot.columns, 60)
    stream = pyte.ByteStream(screen)
    for piece in _pieces(ours):
        stream.feed(piece)
        if shot.until and re.search(shot.until, "\n".join(screen.display)):
            break
    process.kill()
    process.wait()
    os.close(ours)
    return screen


def _pieces(terminal: int) -> Iterator[bytes]:
    """What comes out of a terminal, until its command has ended."""
    while select.select([terminal], [], [], 60)[0]:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # Linux: an error takes the place of the end
            return
        if not piece:
            return
        yield piece


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbouring cells that look the same: where they begin, how many, and how they look."""

    column: int
    cells: int
    text: str
    colour: str
    bold: bool


def _rows(screen: Any, most: int | None) -> list[list[Run]]:  # noqa: ANN401 -- pyte has no types
    """The rows of a screen that are not blank at its end."""
    rows = [_runs(screen.buffer[row], screen.columns) for row in range(screen.lines)]
    while rows and not rows[-1]:
        rows.pop()
    return rows[-most:] if most else rows


def _runs(row: Any, columns: int) -> list[Run]:  # noqa: ANN401 -- pyte has no types
    cells = [row[column] for column in range(columns)]
    runs = []
    for look, group in groupby(range(columns), lambda at: (cells[at].fg, cells[at].bold)):
        places = list(group)
        text = "".join(cells[at].data for at in places)
        if text.strip():
            last = max(at for at in places if cells[at].data != " ")  # "" behind a wide one
            runs.append(Run(places[0], last + 1 - places[0], text.rstrip(), *look))
    return runs


# Colours of a dark terminal, each with a contrast of at least 7 to 1 on its background.
COLOURS = {
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
HARD = "\N{NO-BREAK SPACE}"
"""Blanks that every reader of SVG keeps."""


def _svg(command: str, rows: list[list[Run]]) -> str:
    """A window with the command and what it printed. Every text is as wide as its cells."""
    prompt = [
        Run(0, 1, "$", "green", bold=True),
        Run(2, len(command), command, "default", bold=True),
    ]
    rows = [prompt, *rows]
    widest = max((run.column + run.cells for row in rows for run in row), default=0)
    width, height = round(widest * CELL + 2 * EDGE), TOP + len(rows) * LINE + EDGE // 2
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    words = f'role="img" aria-label="{escape(command)} in a terminal"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {words} font-size="14" {FONT}>',
        f'<rect width="{width}" height="{height}" rx="8" fill="{BACKGROUND}"/>',
        *(
            f'<circle cx="{EDGE + 6 + 20 * place}" cy="18" r="6" fill="{colour}"/>'
            for place, colour in enumerate(("#ff5f57", "#febc2e", "#28c840"))
        ),
    ]
    for number, row in enumerate(rows):
        lines.append(f"<g>{''.join(_texts(row, TOP + number * LINE + 14))}</g>")
    return "\n".join([*lines, "</svg>", ""])


def _texts(row: list[Run], baseline: int) -> Iterator[str]:
    """The texts of a row; the blanks between them are written, so that it reads as a line."""
    at = 0
    for run in row:
        gap = " " * (run.column - at)
        at = run.column + run.cells
        bold = ' font-weight="bold"' if run.bold else ""
        yield (
            f'<text x="{EDGE + (run.column - len(gap)) * CELL:.1f}" y="{baseline}" '
            f'textLength="{(len(gap) + run.cells) * CELL:.1f}" '
            f'fill="{COLOURS.get(run.colour, COLOURS["default"])}"{bold}>'
            f"{escape(gap + run.text, quote=False).replace(' ', HARD)}</text>"
        )


LEAVERS = """\
hub: chat
onError: continue
actions:
  - name: Cut off who disturbs
    actionName: closeClientConnection
    connectionId: wall-display
    reason: Spam
  - name: It is gone by now
    actionName: addConnectionToGroup
    connectionId: wall-display
    group: launch-red
  - actionName: sendToGroup
    group: launch-red
    data: The show goes on
"""
MISSPELT = """\
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

PICTURES: tuple[Picture, ...] = (
    Shot("rehearsal.svg", ("--local", "playbooks/group-setup.yaml"), columns=146),
    Shot("failure.svg", ("--local", "leavers.yaml"), columns=126, files={"leavers.yaml": LEAVERS}),
    Shot("validate.svg", ("validate", "rooms.yaml"), files={"rooms.yaml": MISSPELT}),
    Shot(
        "progress.svg",
        ("--local", "many.yaml"),
        columns=112,
        files={"many.yaml": MANY},
        until=r"[45][0-9] %.* in flight .* left",
        rows=8,
    ),
)


def main(words: list[str]) -> int:
    """Draw or check the pictures; those named, or all."""
    check = "--check" in words
    named = {word for word in words if word != "--check"}
    changed = []
    for picture in PICTURES:
        if named and picture.file not in named:
            continue
        path = PICTURES_FOLDER / picture.file
        drawn = picture.draw()
        if check and (not path.exists() or picture.told(drawn) != picture.told(path.read_bytes())):
            changed.append(picture.file)
        elif not check:
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(drawn)
    for file in changed:
        print(
            f"docs/pictures/{file} no longer shows what happens: python docs/screenshots.py {file}"
        )
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
