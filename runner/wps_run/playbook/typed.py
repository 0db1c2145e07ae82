"""The base class of typed actions.

Importing it must be fast: `from wps_run import SendToGroup` imports this module, the generated
`playbook.action_classes`, and nothing else but msgspec.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any, ClassVar, Literal, TypeAlias, cast

from msgspec import NODEFAULT, Struct
from msgspec.structs import force_setattr

JsonValue: TypeAlias = (
    str | int | float | bool | list[Any] | tuple[Any, ...] | Mapping[str, Any] | None
)
"""A value that JSON can hold."""

Data: TypeAlias = JsonValue | bytes | bytearray
"""What a message is made from."""

Strings: TypeAlias = list[str] | tuple[str, ...] | AbstractSet[str]
"""Some strings. A single string, which is iterable too, is not meant."""

DataType: TypeAlias = Literal["text", "json", "binary"]
"""How a message is sent and received."""

TEXT = cast("DataType", str(b"text", "ascii"))
"""The default of `data_type`: equal to "text", but not the same object, so that it is known whether
an action was made without it and takes its type from `data`."""

_SHOWN = 60
"""The longest argument in the `repr` of an action, in characters."""


class TypedAction(
    Struct,
    frozen=True,
    kw_only=True,
    rename="camel",
    tag_field="actionName",
    omit_defaults=True,
    tag=lambda name: name[:1].lower() + name[1:],
    gc=False,
):
    """An action of Azure Web PubSub, with its values: the base of the classes in `ACTIONS`.

    An action is immutable and checked when it is made. It is equal to another one that sends the
    same request, and can be hashed, copied and pickled.

    Attributes:
        action_name: The `actionName` of the class, such as `sendToGroup`.
    """

    action_name: ClassVar[str]

    def __post_init__(self) -> None:
        raise TypeError("`TypedAction` is a base class; make one of the classes in `ACTIONS`")

    def __repr__(self) -> str:
        """Show the arguments without defaults, with the beginning of long ones."""
        arguments = (f"{name}={_shorten(value)}" for name, value in self.__rich_repr__())
        return f"{type(self).__name__}({', '.join(arguments)})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        names = self.__struct_fields__
        defaults = self.__struct_defaults__
        required = len(names) - len(defaults)
        values = [getattr(self, name) for name in names]
        return [
            (name, value)
            for name, value, default in zip(
                names, values, (NODEFAULT,) * required + defaults, strict=True
            )
            if value != default
        ]

    def _check(self) -> None:
        """Bring the values to their one form, such as tuples for lists, and check them.

        A class compares the usual values itself, which takes a fraction of a microsecond. It
        passes all others to this method, which applies the same rules as to a playbook.

        Raises:
            PlaybookError: A value is wrong.
        """
        from wps_run.playbook.typed_values import checked_values  # noqa: PLC0415 -- 100 ms

        values = {name: getattr(self, name) for name in self.__struct_fields__}
        if values.get("data_type") is TEXT:
            values["data_type"] = None
        for name, value in checked_values(self.action_name, values).items():
            if value is not None:
                force_setattr(self, name, value)


def _shorten(value: object) -> str:
    if isinstance(value, str | bytes):
        text = repr(value[:_SHOWN])
        return text if len(value) <= _SHOWN else f"{text}…"
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
