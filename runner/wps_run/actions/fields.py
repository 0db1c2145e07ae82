"""The properties an action can have: what each is called, may hold, and where it travels."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType


class FieldLocation(StrEnum):
    """Where a property travels in the request."""

    PATH = "path"
    QUERY = "query"
    BODY = "body"
    CONTENT_TYPE = "content type"


class FieldType(StrEnum):
    """What kind of value a property holds."""

    STRING = "string"
    STRINGS = "list of strings"
    INTEGER = "integer"
    CHOICE = "choice"
    DATA = "data"


NAME_LIMIT = 1024
"""Longest group name, in UTF-16 units, as the service counts.

Source: pattern in the OpenAPI document.
"""

DATA_LIMIT = 1024 * 1024
"""Largest message in bytes. Source: the service's documented message size."""


@dataclass(frozen=True, slots=True)
class Field:
    """One property of an action.

    Attributes:
        name: The key in a playbook, as the output binding writes it.
        summary: One sentence for hover texts and the docs table.
        shape: The kind of value.
        place: Where it travels in the request.
        required: Whether the action is refused without it.
        target: Whether it says whom the action is done to; such values appear in results.
        is_name: Whether it is a name, so that the rules for names hold for each string in it.
        limit: For names the most UTF-16 units, for data the most bytes, or None.
        choices: For CHOICE, each legal value with its meaning.
        least: For INTEGER, the smallest legal value.
        most: For INTEGER, the largest legal value.
        example: A value to paste.
    """

    name: str
    summary: str
    shape: FieldType
    place: FieldLocation
    example: str | int | tuple[str, ...]
    required: bool = True
    target: bool = False
    is_name: bool = False
    limit: int | None = None
    choices: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    least: int | None = None
    most: int | None = None


GROUP = Field(
    name="group",
    summary="The group's name. Case-sensitive.",
    shape=FieldType.STRING,
    place=FieldLocation.PATH,
    example="launch",
    target=True,
    is_name=True,
    limit=NAME_LIMIT,
)
USER_ID = Field(
    name="userId",
    summary="The user's ID. Case-sensitive; it stands for all the user's connections.",
    shape=FieldType.STRING,
    place=FieldLocation.PATH,
    example="ada",
    target=True,
    is_name=True,
)
CONNECTION_ID = Field(
    name="connectionId",
    summary="The ID of one client connection, as the service gave it out.",
    shape=FieldType.STRING,
    place=FieldLocation.PATH,
    example="conn-1",
    target=True,
    is_name=True,
)
PERMISSION = Field(
    name="permission",
    summary="What the connection may or may no longer do.",
    shape=FieldType.CHOICE,
    place=FieldLocation.PATH,
    example="sendToGroup",
    target=True,
    choices=MappingProxyType(
        {
            "sendToGroup": "Send messages to the group.",
            "joinLeaveGroup": "Join the group and leave it.",
        }
    ),
)
TARGET_NAME = Field(
    name="targetName",
    summary="The group that the permission is for. The service answers 400 without it.",
    shape=FieldType.STRING,
    place=FieldLocation.QUERY,
    example="launch",
    target=True,
    is_name=True,
    limit=NAME_LIMIT,
)
GROUPS = Field(
    name="groups",
    summary="The names of the groups.",
    shape=FieldType.STRINGS,
    place=FieldLocation.BODY,
    example=("launch", "news"),
    target=True,
    is_name=True,
    limit=NAME_LIMIT,
)
EXCLUDED = Field(
    name="excluded",
    summary="IDs of connections to leave out.",
    shape=FieldType.STRINGS,
    place=FieldLocation.QUERY,
    example=("conn-1",),
    required=False,
)
REASON = Field(
    name="reason",
    summary="Why, in words that the closed clients are told.",
    shape=FieldType.STRING,
    place=FieldLocation.QUERY,
    example="Maintenance",
    required=False,
)
FILTER = Field(
    name="filter",
    summary="An OData expression that chooses the receivers, such as `userId ne 'ada'`.",
    shape=FieldType.STRING,
    place=FieldLocation.QUERY,
    example="userId ne 'ada'",
    required=False,
)
SELECTION = replace(
    FILTER,
    summary="An OData expression that chooses the connections, such as `userId eq 'ada'`.",
    place=FieldLocation.BODY,
    example="userId eq 'ada'",
    required=True,
    target=True,
)
MESSAGE_TTL_SECONDS = Field(
    name="messageTtlSeconds",
    summary="Seconds after which an undelivered message is dropped; 0 means never.",
    shape=FieldType.INTEGER,
    place=FieldLocation.QUERY,
    example=60,
    required=False,
    least=0,
    most=300,
)
DATA_TYPE = Field(
    name="dataType",
    summary="How the data is sent and received; `text` when left out.",
    shape=FieldType.CHOICE,
    place=FieldLocation.CONTENT_TYPE,
    example="text",
    required=False,
    choices=MappingProxyType(
        {
            "text": "Plain text, as written.",
            "json": "A string that holds JSON.",
            "binary": "Bytes: `!!binary`, base64, or what a Node Buffer serialises to.",
        }
    ),
)
DATA = Field(
    name="data",
    summary="The message: a string; for `json` a string that holds JSON. At most 1 MiB.",
    shape=FieldType.DATA,
    place=FieldLocation.BODY,
    example="Welcome",
    limit=DATA_LIMIT,
)
