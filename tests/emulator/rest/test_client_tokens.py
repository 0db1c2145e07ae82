"""`:generateToken` over real HTTP: who gets a client's token, and what is in it."""

import json
from collections.abc import Callable
from typing import Any

import jwt
import pytest

from wps_run.emulator.server import Emulator


async def test_the_access_key_gets_no_client_tokens(call: Any) -> None:
    """Who has it can sign them."""
    assert (await call("POST", "/api/hubs/chat/:generateToken")).status == 401


async def test_client_tokens_for_entra_callers(
    make_rest_client: Callable[[Emulator], Any], entra: str
) -> None:
    """Signed with the access key, for the hub's client URL."""
    async with Emulator(allow_unvalidated_entra_tokens=True) as emulator:
        ask = make_rest_client(emulator)
        query = "userId=a%20b&role=r1&role=r2&group=g&minutesToExpire=5&api-version=2024-12-01"
        told = await ask("POST", f"/api/hubs/Chat/:generateToken?{query}", Authorization=entra)
        origin, key = emulator.endpoint.origin, emulator.endpoint.key

    claims = jwt.decode(
        json.loads(told.body)["token"], key, ["HS256"], audience=f"{origin}/client/hubs/chat"
    )
    assert told.status == 200
    assert claims["exp"] - claims["iat"] == 300
    assert (claims["sub"], claims["role"], claims["webpubsub.group"]) == (
        "a b",
        ["r1", "r2"],
        ["g"],
    )


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("minutesToExpire=0", 400),
        ("minutesToExpire=2147483648", 400),
        ("minutesToExpire=2147483647", 200),
        ("clientType=default", 200),
        ("clientType=socket", 400),
        ("clientType=MQTT", 200),
        ("group=%20", 400),
    ],
)
async def test_parameters_of_client_tokens(
    make_rest_client: Callable[[Emulator], Any], entra: str, query: str, status: int
) -> None:
    """Times and types that do not exist are refused, and groups that cannot."""
    async with Emulator(allow_unvalidated_entra_tokens=True) as emulator:
        ask = make_rest_client(emulator)
        told = await ask("POST", f"/api/hubs/chat/:generateToken?{query}", Authorization=entra)

    assert told.status == status


async def test_a_token_for_mqtt_opens_another_door(
    make_rest_client: Callable[[Emulator], Any], entra: str
) -> None:
    """The official SDKs name it so, too; nothing listens there."""
    async with Emulator(allow_unvalidated_entra_tokens=True) as emulator:
        target = "/api/hubs/chat/:generateToken?clientType=mqtt"
        told = await make_rest_client(emulator)("POST", target, Authorization=entra)
        audience = f"{emulator.endpoint.origin}/clients/mqtt/hubs/chat"
        claims = jwt.decode(
            json.loads(told.body)["token"], emulator.endpoint.key, ["HS256"], audience=audience
        )

    assert claims["exp"] - claims["iat"] == 3600
