"""Keys, tokens and connection strings are masked, whatever stands around them."""

import base64

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wps_run.text import mask_access_keys, mask_secrets

KEYS = st.binary(min_size=32, max_size=64).map(lambda key: base64.b64encode(key).decode())
AROUND = st.sampled_from(["", " ", "'", '"', "(", ": ", "\n"])


@given(key=KEYS, before=AROUND, after=AROUND)
def test_a_connection_string_keeps_its_endpoint_at_most(key: str, before: str, after: str) -> None:
    """It need not be that of a setting."""
    text = f"{before}Endpoint=https://x.example;AccessKey={key};Version=1.0;{after}"

    assert key not in mask_secrets(text, {})
    assert "https://x.example" in mask_secrets(text, {})


@given(key=KEYS, before=AROUND, after=AROUND)
def test_a_setting_that_is_secret_is_masked_as_a_whole(key: str, before: str, after: str) -> None:
    """By what it looks like, or by its name."""
    string = f"Endpoint=https://x.example;AccessKey={key};"
    environment = {"HUB_A": string, "WPS_LOCAL_ACCESS_KEY": key, "B__clientSecret": "my own s3cret"}
    text = f"{before}{string}{after}|{before}{key}{after}|{before}my own s3cret{after}"

    shown = mask_secrets(text, environment)

    assert shown == f"{before}***{after}|{before}***{after}|{before}***{after}"


@given(key=KEYS, user=st.text(max_size=20))
def test_a_token_is_masked(key: str, user: str) -> None:
    """Behind `Bearer`, and by itself."""
    token = jwt.encode({"aud": "https://x.example", "sub": user}, key)

    assert mask_secrets(f"Bearer {token}", {}) == "Bearer ***"
    assert mask_secrets(f"URL('wss://x/?access_token={token}')", {}) == (
        "URL('wss://x/?access_token=***')"
    )


@pytest.mark.parametrize(
    "text",
    [
        'File "/usr/local/lib/python3/dist/Packages/wps_run/connect/client/module.py", line 12',
        "0d3c9a1e-5b7f-4f0a-9a51-8a1f0f6f7c11",
        "KeyError: 'userId'",
        "thisIsAVeryLongNameOfATestThatSaysWhatItProves",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    """Paths, IDs and names are what a traceback is read for."""
    assert mask_secrets(text, {"TERM": "xterm-256color", "SHORT_KEY": "id"}) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Endpoint=https://h;AccessKey=abc+/==;Version=1.0", "AccessKey=*******;"),
        ('{"accesskey=abc"}', '{"accesskey=***"}'),
        ("AccessKey=abc and more", "AccessKey=*** and more"),
    ],
)
def test_access_keys_are_mask_access_keys(text: str, shown: str) -> None:
    """By their name in a connection string, and with their width, so that carets stay right."""
    assert shown in mask_access_keys(text)
    assert len(mask_access_keys(text)) == len(text)
