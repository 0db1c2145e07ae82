"""`--ca-bundle`: certificates besides the system's."""

import ssl
from pathlib import Path
from typing import Any

import pytest

from wps_run.actions.request import Request
from wps_run.connect.client import Client, load_ca_bundle
from wps_run.connect.endpoint import Endpoint
from wps_run.connect.reply import NoReply, Reply
from wps_run.problems import SettingsError

JOIN = Request("PUT", "/api/hubs/chat/users/ada/groups/red")


async def test_a_bundle_adds_to_what_is_trusted(tls_server: Any, certificate: Path) -> None:
    """Refused without it, let through with it; the name is still checked."""
    named = Endpoint(f"https://localhost:{tls_server.port}", "k" * 44)
    outcomes = []
    for endpoint, tls in (
        (named, None),
        (named, load_ca_bundle(str(certificate))),
        (tls_server.endpoint, load_ca_bundle(str(certificate))),
    ):
        async with Client(endpoint, concurrency=1, tls=tls) as client:
            outcomes.append((await client.send(JOIN, timeout=10, request_id="a"))[0])

    assert outcomes[1] == Reply(200)
    for refused in (outcomes[0], outcomes[2]):
        assert isinstance(refused, NoReply)
        assert (refused.sent, refused.code) == (False, "tls")


def test_the_systems_own_certificates_stay_trusted(certificate: Path) -> None:
    """One more than without the file."""
    own = ssl.create_default_context().cert_store_stats()["x509"]

    assert load_ca_bundle(str(certificate)).cert_store_stats()["x509"] == own + 1


@pytest.mark.parametrize("content", [b"", b"\x30\x82\x01", b"-----BEGIN CERTIFICATE-----\nx\n"])
def test_a_file_without_a_certificate_is_refused(tmp_path: Path, content: bytes) -> None:
    """The message names the file and the form."""
    file = tmp_path / "ca.pem"
    file.write_bytes(content)

    with pytest.raises(SettingsError, match=r"ca\.pem` contains no certificate in PEM form"):
        load_ca_bundle(str(file))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """With the system's reason."""
    with pytest.raises(SettingsError, match=r"cannot read the CA bundle .*No such file"):
        load_ca_bundle(str(tmp_path / "none.pem"))
