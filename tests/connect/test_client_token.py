"""Client tokens and URLs are those of the official SDK, and what is wrong is told before."""

import base64
import json
import time
from typing import Any
from urllib.parse import parse_qsl

import jwt
import pytest
from azure.messaging.webpubsubservice import WebPubSubServiceClient
from hypothesis import given
from hypothesis import strategies as st

from wps_run.connect.client_token import (
    ClientTokenOptions,
    build_client_url,
    build_token_request,
    parse_lifetime,
    parse_token_response,
    role_error,
    sign_client_token,
)
from wps_run.connect.endpoint import parse_connection_string
from wps_run.problems import UsageError

KEY = "bG9uZy1lbm91Z2gtZm9yLUhTMjU2LW9mLWEtdGVzdA=="
ENDPOINTS = {
    "plain": f"Endpoint=https://shop.webpubsub.azure.com;AccessKey={KEY};Version=1.0;",
    "upper case": f"Endpoint=https://SHOP.WebPubSub.Azure.com;AccessKey={KEY};Version=1.0;",
    "with a port": f"Endpoint=http://localhost;Port=8080;AccessKey={KEY};Version=1.0;",
    "trailing slash": f"Endpoint=https://shop.webpubsub.azure.com/;AccessKey={KEY};Version=1.0;",
}
ACCESSES = {
    "anybody": ClientTokenOptions(),
    "somebody": ClientTokenOptions("ada", ("webpubsub.sendToGroup.red",), ("red", "日本"), 90 * 60),
    "two roles": ClientTokenOptions(
        "a b/c?d", ("webpubsub.sendToGroup", "webpubsub.joinLeaveGroup"), (), 60
    ),
}


def parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims, once the signature is verified; moments are told from `iat`."""
    header = json.loads(base64.urlsafe_b64decode(token.split(".", 1)[0] + "=="))
    claims = jwt.decode(token, KEY, ["HS256"], options={"verify_aud": False})
    began = claims.pop("iat")
    assert abs(began - time.time()) < 20
    return header, {**claims, "exp": claims["exp"] - began}


@pytest.mark.parametrize("connection", ENDPOINTS.values(), ids=ENDPOINTS)
@pytest.mark.parametrize("access", ACCESSES.values(), ids=ACCESSES)
def test_url_and_token_are_those_of_the_official_sdk(
    connection: str, access: ClientTokenOptions
) -> None:
    """The same base, the same header, the same claims; those that say nothing are left out."""
    hub = "Chat_1.a,b`[c]"
    theirs = WebPubSubServiceClient.from_connection_string(
        connection, hub=hub
    ).get_client_access_token(
        user_id=access.user or None,
        roles=list(access.roles),
        groups=list(access.groups),
        minutes_to_expire=access.lifetime // 60,
    )

    endpoint = parse_connection_string(connection)
    url = build_client_url(endpoint, hub, sign_client_token(endpoint, hub, access, time.time()))

    base, _, token = url.partition("?access_token=")
    assert base == theirs["baseUrl"]
    assert parts(token) == parts(theirs["token"])


def test_behind_a_reverse_proxy_the_token_is_still_for_the_endpoint() -> None:
    """The URL leads to the proxy."""
    endpoint = parse_connection_string(ENDPOINTS["plain"]).behind("https://proxy.example:8443")

    token = sign_client_token(endpoint, "chat", ClientTokenOptions(), 0.0)

    audience = jwt.decode(token, options={"verify_signature": False})["aud"]
    assert build_client_url(endpoint, "chat", token).startswith(
        "wss://proxy.example:8443/client/hubs/chat?"
    )
    assert audience == "https://shop.webpubsub.azure.com/client/hubs/chat"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("60m", 3600), ("90s", 90), ("12h", 43_200), ("7d", 604_800), ("1.5m", 90), (" 5m ", 300)],
)
def test_lifetimes_have_a_unit(text: str, seconds: int) -> None:
    """With a unit."""
    assert parse_lifetime(text) == seconds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("60", "write `60m` or `60s`"),
        ("", "write `90s`"),
        ("-5m", "write `90s`"),
        ("1 hour", "write `90s`"),
        ("nan", "write `90s`"),
        ("1e9m", "write `90s`"),
        ("0s", "at least one second"),
        ("0.5s", "at least one second"),
        ("999999999d", "at most 2,147,483,647 minutes"),
        ("\u0661m", "write `90s`"),
    ],
)
def test_an_invalid_lifetime_has_a_remedy(text: str, message: str) -> None:
    """A bare number may mean seconds or minutes, so it is asked which."""
    with pytest.raises(ValueError, match=message):
        parse_lifetime(text)


@pytest.mark.parametrize(
    "role",
    [
        "webpubsub.sendToGroup",
        "webpubsub.joinLeaveGroup",
        "webpubsub.sendToGroup.launch.red",
        "webpubsub.joinLeaveGroup.日本",
        "webpubsub.sendToGroups.launch-*",
        "webpubsub.joinLeaveGroups.**",
    ],
)
def test_roles_that_allow_something(role: str) -> None:
    """For any group, for one, or for a pattern."""
    assert role_error(role) is None


@pytest.mark.parametrize(
    ("role", "message"),
    [
        ("sendToGroup", "did you mean `webpubsub.sendToGroup`?"),
        ("webpubsub.sendToGruop.red", "did you mean `webpubsub.sendToGroup.red`?"),
        ("WebPubSub.SendToGroup", "did you mean `webpubsub.sendToGroup`?"),
        ("webpubsub.joinleavegroup", "did you mean `webpubsub.joinLeaveGroup`?"),
        ("webpubsub.sendToGroups", "lacks its pattern"),
        ("webpubsub.sendToGroup.", "names a group that is empty"),
        ("admin", "a role is `webpubsub.joinLeaveGroup` or `webpubsub.sendToGroup`"),
        ("", "a role is"),
    ],
)
def test_a_role_that_allows_nothing_has_a_remedy(role: str, message: str) -> None:
    """The service would take them in silence."""
    fault = role_error(role)

    assert fault is not None
    assert message in fault
    with pytest.raises(UsageError, match="the role"):
        ClientTokenOptions(roles=(role,)).validate()


@pytest.mark.parametrize(
    ("access", "message"),
    [
        (ClientTokenOptions(" "), "the user is blank"),
        (ClientTokenOptions("a\nb"), "the user has a control character"),
        (ClientTokenOptions(groups=("red", "")), "a group is empty"),
        (ClientTokenOptions(groups=("x" * 1025,)), "a group is 1025 UTF-16 units long"),
    ],
)
def test_names_that_are_none_are_refused(access: ClientTokenOptions, message: str) -> None:
    """Before there is a token that the service refuses at the connect."""
    with pytest.raises(UsageError, match=message):
        access.validate()


NAMES = st.text("ab/%?#+&;= .日", min_size=1, max_size=20)


@given(user=NAMES, roles=st.lists(NAMES, max_size=3), groups=st.lists(NAMES, max_size=3))
def test_the_request_for_a_token_says_all_of_it(
    user: str, roles: list[str], groups: list[str]
) -> None:
    """Every value comes back from the query as it was."""
    request = build_token_request(
        "chat", ClientTokenOptions(user, tuple(roles), tuple(groups), 120)
    )

    assert (request.method, request.path) == ("POST", "/api/hubs/chat/:generateToken")
    assert parse_qsl(request.query, keep_blank_values=True, strict_parsing=True) == [
        ("userId", user),
        *(("role", role) for role in roles),
        ("minutesToExpire", "2"),
        *(("group", group) for group in groups),
    ]


def test_a_token_by_the_service_lives_for_whole_minutes() -> None:
    """It can be asked for nothing else."""
    with pytest.raises(UsageError, match="write `60m`"):
        build_token_request("chat", ClientTokenOptions(lifetime=90))


@pytest.mark.parametrize(
    ("body", "token"),
    [
        (b'{"token": "a.b.c"}', "a.b.c"),
        (b'{"token": "a.b.c\\r\\nX: y"}', None),
        (b'{"token": 5}', None),
        (b'["a.b.c"]', None),
        (b"", None),
        (b"<html>", None),
    ],
)
def test_only_a_token_is_taken_for_one(body: bytes, token: str | None) -> None:
    """Whatever a server may answer."""
    assert parse_token_response(body) == token


def test_clients_connect_through_the_path_of_a_gateway() -> None:
    endpoint = parse_connection_string(ENDPOINTS["plain"]).behind("https://gw.example/wps/")

    url = build_client_url(endpoint, "chat", "t")

    assert url == "wss://gw.example/wps/client/hubs/chat?access_token=t"
