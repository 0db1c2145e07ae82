"""`wps-run client-url` prints a URL with which a client connects, and prints it nowhere else."""

import asyncio
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import jwt
import pytest

from wps_run.emulator.server import Emulator

Script = Callable[..., subprocess.CompletedProcess[str]]

KEY = "bG9uZy1lbm91Z2gtZm9yLUhTMjU2LW9mLWEtdGVzdA=="
SETTING = {
    "WebPubSubConnectionString": f"Endpoint=https://shop.example;AccessKey={KEY};Version=1.0;"
}
FULL = (
    *("--hub", "chat", "--user", "ada", "--lifetime", "12h"),
    *("--group", "red", "--group", "blue"),
    *("--role", "webpubsub.sendToGroup.red", "--role", "webpubsub.joinLeaveGroup"),
)


def test_stdout_has_only_the_url(wps_run: Script) -> None:
    """Its description is on stderr, without the token."""
    process = wps_run("client-url", *FULL, **SETTING)

    assert process.returncode == 0
    base, _, token = process.stdout.partition("?access_token=")
    assert base == "wss://shop.example/client/hubs/chat"
    assert token.endswith("\n")
    claims = jwt.decode(token.strip(), KEY, ["HS256"], options={"verify_aud": False})
    assert claims.pop("exp") - claims.pop("iat") == 12 * 3600
    assert claims == {
        "aud": "https://shop.example/client/hubs/chat",
        "sub": "ada",
        "role": ["webpubsub.sendToGroup.red", "webpubsub.joinLeaveGroup"],
        "webpubsub.group": ["red", "blue"],
    }
    assert process.stderr == (
        "note: keep this URL secret: for 12 h, anybody who has it can connect to hub chat as ada\n"
    )


def test_hub_and_connection_come_from_the_settings(wps_run: Script, tmp_path: Path) -> None:
    """As for a run."""
    values = {"WebPubSubHub": "news", "OTHER": SETTING["WebPubSubConnectionString"]}
    (tmp_path / "local.settings.json").write_text(json.dumps({"Values": values}))

    process = wps_run("client-url", "--settings", "local.settings.json", "--connection", "OTHER")

    assert process.stdout.startswith("wss://shop.example/client/hubs/news?access_token=ey")
    assert "anonymously" in process.stderr


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (("--hub", "chat", "--role", "sendToGroup"), "did you mean `webpubsub.sendToGroup`?"),
        (("--hub", "chat", "--lifetime", "60"), "write `60m` or `60s`"),
        (("--hub", "1chat"), "the hub's name must begin with a letter"),
        ((), "no hub is named"),
        (("--hub", "chat", "--group", ""), "a group is empty"),
        (("--hub", "chat", "--connection", "NONE"), "setting `NONE` is missing"),
        (("--hub", "chat", "--endpoint", "http://elsewhere"), "plain http is only for"),
    ],
)
def test_error_is_reported_and_no_url_is_printed(
    wps_run: Script, args: tuple[str, ...], message: str
) -> None:
    """Exit code 2, and no secret in the message."""
    process = wps_run("client-url", *args, **SETTING)

    assert (process.returncode, process.stdout) == (2, "")
    assert message in process.stderr
    assert KEY not in process.stderr


IDENTITY = """\
import time
import jwt


class DefaultAzureCredential:
    def __init__(self, **named):
        pass

    def get_token(self, *scopes):
        ends = int(time.time()) + 3600
        return type("Token", (), {"token": jwt.encode(
            {"aud": "https://webpubsub.azure.com", "exp": ends}, "k" * 32), "expires_on": ends})
"""
"""A replacement of azure-identity that needs no network."""


async def run_with_identity(
    script: Path, folder: Path, emulator: Emulator, *args: str
) -> tuple[int, str, str]:
    """Run the command with an identity instead of a key."""
    (folder / "azure" / "identity").mkdir(parents=True)
    (folder / "azure" / "identity" / "__init__.py").write_text(IDENTITY)
    process = await asyncio.create_subprocess_exec(
        script,
        *("client-url", "--hub", "chat", *args),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={
            **os.environ,
            "PYTHONPATH": str(folder),
            "WebPubSubConnectionString": "",
            "WebPubSubConnectionString__serviceUri": emulator.endpoint.origin,
        },
    )
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def test_service_makes_the_token_for_an_identity(script: Path, tmp_path: Path) -> None:
    """With the same user, roles, groups and lifetime."""
    emulator = Emulator(allow_unvalidated_entra_tokens=True)
    await emulator.start()
    code, out, err = await run_with_identity(
        script, tmp_path, emulator, "--user", "ada", "--group", "red", "--lifetime", "30m"
    )
    await emulator.stop()

    assert code == 0, err
    base, _, token = out.partition("?access_token=")
    assert base == f"ws://{emulator.endpoint.host}/client/hubs/chat"
    claims = jwt.decode(token.strip(), options={"verify_signature": False})
    assert claims["sub"] == "ada"
    assert claims["exp"] - claims["iat"] == 1800


async def test_service_makes_the_tokens_of_a_file(script: Path, tmp_path: Path) -> None:
    """A throttled request is sent again; the others do not wait in vain."""
    emulator = Emulator(allow_unvalidated_entra_tokens=True, faults=["429,retry-after=0,count=2"])
    await emulator.start()
    users = [f"user-{number}" for number in range(100)]
    (tmp_path / "users.csv").write_text("\n".join(["userId", *users]))
    args = ("--from", str(tmp_path / "users.csv"), "--user", "${each.userId}", "--out", "-")
    code, out, err = await run_with_identity(script, tmp_path, emulator, *args)
    await emulator.stop()

    assert code == 0, err
    tokens = [line.partition("?access_token=")[2].split(",")[0] for line in out.splitlines()[1:]]
    made = [jwt.decode(token, options={"verify_signature": False})["sub"] for token in tokens]
    assert made == users


async def test_missing_token_is_reported_with_the_message_of_the_service(
    script: Path, tmp_path: Path
) -> None:
    emulator = Emulator(allow_unvalidated_entra_tokens=False)
    await emulator.start()
    code, out, err = await run_with_identity(script, tmp_path, emulator)
    await emulator.stop()

    assert (code, out) == (2, "")
    assert err.startswith("error: cannot read the client token of hub chat: ")
    assert "the token of the identity was refused" in err
    assert "eyJ" not in err
