"""The properties of actions: their names, types, limits and location in the request."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from wps_run import input_limits


class Origin(StrEnum):
    """Where an action or a property exists.

    BINDING: in the Functions output binding. REST: only in the REST API. PLAYBOOK: only in
    playbooks, where it is another way to write a property.
    """

    BINDING = "binding"
    REST = "rest"
    PLAYBOOK = "playbook"


class FieldLocation(StrEnum):
    """The part of the request that carries a property."""

    PATH = "path"
    QUERY = "query"
    BODY = "body"
    CONTENT_TYPE = "content type"


class FieldType(StrEnum):
    """The type of a property's value."""

    STRING = "string"
    STRINGS = "list of strings"
    INTEGER = "integer"
    CHOICE = "choice"
    DATA = "data"
    JSON = "any value"


NAME_LIMIT = 1024
"""The longest group name, in UTF-16 units. Source: the pattern in the OpenAPI document."""

DATA_LIMIT = input_limits.DATA.value
"""The largest message in bytes. Source: the service's documented message size."""


class Field(NamedTuple):
    """One property of an action.

    Attributes:
        name: The key in a playbook, as in the output binding.
        summary: One sentence for hover texts and the docs table.
        type: The type of its value.
        location: The part of the request that carries it.
        example: A value to paste.
        required: Whether the action needs it.
        is_target: Whether it names what the action is applied to; results show such values.
        is_name: Whether the rules for names hold for its value, or for each string in a list.
        is_expression: Whether it is an OData expression, in which a variable is a single value.
        limit: The longest value, for names in UTF-16 units, for data in bytes; None for no limit.
        choices: For CHOICE, each legal value with its meaning.
        minimum: For INTEGER, the smallest legal value.
        maximum: For INTEGER, the largest legal value.
        origin: Where it exists.
        replaces: The property that it stands in place of, or "".
    """

    name: str
    summary: str
    type: FieldType
    location: FieldLocation
    example: str | int | tuple[str, ...] | Mapping[str, str]
    required: bool = True
    is_target: bool = False
    is_name: bool = False
    is_expression: bool = False
    limit: int | None = None
    choices: Mapping[str, str] = MappingProxyType({})
    minimum: int | None = None
    maximum: int | None = None
    origin: Origin = Origin.BINDING
    replaces: str = ""


GROUP = Field(
    name="group",
    summary="The group's name. Case-sensitive.",
    type=FieldType.STRING,
    location=FieldLocation.PATH,
    example="launch",
    is_target=True,
    is_name=True,
    limit=NAME_LIMIT,
)
USER_ID = Field(
    name="userId",
    summary="The user's ID. Case-sensitive; stands for all connections of the user.",
    type=FieldType.STRING,
    location=FieldLocation.PATH,
    example="ada",
    is_target=True,
    is_name=True,
)
CONNECTION_ID = Field(
    name="connectionId",
    summary="The ID of one client connection, as the service assigned it.",
    type=FieldType.STRING,
    location=FieldLocation.PATH,
    example="conn-1",
    is_target=True,
    is_name=True,
)
PERMISSION = Field(
    name="permission",
    summary="The permission to grant or revoke.",
    type=FieldType.CHOICE,
    location=FieldLocation.PATH,
    example="sendToGroup",
    is_target=True,
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
    type=FieldType.STRING,
    location=FieldLocation.QUERY,
    example="launch",
    is_target=True,
    is_name=True,
    limit=NAME_LIMIT,
)
GROUPS = Field(
    name="groups",
    summary="The names of the groups.",
    type=FieldType.STRINGS,
    location=FieldLocation.BODY,
    example=("launch", "news"),
    is_target=True,
    is_name=True,
    limit=NAME_LIMIT,
)
EXCLUDED = Field(
    name="excluded",
    summary="IDs of connections to leave out.",
    type=FieldType.STRINGS,
    location=FieldLocation.QUERY,
    example=("conn-1",),
    required=False,
)
REASON = Field(
    name="reason",
    summary="The reason, sent to the closed clients.",
    type=FieldType.STRING,
    location=FieldLocation.QUERY,
    example="Maintenance",
    required=False,
)
FILTER = Field(
    name="filter",
    summary="An OData expression that selects the receivers, such as `userId ne 'ada'`.",
    type=FieldType.STRING,
    location=FieldLocation.QUERY,
    example="userId ne 'ada'",
    required=False,
    is_expression=True,
    origin=Origin.REST,
)
SELECTION = FILTER._replace(
    summary="An OData expression that selects the connections, such as `userId eq 'ada'`.",
    location=FieldLocation.BODY,
    example="userId eq 'ada'",
    required=True,
    is_target=True,
    origin=Origin.BINDING,
)
MESSAGE_TTL_SECONDS = Field(
    name="messageTtlSeconds",
    summary="Seconds after which an undelivered message is dropped; 0 means never.",
    type=FieldType.INTEGER,
    location=FieldLocation.QUERY,
    example=60,
    required=False,
    minimum=0,
    maximum=300,
    origin=Origin.REST,
)
DATA_TYPE = Field(
    name="dataType",
    summary="How the data is sent and received; `text` when left out.",
    type=FieldType.CHOICE,
    location=FieldLocation.CONTENT_TYPE,
    example="text",
    required=False,
    choices=MappingProxyType(
        {
            "text": "Plain text, as written.",
            "json": "A string that holds JSON.",
            "binary": "Bytes: `!!binary`, base64, or what a Node Buffer serializes to.",
        }
    ),
)
DATA = Field(
    name="data",
    summary="The message: a string; for `json` a string that holds JSON. At most 1 MiB.",
    type=FieldType.DATA,
    location=FieldLocation.BODY,
    example="Welcome",
    limit=DATA_LIMIT,
)
DATA_JSON = Field(
    name="dataJson",
    summary="Any value, which is sent as JSON; in place of `data`, with `dataType: json`.",
    type=FieldType.JSON,
    location=FieldLocation.BODY,
    example=MappingProxyType({"text": "Welcome"}),
    required=False,
    origin=Origin.PLAYBOOK,
    replaces="data",
)
