"""Tests of names and message metadata."""

import pytest

from wps_run.emulator.names import (
    METADATA_LIMIT,
    METADATA_NAME_LIMIT,
    METADATA_VALUE_LIMIT,
    MetadataError,
    Permission,
    hub_key,
    is_group_name,
    is_hub_name,
    is_id,
    parse_permission,
    read_metadata,
)


@pytest.mark.parametrize("name", ["a", "Chat_1", "a`,.[]b", "x" * 128])
def test_valid_hub_names(name: str) -> None:
    """A letter, then up to 127 letters, digits and a few marks."""
    assert is_hub_name(name)


@pytest.mark.parametrize("name", ["", "1a", "_a", "a-b", "a b", "é", "x" * 129, "a\n"])
def test_invalid_hub_names(name: str) -> None:
    """Anything else, and a trailing line feed."""
    assert not is_hub_name(name)


def test_hubs_are_compared_without_case() -> None:
    """`Hub` and `hub` are the same hub."""
    assert hub_key("Hub") == hub_key("hUB")


@pytest.mark.parametrize("name", ["g", " g ", "a/b", "..", "x" * 1024, "😀" * 512])
def test_valid_group_names(name: str) -> None:
    """1 to 1024 UTF-16 units."""
    assert is_group_name(name)


@pytest.mark.parametrize("name", ["", " \t", "x" * 1025, "😀" * 513, "a\nb"])
def test_invalid_group_names(name: str) -> None:
    """An emoji counts as two, as it does for .NET; a name has no line break."""
    assert not is_group_name(name)


@pytest.mark.parametrize(("name", "is_valid"), [("u", True), ("x" * 5000, True), ("  ", False)])
def test_ids_have_no_limit_but_are_not_blank(name: str, *, is_valid: bool) -> None:
    """Users and connections."""
    assert is_id(name) is is_valid


@pytest.mark.parametrize("name", ["sendToGroup", "SENDTOGROUP", "1"])
def test_a_permission_may_be_in_any_case_or_a_number(name: str) -> None:
    """As .NET parses an enumeration."""
    assert parse_permission(name) is Permission.SEND_TO_GROUP


@pytest.mark.parametrize("name", ["0", "3", "", "sendToGroup,joinLeaveGroup"])
def test_other_permissions_are_unknown(name: str) -> None:
    """Other numbers and lists."""
    assert parse_permission(name) is None


@pytest.mark.parametrize(
    "pairs",
    [
        [],
        [("k", "")],
        [("a", "1"), ("A", "2")],
        [("!#$%&'*+-.^_`|~09az", " ~\n")],
        [("k" * METADATA_NAME_LIMIT, "v" * METADATA_VALUE_LIMIT)],
        [(str(number), "v" * (METADATA_VALUE_LIMIT - 1)) for number in range(8)],
    ],
)
def test_metadata_within_the_limits_is_kept(pairs: list[tuple[str, str]]) -> None:
    """Names keep their case."""
    assert list(read_metadata(pairs).items()) == pairs


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([("", "v")], "forbidden character"),
        ([("k k", "v")], "forbidden character"),
        ([("k\n", "v")], "forbidden character"),
        ([("é", "v")], "forbidden character"),
        ([("k", "é")], "not ASCII"),
        ([("k" * (METADATA_NAME_LIMIT + 1), "v")], str(METADATA_NAME_LIMIT)),
        ([("k", "v" * (METADATA_VALUE_LIMIT + 1))], str(METADATA_VALUE_LIMIT)),
        ([("k", "1"), ("k", "1")], "twice"),
        ([(str(number), "v" * METADATA_VALUE_LIMIT) for number in range(8)], str(METADATA_LIMIT)),
    ],
)
def test_metadata_beyond_the_limits_is_an_error(pairs: list[tuple[str, str]], message: str) -> None:
    """The message quotes nothing that the client sent."""
    with pytest.raises(MetadataError, match=message) as error:
        read_metadata(pairs)

    assert len(str(error.value)) <= 123
