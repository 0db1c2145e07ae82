"""A server that repeats what it receives, and a playbook that reads secrets of the environment."""

import base64
import json
import re
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest
from tests.behaviour.conftest import Script

KEY = "Zq+7/" + "kP3wXy9LmN" * 4
PAYLOAD = "The launch code is 4711-tango, tell nobody"
VARIABLE = "s3cr3t-99"
CELL = "pin-0815"


def encodings(text: str) -> set[str]:
    """The text as it is and as programs usually write it."""
    raw = text.encode()
    standard = base64.b64encode(raw).decode().rstrip("=")
    aligned = {base64.b64encode(b"x" * n + raw).decode()[4:-4] for n in (1, 2)}
    return {
        text,
        quote(text, safe=""),
        json.dumps(text)[1:-1],
        standard,
        standard.replace("+", "-").replace("/", "_"),
        raw.hex(),
        *aligned,
    }


def escaped(text: str) -> str:
    """The text as JSON may have it: each character as an escape."""
    return "".join(f"\\u{ord(character):04x}" for character in text)


ECHOES: dict[str, Callable[[str], str]] = {
    "plain": lambda text: f"invalid: {text}",
    "quoted": lambda text: f'cannot accept "{text}" here',
    "beginning": lambda text: f"unexpected input near {text[: len(text) * 2 // 3]}",
    "end": lambda text: f"unexpected input near {text[len(text) // 3 :]}",
    "percent": lambda text: f"invalid: {quote(text, safe='')}",
    "percent twice": lambda text: f"invalid: {quote(quote(text, safe=''), safe='')}",
    "base64": lambda text: f"invalid: {base64.b64encode(text.encode()).decode()}",
    "base64 of more": lambda text: base64.b64encode(f"x: {text}!".encode()).decode(),
    "base64url": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "hexadecimal": lambda text: f"invalid: {text.encode().hex()}",
    "escapes": lambda text: f"invalid: {escaped(text)}",
    "HTML": lambda text: f"invalid: {''.join(f'&#{ord(one)};' for one in text)}",
    "lines": lambda text: f"invalid:\n{text}\n\x1b[2J{text}",
    "long": lambda text: "x" * 290 + text,
}
"""How a server repeats a text in an error."""


class EchoHandler(BaseHTTPRequestHandler):
    """Repeats a part of each request in each part of its response, in the way the path names."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answer an action; the group in the path has the number of the way, and of the part."""
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        bearer = self.headers["Authorization"]
        match = re.search(r"/groups/g-([0-9]+)/", self.path)
        assert match is not None
        echo = list(ECHOES.values())[int(match[1])]
        texts = [body, bearer.removeprefix("Bearer "), bearer, KEY, VARIABLE, CELL]
        message = " / ".join(echo(text) for text in texts)
        header = quote(message, safe=" :'\"%/+=,!-&#;\\") if "lines" in message else message
        header = " ".join(header.split()).replace("\x1b", "")
        content = json.dumps({"code": header, "message": message}).encode()
        self.wfile.write(
            f"HTTP/1.1 400 {header}\r\nx-ms-error-code: {header}\r\nX-Echo: {header}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n".encode()
            + content
        )

    def log_message(self, *args: object) -> None:
        """Log nothing."""


def test_what_a_server_repeats_is_shown_nowhere(
    wps_run: Script, serve: Callable[[HTTPServer], str], tmp_path: Path
) -> None:
    """Neither key nor token, payload, variable or cell, in no output and no encoding."""
    rows = "".join(f"{number},{CELL}\n" for number in range(len(ECHOES)))
    (tmp_path / "rows.csv").write_text(f"number,pin\n{rows}")
    (tmp_path / "p.yaml").write_text(
        "hub: chat\nonError: continue\nactions:\n"
        "  - forEach: {file: rows.csv}\n    actionName: sendToGroup\n"
        f"    group: g-${{each.number}}\n    data: '{PAYLOAD} ${{secret}} ${{each.pin}}'\n"
    )
    suffixes = ("json", "ndjson", "xml", "html", "md")
    reports = [arg for suffix in suffixes for arg in ("--report", f"r.{suffix}")]
    server = ThreadingHTTPServer(("127.0.0.1", 0), EchoHandler)
    connection = f"Endpoint={serve(server)};AccessKey={KEY};Version=1.0;"
    process = wps_run(
        *("--log-level", "debug", "--var", f"secret={VARIABLE}", "--journal", "j.journal"),
        *reports,
        "p.yaml",
        WebPubSubConnectionString=connection,
        GITHUB_ACTIONS="true",
    )
    again = wps_run("report", "j.journal")
    runs = wps_run("runs")

    assert process.returncode == 1, process.stderr
    shown = [process.stdout, process.stderr, again.stdout, again.stderr, runs.stdout, runs.stderr]
    files = [tmp_path / "j.journal", *(tmp_path / f"r.{suffix}" for suffix in suffixes)]
    shown += [file.read_text() for file in files]
    tokens = set(re.findall(r"eyJ[\w-]*\.[\w-]*\.[\w-]*", "".join(shown)))
    assert tokens == set()
    for text in shown:
        assert "\x1b" not in text
        for secret in (KEY, PAYLOAD, PAYLOAD[:20], PAYLOAD[-20:], VARIABLE, CELL):
            for form in encodings(secret):
                assert form not in text
    assert "x-ms-error-code" in process.stderr
    assert "invalid: …" in process.stdout


def playbook(tmp_path: Path, action: str) -> None:
    (tmp_path / "p.yaml").write_text(
        f"hub: chat\nconnection: Chat\nactions:\n  - actionName: sendToUser\n{action}"
    )


SECRETS = {
    "Chat": "x",
    "GITHUB_TOKEN": "x",
    "ORDINARY": f"Endpoint=https://h;AccessKey={KEY};",
}


@pytest.mark.parametrize("command", ["validate", "plan", "run"])
def test_a_playbook_cannot_read_a_secret_of_the_environment(
    wps_run: Script, tmp_path: Path, command: str
) -> None:
    """By its name, and by its value where this is known; with the place and what allows it."""
    names = [*SECRETS, "NOT_SET_KEY"]
    playbook(tmp_path, f"    userId: ada\n    data: to ${{env.{names[0]}}}\n")
    with (tmp_path / "p.yaml").open("a") as file:
        for name in names[1:]:
            file.write(f"  - {{actionName: sendToUser, userId: ada, data: '${{env.{name}}}'}}\n")

    process = wps_run(command, "p.yaml", **SECRETS)

    shown = process.stdout + process.stderr
    places = [(6, 14), (7, 50), (8, 50), (9, 50)]
    for (line, column), name in zip(places, names, strict=True):
        is_found = name != "ORDINARY" or command != "validate"
        place = f"p.yaml:{line}:{column}: error: the environment variable `{name}`"
        assert (place in shown) is is_found
        assert (f"allow it with `--allow-env {name}`" in shown) is is_found
    assert process.returncode == (1 if command == "validate" else 2)
    assert KEY not in shown


def test_no_part_of_an_action_reads_a_secret(wps_run: Script, tmp_path: Path) -> None:
    """Each place is reported, and none when it is allowed."""
    (tmp_path / "p.yaml").write_text("""actions:
  - {actionName: sendToUser, userId: '${each}', data: x, forEach: [ada, '${env.A_KEY}']}
  - {actionName: sendToUser, userId: '${each}', data: x, forEach: {file: '${env.A_KEY}.csv'}}
  - {actionName: sendToUser, userId: ada, data: x, name: '${env.A_KEY}'}
  - {actionName: sendToUser, userId: ada, dataFile: '${env.A_KEY}'}
  - {actionName: sendToUser, userId: '${env.HOME} ${env.A_KEY}', data: x}
  - {actionName: sendToAll, filter: "userId eq '${env.A_KEY}'", data: x}
""")

    refused = wps_run("validate", "p.yaml")
    allowed = wps_run("validate", "--allow-env", "A_KEY", "p.yaml")

    pattern = r"p\.yaml:([0-9]+):[0-9]+: error: the environment variable `A_KEY` by its name"
    assert re.findall(pattern, refused.stdout) == [str(line) for line in range(2, 8)]
    assert refused.returncode == 1
    assert allowed.returncode == 0, allowed.stdout


def test_a_secret_that_is_allowed_is_sent_and_not_shown(wps_run: Script, tmp_path: Path) -> None:
    """It is masked in the target, path and name, in the simulation and in all reports."""
    code = "invite/code+1"
    playbook(
        tmp_path,
        "    name: to ${env.A_KEY}\n    userId: ${env.A_KEY}\n    data: ${env.Chat}\n"
        "slashInNames: allow\n",
    )
    string = f"Endpoint=https://h;AccessKey={KEY};"
    environment = {"A_KEY": code, "Chat": string, "WPS_RUN_ALLOW_ENV": "A_KEY Chat"}
    files = [tmp_path / f"r.{suffix}" for suffix in ("json", "xml", "html", "md")]
    reports = [arg for file in files for arg in ("--report", file)]
    shown = []
    for args in (
        ("plan", "p.yaml"),
        ("plan", "--format", "ndjson", "p.yaml"),
        ("--local", "--log-level", "debug", "--journal", "j.journal", *reports, "p.yaml"),
    ):
        process = wps_run(*args, **environment)
        assert process.returncode == 0, process.stderr
        shown += [process.stdout, process.stderr]
    shown += [file.read_text() for file in (*files, tmp_path / "j.journal")]

    for text in shown:
        for form in encodings(KEY) | encodings(code):
            assert form not in text
    assert "sendToUser userId=***" in shown[0]
    assert f'"{string.replace(KEY, "***")}"' in shown[4]
    assert '"target":{"userId":"***"}' in shown[-1]


def test_a_cell_cannot_widen_a_filter(wps_run: Script, tmp_path: Path) -> None:
    """It stays one string; outside quotes it is refused, with the place of its row."""
    (tmp_path / "rows.csv").write_text("user\nada\nx' or userId ne 'y\n")
    actions = "hub: chat\nactions:\n  - actionName: sendToAll\n    data: x\n"
    for name, reference in (("quoted", "'${each.user}'"), ("bare", "${each.user}")):
        (tmp_path / f"{name}.yaml").write_text(
            f"{actions}    forEach: {{file: rows.csv}}\n    filter: userId eq {reference}\n"
        )

    planned = wps_run("plan", "--format", "ndjson", "quoted.yaml")
    refused = wps_run("validate", "bare.yaml")

    queries = [json.loads(line)["query"] for line in planned.stdout.splitlines()]
    assert queries[1] == "filter=" + quote("userId eq 'x'' or userId ne ''y'", safe="")
    assert refused.returncode == 1
    assert re.findall(
        r"rows\.csv:([0-9]+): error: filter: `\$\{each\.user\}` is outside quotes", (refused.stdout)
    ) == ["2", "3"]
