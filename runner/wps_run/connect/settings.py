"""Resolve the endpoint and the hub from settings."""

import json
from collections.abc import Mapping

from wps_run.actions.names import hub_error
from wps_run.connect.endpoint import Endpoint, Identity, parse_connection_string, parse_origin
from wps_run.problems import SettingsError

HUB_SETTING = "WebPubSubHub"
"""The setting with the name of the hub, as in the Functions extension."""


def resolve_endpoint(name: str, environment: Mapping[str, str]) -> Endpoint:
    """Resolve the endpoint that the setting `name` describes, with its key or identity.

    `NAME` contains a connection string. When it is empty, `NAME__serviceUri` contains the endpoint
    for Entra ID, and `NAME__credential`, `NAME__clientId`, `NAME__tenantId` and
    `NAME__clientSecret` describe the identity.

    Args:
        name: The name of the setting, case-sensitive.
        environment: Setting names to values, from every source, merged.

    Raises:
        SettingsError: The setting is missing or invalid. The message explains how to set it, and
            never contains its value.

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
        raise SettingsError(_missing(name, environment))
    try:
        return parse_connection_string(text)
    except SettingsError as error:
        raise SettingsError(f"setting `{name}`: {error}") from None


def _identity(name: str, environment: Mapping[str, str]) -> Identity:
    """Return the identity that the settings beside `NAME__serviceUri` describe."""

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


def resolve_hub(name: str | None, environment: Mapping[str, str], *, default: str = "") -> str:
    """Resolve the hub of a playbook: the name, else the setting `WebPubSubHub`, else the default.

    Args:
        name: The hub by the command line or the playbook; None or "" for none.
        environment: Setting names to values.
        default: The hub when nothing names one; "" for none.

    Raises:
        SettingsError: No hub is named, or the name is invalid.
    """
    setting = environment.get(HUB_SETTING, "").strip()
    hub = name or setting or default
    if not hub:
        raise SettingsError(
            "no hub is named: write `hub:` in the playbook, give `--hub NAME`, or set "
            f"`{HUB_SETTING}`{_other_case(HUB_SETTING, environment)}"
        )
    if fault := hub_error(hub):
        source = "the hub's name" if name else f"the hub's name in the setting `{HUB_SETTING}`"
        raise SettingsError(f"{source} {fault}")
    return hub


def parse_settings(text: str, file: str) -> Mapping[str, str]:
    """Parse the settings of a Functions `local.settings.json`, with or without a byte order mark.

    Returns:
        Setting name to value, from `Values`. The environment takes precedence over them.

    Raises:
        SettingsError: The file is invalid or encrypted. The message never contains a value.
    """
    try:
        content = json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:
        location = f" at line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise SettingsError(f"`{file}` is not JSON{location}") from None
    values = content.get("Values") if isinstance(content, dict) else None
    if not isinstance(values, dict):
        raise SettingsError(
            f'`{file}` has no `Values`; it looks like {{"Values": {{"NAME": "value"}}}}'
        )
    if content.get("IsEncrypted") is True:
        raise SettingsError(f"`{file}` is encrypted; decrypt it with `func settings decrypt`")
    invalid = [name for name, value in values.items() if not isinstance(value, str)]
    if invalid:
        raise SettingsError(f"`{invalid[0]}` in `Values` of `{file}` must be a string")
    return values


def _missing(name: str, environment: Mapping[str, str]) -> str:
    if other := _other_case(name, environment):
        return f"setting `{name}` is missing{other}"
    return (
        f"setting `{name}` is missing; set it to the connection string of your service: as the "
        f"environment variable {name}, or under `Values` in the file given by `--settings`"
    )


def _other_case(name: str, environment: Mapping[str, str]) -> str:
    """Return `; `X` exists …` when the setting exists in another case, else an empty text."""
    for other, value in environment.items():
        if other != name and other.casefold() == name.casefold() and value.strip():
            return f"; `{other}` exists, but names are case-sensitive: write `{name}`"
    return ""
