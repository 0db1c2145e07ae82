"""The link to the dashboard that `wps-run serve` prints."""

import re
import subprocess
import urllib.error
import urllib.request
from http.client import HTTPResponse
from pathlib import Path

import pytest


def get(url: str, cookie: str = "") -> HTTPResponse:
    """Open an address; the caller closes the response."""
    request = urllib.request.Request(url, headers={"Cookie": cookie})  # noqa: S310 - http, here
    response = urllib.request.urlopen(request, timeout=10)  # noqa: S310 - http, here
    assert isinstance(response, HTTPResponse)
    return response


def test_link_is_on_stderr_and_opens_once(script: Path) -> None:
    """Stdout has only the connection string; without a session the status is 401."""
    with subprocess.Popen(
        [script, "serve", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as child:
        assert child.stderr is not None
        assert child.stdout is not None
        line = child.stderr.readline()
        match = re.fullmatch(
            r"note: dashboard at (http://127.0.0.1:\d+/)\?key=([\w-]+) \(opens once\)\n", line
        )
        assert match is not None
        with get(f"{match[1]}?key={match[2]}") as response:
            cookie = response.headers["Set-Cookie"].partition(";")[0]
        for address in (match[1], f"{match[1]}?key={match[2]}", f"{match[1]}_local/state"):
            with pytest.raises(urllib.error.HTTPError) as refused:
                get(address)
            assert refused.value.code == 401
            refused.value.close()
        with get(match[1], cookie) as page, get(f"{match[1]}_local/state", cookie) as state:
            assert (page.status, state.read()) == (200, b'{"hubs":{}}')
        child.terminate()
        rest = child.stdout.read() + child.stderr.read()
    assert match[2] not in rest
    assert child.returncode == 0
