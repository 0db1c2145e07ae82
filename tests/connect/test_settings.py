"""Settings by name: where they come from, and what is said when they are missing."""

import json

import pytest

from wps_run.connect.endpoint import CredentialKind, Endpoint, Identity
from wps_run.connect.function_files import FunctionBinding, parse_function, parse_settings
from wps_run.connect.settings import (
    merge_settings,
    parse_header_setting,
    resolve_endpoint,
    resolve_hub,
)
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


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        (NAME, NAME.lower()),
        (NAME, f"ConnectionStrings:{NAME}"),
        (NAME, f"connectionstrings__{NAME}"),
        (NAME, f"CUSTOMCONNSTR_{NAME}"),
        ("Web:PubSub", "WEB__PUBSUB"),
        ("Web__PubSub", "Web:PubSub"),
        ("ConnectionStrings:Mine", "CUSTOMCONNSTR_Mine"),
    ],
)
def test_setting_is_found_in_every_spelling_of_its_name(name: str, setting: str) -> None:
    """.NET ignores case, reads `A__B` as `A:B`, and has a section for connection strings."""
    assert resolve_endpoint(name, {setting: STRING}) == Endpoint("https://a.example", KEY)


def test_setting_of_the_name_itself_comes_before_the_section() -> None:
    environment = {f"CUSTOMCONNSTR_{NAME}": "Endpoint=https://b.example;AccessKey=k", NAME: STRING}

    assert resolve_endpoint(NAME, environment).origin == "https://a.example"


@pytest.mark.parametrize(
    "environment",
    [
        {"Mine": STRING, "MINE": STRING},
        {"ConnectionStrings:Mine": STRING, "CUSTOMCONNSTR_mine": STRING},
        {"Mine__serviceUri": "https://a.example", "mine:serviceuri": "https://a.example"},
    ],
)
def test_two_spellings_of_a_used_setting_are_an_error(environment: dict[str, str]) -> None:
    """Which of them counts is unknown, so both are named; their values are not."""
    with pytest.raises(SettingsError, match="are the same setting") as caught:
        resolve_endpoint("Mine", environment)

    assert all(f"`{name}`" in str(caught.value) for name in environment)
    assert KEY not in str(caught.value)


def test_two_spellings_of_another_setting_do_not_matter() -> None:
    assert resolve_endpoint("Mine", {"Mine": STRING, "path": "1", "PATH": "2"}).key == KEY


def test_environment_overrides_every_spelling_in_the_file() -> None:
    merged = merge_settings(
        {"mine": "file", "A:B": "file", "C": "file"}, {"MINE": "1", "A__B": "2"}
    )

    assert merged == {"C": "file", "MINE": "1", "A__B": "2"}


def test_settings_named_in_hub_and_connection_are_filled_in() -> None:
    """`%NAME%`, as the binding resolves it."""
    environment = {"Stage": "eu", "SettingName": "Mine", "Mine": STRING}

    assert resolve_hub("chat_%STAGE%", environment) == "chat_eu"
    assert resolve_endpoint("%SettingName%", environment).key == KEY


@pytest.mark.parametrize(
    ("hub", "message"),
    [
        ("%None%", "setting `None` is missing, which `hub` names as `%None%`"),
        ("chat%", "`hub` has a `%` alone"),
        ("%Mine%", "must not contain its value"),
        ("%ApiKey%", "must not contain its value"),
        ("%Bad%", "the setting `Bad` is still a placeholder"),
    ],
)
def test_unusable_setting_in_the_hub_is_an_error(hub: str, message: str) -> None:
    environment = {"Mine": STRING, "ApiKey": "s3cr3tkey", "Bad": "<your-hub>"}
    with pytest.raises(SettingsError) as caught:
        resolve_hub(hub, environment)

    assert message in str(caught.value)
    assert "s3cr3tkey" not in str(caught.value)


def test_rehearsal_needs_no_setting_for_the_hub() -> None:
    """But one that is there must be usable."""
    assert resolve_hub("%None%", {}, default="local") == "local"
    with pytest.raises(SettingsError, match="must not contain its value"):
        resolve_hub("%Mine%", {"Mine": STRING}, default="local")


def test_missing_endpoint_of_an_identity_is_named() -> None:
    with pytest.raises(SettingsError, match="`Mine__serviceUri` is missing, although there is"):
        resolve_endpoint("Mine", {"MINE__clientId": "c"})


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
        (None, {"WEBPUBSUBHUB": "chat", "webpubsubhub": "x"}, "are the same setting"),
        (None, {"WebPubSubHub": '"chat"'}, "in the setting `WebPubSubHub` is in quotes"),
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
        (json.dumps({"IsEncrypted": "True", "Values": {}}), "is encrypted"),
        ('{"Values": {\n  "A": "1" "B"}}', "`s.json` is not JSON at line 2, column 12: expecting"),
        ('{"Values": {/* "A": "1"}}', "`s.json` is not JSON at line 1"),
        ("/*" * 400_000, "`s.json` is not JSON at line 1"),
    ],
)
def test_a_bad_settings_file_is_refused_without_its_values(text: str, message: str) -> None:
    """The file and the place are named, no value is."""
    with pytest.raises(SettingsError) as caught:
        parse_settings(text, "s.json")

    assert message in str(caught.value)
    assert KEY not in str(caught.value)


def test_settings_are_read_as_the_functions_tools_read_them() -> None:
    """Comments and commas before a closing bracket; numbers and booleans as text; two sections."""
    text = """{
  // "Values": "the other environment",
  "values": {
    "URL": "https://a.example//x, /* no comment */ ,}",  /* a
    comment */
    "On": true, "Off": false, "Size": 1.50, "Big": 1e400, "Nothing": null,
    "List": ["a", 1,],
  },
  "ConnectionStrings": {"A": "text", "B": {"ConnectionString": "more", "ProviderName": "x"},},
}"""

    assert parse_settings(text, "local.settings.json") == {
        "URL": "https://a.example//x, /* no comment */ ,}",
        "On": "true",
        "Off": "false",
        "Size": "1.50",
        "Big": "1e400",
        "List": '["a", "1"]',
        "ConnectionStrings:A": "text",
        "ConnectionStrings:B": "more",
    }


def test_only_a_setting_that_is_used_must_be_a_text() -> None:
    settings = parse_settings(json.dumps({"Values": {"A": [KEY], "Mine": STRING}}), "s.json")

    assert resolve_endpoint("Mine", settings).key == KEY
    with pytest.raises(SettingsError, match="setting `A`: the value is JSON") as caught:
        resolve_endpoint("A", settings)
    assert KEY not in str(caught.value)


FUNCTION = """{
  "bindings": [ // of one function
    {"type": "httpTrigger", "direction": "in", "name": "req"},
    {"type": "webPubSubConnection", "direction": "in", "hub": "other"},
    {"Type": "WebPubSub", "direction": "out", "name": "$return", "hub": "%Hub%",
     "connection": "Mine",},
  ]
}"""


def test_hub_and_connection_are_those_of_the_output_binding() -> None:
    assert parse_function(FUNCTION, "function.json") == FunctionBinding("%Hub%", "Mine")


@pytest.mark.parametrize(
    ("bindings", "binding"),
    [
        ([{"type": "webPubSub", "hub": "a"}] * 2, FunctionBinding("a")),
        ([{"type": "webPubSub", "connection": ""}], FunctionBinding()),
        ([{"type": "webPubSubConnection", "hub": "a"}], FunctionBinding("a")),
        ([{"type": "webPubSubTrigger", "hub": "a"}, {"type": 1}, 5], FunctionBinding("a")),
    ],
)
def test_absent_values_and_equal_bindings_are_fine(
    bindings: list[object], binding: FunctionBinding
) -> None:
    assert parse_function(json.dumps({"bindings": bindings}), "function.json") == binding


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "has no `bindings`"),
        ('{"bindings": {}}', "has no `bindings`"),
        ('{"bindings": [{"type": "queue"}]}', "has no binding of type `webPubSub`"),
        (
            '{"bindings": [{"type": "webPubSub", "hub": "a"}, {"type": "webPubSub"}]}',
            "the bindings of `f.json` differ in `hub`; give `--hub`",
        ),
        ('{"bindings": [{"type": "webPubSub", "hub": [1]}]}', "must be a string"),
    ],
)
def test_other_function_is_refused(text: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_function(text, "f.json")

    assert message in str(caught.value)


def test_a_service_uri_stands_for_an_identity() -> None:
    """The settings beside it, as the Functions host names them, say which one."""
    environment = {
        "Mine__serviceUri": "https://A.example/",
        "Mine__credential": "managedIdentity",
        "Mine__clientId": "c",
        "Mine__tenantId": "t",
    }

    endpoint = resolve_endpoint("Mine", environment)

    settings = {"clientId": "c", "tenantId": "t"}
    identity = Identity(CredentialKind.MANAGED, settings=settings)
    assert endpoint == Endpoint("https://a.example", "", identity)


@pytest.mark.parametrize(
    ("host", "more", "scope", "authority"),
    [
        ("a.webpubsub.azure.com", {}, "https://webpubsub.azure.com", "login.microsoftonline.com"),
        ("A.webpubsub.azure.CN", {}, "https://webpubsub.azure.cn", "login.chinacloudapi.cn"),
        ("a.webpubsub.azure.us.", {}, "https://webpubsub.azure.us", "login.microsoftonline.us"),
        ("push.example", {}, "https://webpubsub.azure.com", "login.microsoftonline.com"),
        (
            "push.example",
            {"Mine__azureCloud": "USGov"},
            "https://webpubsub.azure.us",
            "login.microsoftonline.us",
        ),
        (
            "push.example",
            {"Mine__scope": "https://webpubsub.azure.cn/.default"},
            "https://webpubsub.azure.cn",
            "login.chinacloudapi.cn",
        ),
        (
            "a.webpubsub.azure.us",
            {"mine:scope": "api://my-app/"},
            "api://my-app",
            "login.microsoftonline.com",
        ),
    ],
)
def test_scope_and_authority_follow_the_cloud(
    host: str, more: dict[str, str], scope: str, authority: str
) -> None:
    """That of the endpoint, unless settings name another."""
    endpoint = resolve_endpoint("Mine", {"Mine__serviceUri": f"https://{host}", **more})

    assert endpoint.identity is not None
    assert endpoint.identity.scope == f"{scope}/.default"
    assert endpoint.identity.cloud.authority == authority


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
        ({"Mine__credential": "azurecli"}, "leave it empty for `Mine__clientSecret`, `az login`"),
        ({"Mine__clientSecret": KEY}, "needs `Mine__clientId` and `Mine__tenantId`"),
        ({"Mine__clientCertificate": "c.pem"}, "needs `Mine__clientId` and `Mine__tenantId`"),
        (
            {"Mine__credential": "azurePipelines", "Mine__clientId": "c", "Mine__tenantId": "t"},
            "needs `Mine__serviceConnectionId` and `Mine__systemAccessToken`",
        ),
        (
            {
                "Mine__credential": "managedIdentityAsFederatedIdentity",
                "Mine__clientId": "c",
                "Mine__tenantId": "t",
            },
            "exactly one of `Mine__managedIdentityClientId`",
        ),
        (
            {
                "Mine__credential": "managedidentity",
                "Mine__clientId": "c",
                "Mine__managedIdentityResourceId": "r",
            },
            "exactly one of `Mine__managedIdentityResourceId`, `Mine__clientId`",
        ),
        ({"Mine__clientId": "<your-client-id>"}, "`Mine__clientId` is still a placeholder"),
        ({"Mine__tenantId": "'t'"}, "`Mine__tenantId` is in quotes"),
        ({"Mine__scope": "webpubsub"}, "`Mine__scope` must be a URL"),
        ({"Mine__azureCloud": "moon"}, "must be `public`, `usgov` or `china`"),
        ({"Mine__serviceUri": "https://a.service.signalr.net"}, "is that of Azure SignalR"),
        ({"Mine__serviceUri": "$URL"}, "`Mine__serviceUri` is the name of a variable"),
        ({"Mine__serviceUri": f"Endpoint=https://a;AccessKey={KEY}"}, "is a connection string"),
    ],
)
def test_a_bad_identity_is_refused_without_its_values(more: dict[str, str], message: str) -> None:
    """The message names the setting."""
    with pytest.raises(SettingsError) as caught:
        resolve_endpoint("Mine", {"Mine__serviceUri": "https://a.example", **more})

    assert message in str(caught.value)
    assert KEY not in str(caught.value)


def test_headers_have_the_values_of_settings() -> None:
    """No repr shows them, since they are keys."""
    environment = {"Mine": STRING, "APIM": " s3cret-of-the-gateway\t", "TENANT": "blue"}
    names = (("Ocp-Apim-Subscription-Key", "APIM"), ("X-Tenant", "TENANT"))

    endpoint = resolve_endpoint("Mine", environment, headers=names)

    assert endpoint.headers == (
        ("Ocp-Apim-Subscription-Key", "s3cret-of-the-gateway"),
        ("X-Tenant", "blue"),
    )
    assert "s3cret" not in repr(endpoint)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("", "setting `APIM`, the value of the header `X-Key`, is missing"),
        (" \t", "is missing"),
        ("s3cret\r\nX-Other: 1", "line break"),
        ("s3cret\0", "not ASCII"),
        ("s3crét", "not ASCII"),
    ],
)
def test_a_setting_that_cannot_be_a_header_is_named_without_its_value(
    value: str, message: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        resolve_endpoint("Mine", {"Mine": STRING, "APIM": value}, headers=[("X-Key", "APIM")])

    assert message in str(caught.value)
    assert "`APIM`" in str(caught.value)
    assert "s3c" not in str(caught.value)


def test_a_header_is_not_given_twice() -> None:
    environment = {"Mine": STRING, "A": "1", "B": "2"}

    with pytest.raises(SettingsError, match="`x-key` is given twice"):
        resolve_endpoint("Mine", environment, headers=[("X-Key", "A"), ("x-key", "B")])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("X-Key: s3cret", "NAME=SETTING"),
        ("X-Key", "NAME=SETTING"),
        ("X-Key=", "not the value itself"),
        ("X Key=APIM", "letters, digits and hyphens"),
        ("X-Key\r\n=APIM", "letters, digits and hyphens"),
        ("=APIM", "letters, digits and hyphens"),
        ("X-Key=s3cret value", "not the value itself"),
        ("X-Key=5a1e9c0b7d3f4e6a8b2c1d0e9f8a7b6c", "not the value itself"),
        ("X-Key=e9f8a7b65a1e9c0b7d3f4e6a8b2c1d0e", "not the value itself"),
        *(
            (f"{name}=APIM", f"`{name}` cannot be added")
            for name in ("Host", "authorization", "Content-Length", "content-type", "Connection")
        ),
        ("Transfer-Encoding=APIM", "cannot be added"),
        ("X-MS-Client-Request-ID=APIM", "cannot be added"),
    ],
)
def test_a_header_that_would_break_requests_is_refused(text: str, message: str) -> None:
    """A value in the place of the setting is not repeated."""
    with pytest.raises(SettingsError) as caught:
        parse_header_setting(text)

    assert message in str(caught.value)
    assert not any(part in str(caught.value) for part in ("s3cret", "7d3f4e6a", "a7b65a1e"))


@pytest.mark.parametrize(
    "text",
    [
        '{"Values": {"A": "a"}, "values": {}}',
        '{"ConnectionStrings": {"A": {"ConnectionString": "a", "connectionString": "b"}}}',
    ],
)
def test_keys_of_the_file_that_differ_only_in_case_are_an_error(text: str) -> None:
    """One of them would be ignored."""
    with pytest.raises(SettingsError, match="differ only in case; remove one of them"):
        parse_settings(text, "local.settings.json")
