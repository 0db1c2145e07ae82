"""`wps-run client-url`: a URL with which a client is let in."""

import asyncio
import time
import uuid
from typing import Any

import click

from wps_run import planning
from wps_run.cli.options import read_environment
from wps_run.connect.client_token import (
    ClientTokenOptions,
    build_client_url,
    build_token_request,
    parse_lifetime,
    parse_token_response,
    sign_client_token,
)
from wps_run.connect.endpoint import Endpoint
from wps_run.connect.settings import resolve_endpoint, resolve_hub
from wps_run.problems import UsageError
from wps_run.report.progress import format_duration
from wps_run.report.values import value_text

TIMEOUT = 30.0
"""Seconds for the service to make a token."""


class Lifetime(click.ParamType):  # type: ignore[type-arg]  # click 8.1 has no generics
    """How long a URL lets clients in."""

    name = "lifetime"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Seconds, or the usual error of click."""
        try:
            return parse_lifetime(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command("client-url")
@click.option("--hub", metavar="NAME", help="The hub.  [default: the setting WebPubSubHub]")
@click.option("--user", metavar="ID", default="", help="Who connects; anonymous unless given.")
@click.option(
    "--group",
    "groups",
    metavar="NAME",
    multiple=True,
    help="A group that each connection is in from the start. May be given again.",
)
@click.option(
    "--role",
    "roles",
    metavar="ROLE",
    multiple=True,
    help="What the client may do itself: webpubsub.sendToGroup, webpubsub.joinLeaveGroup, or one "
    "of them and `.GROUP`. May be given again.",
)
@click.option(
    "--lifetime",
    type=Lifetime(),
    metavar="TIME",
    default="60m",
    show_default=True,
    help="How long it lets clients in: 90s, 60m, 12h, 7d. A connection outlives it.",
)
@click.option(
    "--connection",
    metavar="NAME",
    default=planning.DEFAULT_CONNECTION,
    show_default=True,
    help="The NAME of the setting that holds the connection string.",
)
@click.option(
    "--settings",
    metavar="FILE",
    help="Read settings from a Functions local.settings.json; the environment wins.",
)
@click.option(
    "--endpoint",
    metavar="URL",
    help="Connect to this reverse proxy; the token is still for the service's own endpoint.",
)
def command(
    hub: str | None,
    *,
    user: str,
    groups: tuple[str, ...],
    roles: tuple[str, ...],
    lifetime: int,
    connection: str,
    settings: str | None,
    endpoint: str | None,
) -> int:
    """Print a URL with which a WebSocket client is let in, to stdout and nowhere else.

    It is a secret until it ends: whoever has it connects as this user, with these roles. With
    an access key it is made here; with Entra ID the service is asked for it.

    \b
    Examples:
      wps-run client-url --hub chat --user ada --group launch
      websocat "$(wps-run client-url --hub chat --role webpubsub.sendToGroup.launch)"
    """
    known = read_environment(settings)
    access = ClientTokenOptions(user, roles, groups, lifetime)
    access.validate()
    target = resolve_endpoint(connection, known)
    target = target.behind(endpoint) if endpoint else target
    name = resolve_hub(hub, known)
    if target.identity:
        token = asyncio.run(_asked_for(target, name, access))
    else:
        token = sign_client_token(target, name, access, time.time())
    click.echo(build_client_url(target, name, token))
    click.echo(f"wps-run: {_words(access, name)}", err=True)
    return 0


def _words(access: ClientTokenOptions, hub: str) -> str:
    """What the URL is, for whoever sees it."""
    who = f"as {value_text(access.user)}" if access.user else "without a name"
    return (
        f"for {format_duration(access.lifetime)} this URL lets anybody who has it into hub {hub} "
        f"{who}: treat it as a secret"
    )


async def _asked_for(endpoint: Endpoint, hub: str, access: ClientTokenOptions) -> str:
    """The token that the service makes.

    Raises:
        UsageError: It made none; says why.
    """
    from wps_run.connect.client import Client  # noqa: PLC0415 -- only Entra ID needs HTTP

    request = build_token_request(hub, access)
    async with Client(endpoint, concurrency=1) as client:
        outcome, body = await client.send(request, timeout=TIMEOUT, request_id=str(uuid.uuid4()))
    token = parse_token_response(body)
    if token is None:
        said = outcome.message or outcome.code or getattr(outcome, "status", "no token in it")
        raise UsageError(f"{endpoint.host} made no token: {said}")
    return token
