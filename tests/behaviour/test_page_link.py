"""The link to the live page, as `wps-run serve` prints it."""

import re
import subprocess
import urllib.error
import urllib.request
from http.client import HTTPResponse
from pathlib import Path

import pytest


def get(url: str, cookie: str = "") -> HTTPResponse:
    """What an address answers; the caller closes it."""
    request = urllib.request.Request(url, headers={"Cookie": cookie})  # noqa: S310 - http, here
    answer = urllib.request.urlopen(request, timeout=10)  # noqa: S310 - http, here
    assert isinstance(answer, HTTPResponse)
    return answer


def test_the_link_is_on_stderr_and_opens_once(script: Path) -> None:
    """Stdout is for the connection string alone; whoever has no session is told how to get one."""
    with subprocess.Popen(
        [script, "serve", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as child:
        assert child.stderr is not None
        assert child.stdout is not None
        told = child.stderr.readline()
        found = re.fullmatch(
            r"wps-run: dashboard at (http://127.0.0.1:\d+/)\?key=([\w-]+) \(opens once\)\n", told
        )
        assert found is not None
        with get(f"{found[1]}?key={found[2]}") as answer:
            cookie = answer.headers["Set-Cookie"].partition(";")[0]
        for address in (found[1], f"{found[1]}?key={found[2]}", f"{found[1]}_local/state"):
            with pytest.raises(urllib.error.HTTPError) as refused:
                get(address)
            assert refused.value.code == 401
            refused.value.close()
        with get(found[1], cookie) as page, get(f"{found[1]}_local/state", cookie) as state:
            assert (page.status, state.read()) == (200, b'{"hubs":{}}')
        child.terminate()
        rest = child.stdout.read() + child.stderr.read()
    assert found[2] not in rest
    assert child.returncode == 0
