"""Settings by name: where they come from, and what is said when they are missing."""

import json

import pytest

from wps_run.connect.endpoint import Endpoint, Identity
from wps_run.connect.settings import parse_settings, resolve_endpoint, resolve_hub
from wps_run.problems import SettingsError

NAME = "WebPubSubConnectionString"
KEY = "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789+/AbCdE="
STRING = f"Endpoint=https://a.example;AccessKey={KEY};Version=1.0;"


def test_the_named_setting_holds_the_connection_string() -> None:
    """The name is looked up in the environment that is handed in."""
    assert resolve_endpoint("Mine", {"Mine": STRING}) == Endpoint("https://a.example", KEY)


@pytest.mark.parametrize("environment", [{}, {NAME: ""}, {NAME: "  "}, {"Other": STRING}])
def test_a_missing_setting_is_named_with_the_ways_to_set_it(environment: dict[str, str]) -> None:
    """The author learns which setting is looked for and where it may be."""
    with pytest.raises(SettingsError) as caught:
        resolve_endpoint(NAME, environment)

    assert f"setting `{NAME}` is missing; set it to" in str(caught.value)
    assert "--settings" in str(caught.value)
    assert KEY not in str(caught.value)


def test_a_setting_in_another_case_is_pointed_out() -> None:
    """Environments of other systems ignore case; here the name must be to the letter."""
    with pytest.raises(SettingsError) as caught:
        resolve_endpoint(NAME, {NAME.lower(): STRING})

    assert f"`{NAME.lower()}` exists" in str(caught.value)
    assert KEY not in str(caught.value)


def test_a_bad_connection_string_names_its_setting() -> None:
    """Which of several settings is wrong is said."""
    with pytest.raises(SettingsError, match=r"setting `Mine`: .*no `AccessKey`"):
        resolve_endpoint("Mine", {"Mine": "Endpoint=https://a.example"})


def test_a_connection_string_in_place_of_a_name_is_refused_unseen() -> None:
    """Somebody who writes the secret itself must not find it in the error."""
    with pytest.raises(SettingsError, match="name of a setting") as caught:
        resolve_endpoint(STRING, {})

    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "environment", "default", "hub"),
    [
        ("chat", {"WebPubSubHub": "other"}, "local", "chat"),
        (None, {"WebPubSubHub": "other"}, "local", "other"),
        (None, {"WebPubSubHub": " "}, "local", "local"),
        ("", {}, "local", "local"),
    ],
)
def test_the_hub_is_the_first_that_is_named(
    name: str | None, environment: dict[str, str], default: str, hub: str
) -> None:
    """Playbook or option, then the setting, then the default."""
    assert resolve_hub(name, environment, default=default) == hub


@pytest.mark.parametrize(
    ("name", "environment", "message"),
    [
        (None, {}, "no hub is named"),
        (None, {"WEBPUBSUBHUB": "chat"}, "`WEBPUBSUBHUB` exists"),
        ("9lives", {}, "the hub's name must begin with a letter"),
        (None, {"WebPubSubHub": "a/b"}, "in the setting `WebPubSubHub` must begin"),
    ],
)
def test_a_hub_that_is_none_is_refused(
    name: str | None, environment: dict[str, str], message: str
) -> None:
    """Missing or misnamed, the message says what to do."""
    with pytest.raises(SettingsError) as caught:
        resolve_hub(name, environment)

    assert message in str(caught.value)


def test_settings_are_read_from_a_functions_file() -> None:
    """`Values` of local.settings.json, with or without a byte order mark."""
    text = json.dumps({"IsEncrypted": False, "Values": {NAME: STRING}, "Host": {}})

    assert parse_settings("\ufeff" + text, "local.settings.json") == {NAME: STRING}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "`s.json` is not JSON at line 1"),
        ("[" * 100_000, "`s.json` is not JSON"),
        ("[]", "has no `Values`"),
        ('{"Values": []}', "has no `Values`"),
        (json.dumps({"IsEncrypted": True, "Values": {"A": KEY}}), "is encrypted"),
        (json.dumps({"Values": {"A": [KEY]}}), "`A` in `Values` of `s.json` must be a string"),
    ],
)
def test_a_bad_settings_file_is_refused_without_its_values(text: str, message: str) -> None:
    """The file and the place are named, no value is."""
    with pytest.raises(SettingsError) as caught:
        parse_settings(text, "s.json")

    assert message in str(caught.value)
    assert KEY not in str(caught.value)


def test_a_service_uri_stands_for_an_identity() -> None:
    """The settings beside it, as the Functions host names them, say which one."""
    environment = {
        "Mine__serviceUri": "https://A.example/",
        "Mine__credential": "managedIdentity",
        "Mine__clientId": "c",
        "Mine__tenantId": "t",
    }

    endpoint = resolve_endpoint("Mine", environment)

    identity = Identity(managed=True, client_id="c", tenant_id="t")
    assert endpoint == Endpoint("https://a.example", "", identity)


def test_a_connection_string_wins_over_a_service_uri() -> None:
    """As in the Functions extension."""
    environment = {"Mine": STRING, "Mine__serviceUri": "https://b.example"}

    assert resolve_endpoint("Mine", environment) == Endpoint("https://a.example", KEY)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"Mine__serviceUri": "http://a.example"}, "plain http is only for this machine"),
        ({"Mine__serviceUri": "https://a.example/path"}, "`Mine__serviceUri` must end after"),
        ({"Mine__credential": "password"}, "`Mine__credential` must be `managedidentity`"),
        ({"Mine__clientSecret": KEY}, "needs `Mine__clientId` and `Mine__tenantId`"),
    ],
)
def test_a_bad_identity_is_refused_without_its_values(more: dict[str, str], message: str) -> None:
    """The message names the setting."""
    with pytest.raises(SettingsError) as caught:
        resolve_endpoint("Mine", {"Mine__serviceUri": "https://a.example", **more})

    assert message in str(caught.value)
    assert KEY not in str(caught.value)
