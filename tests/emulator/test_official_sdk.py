"""Tests of the emulator with the official Python SDK: each of its methods."""

import asyncio
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceNotFoundError,
)
from azure.core.rest import HttpRequest
from azure.messaging.webpubsubservice import WebPubSubServiceClient
from azure.messaging.webpubsubservice.aio import WebPubSubServiceClient as AsyncClient

from wps_run.emulator.effects import DataType
from wps_run.emulator.server import Emulator

NAMES = ["plain", "a b%c+d#f:g\"'h😀&=i;j,k(l)*m!n~o_p.q@r[s]{t}|u<v>^`\\", "50%25", "...", "é"]


@pytest.fixture
def sdk(emulator: Emulator) -> Any:
    """The synchronous client, for the hub `Hub`."""
    return WebPubSubServiceClient.from_connection_string(emulator.connection_string, hub="Hub")


async def run(method: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Call the blocking client while the emulator runs in this loop."""
    return await asyncio.to_thread(method, *arguments, **options)


@pytest.mark.parametrize("name", NAMES)
async def test_sends(
    emulator: Emulator, sdk: Any, make_client: Callable[[], Any], name: str
) -> None:
    """To all, a group, a user, a connection; JSON, text and binary; special names."""
    client = make_client()
    emulator.attach("hub", client, user_id=name, connection_id=name, groups=[name])
    quoted = name.replace("'", "''")

    await run(sdk.send_to_all, {"hello": "test_message"}, excluded=["x"])
    await run(sdk.send_to_group, name, "hi", content_type="text/plain", excluded=[name])
    await run(
        sdk.send_to_group, name, "hi", content_type="text/plain", filter=f"userId eq '{quoted}'"
    )
    await run(sdk.send_to_user, name, b"\x00", content_type="application/octet-stream")
    await run(sdk.send_to_connection, name, ["x"], content_type="application/json")

    assert [(message.data, message.data_type, message.group) for message in client.received] == [
        (b'{"hello": "test_message"}', DataType.JSON, None),
        (b"hi", DataType.TEXT, name),
        (b"\x00", DataType.BINARY, None),
        (b'["x"]', DataType.JSON, None),
    ]


async def test_a_dict_as_plain_text_is_just_text(
    emulator: Emulator, sdk: Any, make_client: Callable[[], Any]
) -> None:
    """Its own smoke test sends one, form-encoded, with a filter."""
    client = make_client()
    emulator.attach("hub", client, user_id="user2")

    await run(
        sdk.send_to_all,
        {"hello": "world"},
        content_type="text/plain",
        filter="userId ne 'user1'",
    )

    assert client.payloads == [b"hello=world"]


@pytest.mark.parametrize("name", NAMES)
async def test_groups_and_existence(
    emulator: Emulator, sdk: Any, make_client: Callable[[], Any], name: str
) -> None:
    """Joining, leaving, checking and listing."""
    emulator.attach("hub", make_client(), user_id=name, connection_id=name)

    assert await run(sdk.connection_exists, name)
    assert await run(sdk.user_exists, name)
    assert not await run(sdk.group_exists, name)
    await run(sdk.add_connection_to_group, name, name)
    assert await run(sdk.group_exists, name)
    listed = await run(lambda: list(sdk.list_connections(group=name)))
    assert [(member.connection_id, member.user_id) for member in listed] == [(name, name)]
    await run(sdk.remove_connection_from_group, name, name)
    await run(sdk.add_user_to_group, name, name)
    await run(sdk.remove_user_from_group, name, name)
    await run(sdk.add_user_to_group, name, name)
    await run(sdk.remove_user_from_all_groups, name)
    await run(sdk.add_user_to_group, name, name)
    await run(sdk.remove_connection_from_all_groups, name)
    assert not await run(sdk.group_exists, name)


async def test_permissions(emulator: Emulator, sdk: Any, make_client: Callable[[], Any]) -> None:
    """Granting, checking, revoking."""
    emulator.attach("hub", make_client(), connection_id="c")

    await run(sdk.grant_permission, "joinLeaveGroup", "c", target_name="a/b c")
    assert await run(sdk.has_permission, "joinLeaveGroup", "c", target_name="a/b c")
    assert not await run(sdk.has_permission, "sendToGroup", "c", target_name="a/b c")
    await run(sdk.revoke_permission, "joinLeaveGroup", "c", target_name="a/b c")
    assert not await run(sdk.has_permission, "joinLeaveGroup", "c", target_name="a/b c")


async def test_closes(emulator: Emulator, sdk: Any, make_client: Callable[[], Any]) -> None:
    """One, a user's, a group's, all."""
    clients = [make_client() for _ in range(4)]
    for number, client in enumerate(clients):
        emulator.attach(
            "hub", client, connection_id=f"c{number}", user_id=f"u{number}", groups=["g"]
        )

    await run(sdk.close_connection, "c0", reason="one")
    await run(sdk.close_user_connections, "u1", reason="user")
    await run(sdk.close_group_connections, "g", excluded=["c3"], reason="group")
    await run(sdk.close_all_connections)

    assert [client.close_reasons for client in clients] == [["one"], ["user"], ["group"], [""]]


@pytest.mark.parametrize(
    "case",
    [(2, 5, [2, 2, 1]), (2, 6, [2, 2, 2]), (2, None, [2, 2, 2]), (None, None, [6]), (None, 3, [3])],
)
async def test_listing_by_page(
    emulator: Emulator,
    sdk: Any,
    make_client: Callable[[], Any],
    case: tuple[int | None, int | None, list[int]],
) -> None:
    """The client follows the links by itself, with a new token each."""
    size, top, pages = case
    for number in range(6):
        emulator.attach("hub", make_client(), connection_id=f"c{number}", groups=["g 1"])
    options = {} if size is None else {"maxpagesize": size}

    def fetch() -> list[int]:
        paged = sdk.list_connections(group="g 1", top=top, **options).by_page()
        return [len(list(page)) for page in paged]

    assert await run(fetch) == pages


async def test_unknown_targets(sdk: Any) -> None:
    """As on Azure: false, success, or not found."""
    assert not await run(sdk.user_exists, "fake user")
    assert not await run(sdk.group_exists, "fake group")
    assert not await run(sdk.connection_exists, "fake connection id")
    await run(sdk.remove_connection_from_all_groups, "fake connection id")
    await run(sdk.revoke_permission, "sendToGroup", "fake", target_name="g")
    await run(sdk.close_connection, "fake")
    with pytest.raises(ResourceNotFoundError, match="User `fake` is not found"):
        await run(sdk.add_user_to_group, "g", "fake")
    with pytest.raises(ResourceNotFoundError, match="Connection `fake` is not found"):
        await run(sdk.add_connection_to_group, "g", "fake")
    with pytest.raises(ResourceNotFoundError):
        await run(sdk.grant_permission, "sendToGroup", "fake", target_name="g")


async def test_refusals_have_the_services_message(sdk: Any) -> None:
    """The SDK raises it."""
    with pytest.raises(HttpResponseError, match="Syntax error at position 14") as error:
        await run(sdk.send_to_all, "x", content_type="text/plain", filter="invalid filter")
    with pytest.raises(HttpResponseError, match="in between 1 and 1024"):
        await run(sdk.grant_permission, "sendToGroup", "c")

    assert error.value.status_code == 400


async def test_its_own_requests(emulator: Emulator, sdk: Any) -> None:
    """`send_request` signs what it is given; the hub may be written with a capital."""
    origin = emulator.endpoint.origin
    request = HttpRequest(
        "POST",
        f"{origin}/api/hubs/Hub/:send?api-version=2024-12-01",
        json={"hello": "world"},
    )

    response = await run(sdk.send_request, request)

    assert response.status_code == 202


async def test_another_key_is_denied(emulator: Emulator) -> None:
    """401 becomes the SDK's authentication error."""
    wrong = f"Endpoint={emulator.endpoint.origin};AccessKey={'x' * 40};Version=1.0;"
    sdk: Any = WebPubSubServiceClient.from_connection_string(wrong, hub="hub")

    with pytest.raises(ClientAuthenticationError):
        await run(sdk.send_to_all, "x", content_type="text/plain")


async def test_client_tokens_are_signed_by_the_sdk(emulator: Emulator, sdk: Any) -> None:
    """With the access key, for the hub's client URL."""
    access = await run(sdk.get_client_access_token, user_id="ada", groups=["g"])
    claims = jwt.decode(
        access["token"],
        emulator.endpoint.key,
        ["HS256"],
        audience=f"{emulator.endpoint.origin}/client/hubs/Hub",
    )

    assert access["baseUrl"] == f"ws://{emulator.endpoint.host}/client/hubs/Hub"
    assert (claims["sub"], claims["webpubsub.group"]) == ("ada", ["g"])


async def test_the_asynchronous_client(emulator: Emulator, make_client: Callable[[], Any]) -> None:
    """It uses aiohttp, which normalizes URLs."""
    client = make_client()
    emulator.attach("hub", client, user_id=NAMES[1], connection_id="c")
    sdk: Any = AsyncClient.from_connection_string(emulator.connection_string, hub="hub")

    async with sdk:
        await sdk.add_user_to_group("red team", NAMES[1])
        await sdk.send_to_group("red team", "hi", content_type="text/plain")
        members = [member async for member in sdk.list_connections(group="red team")]

    assert client.payloads == [b"hi"]
    assert [member.connection_id for member in members] == ["c"]
