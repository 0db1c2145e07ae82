"""`wps-run client-url --from`: a URL for each row of a file, and tokens nowhere else."""

import csv
import io
import json
import os
import signal
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest

from wps_run.cli.client_urls import ClientFile, ClientUrl, UrlWriter
from wps_run.cli.terminal import exiting_on_signals
from wps_run.connect.client_token import ClientTokenOptions
from wps_run.problems import PlaybookError, UsageError
from wps_run.report_files import write_whole

CommandLine = Callable[..., tuple[int, str, str]]

KEY = "bG9uZy1lbm91Z2gtZm9yLUhTMjU2LW9mLWEtdGVzdA=="
SETTING = f"Endpoint=https://shop.example;AccessKey={KEY};Version=1.0;"
USERS = 'userId,team,note\nada,red,"a ""b"", c"\n日本,blue,\n'
FLAGS = ("--user", "${each.userId}", "--group", "launch-${each.team}")
TOKEN_START = "eyJ"  # noqa: S105 -- how any token begins


@pytest.fixture
def invoke(
    command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> CommandLine:
    """Runs `wps-run client-url` in a folder with a file of users."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WebPubSubConnectionString", SETTING)
    monkeypatch.setenv("WebPubSubHub", "chat")
    (tmp_path / "users.csv").write_text(USERS)
    return lambda *args: command_line("client-url", *args)


def claims_of(url: str) -> dict[str, Any]:
    """Return the claims of the token in a URL, without its times."""
    base, _, token = url.partition("?access_token=")
    assert base == "wss://shop.example/client/hubs/chat"
    claims: dict[str, Any] = jwt.decode(token, KEY, ["HS256"], options={"verify_aud": False})
    del claims["aud"], claims["iat"], claims["exp"]
    return claims


def test_each_row_gets_its_url(invoke: CommandLine, tmp_path: Path) -> None:
    """Also roles have columns; only the user can read the file, and nothing else has a token."""
    role = ("--role", "webpubsub.sendToGroup.launch-${each.team}")

    code, out, err = invoke("--from", "users.csv", *FLAGS, *role, "--out", "urls.csv")

    assert (code, out) == (0, "")
    assert err == (
        "note: `urls.csv` has 2 URLs; keep it secret: for 1 h, anybody who has one can connect to "
        "hub chat\n"
    )
    file = tmp_path / "urls.csv"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    rows = list(csv.DictReader(io.StringIO(file.read_text())))
    assert list(rows[0]) == ["userId", "team", "note", "url", "expires"]
    assert [(row["userId"], row["note"]) for row in rows] == [("ada", 'a "b", c'), ("日本", "")]
    assert [claims_of(row["url"]) for row in rows] == [
        {
            "sub": user,
            "role": [f"webpubsub.sendToGroup.launch-{team}"],
            "webpubsub.group": [f"launch-{team}"],
        }
        for user, team in (("ada", "red"), ("日本", "blue"))
    ]
    token = rows[0]["url"].partition("?access_token=")[2]
    expires = jwt.decode(token, options={"verify_signature": False})["exp"]
    assert rows[0]["expires"] == time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(expires))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["urls.csv", "users.csv"]


@pytest.mark.parametrize("suffix", [".ndjson", ".jsonl", ".json"])
def test_rows_as_json(invoke: CommandLine, tmp_path: Path, suffix: str) -> None:
    invoke("--from", "users.csv", *FLAGS, "--out", f"urls{suffix}")

    text = (tmp_path / f"urls{suffix}").read_text()
    rows = json.loads(text) if suffix == ".json" else [*map(json.loads, text.splitlines())]
    assert [list(row) for row in rows] == [["userId", "team", "note", "url", "expires"]] * 2
    assert claims_of(rows[1]["url"])["sub"] == "日本"


@pytest.mark.parametrize(
    ("name", "text", "user"),
    [
        ("u.ndjson", '{"id": 7}\n{"id": "ada", "team": "red"}\n', "${each.id}"),
        ("u.json", '["7", "ada"]', "${each}"),
        ("u.yaml", "- {id: 7}\n- {id: ada}\n", "${each.id}"),
    ],
)
def test_sources_are_those_of_for_each(
    invoke: CommandLine, tmp_path: Path, name: str, text: str, user: str
) -> None:
    """Values are as in the source; stdout has the format of the source."""
    (tmp_path / name).write_text(text)

    code, out, _ = invoke("--from", name, "--user", user, "--out", "-")

    assert code == 0
    rows = json.loads(out) if name != "u.ndjson" else [*map(json.loads, out.splitlines())]
    assert [claims_of(row["url"])["sub"] for row in rows] == ["7", "ada"]


def test_delimiter_and_encoding_of_the_source(invoke: CommandLine, tmp_path: Path) -> None:
    """The CSV that is written has the same delimiter, and is UTF-8."""
    (tmp_path / "u.csv").write_bytes("userId;team\nzoë;red\n".encode("windows-1252"))
    source = ("--from", "u.csv", "--delimiter", ";", "--encoding", "windows-1252")

    _, out, _ = invoke(*source, *FLAGS, "--out", "-")

    assert out.splitlines()[0] == "userId;team;url;expires"
    assert out.splitlines()[1].startswith("zoë;red;wss://")


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        (
            "userId,team\n,red\nada\nx\tx,red\n",
            [
                "u.csv:2: error: --user is empty (column userId)",
                "u.csv:3: error: the header has 2 cells, this row has 1",
                "u.csv:4: error: --user has a control character",
            ],
        ),
        ("user,team\nada,red\n", ["u.csv:1: error: --user: `${each.userId}` names no column"]),
        ("user,team\n", ["u.csv:1: error: --user: `${each.userId}` names no column"]),
        ("userId,team,url\nada,red,x\n", ["u.csv:1: error: the column `url` is one of those"]),
        ("userId;team\nada;red\n", ["u.csv:1: error:", "add `--delimiter ';'`"]),
        ("userId,team\nzo\xeb,red\n", ["u.csv:2: error:", "add the encoding of the file, such as"]),
        ("", ["u.csv:1: error: the file is empty"]),
    ],
)
def test_all_rows_are_checked_before_anything_is_written(
    invoke: CommandLine, tmp_path: Path, text: str, messages: list[str]
) -> None:
    (tmp_path / "u.csv").write_bytes(text.encode("latin-1"))
    (tmp_path / "urls.csv").write_text("before")

    code, out, err = invoke("--from", "u.csv", *FLAGS, "--out", "urls.csv")

    assert (code, out) == (2, "")
    assert all(message in err for message in messages), err
    assert (tmp_path / "urls.csv").read_text() == "before"
    assert TOKEN_START not in err


def test_first_problems_of_many_rows_are_shown(tmp_path: Path) -> None:
    """Reading ends there, however long the file is."""
    (tmp_path / "u.csv").write_text("userId,team\n" + ",x\n" * 5000)
    options = ClientTokenOptions("${each.userId}")
    file = ClientFile(str(tmp_path / "u.csv"), None, None, options)

    with pytest.raises(PlaybookError) as raised:
        file.check(is_csv=True)

    assert len(raised.value.problems) == 21
    assert raised.value.problems[-1].rule == "more-problems"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--from", "users.csv", *FLAGS), "give --out FILE"),
        (("--from", "none.csv", *FLAGS, "--out", "u.csv"), "--from: there is no file `none.csv`"),
        (("--from", "-", *FLAGS, "--out", "u.csv"), "can be read only once"),
        (("--from", "users.txt", *FLAGS, "--out", "u.csv"), "must end in `.csv`"),
        (("--from", "users.csv", *FLAGS, "--out", "u.xlsx"), "the file must end in `.csv`"),
        (("--from", "users.csv", *FLAGS, "--out", "users.csv"), "would replace the file of --from"),
        (("--from", "users.csv", *FLAGS, "--out", "no/u.csv"), "cannot write `no/u.csv`"),
        (("--from", "users.csv", "--user", "x", "--out", "u.csv"), "all URLs would be the same"),
        (
            ("--from", "users.csv", "--user", "${room}", "--out", "u.csv"),
            "`${room}` names no column",
        ),
        (("--from", "users.csv", "--user", "${each.userId", "--out", "u.csv"), "names no column"),
        (("--user", "${each.userId}"), "add --from FILE and --out FILE"),
        (("--user", "ada", "--out", "u.csv"), "--out is for the rows of a file"),
        (
            (
                "--from",
                "users.csv",
                "--user",
                "${each.userId}",
                "--role",
                "send.${each.team}",
                "--out",
                "u.csv",
            ),
            "users.csv:2: error: --role allows nothing",
        ),
    ],
)
def test_wrong_flags_are_errors(
    invoke: CommandLine, tmp_path: Path, args: tuple[str, ...], message: str
) -> None:
    code, out, err = invoke(*args)

    assert (code, out) == (2, "")
    assert message in err
    assert [file.name for file in tmp_path.iterdir()] == ["users.csv"]


def test_rows_of_csv_have_the_same_columns(invoke: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "u.ndjson").write_text('{"userId": "a"}\n{"userId": "b", "url": "x"}\n')

    code, _, err = invoke("--from", "u.ndjson", "--user", "${each.userId}", "--out", "urls.csv")

    assert code == 2
    assert "u.ndjson:2: error: the row has other columns than the first" in err
    assert "u.ndjson:2: error: the column `url` is one of those that are added" in err


def test_source_that_is_changed_meanwhile_leaves_no_file(tmp_path: Path) -> None:
    """It is read twice."""
    source, out = tmp_path / "u.csv", tmp_path / "urls.csv"
    source.write_text(USERS)
    file = ClientFile(str(source), None, None, ClientTokenOptions("${each.userId}"))
    columns = file.check(is_csv=True)
    source.write_text(f"{USERS}eve,red,\n")
    rows = ((row.cells, ClientUrl("wss://x", "then")) for row in file.rows())

    with pytest.raises(UsageError, match="was changed after its rows were checked"):
        write_whole(out, UrlWriter(".csv").pieces(columns, rows), mode=0o600)

    assert [*tmp_path.iterdir()] == [source]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_leaves_no_part_of_a_file(tmp_path: Path, number: signal.Signals) -> None:
    """It would have tokens."""

    def pieces() -> Iterator[str]:
        yield "a token"
        os.kill(os.getpid(), number)
        yield "another one"

    with pytest.raises(SystemExit) as raised, exiting_on_signals():
        write_whole(tmp_path / "urls.csv", pieces(), mode=0o600)

    assert raised.value.code == 128 + number
    assert [*tmp_path.iterdir()] == []
