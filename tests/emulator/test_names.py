"""Names: which the service takes."""

import pytest

from wps_run.emulator.names import (
    Permission,
    hub_key,
    is_group_name,
    is_hub_name,
    is_id,
    parse_permission,
)


@pytest.mark.parametrize("name", ["a", "Chat_1", "a`,.[]b", "x" * 128])
def test_hub_names_that_are_taken(name: str) -> None:
    """A letter, then up to 127 letters, digits and a few marks."""
    assert is_hub_name(name)


@pytest.mark.parametrize("name", ["", "1a", "_a", "a-b", "a b", "é", "x" * 129, "a\n"])
def test_hub_names_that_are_refused(name: str) -> None:
    """Anything else, a line feed at the end included."""
    assert not is_hub_name(name)


def test_hubs_are_compared_without_case() -> None:
    """`Hub` and `hub` are one."""
    assert hub_key("Hub") == hub_key("hUB")


@pytest.mark.parametrize("name", ["g", " g ", "a/b", "..", "x" * 1024, "😀" * 512])
def test_group_names_that_are_taken(name: str) -> None:
    """1 to 1024 UTF-16 units."""
    assert is_group_name(name)


@pytest.mark.parametrize("name", ["", " \t", "x" * 1025, "😀" * 513, "a\nb"])
def test_group_names_that_are_refused(name: str) -> None:
    """An emoji counts as two, as it does for .NET; a name is one line."""
    assert not is_group_name(name)


@pytest.mark.parametrize(("name", "taken"), [("u", True), ("x" * 5000, True), ("  ", False)])
def test_ids_have_no_limit_but_are_not_blank(name: str, *, taken: bool) -> None:
    """Users and connections."""
    assert is_id(name) is taken


@pytest.mark.parametrize("name", ["sendToGroup", "SENDTOGROUP", "1"])
def test_a_permission_may_be_written_in_any_case_or_as_a_number(name: str) -> None:
    """So does .NET read an enumeration."""
    assert parse_permission(name) is Permission.SEND_TO_GROUP


@pytest.mark.parametrize("name", ["0", "3", "", "sendToGroup,joinLeaveGroup"])
def test_other_permissions_are_none(name: str) -> None:
    """Numbers and lists beside the two."""
    assert parse_permission(name) is None
