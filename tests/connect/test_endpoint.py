"""Connection strings: what is read, what is refused, what is never shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wps_run.connect.endpoint import Endpoint, parse_connection_string
from wps_run.problems import SettingsError

KEY = "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789+/AbCdE="


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        (f"Endpoint=https://a.webpubsub.azure.com;AccessKey={KEY};Version=1.0;", "https://a.webpubsub.azure.com"),
        (f"endpoint=https://A.Example/ ; ACCESSKEY={KEY}", "https://a.example"),
        (f"Endpoint=a.example;AccessKey={KEY}", "https://a.example"),
        (f"Endpoint=https://a.example;Port=8443;AccessKey={KEY}", "https://a.example:8443"),
        (f"Endpoint=https://a.example:1;Port=8443;AccessKey={KEY}", "https://a.example:8443"),
        (f"Endpoint=https://a.example;Port=443;AccessKey={KEY}", "https://a.example"),
        (f"Endpoint=http://localhost;Port=80;AccessKey={KEY}", "http://localhost"),
        (f"Endpoint=http://127.0.0.1:8080;AccessKey={KEY}", "http://127.0.0.1:8080"),
        (f"Endpoint=http://[::1]:8080;AccessKey={KEY}", "http://[::1]:8080"),
    ],
)  # fmt: skip
def test_connection_strings_are_read_as_the_sdks_read_them(text: str, origin: str) -> None:
    """Any case of keys, `=` in values, an optional scheme; a default port is left out."""
    assert parse_connection_string(text) == Endpoint(origin, KEY)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no `Endpoint`"),
        (f"AccessKey={KEY}", "no `Endpoint`"),
        ("Endpoint=https://a.example", "no `AccessKey`"),
        (f"Endpoint=https://a.example;{KEY.rstrip('=')}", "part 2"),
        (f"Endpoint=https://a;AccessKey=x;AccessKey={KEY}", "repeats"),
        (f"Endpoint=ftp://a.example;AccessKey={KEY}", "not an http(s) URL"),
        (f"Endpoint=https://;AccessKey={KEY}", "not an http(s) URL"),
        (f"Endpoint=https://[::1;AccessKey={KEY}", "not a URL"),
        (f"Endpoint=https://u:p@a.example;AccessKey={KEY}", "not an http(s) URL"),
        (f"Endpoint=https://a..example;AccessKey={KEY}", "not an http(s) URL"),
        (f"Endpoint=https://bücher.example;AccessKey={KEY}", "not an http(s) URL"),
        (f"Endpoint=https://a b.example;AccessKey={KEY}", "not an http(s) URL"),
        (f"Endpoint=https://a.example/hubs;AccessKey={KEY}", "end after the host"),
        (f"Endpoint=https://a.example?x=1;AccessKey={KEY}", "end after the host"),
        (f"Endpoint=http://a.example;AccessKey={KEY}", "use an https"),
        (f"Endpoint=http://192.168.0.1;AccessKey={KEY}", "use an https"),
        (f"Endpoint=http://127.0.0.1.example;AccessKey={KEY}", "use an https"),
        (f"Endpoint=https://a.example;Port=0;AccessKey={KEY}", "between 1 and 65535"),
        (f"Endpoint=https://a.example:0;AccessKey={KEY}", "between 1 and 65535"),
        (f"Endpoint=https://a.example;Port=65536;AccessKey={KEY}", "between 1 and 65535"),
        (f"Endpoint=https://a.example;Port=\uff18\uff10;AccessKey={KEY}", "between 1 and 65535"),
    ],
)
def test_a_bad_connection_string_is_refused_without_its_values(text: str, message: str) -> None:
    """The message names the part that is wrong, and holds no value."""
    with pytest.raises(SettingsError) as caught:
        parse_connection_string(text)

    assert message in str(caught.value)
    assert KEY.rstrip("=") not in str(caught.value)


KEPT = f"Endpoint=https://a.example;AccessKey={KEY};Version=1.0;"


@pytest.mark.parametrize("text", [f" {KEPT}\r\n", f"\ufeff{KEPT}", f"\u00a0{KEPT}\u200b "])
def test_invisible_characters_around_a_connection_string_do_not_matter(text: str) -> None:
    """A line break from `kubectl` or `echo`, a byte order mark, what a copied text begins with."""
    assert parse_connection_string(text) == Endpoint("https://a.example", KEY)


QUOTES = [*"\"'`", "\u201c\u201d", "\u201d\u201d", "\u201e\u201c", "\u2018\u2019", "\u00ab\u00bb"]
QUOTED = [*(f"{quotes[0]}{{}}{quotes[-1]}" for quotes in QUOTES), '"{}', ' "{}" \n']


@pytest.mark.parametrize("form", QUOTED)
def test_quotes_around_a_connection_string_are_named(form: str) -> None:
    with pytest.raises(SettingsError, match="is in quotes; remove them") as caught:
        parse_connection_string(form.format(KEPT))

    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<your-web-pubsub-connection-string>", "is still a placeholder"),
        ("{connection string}", "is still a placeholder"),
        ("[connection string]", "is still a placeholder"),
        ("YOUR_CONNECTION_STRING", "is still a placeholder"),
        ("your-connection-string-here", "is still a placeholder"),
        ("REPLACE_ME", "is still a placeholder"),
        ("changeme", "is still a placeholder"),
        ("xxxxx", "is still a placeholder"),
        ("***", "is still a placeholder"),
        ("TODO", "is still a placeholder"),
        ("Endpoint=https://a.example;AccessKey=<key>", "`AccessKey` of the connection"),
        ("Endpoint=https://a.example;AccessKey=***", "`AccessKey` of the connection"),
        ("Endpoint=https://a.example;AccessKey=YOUR_KEY", "is still a placeholder"),
        ("Endpoint=https://a.example;AccessKey=AbCd…", "is incomplete"),
        ("Endpoint=https://…;AccessKey=…;Version=1.0;", "is incomplete"),
        (f"Endpoint=<endpoint>;AccessKey={KEY}", "`Endpoint` of the connection string is still"),
        (f"Endpoint=https://<name>.webpubsub.azure.com;AccessKey={KEY}", "has a placeholder in it"),
        (f"Endpoint=https://xxx.webpubsub.azure.com;AccessKey={KEY}", "has a placeholder in it"),
        (f"Endpoint=https://your-service.webpubsub.azure.com;AccessKey={KEY}", "has a placeholder"),
        ("@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/x)", "Key Vault reference"),
        ("@microsoft.keyvault(VaultName=v;SecretName=x)", "Key Vault reference"),
        ("@Microsoft.AppConfiguration(Endpoint=https://a; Key=b)", "App Configuration reference"),
        (f'{KEPT}"', "is in quotes"),
        (f"{KEPT}\u201d", "is in quotes"),
        (f'\\"{KEPT}\\"', "is in quotes"),
        (f"\u2033{KEPT}\u2033", "is in quotes"),
        (f"&quot;{KEPT}&quot;", "is in quotes"),
        ("Endpoint=https://a.example;AccessKey=ACCESS_KEY", "is still a placeholder"),
        ("connection-string", "is still a placeholder"),
        ("$CONNECTION_STRING", "is the name of a variable"),
        ("#{CONNECTION_STRING}#", "is the name of a variable"),
        ("__CONNECTION_STRING__", "is the name of a variable"),
        ("${CONNECTION_STRING}", "is the name of a variable"),
        ("$env:CONNECTION_STRING", "is the name of a variable"),
        ("$(CONNECTION_STRING)", "is the name of a variable"),
        ("%CONNECTION_STRING%", "is the name of a variable"),
        ("${{ secrets.CONNECTION_STRING }}", "is the name of a variable"),
        ("{{ .Values.connectionString }}", "is the name of a variable"),
        ("Endpoint=https://a.example;AccessKey=$KEY", "is the name of a variable"),
        ("Endpoint=https://a.webpubsub.azure.com;AuthType=azure.msi;Version=1.0;", "`AuthType`"),
        ("Endpoint=https://a.example;AuthType=a;ClientId=c;TenantId=t", "`Mine__tenantId`"),
        ("Endpoint=https://a.example;AuthType=azure.msi", "`Mine__credential` to `managed"),
        ("Endpoint=https://a.example;AuthType=azure;ClientCert=/c", "`Mine__clientCertificate`"),
        ("Endpoint=https://a.service.signalr.net;AuthType=azure.msi", "Azure SignalR Service"),
        (f"Endpoint=https://a.azconfig.io;Id=i;Secret={KEY}", "App Configuration"),
        ("Endpoint=https://a.example", "a shell ends it at the first `;`"),
        ("Endpoint=https://a.example", "set `Mine__serviceUri` to the endpoint"),
        ("https://a.webpubsub.azure.com", "move it to the setting `Mine__serviceUri`"),
        ("https://a.webpubsub.azure.com/client/hubs/x", "is a URL, not a connection string"),
        ("a.webpubsub.azure.com", "is a URL, not a connection string"),
        (f"wss://a.webpubsub.azure.com/client/hubs/x?access_token={KEY}", "is a URL for clients"),
        (f"Endpoint=https://a.service.signalr.net;AccessKey={KEY}", "Azure SignalR Service"),
        ("https://A.service.signalr.net/", "the value is that of Azure SignalR Service"),
        (KEPT.replace(";", ","), "has another character than `;`"),
        (KEPT.replace(";", "\\;"), "has another character than `;`"),
        (KEPT.replace(";", "\n"), "has another character than `;`"),
        (f"Endpoint=https://a.signalr.azure.cn;AccessKey={KEY}", "Azure SignalR Service"),
        (f"endpoint=https://a.communication.azure.com/;accesskey={KEY}", "Communication Services"),
        (f"Endpoint=sb://a;SharedAccessKeyName=n;SharedAccessKey={KEY}", "Event Hubs"),
        (f"HostName=a.azure-devices.net;SharedAccessKeyName=n;SharedAccessKey={KEY}", "IoT Hub"),
        (f"DefaultEndpointsProtocol=https;AccountName=a;AccountKey={KEY}", "Azure Storage"),
        (f"AccountEndpoint=https://a.documents.azure.com:443/;AccountKey={KEY}", "Cosmos DB"),
        (f"InstrumentationKey={KEY};IngestionEndpoint=https://a", "Application Insights"),
        (f'{{"primaryConnectionString": "{KEPT}"}}', "is JSON"),
        (f'["{KEPT}"]', "is JSON"),
        ("RW5kcG9pbnQ9aHR0cHM6Ly9hLmV4YW1wbGU7QWNjZXNzS2V5PWs=", "in base64"),
        (f"WebPubSubConnectionString={KEPT}", "begins with a name and `=`"),
        (f"export X='{KEPT}'", "begins with a name and `=`"),
        (KEY, "is an access key alone"),
        ("nonsense", "is no connection string"),
        (f"Endpoint=https://a.example;AccessKey={KEY[:9]}\n{KEY[9:]}", "a line break"),
        (f"Endpoint=https://a.example;AccessKey={KEY[:9]} {KEY[9:]}", "has a space"),
        (f"Endpoint=https://a.example:99999;AccessKey={KEY}", "between 1 and 65535"),
    ],
)  # fmt: skip
def test_other_value_is_named_as_what_it_is(text: str, message: str) -> None:
    """With the remedy, and without the value."""
    with pytest.raises(SettingsError) as caught:
        parse_connection_string(text, "Mine")

    assert message in str(caught.value)
    assert KEY[:9] not in str(caught.value)
    assert text not in str(caught.value)


@pytest.mark.parametrize(
    "host", ["push.database.example", "your-moment.example", "x.webpubsub.azure.com"]
)
def test_own_domain_is_not_taken_for_another_service(host: str) -> None:
    """Only hosts of Azure are; and the key may be in any form that the emulator accepts."""
    text = f"Endpoint=https://{host};AccessKey=my-own-access-key-for-tests-0123456789"

    assert parse_connection_string(text).origin == f"https://{host}"


@given(st.text("Endpoint=;AcsKy:/[]@.hx \n1", max_size=60) | st.text(max_size=60))
def test_no_text_breaks_the_reader(text: str) -> None:
    """Whatever a setting holds, it is read or refused in our own words."""
    try:
        parse_connection_string(f"Endpoint={text};AccessKey=k")
    except SettingsError:
        return


def test_the_repr_hides_the_key() -> None:
    """A logged endpoint gives nothing away."""
    assert KEY not in repr(Endpoint("https://a.example", KEY))


@pytest.mark.parametrize(
    ("origin", "loopback"),
    [
        ("http://localhost:1", True),
        ("http://127.9.9.9", True),
        ("http://[::1]:1", True),
        ("https://a.example", False),
        ("https://localhost.example", False),
    ],
)
def test_loopback_is_told_from_the_host(origin: str, *, loopback: bool) -> None:
    """Only this machine's own addresses and `localhost` are loopback."""
    assert Endpoint(origin, KEY).is_loopback is loopback


def test_a_reverse_proxy_is_where_requests_go_and_not_whom_tokens_are_for() -> None:
    """`--endpoint`: the origin stays the service's own."""
    endpoint = Endpoint("https://a.example", "k").behind("https://Proxy.example:8443/")

    assert (endpoint.address, endpoint.origin) == (
        "https://proxy.example:8443",
        "https://a.example",
    )


@pytest.mark.parametrize(
    "url",
    [
        *("http://proxy.example", "http://proxy.example/wps", "ftp://a", "a b", "https:///wps"),
        *("https://p.example/wps?a=b", "https://p.example/wps?", "https://p.example/wps#a"),
        *("https://ada:pw@p.example/wps", "https://p.example/a b", "https://p.example/ä"),
        *("https://p.example/%zz", "https://p.example/a/../b", "https://p.example/%2e%2E/b"),
        *("https://p.example/a\nb", "https://p.example\\wps"),
    ],
)
def test_a_bad_reverse_proxy_is_refused(url: str) -> None:
    """The same rules as for the endpoint; the option is named."""
    with pytest.raises(SettingsError, match="`--endpoint`"):
        Endpoint("https://a.example", "k").behind(url)


@pytest.mark.parametrize(
    ("url", "address", "path"),
    [
        ("https://gw.example/wps", "https://gw.example", "/wps"),
        ("https://GW.example:443/Team/wps/", "https://gw.example", "/Team/wps"),
        ("gw.example/wps", "https://gw.example", "/wps"),
        ("https://gw.example/my%20api%2Fv1", "https://gw.example", "/my%20api%2Fv1"),
        ("https://gw.example/", "https://gw.example", ""),
    ],
)
def test_a_gateway_may_have_a_path(url: str, address: str, path: str) -> None:
    """It stays as it is written, but for slashes at its end."""
    endpoint = Endpoint("https://a.example", "k").behind(url)

    assert (endpoint.address, endpoint.path_prefix) == (address, path)
    assert (endpoint.origin, endpoint.host) == ("https://a.example", "a.example")
