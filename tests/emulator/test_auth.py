"""Tests of token verification and token issuing."""

import base64
import hmac
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
    verify_token,
)

KEY = "k" * 44
NOW = 1_800_000_000.0
HOST = "localhost:8080"
PATH = "/api/hubs/chat/groups/room%20a/:send"
URL = f"http://{HOST}{PATH}"


def token(key: str = KEY, algorithm: str = "HS256", **claims: Any) -> str:
    """A token for `URL`, valid for a minute; claims that are None are omitted."""
    all_claims = {"aud": URL, "exp": NOW + 60, **claims}
    kept = {name: value for name, value in all_claims.items() if value is not None}
    return jwt.encode(kept, key, algorithm=algorithm)


def is_accepted(authorization: str, host: str = HOST, path: str = PATH, **options: bool) -> bool:
    """Whether the request is accepted."""
    try:
        TokenVerifier(KEY, **options).verify_rest_token(authorization, host, path, NOW)
    except DeniedError:
        return False
    return True


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_a_token_signed_with_the_key_for_the_url_is_accepted(scheme: str) -> None:
    """The scheme may be in any case."""
    assert is_accepted(f"{scheme} {token()}")


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
    assert is_accepted(f"Bearer {token(aud=audience)}")
    assert is_accepted(f"Bearer {token(aud=['else', audience])}")


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
    assert not is_accepted(f"Bearer {token(aud=audience)}")


@pytest.mark.parametrize(
    ("segment", "audience"),
    [
        ("room%2Fpart", "room%2Fpart"),
        ("room%252Fpart", "room%2Fpart"),
        ("room%252Fpart", "room%252Fpart"),
        ("room%2fpart", "room%2fpart"),
        ("a%20b%2Fc", "a b%2Fc"),
        ("a%20b%252Fc", "a%20b%252Fc"),
        ("a%3Fb", "a%3Fb"),
        ("a%3Fb", "a?b"),
        ("a+b", "a+b"),
        ("a%2Bb", "a%2Bb"),
        ("a%20%2B", "a%20%2B"),
        ("..", ".."),
        ("%C3%A9", "é"),
    ],
)
def test_audiences_of_encoded_names(segment: str, audience: str) -> None:
    """The path as the service reads it, and what becomes it when it is decoded once."""
    assert is_name_accepted(segment, audience)


@pytest.mark.parametrize(
    ("segment", "audience"),
    [
        ("a%20b%2Fc", "a%20b%2Fc"),
        ("a%2Fb", "a/b"),
        ("a%2Fb", "a%2fb"),
        ("a%20b+c", "a%20b+c"),
        ("a+b", "a b"),
        ("a%2520b", "a b"),
    ],
)
def test_raw_paths_that_mix_escapes_are_no_audience(segment: str, audience: str) -> None:
    """Neither as they are nor decoded are they the path that the service reads."""
    assert not is_name_accepted(segment, audience)


def test_escaped_brackets_of_a_hub_are_escapes_like_others() -> None:
    """A slash or a plus in another name makes the raw path wrong."""
    assert is_name_accepted("room", "room", hub="chat%5B1%5D")
    assert is_name_accepted("a%252Fb", "a%252Fb", hub="chat%5B1%5D")
    assert not is_name_accepted("a%2Fb", "a%2Fb", hub="chat%5B1%5D")
    assert not is_name_accepted("a+b", "a+b", hub="chat%5B1%5D")


def test_a_question_mark_in_a_name_ends_the_audience_with_a_query() -> None:
    """So the SDKs, whose audience has the query, cannot use such a name."""
    assert is_name_accepted("a%3Fb", "a%3Fb")
    assert not is_name_accepted("a%3Fb", "a%3Fb", query="?top=1")
    assert is_name_accepted("a%20b", "a%20b", query="?top=1")


def is_name_accepted(segment: str, audience: str, hub: str = "chat", query: str = "") -> bool:
    """Whether a send to a group is accepted, with another spelling of the group in the audience."""
    path = f"/api/hubs/{hub}/groups/{{}}/:send"
    signed = token(aud=f"http://{HOST}{path.format(audience)}{query}")
    return is_accepted(f"Bearer {signed}", path=path.format(segment))


def test_the_host_is_the_one_the_client_used() -> None:
    """The emulator has no host name of its own."""
    signed = token(aud=f"https://contoso.webpubsub.azure.com{PATH}")

    assert is_accepted(f"Bearer {signed}", host="contoso.webpubsub.azure.com")


def test_a_slash_at_the_end_of_the_path_makes_no_difference() -> None:
    """Routes do not see it either."""
    assert is_accepted(f"Bearer {token()}", path=PATH + "/")


@pytest.mark.parametrize(
    ("claims", "is_valid"),
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
def test_times(claims: dict[str, Any], *, is_valid: bool) -> None:
    """`exp` is required, five minutes of leeway either way; other claims are not looked at."""
    assert is_accepted(f"Bearer {token(**claims)}") is is_valid


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
def test_a_token_not_signed_with_the_key_as_hs256_is_denied(signed: str) -> None:
    """Another key, another algorithm, none, or no token at all."""
    assert not is_accepted(f"Bearer {signed}")


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer  ", token(), f"Basic {token()}"])
def test_a_request_without_a_bearer_token_is_denied(authorization: str) -> None:
    """A token without its scheme is not a bearer token."""
    assert not is_accepted(authorization)


@given(authorization=st.text() | st.text("e.yJ0-_").map("Bearer {}".format))
def test_any_authorization_header_is_denied(authorization: str) -> None:
    """No text raises another exception."""
    assert not is_accepted(authorization)


def test_a_denial_never_quotes_the_token() -> None:
    """Its text is sent in a header and logged."""
    signed = token(key="x" * 44)
    with pytest.raises(DeniedError) as error:
        TokenVerifier(KEY).verify_rest_token(f"Bearer {signed}", HOST, PATH, NOW)

    assert not any(part in str(error.value) for part in signed.split("."))


ENTRA = jwt.encode({"aud": IDENTITY_AUDIENCE, "exp": NOW + 60}, "another signing key" * 3)


def test_entra_tokens_are_accepted_only_if_that_is_allowed() -> None:
    """Their signature is not verified, so this is an explicit option."""
    expired = jwt.encode({"aud": [IDENTITY_AUDIENCE], "exp": NOW - 999}, "k" * 32)

    assert not is_accepted(f"Bearer {ENTRA}")
    assert is_accepted(f"Bearer {ENTRA}", allow_unvalidated_entra_tokens=True)
    assert not is_accepted(f"Bearer {expired}", allow_unvalidated_entra_tokens=True)


def test_an_operation_for_entra_id_denies_a_token_of_the_key() -> None:
    """Callers with the key can sign client tokens themselves."""
    verifier = TokenVerifier(KEY, allow_unvalidated_entra_tokens=True)

    verifier.verify_rest_token(f"Bearer {ENTRA}", HOST, PATH, NOW, entra_only=True)
    with pytest.raises(DeniedError):
        verifier.verify_rest_token(f"Bearer {token()}", HOST, PATH, NOW, entra_only=True)


def test_a_cached_token_still_expires() -> None:
    """Only the claims of the verified token are cached."""
    verifier, signed = TokenVerifier(KEY), token()
    verifier.verify_rest_token(f"Bearer {signed}", HOST, PATH, NOW)

    with pytest.raises(DeniedError):
        verifier.verify_rest_token(f"Bearer {signed}", HOST, PATH, NOW + 60 + LEEWAY)
    with pytest.raises(DeniedError):
        verifier.verify_rest_token(f"Bearer {signed}", HOST, PATH + "s", NOW)


def test_a_client_token_has_the_requested_claims() -> None:
    """It is signed with the same key, without empty claims."""
    full = ClientTokenParameters("http://h/client/hubs/chat", "ada", ("r",), ("g", "h"), 120)
    bare = ClientTokenParameters("http://h/client/hubs/chat", "", (), (), 60)

    def claims(parameters: ClientTokenParameters) -> dict[str, Any]:
        issued = TokenVerifier(KEY).issue_client_token(parameters, NOW + 0.5)
        return jwt.decode(
            issued,
            KEY,
            ["HS256"],
            options={"verify_aud": False, "verify_iat": False, "verify_nbf": False},
        )

    assert claims(full) == {
        "aud": "http://h/client/hubs/chat",
        "sub": "ada",
        "role": ["r"],
        "webpubsub.group": ["g", "h"],
        "nbf": int(NOW),
        "iat": int(NOW),
        "exp": int(NOW) + 120,
    }
    assert claims(bare).keys() == {"aud", "nbf", "iat", "exp"}


def client(host: str = HOST, hub: str = "Chat", **claims: Any) -> ClientClaims:
    """The claims of a client's token for `Chat`."""
    claims = {"aud": f"http://{HOST}/client/hubs/chat", **claims}
    return TokenVerifier(KEY).verify_client_token(token(**claims), host, hub, NOW)


def test_the_claims_of_a_client_token() -> None:
    """One role or group needs no list; without a user the client is anonymous."""
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
def test_audiences_that_are_the_client_url(audience: Any) -> None:
    """Case and scheme are ignored."""
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
def test_audiences_that_are_not_the_client_url(audience: str | None) -> None:
    """Another hub, another host, or a REST URL."""
    with pytest.raises(DeniedError):
        client(aud=audience)


@pytest.mark.parametrize("groups", ["", [" "], ["g", "x" * 1025], ["a\nb"]])
def test_an_invalid_group_in_a_token_is_an_error_of_its_own(groups: Any) -> None:
    """The token is valid, so the response has another status."""
    with pytest.raises(ClaimError):
        client(HOST, **dict[str, Any]({"webpubsub.group": groups}))


def test_a_reconnection_token_is_for_one_connection() -> None:
    """For about a week, in this hub, and for nothing else."""
    verifier = TokenVerifier(KEY)
    issued = verifier.issue_reconnection_token("chat", "c", NOW)
    verifier.verify_reconnection_token(issued, "chat", "c", NOW + 6 * 24 * 3600)
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
            verifier.verify_reconnection_token(*attempt)
    with pytest.raises(DeniedError):
        verifier.verify_rest_token(f"Bearer {issued}", HOST, PATH, NOW)
    with pytest.raises(DeniedError):
        verifier.verify_client_token(issued, HOST, "chat", NOW)


SIGNING_KEY = b"k" * 64
SIGNED_CLAIMS = {"aud": "http://127.0.0.1/api", "exp": 1, "name": "é"}


def library_token(claims: Any = SIGNED_CLAIMS, **changes: Any) -> str:
    """A token signed by PyJWT."""
    return jwt.encode(claims, SIGNING_KEY, **{"algorithm": "HS256", **changes})


def sign(header: str, payload: str) -> str:
    """A token with a valid signature and any content."""
    signed = ".".join(map(base64url, (header.encode(), payload.encode())))
    return f"{signed}.{base64url(hmac.digest(SIGNING_KEY, signed.encode(), 'sha256'))}"


def base64url(raw: bytes) -> str:
    """Encode a segment of a token."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def test_a_token_signed_by_pyjwt_is_verified() -> None:
    """With any other header fields."""
    assert verify_token(library_token(), SIGNING_KEY) == SIGNED_CLAIMS
    assert (
        verify_token(library_token(headers={"kid": "1", "typ": "x"}), SIGNING_KEY) == SIGNED_CLAIMS
    )


@pytest.mark.parametrize(
    "invalid",
    [
        library_token(algorithm="HS384"),
        library_token(algorithm="HS512"),
        jwt.encode(SIGNED_CLAIMS, "", algorithm="none"),
        jwt.encode(SIGNED_CLAIMS, b"x" * 40, algorithm="HS256"),
        sign('{"alg":"none"}', "{}"),
        sign('{"alg":"hs256"}', "{}"),
        sign('{"typ":"JWT"}', "{}"),
        sign('{"alg":"HS256","crit":["b64"]}', "{}"),
        sign('{"alg":"HS256","b64":false}', "{}"),
        sign("[]", "{}"),
        sign('{"alg":"HS256"}', "[]"),
        sign('{"alg":"HS256"}', '"text"'),
        sign('{"alg":"HS256"}', "{"),
        sign("", ""),
        library_token() + "A",
        library_token() + ".",
        "." + library_token(),
        library_token().replace(".", ""),
        library_token().rpartition(".")[0] + ".",
        "",
        ".",
        "..",
        "...",
    ],
)
def test_a_malformed_or_differently_signed_token_is_refused(invalid: str) -> None:
    """Another algorithm, another key, no JSON object, no token."""
    with pytest.raises(ValueError):  # noqa: PT011 - several subclasses
        verify_token(invalid, SIGNING_KEY)


@given(position=st.integers(0, 10_000), character=st.sampled_from("Aa0-_.=+/ "))
def test_no_character_of_a_signed_token_can_be_changed(position: int, character: str) -> None:
    """Except the last, whose lowest bits are unused."""
    valid = library_token()
    position %= len(valid) - 1
    changed = valid[:position] + character + valid[position + 1 :]

    if changed != valid:
        with pytest.raises(ValueError):  # noqa: PT011 - several subclasses
            verify_token(changed, SIGNING_KEY)


@given(text=st.text("abcAB01-_.=+/{}", max_size=60))
def test_any_text_is_refused_as_a_token(text: str) -> None:
    """With ValueError, which becomes a 401 response."""
    with pytest.raises(ValueError):  # noqa: PT011 - several subclasses
        verify_token(text, SIGNING_KEY)


def test_a_deeply_nested_payload_is_refused() -> None:
    """A signed payload cannot stop the emulator."""
    with pytest.raises((ValueError, RecursionError)):
        verify_token(sign('{"alg":"HS256"}', "[" * 100_000), SIGNING_KEY)
