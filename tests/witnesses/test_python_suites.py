"""Run the unchanged test suites in the sdists of the official Python SDKs.

The wheels do not contain them, so pip downloads the sdists. If it cannot, the tests are skipped,
except in the gate, which sets WPS_RUN_WITNESSES=required.
"""

import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree as ET

import pytest

SERVICE, CLIENT = "azure-messaging-webpubsubservice", "azure-messaging-webpubsubclient"
PINNED = {SERVICE: "1.3.0", CLIENT: "1.1.0"}
STANDIN = Path(__file__).parent / "standin"


class Part(NamedTuple):
    """The part of a suite that one process runs.

    Attributes:
        package: The package of the suite.
        files: The part's test files, by pattern.
        tests: The number of tests in them.
    """

    package: str
    files: str
    tests: int


PARTS = {
    "service": Part(SERVICE, "test_*.py", 74),
    "client, a half": Part(CLIENT, "test_s*[!c].py", 9),
    "client, the other": Part(CLIENT, "test_[!s]*[!c].py", 30),
    "asynchronous client, a half": Part(CLIENT, "test_s*_async.py", 9),
    "asynchronous client, the other": Part(CLIENT, "test_[!s]*_async.py", 4),
}

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both sdists, unpacked."""
    folder = tmp_path_factory.mktemp("sdists")
    pinned = [f"{name}=={version}" for name, version in PINNED.items()]
    options = ["--no-deps", "--no-binary", ":all:", "--quiet", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder), *pinned]
    download = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    if download.returncode:
        reason = f"pip cannot download the sdists: {download.stderr.strip()[-300:]}"
        assert os.environ.get("WPS_RUN_WITNESSES") != "required", reason
        pytest.skip(reason)
    for archive in folder.glob("*.tar.gz"):
        with tarfile.open(archive) as file:
            file.extractall(folder, filter="data")
    return folder


class Run(NamedTuple):
    """A process that runs a part.

    Attributes:
        process: The process; its standard output is that of pytest.
        report: The JUnit file.
    """

    process: subprocess.Popen[str]
    report: Path


@pytest.fixture(scope="module")
def runs(
    sources: Path, served: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, Run]]:
    """All parts in parallel: they sleep most of the time."""
    environment = {
        **served.environment,
        "PYTHONPATH": str(STANDIN),
        "WEBPUBSUB_ENDPOINT": served.endpoint,
        "WEBPUBSUB_REVERSE_PROXY_ENDPOINT": served.endpoint,
        "WEBPUBSUB_CONNECTION_STRING": served.connection_string,
        "WEBPUBSUBCLIENT_CONNECTION_STRING": served.connection_string,
    }
    folder = tmp_path_factory.mktemp("reports")
    settings = folder / "pytest.ini"
    settings.write_text(SETTINGS, "utf-8")
    with ExitStack() as stack:
        runs = {}
        for name, part in PARTS.items():
            (tests,) = sources.glob(f"{part.package.replace('-', '?')}-*/tests")
            report = folder / f"{name}.xml"
            options = ["-c", str(settings), "--rootdir", str(tests), "--junit-xml", str(report)]
            files = sorted(map(str, tests.glob(part.files)))
            process = subprocess.Popen(
                [sys.executable, "-m", "pytest", *options, *files],
                cwd=tests,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            runs[name] = Run(stack.enter_context(process), report)
        yield runs
        for run in runs.values():
            run.process.kill()  # only one that hangs is still running


SETTINGS = """\
[pytest]
asyncio_mode = auto
addopts = -q -p no:cacheprovider
asyncio_default_fixture_loop_scope = function
markers = live_test_only: runs only where a service is
"""


@pytest.mark.parametrize("name", PARTS)
def test_a_suite_passes_unchanged(runs: Mapping[str, Run], name: str) -> None:
    """Every test runs, and passes."""
    process, report = runs[name]
    output, _ = process.communicate(timeout=180)

    assert process.returncode == 0, output
    root = ET.parse(report).getroot()  # noqa: S314 - it is from our own child process
    (suite,) = root.iter("testsuite")
    counted = [int(suite.attrib[key]) for key in ("tests", "failures", "errors", "skipped")]
    assert counted == [PARTS[name].tests, 0, 0, 0]
