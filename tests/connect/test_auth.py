"""Tokens: what they say, that others can verify them, and that nobody sees the key."""

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wps_run.connect.auth import LIFETIME, Signer
from wps_run.connect.endpoint import Endpoint
from wps_run.problems import SettingsError

KEY = "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789+/AbCdE="
ENDPOINT = Endpoint("https://a.example:8443", KEY)
NOW = 1_900_000_000.7


@given(path=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="%"), max_size=200))
def test_a_token_names_the_raw_path_and_a_standard_library_accepts_it(path: str) -> None:
    """The audience is origin and path to the letter; PyJWT verifies signature and claims."""
    token = Signer(ENDPOINT).token(path, NOW)

    claims = jwt.decode(
        token,
        KEY,
        algorithms=["HS256"],
        audience=ENDPOINT.origin + path,
        options={"verify_exp": False},
    )
    assert claims == {"aud": ENDPOINT.origin + path, "exp": int(NOW) + LIFETIME}


@pytest.mark.parametrize(
    ("path", "audience"),
    [
        ("/users/a%20b%2Bc%25/:send", "/users/a%20b%2Bc%25/:send"),
        ("/users/a%2Fb/:send", "/users/a%2Fb/:send"),
        ("/users/a%20b%2Fc/:send", "/users/a b%2Fc/:send"),
        ("/users/%C3%A9%3F%2F%252F/:send", "/users/é?%2F%2F/:send"),
    ],
)
def test_an_escaped_slash_beside_other_escapes_is_named_as_the_service_reads_it(
    path: str, audience: str
) -> None:
    """It compares the path decoded except for `%2F` with the audience, as it is or decoded once."""
    token = Signer(ENDPOINT).token(path, NOW)

    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["aud"] == ENDPOINT.origin + audience


def test_the_header_is_the_one_that_pyjwt_writes() -> None:
    """Algorithm and type, as every verifier reads them."""
    header = jwt.get_unverified_header(Signer(ENDPOINT).token("/", NOW))

    assert header == {"alg": "HS256", "typ": "JWT"}


def test_the_repr_hides_the_key() -> None:
    """A logged signer gives nothing away."""
    assert KEY not in repr(Signer(ENDPOINT))


@pytest.mark.parametrize(
    "key", ["-----BEGIN PUBLIC KEY-----\nx\n-----END PUBLIC KEY-----", "\udcffbad"]
)
def test_what_cannot_be_an_access_key_is_refused_unseen(key: str) -> None:
    """A certificate or broken bytes in place of the key: said in our words, not shown."""
    with pytest.raises(SettingsError, match="not an access key") as caught:
        Signer(Endpoint("https://a.example", key))

    assert key not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("key", ["short", "k" * 44])
def test_a_short_key_is_no_reason_to_warn(key: str) -> None:
    """The service judges keys; a placeholder works against the embedded service."""
    assert Signer(Endpoint("http://127.0.0.1", key)).token("/", NOW)
