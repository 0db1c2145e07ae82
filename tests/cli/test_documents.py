"""The generated parts of docs/ are up to date."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from wps_run.cli.main import COMMANDS, wps_run

MAN = shutil.which("man")


def test_generated_pages_are_up_to_date(project: Path) -> None:
    """`python docs/generate.py` writes them."""
    subprocess.run([sys.executable, project / "docs" / "generate.py", "--check"], check=True)


@pytest.mark.skipif(MAN is None, reason="needs man")
def test_manual_page_has_the_texts_of_the_help(project: Path) -> None:
    """Roff accepts it without a warning, and shows the help of each command."""
    assert MAN is not None
    page = project / "docs" / "man" / "wps-run.1"
    environment = {**os.environ, "MANWIDTH": "10000", "LC_ALL": "C.UTF-8"}

    process = subprocess.run(
        [MAN, "--warnings=w", "--no-hyphenation", "--local-file", page],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert process.stderr == ""
    shown = " ".join(process.stdout.split())
    root = click.Context(wps_run, info_name="wps-run")
    for name in COMMANDS:
        command = wps_run.get_command(root, name)
        assert command is not None
        assert " ".join((command.help or "").replace("\b", "").split()) in shown
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                assert " ".join((parameter.help or "").split()) in shown
