"""Run `wps-run serve` over https in a process of its own, for clients of other projects."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme


@dataclass(frozen=True)
class Served:
    """A running `wps-run serve`.

    Attributes:
        connection_string: The first line of its output.
        endpoint: Its URL, which begins with https.
        key: Its access key.
        authority: The file with the certificate of the authority that signed its certificate.
    """

    connection_string: str
    endpoint: str
    key: str
    authority: Path

    @property
    def environment(self) -> Mapping[str, str]:
        """An environment for child processes that trust it and use no proxy."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.lower().endswith("_proxy") and not name.startswith(("PYTEST_", "COV_"))
        }
        files = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
        return {**inherited, **dict.fromkeys(files, str(self.authority))}


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """An emulator on a free port that accepts unvalidated Entra ID tokens."""
    folder = tmp_path_factory.mktemp("served")
    authority, certificate, key = (folder / name for name in ("ca.pem", "cert.pem", "key.pem"))
    issuer = trustme.CA()
    issued = issuer.issue_cert("127.0.0.1", "localhost")
    issuer.cert_pem.write_to_path(authority)
    issued.private_key_pem.write_to_path(key)
    for pem in issued.cert_chain_pems:
        pem.write_to_path(certificate, append=True)
    script = Path(sys.executable).parent / "wps-run"
    options = ["--port", "0", "--tls-cert", str(certificate), "--tls-key", str(key)]
    command = [str(script), "serve", *options, "--allow-unvalidated-entra-tokens"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        connection_string = process.stdout.readline().strip()
        parts = dict(part.partition("=")[::2] for part in connection_string.split(";"))
        yield Served(connection_string, parts["Endpoint"], parts["AccessKey"], authority)
        process.terminate()
        assert process.wait(10) == 0, "the emulator did not stop cleanly"
