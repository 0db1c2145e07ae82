"""`wps-run serve`: the embedded service on its own, until it is stopped."""

import asyncio
import logging
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from wps_run.checking import read_file
from wps_run.cli.faults import fault_options
from wps_run.document.loader import decode, load
from wps_run.problems import PlaybookError, UsageError, sort_problems

if TYPE_CHECKING:
    from wps_run.emulator.server import Emulator

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
@click.option(
    "--seed",
    metavar="FILE",
    help="Let clients in from the start: a YAML or JSON file, `clients:` with userId, "
    "connectionId, groups, permissions, count.",
)
@fault_options
def command(
    port: int,
    host: str,
    access_key: str | None,
    tls_cert: str | None,
    tls_key: str | None,
    *,
    seed: str | None,
    faults: tuple[str, ...],
    fault_seed: int | None,
    allow_unvalidated_entra_tokens: bool,
    strict_api_version: bool,
) -> None:
    """Run the embedded Web PubSub compatible service until Ctrl-C or SIGTERM.

    The connection string is the first line on stdout; HEAD /api/health answers 200 when ready.
    Nothing is kept on disk. GET /_local/ledger, /_local/state and /_local/faults, and POST
    /_local/reset, tell and change what is going on; they need the access key as bearer token.
    A link on stderr opens, once, a page that shows it live.

    \b
    Example, in two terminals:
      wps-run serve --port 8080
      WebPubSubConnectionString='<its first line>' wps-run playbook.yaml

    \b
    A fault is a kind and, after commas, what narrows it down:
      429 503 ...     answer with this status (408, 429, 500 to 599)
      delay=250ms     answer late
      stall           do not answer until the caller gives up
      reset           reset the connection
      half            answer half and hang up
      before after    before or after the effect  [default: before; half: after]
      retry-after=2   with a status: tell the caller to wait 2 s; retry-after-date=2
                      says it as a date, retry-after-ms=250 in milliseconds
      share=10%       strike that part of the requests, as --fault-seed has it
      count=3         strike at most 3 requests
      every=5         strike each fifth request
      nth=2  nth=2+4  strike only these requests
      on=SendToAll+sendToGroup   strike only these operations of the REST API;
                      an action's name is understood where the operation has it, too
      hub=chat        strike only this hub's
    Requests are counted as they come, for each fault those it is meant for. Delays add up;
    of other faults the first one strikes. Health and /_local/ are never struck.

    \b
    Examples of faults:
      --fault 429,retry-after=2,count=3
      --fault 503,after,share=10%,on=SendToGroup --fault delay=250ms,share=50%
      --fault stall,on=AddUserToGroup,nth=3
    """
    from wps_run.emulator.server import Emulator  # noqa: PLC0415 -- aiohttp comes late

    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(message)s"
    )
    try:
        service = Emulator(
            host=host,
            port=port,
            access_key=access_key,
            tls_cert=tls_cert,
            tls_key=tls_key,
            allow_unvalidated_entra_tokens=allow_unvalidated_entra_tokens,
            strict_api_version=strict_api_version,
            faults=faults,
            fault_seed=fault_seed,
        )
        if seed is not None:
            _seat(service, seed)
        asyncio.run(_serve(service, host))
    except ValueError as error:
        raise UsageError(str(error)) from None
    except OSError as error:
        raise UsageError(f"cannot listen on {host}:{port}: {error.strerror or error}") from None


def _seat(service: "Emulator", file: str) -> None:
    """Let in the clients of a seed; what is wrong with it is told with its place in the file."""
    from wps_run.emulator.seed import EXAMPLE, SeedError  # noqa: PLC0415 -- late, as the service

    text = decode(read_file(file), file)
    if all(line.lstrip()[:1] in {"", "#"} for line in text.splitlines()):
        raise UsageError(f"the seed `{file}` is empty; a seed is written {EXAMPLE}")
    document = load(text, file)
    try:
        service.seed(document.data)
    except SeedError as wrong:
        raise PlaybookError(
            sort_problems(document.problem(one.message, "seed", one.path) for one in wrong.problems)
        ) from None


async def _serve(service: "Emulator", host: str) -> None:
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
        if service.faults.counters:
            seed = service.faults.seed
            click.echo(
                f"wps-run: FAULTS ON DEMAND; --fault-seed {seed} brings them again", err=True
            )
        click.echo(f"wps-run: watch it at {service.dashboard_link()} (opens once)", err=True)
        click.echo(f"wps-run: ready at {service.endpoint.origin}; Ctrl-C stops it", err=True)
        await stopped.wait()
