"""Tokens: which let a call in. The clock is an argument."""

from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wps_run.emulator.auth import (
    IDENTITY_AUDIENCE,
    LEEWAY,
    ClaimError,
    ClientClaims,
    ClientTokenParameters,
    DeniedError,
    TokenVerifier,
)

KEY = "k" * 44
NOW = 1_800_000_000.0
HOST = "localhost:8080"
PATH = "/api/hubs/chat/groups/room%20a/:send"
URL = f"http://{HOST}{PATH}"


def token(key: str = KEY, algorithm: str = "HS256", **claims: Any) -> str:
    """A token for `URL`, good for a minute; claims that are None are left out."""
    all_claims = {"aud": URL, "exp": NOW + 60, **claims}
    kept = {name: value for name, value in all_claims.items() if value is not None}
    return jwt.encode(kept, key, algorithm=algorithm)


def admits(authorization: str, host: str = HOST, path: str = PATH, **gate: bool) -> bool:
    """Whether the call is let in."""
    try:
        TokenVerifier(KEY, **gate).verify_rest_token(authorization, host, path, NOW)
    except DeniedError:
        return False
    return True


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_a_token_signed_with_the_key_for_the_url_lets_in(scheme: str) -> None:
    """The scheme word may be written in any case."""
    assert admits(f"{scheme} {token()}")


@pytest.mark.parametrize(
    "audience",
    [
        URL,
        URL + "?api-version=2024-12-01&filter=a%20b",
        URL + "/",
        URL + "/more",
        f"https://{HOST}{PATH}",
        f"ws://{HOST}{PATH}",
        f"WSS://{HOST.upper()}{PATH}",
        f"http://{HOST}/api/hubs/chat/groups/room a/:send",
        f"http://{HOST}/api/hubs/chat/groups/room%20a/%3Asend",
    ],
)
def test_audiences_that_are_the_url(audience: str) -> None:
    """With or without the query, escaped or not, whatever the scheme."""
    assert admits(f"Bearer {token(aud=audience)}")
    assert admits(f"Bearer {token(aud=['else', audience])}")


@pytest.mark.parametrize(
    "audience",
    [
        None,
        7,
        "",
        f"http://{HOST}",
        f"http://{HOST}/api/hubs/chat",
        f"http://{HOST}/api/hubs/chat/groups/room%20a",
        URL + "s",
        URL + "%253Fquery=1",
        URL.replace("room", "Room"),
        URL.replace("room", "rooms"),
        f"ftp://{HOST}{PATH}",
        f"{HOST}{PATH}",
        PATH,
        f"http://elsewhere:8080{PATH}",
        f"http://localhost{PATH}",
        IDENTITY_AUDIENCE,
    ],
)
def test_audiences_that_are_not_the_url(audience: object) -> None:
    """Shorter ones above all: a token never covers all of a hub."""
    assert not admits(f"Bearer {token(aud=audience)}")


@pytest.mark.parametrize(
    ("segment", "audience"),
    [
        ("room%2Fpart", "room%2Fpart"),
        ("room%252Fpart", "room%2Fpart"),
        ("room%252Fpart", "room%252Fpart"),
        ("a%20b%2Fc", "a%20b%2Fc"),
        ("a%3Fb", "a%3Fb"),
        ("a%3Fb", "a?b"),
        ("a+b", "a+b"),
        ("..", ".."),
        ("%C3%A9", "é"),
    ],
)
def test_names_that_hurt_are_no_obstacle(segment: str, audience: str) -> None:
    """The raw path is always good; so is the path as the service reads it."""
    path = "/api/hubs/chat/groups/{}/:send"
    signed = token(aud=f"http://{HOST}{path.format(audience)}")

    assert admits(f"Bearer {signed}", path=path.format(segment))


def test_the_host_is_the_one_the_client_used() -> None:
    """The service has no name of its own."""
    signed = token(aud=f"https://contoso.webpubsub.azure.com{PATH}")

    assert admits(f"Bearer {signed}", host="contoso.webpubsub.azure.com")


def test_a_slash_at_the_end_of_the_path_makes_no_difference() -> None:
    """Routes do not see it either."""
    assert admits(f"Bearer {token()}", path=PATH + "/")


@pytest.mark.parametrize(
    ("claims", "good"),
    [
        ({"exp": None}, False),
        ({"exp": str(int(NOW) + 60)}, False),
        ({"exp": True}, False),
        ({"exp": float("nan")}, False),
        ({"exp": float("inf")}, False),
        ({"exp": 10**400}, True),
        ({"exp": NOW - LEEWAY + 1}, True),
        ({"exp": NOW - LEEWAY}, False),
        ({"nbf": NOW + LEEWAY}, True),
        ({"nbf": NOW + LEEWAY + 1}, False),
        ({"nbf": "now"}, False),
        ({"iat": "yesterday", "iss": "x", "sub": 2, "jti": 3}, True),
    ],
)
def test_times(claims: dict[str, Any], *, good: bool) -> None:
    """`exp` is required, five minutes of leeway either way; other claims are not looked at."""
    assert admits(f"Bearer {token(**claims)}") is good


@pytest.mark.parametrize(
    "signed",
    [
        token(key="x" * 44),
        token(algorithm="HS512", key="k" * 64),
        token(algorithm="none", key=""),
        token()[:-4] + "AAAA",
        "a.b.c",
        "W1tbW1tb" * 1000 + ".e30.AA",
        "é.é.é",
        "\udcff",
        "",
    ],
)
def test_what_is_not_signed_with_the_key_as_hs256(signed: str) -> None:
    """Another key, another algorithm, none, or no token at all."""
    assert not admits(f"Bearer {signed}")


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer  ", token(), f"Basic {token()}"])
def test_without_a_bearer_token_nobody_comes_in(authorization: str) -> None:
    """A bare token is none."""
    assert not admits(authorization)


@given(authorization=st.text() | st.text("e.yJ0-_").map("Bearer {}".format))
def test_no_header_does_more_than_be_denied(authorization: str) -> None:
    """Whatever is sent, the answer is a denial."""
    assert not admits(authorization)


def test_a_denial_never_quotes_the_token() -> None:
    """Its text goes into a header and a log."""
    signed = token(key="x" * 44)
    with pytest.raises(DeniedError) as error:
        TokenVerifier(KEY).verify_rest_token(f"Bearer {signed}", HOST, PATH, NOW)

    assert not any(part in str(error.value) for part in signed.split("."))


ENTRA = jwt.encode({"aud": IDENTITY_AUDIENCE, "exp": NOW + 60}, "somebody else's key" * 3)


def test_entra_tokens_come_in_only_where_that_is_allowed() -> None:
    """Nobody checks who signed them, so it must be asked for."""
    expired = jwt.encode({"aud": [IDENTITY_AUDIENCE], "exp": NOW - 999}, "k" * 32)

    assert not admits(f"Bearer {ENTRA}")
    assert admits(f"Bearer {ENTRA}", allow_unvalidated_entra_tokens=True)
    assert not admits(f"Bearer {expired}", allow_unvalidated_entra_tokens=True)


def test_what_only_identities_may_do_is_denied_to_the_key() -> None:
    """A token is issued to those who could not sign one themselves."""
    gate = TokenVerifier(KEY, allow_unvalidated_entra_tokens=True)

    gate.verify_rest_token(f"Bearer {ENTRA}", HOST, PATH, NOW, entra_only=True)
    with pytest.raises(DeniedError):
        gate.verify_rest_token(f"Bearer {token()}", HOST, PATH, NOW, entra_only=True)


def test_a_remembered_token_still_expires() -> None:
    """What is remembered is the signature, not the verdict."""
    gate, signed = TokenVerifier(KEY), token()
    gate.verify_rest_token(f"Bearer {signed}", HOST, PATH, NOW)

    with pytest.raises(DeniedError):
        gate.verify_rest_token(f"Bearer {signed}", HOST, PATH, NOW + 60 + LEEWAY)
    with pytest.raises(DeniedError):
        gate.verify_rest_token(f"Bearer {signed}", HOST, PATH + "s", NOW)


def test_a_client_token_says_what_was_asked_for() -> None:
    """Signed with the same key; empty claims are left out."""
    full = ClientTokenParameters("http://h/client/hubs/chat", "ada", ("r",), ("g", "h"), 120)
    bare = ClientTokenParameters("http://h/client/hubs/chat", "", (), (), 60)

    def claims(access: ClientTokenParameters) -> dict[str, Any]:
        issued = TokenVerifier(KEY).issue_client_token(access, NOW + 0.5)
        return jwt.decode(
            issued, KEY, ["HS256"], options={"verify_aud": False, "verify_iat": False}
        )

    assert claims(full) == {
        "aud": "http://h/client/hubs/chat",
        "sub": "ada",
        "role": ["r"],
        "webpubsub.group": ["g", "h"],
        "iat": int(NOW),
        "exp": int(NOW) + 120,
    }
    assert claims(bare).keys() == {"aud", "iat", "exp"}


def client(host: str = HOST, hub: str = "Chat", **claims: Any) -> ClientClaims:
    """What a client's token for `Chat` grants."""
    said = {"aud": f"http://{HOST}/client/hubs/chat", **claims}
    return TokenVerifier(KEY).verify_client_token(token(**said), host, hub, NOW)


def test_what_a_client_token_grants() -> None:
    """A role or a group may be written without a list; nobody's token is an anonymous one."""
    assert client() == client(sub="", role=[], webpubsub=1) == ClientClaims(None, (), ())
    assert client(
        **dict[str, Any](sub="ada", role="r", **{"webpubsub.group": ["g", "h"]})
    ) == ClientClaims("ada", ("r",), ("g", "h"))


@pytest.mark.parametrize(
    "audience",
    [
        f"WSS://{HOST.upper()}/client/hubs/CHAT",
        f"https://{HOST}/client/hubs/chat?more=1",
        f"https://{HOST}/client/hubs/chat/",
        f"ws://{HOST}/client/?hub=chat",
        f"ws://{HOST}/client/hubs/%63hat",
        ["x", f"http://{HOST}/client/hubs/chat"],
    ],
)
def test_audiences_that_open_a_hub_to_clients(audience: Any) -> None:
    """Case does not count, nor does the scheme."""
    assert client(aud=audience) == ClientClaims(None, (), ())


@pytest.mark.parametrize(
    "audience",
    [
        f"http://{HOST}/client/hubs/chatter",
        f"http://{HOST}/client/hubs/",
        f"http://{HOST}/api/hubs/chat",
        f"ftp://{HOST}/client/hubs/chat",
        f"http://{HOST}0/client/hubs/chat",
        "http://localhost/client/hubs/chat",
        None,
    ],
)
def test_audiences_that_do_not(audience: str | None) -> None:
    """Another hub's, another host's, or a REST call's."""
    with pytest.raises(DeniedError):
        client(aud=audience)


@pytest.mark.parametrize("groups", ["", [" "], ["g", "x" * 1025], ["a\nb"]])
def test_a_group_that_cannot_exist_is_told_apart(groups: Any) -> None:
    """The token is genuine, so the answer is another one."""
    with pytest.raises(ClaimError):
        client(HOST, **dict[str, Any]({"webpubsub.group": groups}))


def test_a_reconnection_token_is_for_one_connection() -> None:
    """For about a week, in this hub, and for nothing else."""
    gate = TokenVerifier(KEY)
    issued = gate.issue_reconnection_token("chat", "c", NOW)
    gate.verify_reconnection_token(issued, "chat", "c", NOW + 6 * 24 * 3600)
    refused = [
        (issued, "chat", "d", NOW),
        (issued, "other", "c", NOW),
        (issued, "chat", "c", NOW + 8 * 24 * 3600),
        (token(aud=f"http://{HOST}/client/hubs/chat"), "chat", "c", NOW),
        (token(key="x" * 44, aud="reconnect:chat/c"), "chat", "c", NOW),
        ("", "chat", "c", NOW),
    ]

    for attempt in refused:
        with pytest.raises(DeniedError):
            gate.verify_reconnection_token(*attempt)
    with pytest.raises(DeniedError):
        gate.verify_rest_token(f"Bearer {issued}", HOST, PATH, NOW)
    with pytest.raises(DeniedError):
        gate.verify_client_token(issued, HOST, "chat", NOW)
