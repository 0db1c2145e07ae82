"""What the events of the service are answered: from `groups`, and only if they are signed."""

import hmac
import json
import tracemalloc
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import wps_run
from wps_run.input_limits import EVENT
from wps_run.listening import EventAnswer, Membership, Outcome, Unknown
from wps_run.problems import PlaybookError, SettingsError, UsageError

KEY, OTHER_KEY = "k" * 44, "o" * 44
ORIGIN = "rooms.webpubsub.azure.com"
PLAYBOOK = """
hub: Chat
vars: {team: [grace, Łukasz]}
groups:
  red: {users: [ada, grace], roles: [sendToGroup, joinLeaveGroup], prune: true}
  blue: {users: "${team}", connections: [wall]}
actions: [{actionName: addUserToGroup, userId: "${each.id}", group: g, forEach: {file: absent.csv}}]
expect: [{group: red, has: [ada]}]
"""


def connection_string(key: str = KEY, origin: str = ORIGIN) -> str:
    return f"Endpoint=https://{origin};AccessKey={key};Version=1.0;"


SETTINGS = {"WebPubSubConnectionString": connection_string(), "other": connection_string(OTHER_KEY)}


def membership(
    folder: Path, text: str = PLAYBOOK, environment: Mapping[str, str] = SETTINGS, **options: Any
) -> Membership:
    """Return what the library makes of a playbook."""
    file = folder / "p.yaml"
    file.write_text(text)
    return wps_run.membership(file, env=environment, **options)


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> Membership:
    """The members of `PLAYBOOK`."""
    return membership(tmp_path_factory.mktemp("playbook"))


def signature(connection: str, *keys: str) -> str:
    return ",".join(
        f"sha256={hmac.digest(key.encode(), connection.encode(), 'sha256').hex()}" for key in keys
    )


def event(
    user: str | None = "ada", *keys: str, connection: str = "c1", **more: str
) -> dict[str, str]:
    """Return the headers of a `connect` event; keyword arguments are attributes."""
    attributes = {
        "specversion": "1.0",
        "type": "azure.webpubsub.sys.connect",
        "source": f"/hubs/chat/client/{connection}",
        "id": "1",
        "time": "2026-11-28T10:00:00Z",
        "signature": signature(connection, *(keys or (KEY, OTHER_KEY))),
        "connectionId": connection,
        "hub": "chat",
        "eventName": "connect",
        **({} if user is None else {"userId": user}),
        **more,
    }
    return {
        "WebHook-Request-Origin": ORIGIN,
        "Content-Type": "application/json",
        **{f"ce-{name}": value for name, value in attributes.items()},
    }


def says(answer: EventAnswer) -> tuple[int, object]:
    return answer.status, json.loads(answer.body) if answer.body else None


def test_a_client_joins_the_groups_of_its_user_with_the_roles_of_their_entries(
    members: Membership,
) -> None:
    """No file of `actions` is needed."""
    red = ["webpubsub.sendToGroup.red", "webpubsub.joinLeaveGroup.red"]

    assert says(members.answer(event("ada"), b"{}")) == (200, {"groups": ["red"], "roles": red})
    both = {"groups": ["red", "blue"], "roles": red}
    assert says(members.answer(event("grace"), b"{}")) == (200, both)
    assert says(members.answer(event("Łukasz"), b"{}")) == (200, {"groups": ["blue"]})
    assert members.answer(event("ada"), b"{}").headers == {"Content-Type": "application/json"}


@pytest.mark.parametrize("user", [None, "", "nobody", "ADA", "wall", "x" * 5000, "a\udcff"])
@pytest.mark.parametrize(("unknown", "status"), [("allow", 204), ("refuse", 401)])
def test_a_user_in_no_list_is_let_in_or_refused(
    members: Membership, user: str | None, unknown: str, status: int
) -> None:
    """Whoever is in a list is let in, also if that list prunes."""
    members = replace(members, unknown=Unknown(unknown))

    assert says(members.answer(event(user), b"{}")) == (status, None)
    assert members.answer(event("ada"), b"{}").status == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (event(type="azure.webpubsub.sys.connected", eventName="connected"), 204),
        (event(type="azure.webpubsub.user.message", eventName="message"), 204),
        (event(hub="CHAT"), 200),
        (event(hub="other"), 404),
        (event(hub=""), 400),
        (event(id=""), 400),
        (event(specversion="0.3"), 400),
        (event(signature=""), 401),
        (event(signature="sha256="), 401),
        (event(signature=signature("c2", KEY)), 401),
        (event(signature=signature("c1", KEY)[:-1]), 401),
        (event(signature=signature("c1", KEY).upper().replace("SHA", "sha")), 200),
        (event("ada", OTHER_KEY, hub="other"), 401),
        (event("ada", KEY, connection=""), 401),
        (event(signature="é"), 401),
        ({}, 401),
    ],
)
def test_only_signed_events_of_a_listed_hub_are_answered(
    members: Membership, headers: dict[str, str], status: int
) -> None:
    answer = members.answer(headers, b"{}", "POST")

    assert answer.status == status
    assert not answer.body or status == 200


def test_each_header_of_an_event_counts_once(members: Membership) -> None:
    for name in event():
        less = {each: value for each, value in event().items() if each != name}
        is_needed = name.startswith("ce-") and name not in {"ce-time", "ce-userId"}
        assert (members.answer(less, b"", "POST").status >= 400) is is_needed, name
        twice = [*event().items(), (name.upper(), "x")]
        is_counted = name.startswith("ce-") or name == "WebHook-Request-Origin"
        assert members.answer(twice, b"").status == (400 if is_counted else 200), name


@given(forged=st.text(), user=st.text(), connection=st.text(), body=st.binary(max_size=50))
@settings(max_examples=50)
def test_without_the_key_nothing_is_told(
    members: Membership, forged: str, user: str, connection: str, body: bytes
) -> None:
    """Neither who is listed, nor which hubs there are."""
    for name in (user, "ada"):
        for hub in ("chat", "other"):
            headers = event(name, hub=hub, signature=forged, connectionId=connection)
            assert members.answer(headers, body) == (401, {}, b"", Outcome.WRONG_SIGNATURE, 0)


def test_both_keys_of_the_service_are_valid(tmp_path: Path) -> None:
    """The service signs with both; while one is replaced, the other is still right."""
    one = membership(tmp_path)
    both = membership(tmp_path, secondary_connection="other")

    assert one.answer(event("ada", OTHER_KEY), b"").status == 401
    assert both.answer(event("ada", OTHER_KEY), b"").status == 200
    assert both.answer(event("ada", KEY), b"").status == 200
    assert both.answer(event("ada", "new" * 20, OTHER_KEY), b"").status == 200


def test_what_becomes_of_other_users_is_one_of_two(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="must be allow or refuse, not `deny`"):
        membership(tmp_path, unknown="deny")


def test_a_body_over_the_limit_is_refused(members: Membership) -> None:

    assert members.answer(event(), b"x" * EVENT.value).status == 200
    assert members.answer(event(), b"x" * (EVENT.value + 1)).status == 413


@pytest.mark.parametrize(
    ("origin", "allowed", "granted"),
    [
        (ORIGIN, (), ORIGIN),
        (ORIGIN.upper(), (), ORIGIN.upper()),
        (f"evil.example, {ORIGIN}", (), ORIGIN),
        ("evil.example", (), None),
        (f"x{ORIGIN}", (), None),
        ("", ("*",), None),
        ("proxy.example", ("Proxy.example",), "proxy.example"),
        ("evil.example", ("*",), "*"),
        ("[::1]:8080", ("[::1]:8080",), "[::1]:8080"),
    ],
)
def test_the_service_of_the_connection_may_send_events(
    members: Membership, origin: str, allowed: tuple[str, ...], granted: str | None
) -> None:
    members = replace(members, allowed_origins=allowed)

    answer = members.answer({"WebHook-Request-Origin": origin}, b"")
    assert answer.headers.get("WebHook-Allowed-Origin") == granted
    assert answer.status == (200 if granted else 400)
    assert members.answer({"webhook-request-origin": origin}, b"", "POST").status == 401


def test_included_files_say_who_belongs_to_groups_too(tmp_path: Path) -> None:
    """With their own variables, and users from files beside them. `files` has all that was read."""
    (tmp_path / "teams").mkdir()
    (tmp_path / "teams" / "users.csv").write_text("id\ngrace\n")
    (tmp_path / "teams" / "team.yaml").write_text(
        "{vars: {team: none}, groups: {'team-${team}': {users: {file: users.csv}}},"
        " expect: [{group: g, has: {file: absent.csv}}]}"
    )
    (tmp_path / "last.yaml").write_text("{groups: {last: {users: [ada]}}}")
    text = """
    hub: chat
    groups: {red: {users: [ada, grace]}}
    actions: [{include: teams/team.yaml, vars: {team: blue}}]
    finally: [{include: last.yaml}]
    """
    members = membership(tmp_path, text)

    assert says(members.answer(event("ada"), b"")) == (200, {"groups": ["red", "last"]})
    assert says(members.answer(event("grace"), b"")) == (200, {"groups": ["red", "team-blue"]})
    names = {"p.yaml", "team.yaml", "last.yaml", "users.csv"}
    assert {file.name for file in members.files} == names


@pytest.mark.parametrize("origin", ["", "https://proxy.example", "proxy.example/", "a b", "*.a"])
def test_an_allowed_origin_is_a_host(members: Membership, origin: str) -> None:
    with pytest.raises(UsageError, match="is not a host"):
        replace(members, allowed_origins=["proxy.example", origin])


def test_headers_may_be_pairs_of_bytes(members: Membership) -> None:
    """Frameworks that decode them as Latin-1 would change user IDs."""
    pairs = [(name.encode(), value.encode()) for name, value in event("Łukasz").items()]

    assert says(members.answer(pairs, b"")) == (200, {"groups": ["blue"]})
    assert members.answer([*pairs, (b"CE-Hub", b"\xff")], b"").outcome is Outcome.MALFORMED


def test_hubs_of_one_name_at_two_services_are_told_apart_by_their_keys(tmp_path: Path) -> None:
    for name, connection in (("a", "first"), ("b", "second")):
        text = f"{{hub: chat, connection: {connection}, groups: {{{name}: {{users: [ada]}}}}}}"
        (tmp_path / f"{name}.yaml").write_text(text)
    environment = {
        "first": connection_string(KEY, "a.webpubsub.azure.com"),
        "second": connection_string(OTHER_KEY, "b.webpubsub.azure.com"),
    }
    files = [tmp_path / "a.yaml", tmp_path / "b.yaml"]
    members = wps_run.membership(*files, env=environment)

    assert says(members.answer(event("ada", KEY), b"")) == (200, {"groups": ["a"]})
    assert says(members.answer(event("ada", OTHER_KEY), b"")) == (200, {"groups": ["b"]})


@pytest.mark.parametrize(
    ("text", "environment", "error", "message"),
    [
        ("{hub: h, actions: []}", SETTINGS, UsageError, "no playbook lists `users`"),
        (
            "{hub: h, groups: {g: {connections: [c]}}}",
            SETTINGS,
            UsageError,
            "before they exist",
        ),
        ("{hub: h, groups: {g: {users: {file: u.csv}}}}", SETTINGS, PlaybookError, "u.csv"),
        ("{hub: h, groups: {g: {users: ['']}}}", SETTINGS, PlaybookError, "empty"),
        (PLAYBOOK, {}, SettingsError, "`WebPubSubConnectionString` is missing"),
        (
            PLAYBOOK,
            {"WebPubSubConnectionString__serviceUri": f"https://{ORIGIN}"},
            SettingsError,
            "has no access key",
        ),
    ],
)
def test_what_cannot_be_served_is_an_error(
    tmp_path: Path,
    text: str,
    environment: dict[str, str],
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        membership(tmp_path, text, environment)


@given(
    st.dictionaries(
        st.text("abc", min_size=1, max_size=2),
        st.lists(st.text("abc ,é", min_size=1, max_size=2).filter(str.strip), min_size=1),
        min_size=1,
        max_size=4,
    )
)
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_each_user_is_in_the_groups_that_list_it(
    tmp_path: Path, groups: dict[str, list[str]]
) -> None:
    """Whether the users are in the playbook or in files, which are read in blocks."""
    for index, users in enumerate(groups.values()):
        rows = [f'"{user}"' for user in users]
        (tmp_path / f"{index}.csv").write_text("\n".join(["id", *rows, ""]))
    of_file = {name: {"users": {"file": f"{n}.csv"}} for n, name in enumerate(groups)}
    of_list = {name: {"users": users} for name, users in groups.items()}
    for entries in (of_file, of_list):
        members = membership(tmp_path, json.dumps({"hub": "chat", "groups": entries}))
        for user in {user for users in groups.values() for user in users}:
            listed = [name for name, users in groups.items() if user in users]
            assert says(members.answer(event(user), b"")) == (200, {"groups": listed})


def test_a_row_takes_at_most_200_bytes(tmp_path: Path) -> None:
    rows = 10_000
    (tmp_path / "u.csv").write_text("id\n" + "".join(f"user-{n:012d}\n" for n in range(rows)))
    tracemalloc.start()
    try:
        members = membership(
            tmp_path,
            "{hub: h, groups: {g: {users: {file: u.csv}, prune: true, roles: [sendToGroup]}}}",
        )
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert members.user_count == rows
    assert size / rows < 200
