"""Whatever is in a file, the commands end cleanly, with a code that they promise."""

import contextlib
import io
import sys
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from runner.cli.exits import guarded
from runner.cli.main import wps_run

WORDS = st.sampled_from(
    [b"actions:", b"\n  - ", b"actionName: ", b"sendToAll", b"addUserToGroup", b"\n    ",
     b"userId: ", b"group: ", b"data: ", b"forEach: ", b"[", b"]", b"{", b"}", b": ", b", ",
     b"ada", b"${each}", b"${", b"*a", b"&a ", b"<<: ", b"!!binary ", b"'", b'"', b"\n", b"\t",
     b"vars:", b"hub: chat\n", b"\xff", b"\xef\xbb\xbf", b"\x00", b"\xf0\x9f\x98\x80", b"---\n"]
)  # fmt: skip
FILES = st.binary(max_size=60) | st.lists(WORDS, max_size=12).map(b"".join)


def called(*words: str) -> tuple[int, str]:
    """The exit code of a command, and what it said, in this process."""
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.TextIOWrapper(io.BytesIO(), "utf-8")
    before = sys.argv
    sys.argv = ["wps-run", *words]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = guarded(wps_run)
    finally:
        sys.argv = before
    for stream in (out, err):
        stream.seek(0)
    return code, out.read() + err.read()


@given(content=FILES)
def test_validate_ends_cleanly_whatever_a_file_holds(content: bytes) -> None:
    """No traceback, no bug, one of its three exit codes."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "p.yaml")
        file.write_bytes(content)

        code, said = called("validate", str(file))

    assert code in {0, 1, 2}, said
    assert "Traceback" not in said


@settings(max_examples=15)
@given(content=FILES)
def test_a_rehearsal_ends_cleanly_whatever_a_file_holds(content: bytes) -> None:
    """It runs, or says what is wrong before anything runs."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "p.yaml")
        file.write_bytes(content)

        code, said = called("run", "--local", str(file))

    assert code in {0, 1, 2, 3}, said
    assert "Traceback" not in said
