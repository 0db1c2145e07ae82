"""OpenTelemetry's instrumentation makes a span of each request, without secrets."""

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from wps_run import LocalPubSub

PLAYBOOK = """\
hub: chat
onError: continue
actions:
  - {actionName: addUserToGroup, userId: ada, group: launch}
  - {actionName: sendToGroup, group: launch, data: the text of a message}
"""


@pytest.fixture
def playbook(tmp_path: Path) -> Path:
    """A playbook with one action that fails unless ada is connected."""
    file = tmp_path / "playbook.yaml"
    file.write_text(PLAYBOOK)
    return file


@pytest.fixture
def provider() -> Iterator[tuple[TracerProvider, InMemorySpanExporter]]:
    """A provider whose spans are kept in memory, while aiohttp is instrumented for it."""
    provider, exporter = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    instrumentor = AioHttpClientInstrumentor()
    instrumentor.instrument(tracer_provider=provider)
    yield provider, exporter
    instrumentor.uninstrument()
    provider.shutdown()


def sent(spans: tuple[ReadableSpan, ...]) -> list[tuple[str, Any]]:
    """Return the method and the status of each request."""
    return [
        (span.name, span.attributes["http.status_code"])
        for span in spans
        if span.attributes and "http.status_code" in span.attributes
    ]


def test_each_attempt_is_a_span_below_the_current_one(
    provider: tuple[TracerProvider, InMemorySpanExporter],
    wps_local: LocalPubSub,
    playbook: Path,
    run_in_process: Callable[..., tuple[int, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A retry has one of its own. The text of a message, the key and the tokens are in none."""
    tracers, exporter = provider
    monkeypatch.setenv("WebPubSubConnectionString", wps_local.connection_string)
    wps_local.client("ada", hub="chat")
    wps_local.fault("429,retry-after=0,count=1,on=SendToGroup")

    with tracers.get_tracer("test").start_as_current_span("run") as run:
        code, _ = run_in_process(str(playbook), "--no-journal")

    spans = exporter.get_finished_spans()
    assert code == 0
    assert sent(spans) == [("PUT", 200), ("POST", 429), ("POST", 202)]
    assert [request.status for request in wps_local.requests] == [200, 429, 202]
    for span in spans[:-1]:
        assert span.parent
        assert span.parent.span_id == run.get_span_context().span_id
    text = "".join(span.to_json() for span in spans)
    assert not re.search(rf"the text of|Bearer|eyJ|{wps_local.access_key}", text)


def test_the_command_in_the_document_exports_spans(
    project: Path, script: Path, wps_local: LocalPubSub, playbook: Path
) -> None:
    """As they are shown, with the request ID and without a token."""
    page = (project / "docs" / "how-to" / "traces.md").read_text("utf-8")
    (commands,) = re.findall(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (example,) = re.findall(r"^```json\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    install, *others = commands.splitlines()
    assert install.startswith("pip install ")

    process = subprocess.run(
        ["/bin/sh", "-e", "-c", "\n".join(others)],
        cwd=playbook.parent,
        env={
            **os.environ,
            "PATH": f"{script.parent}{os.pathsep}{os.environ['PATH']}",
            "XDG_STATE_HOME": str(playbook.parent),
            "WebPubSubConnectionString": wps_local.connection_string,
        },
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )

    assert process.returncode == 1, process.stderr
    texts = re.findall(r"^{\n.*?^}$", process.stdout, re.MULTILINE | re.DOTALL)
    spans = [json.loads(text) for text in texts]
    assert [span["name"] for span in spans] == ["PUT", "POST"]
    shown, span = json.loads(example), spans[0]
    address = {"server.port": span["attributes"].pop("server.port")}
    assert address["server.port"] == int(wps_local.endpoint.rpartition(":")[2])
    for key in ("url.full", "server.address", "http.request.header.x_ms_client_request_id"):
        assert type(span["attributes"].pop(key)) is type(shown["attributes"].pop(key))
    assert {key: span[key] for key in shown} == shown
    assert not re.search(r"Bearer|eyJ|the text of", process.stdout)
