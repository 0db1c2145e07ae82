"""Secrets, and what a request contains, are not in texts that are shown."""

import base64

import jwt
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from wps_run.actions.request import Request
from wps_run.redaction import (
    MASK,
    SHORTEST_ECHO,
    Secrets,
    clean_line,
    is_secret_name,
    is_secret_value,
    mask_access_keys,
    mask_secrets,
    secrets_of,
)
from wps_run.text import one_line

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


@pytest.mark.parametrize(
    "name",
    [
        *("KEY", "apiKey", "API_KEY", "MyAPIKey", "APIkey", "key-1", "KEY2", "apikey", "x.key"),
        *("GITHUB_TOKEN", "token", "clientSecret", "dbPassword", "DB_PASSWORD", "DB_PWD"),
        *("blobSas", "SAS_URL", "DB_CONNECTION_STRING", "ConnectionString", "connectionstring"),
        *("WebPubSubConnectionString", "CUSTOMCONNSTR_Chat", "Chat__clientSecret", "PASS_WORD"),
    ],
)
def test_a_word_of_its_name_makes_a_setting_secret(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *("MONKEY", "monkey", "Monkey", "turkeyHub", "KEYBOARD", "Tokenizer", "SECRETARY"),
        *("PASSPORT", "Saskia", "SASKIA", "HOME", "ROOM", "CONNECTION", "STRING", "TEAM_1", ""),
    ],
)
def test_a_part_of_a_word_does_not(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    "value",
    [
        "Endpoint=https://x.webpubsub.azure.com;AccessKey=abc;Version=1.0;",
        "Endpoint=https://x.webpubsub.azure.com;AuthType=aad",
        "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=abc==;EndpointSuffix=x",
        "Endpoint=sb://x/;SharedAccessKeyName=Root;SharedAccessKey=abc",
        "Server=tcp:x;Database=y;User ID=a;Password=b",
        "postgres://ada:pass@db.example/chat",
        "https://x.blob.example/c?sv=1&sig=abc",
        "eyJhbGciOiJIUzI1NiJ9.eyJhdWQiOiJ4In0.c2lnbmF0dXJl",
        "-----BEGIN RSA PRIVATE KEY-----\nabc",
    ],
)
def test_a_connection_string_a_token_and_a_private_key_are_secret_values(value: str) -> None:
    assert is_secret_value(value)


@pytest.mark.parametrize(
    "value",
    [
        *("launch", "", "a=b", "a=b;c=d", "https://x.example/?key=1", "C:\\a;D:\\b", "secret="),
        *("rs=0:di=01;34:ln=01;36", "the key=value pairs", "/home/ada:/root"),
    ],
)
def test_ordinary_values_are_not(value: str) -> None:
    assert not is_secret_value(value)


@given(secret=st.text(min_size=8, max_size=40), before=st.binary(max_size=5), after=st.binary())
def test_a_secret_is_masked_in_base64_wherever_it_begins(
    secret: str, before: bytes, after: bytes
) -> None:
    """At most a character beside it stays, which depends on the bytes around it, too."""
    raw = secret.encode()
    shown = Secrets([secret]).mask(base64.b64encode(before + raw + after).decode())

    encoded = base64.b64encode(raw).decode()
    assert MASK in shown
    assert encoded not in shown


@given(secret=st.text("abcXYZ019+/=", min_size=8, max_size=60), length=st.integers(1, 400))
def test_no_part_of_a_secret_is_left_in_what_a_server_writes(secret: str, length: int) -> None:
    for text in (secret, secret * 30, f"x{secret[1:]}", " ".join(secret), secret.encode().hex()):
        shown = clean_line(text, Secrets([secret]), length) or ""
        assert len(shown) <= max(length, len(MASK))
        packed = shown.replace(" ", "")
        assert all(secret[at : at + 12] not in packed for at in range(max(1, len(secret) - 11)))


@pytest.mark.parametrize(
    ("text", "echoes", "shown"),
    [
        ("no such user", ["hello"], "no such user"),
        ("cannot read 'hello' here", ["hello"], "cannot read '…' here"),
        ("the helloes are fine", ["hello"], "the helloes are fine"),
        ("near: a day in the life", ["It was a day in the year"], "near:…life"),
        ("hello", ["hello"], None),
        ("aGVsbG8=", ["hello"], None),
        ("value aGVsbG8gd29ybGQgb2YgZWNob2Vz", ["hello world of echoes"], None),
        ("invalid: hello%20world%20of%20echoes", ["hello world of echoes"], None),
        ("line\nbreaks\tstay words of a text", ["line\r\nbreaks\tstay words"], "… of a text"),
        (None, ["x"], None),
    ],
)
def test_what_a_request_contains_is_cut_out(
    text: str | None, echoes: list[str], shown: str | None
) -> None:
    """Short texts as whole words, longer ones in each part; all of it in another encoding."""
    assert clean_line(text, Secrets(), 100, echoes) == shown


def test_what_a_server_writes_in_another_case_is_cut_out_too() -> None:
    assert clean_line("bad: HELLO WORLD OF ECHOES!", Secrets(), 100, ["hello World of echoes"]) == (
        "bad: …!"
    )


def test_a_secret_that_is_allowed_is_masked_by_its_value_too() -> None:
    environment = {"A": "postgres://ada:pass@db/chat", "B": "ordinary-text"}

    secrets = secrets_of(environment, ["A", "B"])

    assert secrets.mask("postgres://ada:pass@db/chat ordinary-text") == "*** ordinary-text"
    assert "pass" not in repr(secrets)


@given(body=st.binary(min_size=24, max_size=200))
def test_a_binary_payload_that_a_server_repeats_in_base64_is_not_shown(body: bytes) -> None:
    echoes = Request("POST", "/api/hubs/chat/:send", "", body).echoes()
    encoded = base64.b64encode(body).decode()
    assume(len(one_line(body.decode("latin-1"))) >= SHORTEST_ECHO)

    shown = clean_line(f"invalid: {encoded}", Secrets(), 300, echoes)

    assert shown is None or encoded not in shown
