"""Signed tokens are read as a library for them reads them, and nothing else is let in."""

import base64
import hmac
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wps_run.emulator.auth import verify_token

KEY = b"k" * 64
CLAIMS = {"aud": "http://127.0.0.1/api", "exp": 1, "name": "é"}


def token(claims: Any = CLAIMS, **changes: Any) -> str:
    """A token of another library."""
    return jwt.encode(claims, KEY, **{"algorithm": "HS256", **changes})


def by_hand(header: str, payload: str) -> str:
    """A token with a good signature, whatever it holds."""
    signed = ".".join(map(coded, (header.encode(), payload.encode())))
    return f"{signed}.{coded(hmac.digest(KEY, signed.encode(), 'sha256'))}"


def coded(raw: bytes) -> str:
    """Bytes as tokens have them."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def test_a_token_of_another_library_is_read() -> None:
    """Whatever else its header holds."""
    assert verify_token(token(), KEY) == CLAIMS
    assert verify_token(token(headers={"kid": "1", "typ": "x"}), KEY) == CLAIMS


@pytest.mark.parametrize(
    "wrong",
    [
        token(algorithm="HS384"),
        token(algorithm="HS512"),
        jwt.encode(CLAIMS, "", algorithm="none"),
        jwt.encode(CLAIMS, b"x" * 40, algorithm="HS256"),
        by_hand('{"alg":"none"}', "{}"),
        by_hand('{"alg":"hs256"}', "{}"),
        by_hand('{"typ":"JWT"}', "{}"),
        by_hand('{"alg":"HS256","crit":["b64"]}', "{}"),
        by_hand('{"alg":"HS256","b64":false}', "{}"),
        by_hand("[]", "{}"),
        by_hand('{"alg":"HS256"}', "[]"),
        by_hand('{"alg":"HS256"}', '"text"'),
        by_hand('{"alg":"HS256"}', "{"),
        by_hand("", ""),
        token() + "A",
        token() + ".",
        "." + token(),
        token().replace(".", ""),
        token().rpartition(".")[0] + ".",
        "",
        ".",
        "..",
        "...",
    ],
)
def test_anything_else_is_refused(wrong: str) -> None:
    """Another algorithm, another key, what is no JSON object, what is no token."""
    with pytest.raises(ValueError):  # noqa: PT011 - of several kinds
        verify_token(wrong, KEY)


@given(place=st.integers(0, 10_000), character=st.sampled_from("Aa0-_.=+/ "))
def test_no_character_of_a_token_can_be_changed(place: int, character: str) -> None:
    """But for the last, whose lowest bits say nothing."""
    good = token()
    place %= len(good) - 1
    changed = good[:place] + character + good[place + 1 :]

    if changed != good:
        with pytest.raises(ValueError):  # noqa: PT011 - of several kinds
            verify_token(changed, KEY)


@given(text=st.text("abcAB01-_.=+/{}", max_size=60))
def test_any_text_is_refused(text: str) -> None:
    """With ValueError, which the gate turns into 401."""
    with pytest.raises(ValueError):  # noqa: PT011 - of several kinds
        verify_token(text, KEY)


def test_a_deep_payload_is_refused() -> None:
    """Nothing that a key signed brings the service down."""
    with pytest.raises((ValueError, RecursionError)):
        verify_token(by_hand('{"alg":"HS256"}', "[" * 100_000), KEY)
