"""Answer the events of the service from the `groups` of playbooks, so that membership lasts.

Before a client is admitted, the service asks a web hook (its event handler) with the event
`connect`. The answer names the groups that the connection joins and the roles that it has. Here is
what is decided, without HTTP, so that any web framework can serve it.

Source: "CloudEvents extension for Azure Web PubSub event handler with HTTP protocol".
"""

import hmac
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property, lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from wps_run import planning
from wps_run.actions.payload import compact_json
from wps_run.checking import load_playbook
from wps_run.connect.endpoint import Endpoint
from wps_run.connect.settings import resolve_endpoint
from wps_run.input_limits import EVENT
from wps_run.planning import Plan, RunOverrides
from wps_run.playbook.files import Files
from wps_run.playbook.membership import MembershipIndex, UserGroups
from wps_run.playbook.model import Playbook, PlaybookPart, is_of_group
from wps_run.problems import SettingsError, UsageError
from wps_run.text import replace_invisible

ANY_ORIGIN = "*"
"""Allows every service to send events here, if it has the access key."""

CONNECT = "azure.webpubsub.sys.connect"

_ORIGIN = "webhook-request-origin"
_SIGNATURE, _CONNECTION, _HUB = "ce-signature", "ce-connectionid", "ce-hub"
_REQUIRED = (
    *("ce-specversion", "ce-type", "ce-source", "ce-id"),
    *(_CONNECTION, _HUB, "ce-eventname"),
)
"""The headers that every event has. CloudEvents leaves `ce-time` to the sender."""

_SCHEME = b"sha256="
_HOST = re.compile(r"(?:[a-z0-9][a-z0-9.-]*|\[[0-9a-f:.]+\])(?::[0-9]+)?|\*", re.IGNORECASE)
_SHARED_ANSWERS = 4096
"""How many answers are cached, each for all users with the same groups."""


class Unknown(StrEnum):
    """What becomes of a client whose user is in no list."""

    ALLOW = "allow"
    REFUSE = "refuse"


class Outcome(StrEnum):
    """What was decided about a request."""

    VALIDATED = "validated"
    KNOWN = "known"
    UNKNOWN = "unknown"
    REFUSED = "refused"
    OTHER_EVENT = "otherEvent"
    WRONG_SIGNATURE = "wrongSignature"
    WRONG_ORIGIN = "wrongOrigin"
    WRONG_HUB = "wrongHub"
    MALFORMED = "malformed"
    TOO_LARGE = "tooLarge"


_STATUSES: Mapping[Outcome, int] = MappingProxyType(
    {
        Outcome.VALIDATED: 200,
        Outcome.KNOWN: 200,
        Outcome.UNKNOWN: 204,
        Outcome.REFUSED: 401,
        Outcome.OTHER_EVENT: 204,
        Outcome.WRONG_SIGNATURE: 401,
        Outcome.WRONG_ORIGIN: 400,
        Outcome.WRONG_HUB: 404,
        Outcome.MALFORMED: 400,
        Outcome.TOO_LARGE: 413,
    }
)

SIGNED = frozenset({Outcome.KNOWN, Outcome.UNKNOWN, Outcome.REFUSED, Outcome.OTHER_EVENT})
"""What is decided about events of a listed hub that are signed."""

NO_HEADERS: Mapping[str, str] = MappingProxyType({})
_JSON = MappingProxyType({"Content-Type": "application/json"})


class EventAnswer(NamedTuple):
    """The answer to one request of the service. An error has no body: it reveals nothing.

    Attributes:
        status: The HTTP status.
        headers: The headers.
        body: The body.
        outcome: What was decided, for a log or counts.
        groups: How many groups the connection joins.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    outcome: Outcome
    groups: int = 0


_PLAIN: Mapping[Outcome, EventAnswer] = MappingProxyType(
    {
        outcome: EventAnswer(status, NO_HEADERS, b"", outcome)
        for outcome, status in _STATUSES.items()
    }
)


class ListedHub(NamedTuple):
    """A hub with its members.

    Attributes:
        name: Its name in lower case, as the service compares it.
        origin: The host of its service, with the port if that is not the usual one.
        keys: The access keys of the service.
        users: Its members.
    """

    name: str
    origin: str
    keys: tuple[bytes, ...]
    users: MembershipIndex


@dataclass(frozen=True)
class Membership:
    """Answers requests of the service from what playbooks say of groups. It does not change.

    Attributes:
        hubs: The hubs of the playbooks. Two services may each have one of the same name.
        unknown: What becomes of users in no list.
        allowed_origins: Other hosts that may send events here, or `ANY_ORIGIN`.
        files: The files that it was made of.

    Raises:
        UsageError: An allowed origin is not a host.
    """

    hubs: tuple[ListedHub, ...]
    unknown: Unknown = Unknown.ALLOW
    allowed_origins: Collection[str] = ()
    files: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        for origin in self.allowed_origins:
            if not _HOST.fullmatch(origin):
                message = f"`{replace_invisible(origin)}` is not a host from which events may come"
                raise UsageError(f"{message}; write it as `gateway.example`, or `*` for any")

    @cached_property
    def user_count(self) -> int:
        """The number of users, those of each hub counted."""
        return sum(len(hub.users) for hub in self.hubs)

    @cached_property
    def group_count(self) -> int:
        """The number of groups."""
        return sum(hub.users.group_count for hub in self.hubs)

    def answer(
        self,
        headers: Mapping[str, str] | Iterable[tuple[str, str] | tuple[bytes, bytes]],
        body: bytes | str,
        method: str | None = None,
    ) -> EventAnswer:
        """Answer a request.

        Args:
            headers: Its headers; names in any case. As pairs, if the web framework has those, so
                that repeated ones are found; of bytes, if its texts are not decoded as UTF-8.
            body: Its body. Only its size matters: the user is in the headers.
            method: Its method, `OPTIONS` or `POST`. None to derive it from the headers.
        """
        event: dict[str, str] = {}
        pairs = headers.items() if isinstance(headers, Mapping) else map(_decode_pair, headers)
        for name, value in pairs:
            key = name.lower()
            if key.startswith("ce-") or key == _ORIGIN:
                if key in event:
                    return _PLAIN[Outcome.MALFORMED]
                event[key] = value
        if len(body) > EVENT.value:
            return _PLAIN[Outcome.TOO_LARGE]
        is_validation = "ce-type" not in event if method is None else method == "OPTIONS"
        return self._validate(event.get(_ORIGIN, "")) if is_validation else self.answer_event(event)

    def answer_event(self, event: Mapping[str, str]) -> EventAnswer:
        """Answer a POST by its headers, whose names are in lower case; its body is short enough."""
        name = event.get(_HUB, "").lower()
        hub = next((each for each in self._by_name.get(name, ()) if _is_signed(event, each)), None)
        if hub is None and not any(_is_signed(event, each) for each in self.hubs):
            return _PLAIN[Outcome.WRONG_SIGNATURE]
        if not all(map(event.get, _REQUIRED)) or event["ce-specversion"] != "1.0":
            return _PLAIN[Outcome.MALFORMED]
        if hub is None:
            return _PLAIN[Outcome.WRONG_HUB]
        if event["ce-type"] != CONNECT:
            return _PLAIN[Outcome.OTHER_EVENT]
        key = hub.users.key_of(event.get("ce-userid", ""))
        if key is not None:
            return self._answer_for(hub.users, key)
        return _PLAIN[Outcome.UNKNOWN if self.unknown is Unknown.ALLOW else Outcome.REFUSED]

    def _validate(self, requested: str) -> EventAnswer:
        """Answer the request of a service to send events here."""
        if ANY_ORIGIN in self.allowed_origins and requested:
            return _granted(ANY_ORIGIN)
        for origin in map(str.strip, requested.split(",")):
            if origin.lower() in self._origins:
                return _granted(origin)
        return _PLAIN[Outcome.WRONG_ORIGIN if requested else Outcome.MALFORMED]

    @cached_property
    def _by_name(self) -> Mapping[str, Sequence[ListedHub]]:
        names = {
            hub.name: [each for each in self.hubs if each.name == hub.name] for hub in self.hubs
        }
        return MappingProxyType(names)

    @cached_property
    def _origins(self) -> frozenset[str]:
        """The hosts that may send events here, in lower case; the port may be left out."""
        own = {hub.origin for hub in self.hubs}
        hosts = {origin.rpartition(":")[0] for origin in own if _has_port(origin)}
        return frozenset(map(str.lower, {*own, *hosts, *self.allowed_origins}))

    @cached_property
    def _answer_for(self) -> Callable[[MembershipIndex, tuple[int, ...]], EventAnswer]:
        return lru_cache(_SHARED_ANSWERS)(lambda users, key: _answer_with(users.groups_of(key)))


def _decode_pair(pair: tuple[str, str] | tuple[bytes, bytes]) -> tuple[str, str]:
    """Decode the name and the value of a header, as the HTTP server of `wps-run` does."""
    name, value = pair
    if isinstance(name, bytes):
        name = name.decode("utf-8", "surrogateescape")
    if isinstance(value, bytes):
        value = value.decode("utf-8", "surrogateescape")
    return name, value


def _has_port(origin: str) -> bool:
    return origin.rpartition(":")[2].isdigit()


def _granted(origin: str) -> EventAnswer:
    return _PLAIN[Outcome.VALIDATED]._replace(headers={"WebHook-Allowed-Origin": origin})


def _answer_with(user: UserGroups) -> EventAnswer:
    content: dict[str, Sequence[str]] = {"groups": user.groups}
    if user.roles:
        content["roles"] = user.roles
    body = compact_json(content).encode()
    return EventAnswer(_STATUSES[Outcome.KNOWN], _JSON, body, Outcome.KNOWN, len(user.groups))


def _is_signed(event: Mapping[str, str], hub: ListedHub) -> bool:
    """Whether a key of the service has signed the connection ID.

    Each signature is compared with that of each key, in constant time.
    """
    connection = event.get(_CONNECTION, "").encode("utf-8", "surrogateescape")
    given = event.get(_SIGNATURE, "").encode("utf-8", "surrogateescape").lower().split(b",")
    is_signed = False
    for key in hub.keys:
        signature = _SCHEME + hmac.digest(key, connection, "sha256").hex().encode()
        for each in given:
            is_signed |= hmac.compare_digest(signature, each.strip())
    return is_signed and bool(connection)


def membership(  # noqa: PLR0913 -- by name, each with a default
    *playbooks: Playbook | str | Path,
    env: Mapping[str, str] | None = None,
    hub: str | None = None,
    connection: str | None = None,
    variables: Mapping[str, Any] | None = None,
    unknown: str = Unknown.ALLOW,
    allowed_origins: Collection[str] = (),
    secondary_connection: str | None = None,
) -> Membership:
    """Read whom playbooks list in `groups`, to answer the events of the service.

    Args:
        playbooks: Playbooks, or their files.
        env: Settings by name; the environment variables of this process by default.
        hub: The hub, or None for that of a playbook or the setting `WebPubSubHub`.
        connection: The name of the setting with the connection string, or None for that of a
            playbook, or `WebPubSubConnectionString`.
        variables: Values for `${name}`, which override those of playbooks.
        unknown: `allow` or `refuse` clients whose user is in no list.
        allowed_origins: Hosts that may send events in addition to the service of the connection;
            `*` for any.
        secondary_connection: The name of the setting with the connection string of the service's
            other key, so that either key may be replaced; None for none.

    Raises:
        PlaybookError: A playbook, or a file of users, is wrong.
        SettingsError: A setting is missing or cannot be used.
        UsageError: A file cannot be read, nobody is listed, or an argument is wrong.
    """
    overrides = RunOverrides(
        environment=dict(os.environ if env is None else env),
        hub=hub,
        connection=connection,
        variables=variables or {},
    )
    read = [each if isinstance(each, Playbook) else load_playbook(each) for each in playbooks]
    plans = plan_lists(read, overrides)
    endpoints = service_endpoints(plans)
    members = membership_of(
        plans, endpoints, with_secondary(endpoints, plans, secondary_connection)
    )
    return replace(members, unknown=_unknown(unknown), allowed_origins=allowed_origins)


def _unknown(value: str) -> Unknown:
    if value not in {*Unknown}:
        raise UsageError(
            f"`unknown` must be {' or '.join(Unknown)}, not `{replace_invisible(value)}`"
        )
    return Unknown(value)


def plan_lists(
    playbooks: Iterable[Playbook], overrides: RunOverrides, *, default_hub: str = ""
) -> tuple[Plan, ...]:
    """Check playbooks, and plan the additions of users to groups and nothing else.

    Other files of theirs, such as those with rows of actions, need not be there.

    Raises:
        PlaybookError: A playbook, or a file of users, is wrong.
        SettingsError: No hub is named.
        UsageError: No playbook lists users.
    """
    lists = [_with_lists_only(playbook) for playbook in playbooks]
    if not any(playbook.actions or playbook.problems for playbook in lists):
        message = "no playbook lists `users` in `groups`, so nobody would be in a group"
        raise UsageError(f"{message}; connections cannot be listed before they exist")
    return planning.plan(lists, overrides, default_hub=default_hub)


def _with_lists_only(playbook: Playbook) -> Playbook:
    parts: dict[PlaybookPart, PlaybookPart] = {}
    for part in playbook.parts:  # a part comes after the one that includes it
        parent = parts[part.parent] if part.parent else None
        parts[part] = replace(part, expectations={}, parent=parent)
    templates = (*playbook.actions, *playbook.finally_actions)
    actions = tuple(
        template._replace(part=parts[template.part])
        for template in templates
        if is_of_group(template) and "userId" in template.values
    )
    return playbook._replace(parts=tuple(parts.values()), actions=actions, finally_actions=())


def service_endpoints(plans: Iterable[Plan]) -> list[Endpoint]:
    """Return the service of each plan, with its key.

    Raises:
        SettingsError: A setting is missing, or has no access key.
    """
    endpoints = []
    for plan in plans:
        endpoint = resolve_endpoint(plan.connection, plan.scope.environment or {})
        if not endpoint.key:
            message = "has no access key, with which the service signs its events"
            remedy = "set it to the connection string of the service"
            raise SettingsError(f"the connection `{plan.connection}` {message}; {remedy}")
        endpoints.append(endpoint)
    return endpoints


def with_secondary(
    endpoints: Sequence[Endpoint], plans: Sequence[Plan], connection: str | None
) -> Endpoint | None:
    """Return the service of a second connection string, which has its other key.

    Raises:
        SettingsError: The setting is missing, or that of another service.
    """
    if connection is None:
        return None
    endpoint = resolve_endpoint(connection, plans[0].scope.environment or {})
    if not endpoint.key or endpoint.origin not in {each.origin for each in endpoints}:
        message = "must be a connection string of the same service, with its other key"
        raise SettingsError(f"the secondary connection `{connection}` {message}")
    return endpoint


def membership_of(
    plans: Sequence[Plan], endpoints: Sequence[Endpoint], secondary: Endpoint | None = None
) -> Membership:
    """Read the users that plans add to groups.

    Args:
        plans: What `plan_lists` returned.
        endpoints: The service of each.
        secondary: The service with its other key, or None.

    Raises:
        PlaybookError: A file was changed since it was checked.
    """
    hubs: dict[tuple[str, str], ListedHub] = {}
    for plan, endpoint in zip(plans, endpoints, strict=True):
        both = [
            endpoint,
            *([secondary] if secondary and secondary.origin == endpoint.origin else []),
        ]
        keys = tuple(each.key.encode() for each in both)
        hub = ListedHub(plan.hub.lower(), endpoint.host, keys, MembershipIndex())
        hub = hubs.setdefault((hub.origin, hub.name), hub)
        hub.users.add_steps(plan.step_blocks(), plan.playbook.actions)
    return Membership(tuple(hubs.values()), files=tuple(dict.fromkeys(_files_of(plans))))


def _files_of(plans: Iterable[Plan]) -> Iterator[Path]:
    """Yield the playbooks, the files that they include, and the files of users."""
    for plan in plans:
        for part in plan.playbook.parts:
            yield Path(part.document.file)
            inputs = plan.scope.of(part).inputs
            yield from inputs.paths.values() if isinstance(inputs, Files) else ()
