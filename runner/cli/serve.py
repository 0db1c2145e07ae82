"""`wps-run serve`: the embedded service on its own, until it is stopped."""

import asyncio
import logging
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from runner.problems import UsageError

if TYPE_CHECKING:
    from runner.service.server import LocalService

DEFAULT_PORT = 8080
LOOPBACK = ("127.0.0.1", "::1", "localhost")


@click.command("serve")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=DEFAULT_PORT,
    show_default=True,
    metavar="N",
    help="The port; 0 picks a free one.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    metavar="ADDRESS",
    help="The address to listen on. Beyond loopback, anybody who has the key can use it.",
)
@click.option(
    "--access-key",
    envvar="WPS_LOCAL_ACCESS_KEY",
    metavar="KEY",
    help="The access key, at least 32 bytes; better given as WPS_LOCAL_ACCESS_KEY, since others "
    "can read a command line.  [default: a new one]",
)
@click.option("--tls-cert", metavar="FILE", help="A certificate (PEM): listen on https.")
@click.option("--tls-key", metavar="FILE", help="The certificate's private key (PEM).")
@click.option(
    "--allow-unvalidated-entra-tokens",
    is_flag=True,
    help="Accept any token that looks like one of Entra ID. For tests only.",
)
@click.option(
    "--strict-api-version",
    is_flag=True,
    help="Refuse a newer api-version with 400, as the service does, instead of warning.",
)
def command(
    port: int,
    host: str,
    access_key: str | None,
    tls_cert: str | None,
    tls_key: str | None,
    *,
    allow_unvalidated_entra_tokens: bool,
    strict_api_version: bool,
) -> None:
    """Run the embedded Web PubSub compatible service until Ctrl-C or SIGTERM.

    The connection string is the first line on stdout; HEAD /api/health answers 200 when ready.
    Nothing is kept on disk.

    \b
    Example, in two terminals:
      wps-run serve --port 8080
      WebPubSubConnectionString='<its first line>' wps-run playbook.yaml
    """
    from runner.service.server import LocalService  # noqa: PLC0415 -- aiohttp comes late

    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(message)s"
    )
    try:
        service = LocalService(
            host=host,
            port=port,
            access_key=access_key,
            tls_cert=tls_cert,
            tls_key=tls_key,
            allow_unvalidated_entra_tokens=allow_unvalidated_entra_tokens,
            strict_api_version=strict_api_version,
        )
        asyncio.run(_serve(service, host))
    except ValueError as error:
        raise UsageError(str(error)) from None
    except OSError as error:
        raise UsageError(f"cannot listen on {host}:{port}: {error.strerror or error}") from None


async def _serve(service: "LocalService", host: str) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):  # Windows: Ctrl-C ends asyncio.run instead
            loop.add_signal_handler(number, stopped.set)
    async with service:
        click.echo(service.connection_string)
        sys.stdout.flush()
        if host not in LOOPBACK:
            click.echo(f"wps-run: LISTENING BEYOND THIS MACHINE, on {host}", err=True)
        click.echo(f"wps-run: ready at {service.endpoint.origin}; Ctrl-C stops it", err=True)
        await stopped.wait()
