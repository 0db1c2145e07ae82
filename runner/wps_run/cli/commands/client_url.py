"""`wps-run client-url`: print a URL with which a WebSocket client connects."""

import asyncio
import time
import uuid
from typing import Any

import click

from wps_run.cli.configuration import configuration_options, configured, override_option
from wps_run.cli.options import (
    gateway_options,
    read_environment,
    service_names,
    settings_options,
)
from wps_run.cli.terminal import show_message
from wps_run.connect.client_token import (
    ClientTokenOptions,
    build_client_url,
    build_token_request,
    parse_lifetime,
    parse_token_response,
    sign_client_token,
)
from wps_run.connect.endpoint import Endpoint
from wps_run.connect.reply import Outcome, Reply
from wps_run.connect.settings import resolve_endpoint, resolve_hub
from wps_run.playbook.options import CONNECTION, HUB
from wps_run.problems import UsageError
from wps_run.report.progress import format_duration
from wps_run.report.values import value_text
from wps_run.text import Label

TIMEOUT = 30.0
"""Seconds for the service to create a token."""


class Lifetime(click.ParamType):  # type: ignore[type-arg]  # click 8.1 has no generics
    """A lifetime such as `60m`, in seconds."""

    name = "lifetime"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return parse_lifetime(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command("client-url")
@configuration_options
@override_option(HUB)
@click.option(
    "--user", metavar="ID", default="", help="Connect as this user.  [default: anonymous]"
)
@click.option(
    "--group",
    "groups",
    metavar="NAME",
    multiple=True,
    help="Add each connection to this group. Repeatable.",
)
@click.option(
    "--role",
    "roles",
    metavar="ROLE",
    multiple=True,
    help="Allow the client webpubsub.sendToGroup or webpubsub.joinLeaveGroup; with `.GROUP` at the "
    "end for one group only. Repeatable.",
)
@click.option(
    "--lifetime",
    type=Lifetime(),
    metavar="TIME",
    default="60m",
    show_default=True,
    help="Let clients connect for this time: 90s, 60m, 12h, 7d; at least 1s. Connections last "
    "longer.",
)
@override_option(CONNECTION)
@settings_options
@gateway_options
def command(
    *, user: str, groups: tuple[str, ...], roles: tuple[str, ...], lifetime: int, **values: Any
) -> int:
    """Print a URL with which a WebSocket client connects.

    The URL is a secret: anybody who has it can connect as this user, with these roles, until it
    expires. It goes to stdout only. With an access key the token is signed locally; with Entra ID
    the service creates it.

    \b
    Examples:
      wps-run client-url --hub chat --user ada --group launch
      websocat "$(wps-run client-url --hub chat --role webpubsub.sendToGroup.launch)"
    """
    values = configured(values)
    environment = read_environment(values["settings"])
    options = ClientTokenOptions(user, roles, groups, lifetime)
    options.validate()
    connection, hub = service_names(values)
    service = resolve_endpoint(connection, environment, values["endpoint"], values["header"])
    hub_name = resolve_hub(hub, environment)
    if service.identity:
        token = asyncio.run(_request_token(service, hub_name, options))
    else:
        token = sign_client_token(service, hub_name, options, time.time())
    click.echo(build_client_url(service, hub_name, token))
    identity = f"as {value_text(user)}" if user else "anonymously"
    show_message(
        Label.NOTE,
        f"keep this URL secret: for {format_duration(lifetime)}, anybody who has it can connect to "
        f"hub {hub_name} {identity}",
    )
    return 0


async def _request_token(endpoint: Endpoint, hub: str, options: ClientTokenOptions) -> str:
    """Request a token from the service.

    Raises:
        UsageError: The service returns no token; the message has its reason.
    """
    from wps_run.connect.client import Client  # noqa: PLC0415 -- only Entra ID needs HTTP

    request = build_token_request(hub, options)
    async with Client(endpoint, concurrency=1) as client:
        outcome, body = await client.send(request, timeout=TIMEOUT, request_id=str(uuid.uuid4()))
    token = parse_token_response(body)
    if token is None:
        raise UsageError(f"{endpoint.host} returned no token: {_reason(outcome)}")
    return token


def _reason(outcome: Outcome) -> str:
    """Return why a response has no token, and what to do."""
    from wps_run.execution.errors import IDENTITY_HINTS, gateway_hint  # noqa: PLC0415 -- only Entra ID needs it

    reason = outcome.message or outcome.code or getattr(outcome, "status", "no token in it")
    if not isinstance(outcome, Reply):
        return str(reason)
    if outcome.is_page:
        reason = f"something between you and the service answered with a page ({reason})"
    hint = gateway_hint(outcome) or IDENTITY_HINTS.get(outcome.status)
    return "; ".join(filter(None, (str(reason), hint)))
