"""The documentation, help texts and messages use plain words in American spelling.

The prose linters on the package index do not serve: one downloads its program when it starts, and
another one reports the typography of Markdown and code. `WORDS` grows with what readers stumble on.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]

WORDS = {
    r"afresh|anew": "again",
    r"albeit|whilst|amongst|hitherto|lest|thereof|whereby|hereby": "although, while, among, …",
    r"all the same": "nevertheless, still",
    r"artefacts?": "artifact",
    r"at the door": "when a client connects",
    r"besides": "also",
    r"breathes?": "pause, yield",
    r"broken off|breaks? off": "end early",
    r"crews?": "scheduler, workers",
    r"goes? on with|gone on with|went on with": "continue",
    r"has the words": "print the command",
    r"hears?|heard": "receive",
    r"kept(?!:)": "stored, saved, remains",
    r"knocks?|knocked": "request",
    r"lets? in": "admit",
    r"speaks?|spoke": "use (a protocol)",
    r"struck(?!:)|strikes?": "affected",
    r"tells?|told": "say, report, show",
    r"upon": "on",
    r"whoever|whomever|whatever became": "a user who, …",
    r"wish|wishes": "want",
    r"\w*(?:organ|recogn|author|serial|initial|optim|minim|maxim|normal|summar|util|general|"
    r"special|synchron|categor|custom)is(?:e[sd]?|ing|ation)": "-ize",
    r"(?:behavi|col|fav|hon|neighb|flav)ours?\w*": "-or",
    r"(?:cancel|label|model|travel|signal)l(?:ed|ing)": "one l",
    r"(?:cent|met|theat)res?": "-er",
    r"catalogues?|licences?|greys?|judgements?|programmes?": "American spelling",
}
"""Words that texts do not use, to what they use instead."""

WORD = re.compile("|".join(rf"\b(?:{words})\b" for words in WORDS), re.IGNORECASE)


def prose(page: Path) -> str:
    """Return a page without code, comments and the targets of links; help texts stay."""
    text = page.read_text("utf-8")
    if page.name != "cli.md":
        text = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]+`|<!--.*?-->|\]\([^)]*\)|https?://\S+", " ", text, flags=re.DOTALL)


def strings(module: Path) -> Iterator[tuple[int, str]]:
    """Yield the texts of a module, with their lines: messages, help and docstrings."""
    for node in ast.walk(ast.parse(module.read_text("utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield node.lineno, re.sub(r"`[^`\n]+`", " ", node.value)


@pytest.mark.parametrize(
    "page",
    [
        page.relative_to(PROJECT).as_posix()
        for page in (*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md"))
        if page.name != "CHANGELOG.md"
    ],
)
def test_pages_use_plain_words(page: str) -> None:
    """The help of commands is the page docs/reference/cli.md."""
    assert WORD.findall(prose(PROJECT / page)) == []


def test_messages_and_docstrings_use_plain_words() -> None:
    """All texts of the package with at least two words, and the text of its pages."""
    package = PROJECT / "runner"
    texts = [
        (f"{module.relative_to(package)}:{line}", text)
        for module in sorted(package.rglob("*.py"))
        for line, text in strings(module)
    ]
    texts += [(page.name, page.read_text("utf-8")) for page in sorted(package.rglob("*.html"))]

    assert [(place, word) for place, text in texts for word in WORD.findall(text)] == []
