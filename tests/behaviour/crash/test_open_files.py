"""A run uses no more open files than its process may have: it lowers its concurrency instead."""

import sys
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")

SENDS = """\
hub: chat
actions:
  - {forEach: {file: rows.csv}, actionName: sendToGroup, group: 'g${each.n}', data: hello}
"""
LIMITED = """\
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, ({0}, {1}))
"""
MANY = ("--mode", "concurrent", "--concurrency", "400")


@pytest.mark.parametrize(
    ("limit", "args"),
    [
        (256, ("--journal", "j")),
        (40, ("--journal", "j", "--report", "r.html")),
        (64, ("--no-journal", "--report", "r.json")),
        (256, ("--local",)),
    ],
)
def test_concurrency_is_lowered_to_what_the_limit_of_open_files_allows(
    folder_of: Any, server: Any, limit: int, args: tuple[str, ...]
) -> None:
    """Nothing fails; in a rehearsal, both ends of a connection are in the process."""
    folder = folder_of(playbook=SENDS, rows=500)
    server.pause, server.throttled_share = 0.05, 0.0

    process = folder.run(server, "p.yaml", *MANY, *args, code=LIMITED.format(limit, limit))

    results = folder.results_of(process)
    assert {result["status"] for result in results} == {"ok"}
    assert process.returncode == 0
    (warning,) = process.stderr.splitlines()
    assert "warning: `concurrency` is lowered from 400 to " in warning
    assert f"this process may have {limit}; raise the limit with `ulimit -n " in warning
    if "--local" not in args:
        assert limit / 3 < server.most_open < limit


def test_soft_limit_of_open_files_is_raised(folder_of: Any, server: Any) -> None:
    """That needs no privileges, so there is nothing to warn of."""
    folder = folder_of(playbook=SENDS, rows=500)
    server.pause, server.throttled_share = 0.2, 0.0

    process = folder.run(server, "p.yaml", *MANY, code=LIMITED.format(64, 1000))

    assert process.stderr == ""
    assert {result["status"] for result in folder.results_of(process)} == {"ok"}
    assert server.most_open > 64


def test_connections_of_a_playbook_are_closed_before_the_next(folder_of: Any, server: Any) -> None:
    """Each of two playbooks may have as many as the limit allows."""
    folder = folder_of(playbook=SENDS, rows=120)
    server.pause, server.throttled_share = 0.05, 0.0
    (folder.path / "q.yaml").write_text(SENDS.replace("g${", "h${"))

    process = folder.run(server, "p.yaml", "q.yaml", *MANY, code=LIMITED.format(100, 100))

    assert process.returncode == 0
    assert {result["status"] for result in folder.results_of(process)} == {"ok"}
