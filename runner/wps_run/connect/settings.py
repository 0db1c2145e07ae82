"""From the names of settings and a given environment to the endpoint and the hub."""

import json
from collections.abc import Mapping

from wps_run.actions.names import hub_error
from wps_run.connect.endpoint import Endpoint, Identity, parse_connection_string, parse_origin
from wps_run.problems import SettingsError

HUB_SETTING = "WebPubSubHub"
"""The setting that names the hub, as the Functions extension calls it."""


def resolve_endpoint(name: str, environment: Mapping[str, str]) -> Endpoint:
    """The endpoint that the setting `name` names, with its key or its identity.

    `NAME` holds a connection string. When it is empty, `NAME__serviceUri` holds the endpoint,
    and Entra ID lets us in; `NAME__credential`, `NAME__clientId`, `NAME__tenantId` and
    `NAME__clientSecret` say how.

    Args:
        name: The name of the setting. Names are compared case-sensitively.
        environment: Setting names to values, from every source, merged.

    Raises:
        SettingsError: There is no such setting, or it holds neither. Says how to set it; never
            holds its value.

    Source: `connection` of the Functions output binding, which is the name of a setting too.
    """
    if "=" in name:
        raise SettingsError(
            "`connection` is the name of a setting, not the connection string itself; "
            "put the string into a setting and give its name"
        )
    text = environment.get(name, "")
    uri = environment.get(f"{name}__serviceUri", "").strip()
    if not text.strip() and uri:
        what = f"the setting `{name}__serviceUri`"
        return Endpoint(parse_origin(uri, what=what), "", _identity(name, environment))
    if not text.strip():
        raise SettingsError(_missing(name, environment, "the connection string of your service"))
    try:
        return parse_connection_string(text)
    except SettingsError as error:
        raise SettingsError(f"setting `{name}`: {error}") from None


def _identity(name: str, environment: Mapping[str, str]) -> Identity:
    """How to come by a token, as the settings beside `NAME__serviceUri` say."""

    def setting(suffix: str) -> str:
        return environment.get(f"{name}__{suffix}", "").strip()

    credential, secret = setting("credential"), setting("clientSecret")
    if credential.lower() not in {"", "managedidentity"}:
        raise SettingsError(f"the setting `{name}__credential` must be `managedidentity`, or empty")
    if secret and not (setting("clientId") and setting("tenantId")):
        raise SettingsError(
            f"the setting `{name}__clientSecret` also needs `{name}__clientId` and "
            f"`{name}__tenantId`"
        )
    return Identity(bool(credential), setting("clientId"), setting("tenantId"), secret)


def resolve_hub(named: str | None, environment: Mapping[str, str], *, default: str = "") -> str:
    """The hub of a playbook.

    Args:
        named: What the command line or the playbook says; it wins. None or "" when neither does.
        environment: Setting names to values; `WebPubSubHub` is asked next.
        default: The hub when nothing names one; "" for none.

    Raises:
        SettingsError: No hub is named, or its name is none that the service takes.
    """
    setting = environment.get(HUB_SETTING, "").strip()
    hub = named or setting or default
    if not hub:
        raise SettingsError(
            "no hub is named: write `hub:` in the playbook, give `--hub NAME`, or set "
            f"`{HUB_SETTING}`{_other_case(HUB_SETTING, environment)}"
        )
    if fault := hub_error(hub):
        source = "the hub's name" if named else f"the hub's name in the setting `{HUB_SETTING}`"
        raise SettingsError(f"{source} {fault}")
    return hub


def parse_settings(text: str, file: str) -> Mapping[str, str]:
    """The settings in a Functions `local.settings.json`.

    Args:
        text: The file's content; a byte order mark is skipped.
        file: Its name, for messages.

    Returns:
        Setting name to value, from `Values`. The caller lets its environment win over them.

    Raises:
        SettingsError: It is not such a file, or its values are encrypted. Never holds a value.
    """
    try:
        content = json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:
        place = f" at line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise SettingsError(f"`{file}` is not JSON{place}") from None
    values = content.get("Values") if isinstance(content, dict) else None
    if not isinstance(values, dict):
        raise SettingsError(
            f'`{file}` has no `Values`; it looks like {{"Values": {{"NAME": "value"}}}}'
        )
    if content.get("IsEncrypted") is True:
        raise SettingsError(f"`{file}` is encrypted; decrypt it with `func settings decrypt`")
    wrong = [name for name, value in values.items() if not isinstance(value, str)]
    if wrong:
        raise SettingsError(f"`{wrong[0]}` in `Values` of `{file}` must be a string")
    return values


def _missing(name: str, environment: Mapping[str, str], content: str) -> str:
    if other := _other_case(name, environment):
        return f"setting `{name}` is missing{other}"
    return (
        f"setting `{name}` is missing; set it to {content}: as the environment variable {name}, "
        "or under `Values` in the file given by `--settings`"
    )


def _other_case(name: str, environment: Mapping[str, str]) -> str:
    """`; `X` is there …` when the setting exists in another case, else an empty text."""
    for other, value in environment.items():
        if other != name and other.casefold() == name.casefold() and value.strip():
            return f"; `{other}` is there, but names are case-sensitive: write `{name}`"
    return ""
