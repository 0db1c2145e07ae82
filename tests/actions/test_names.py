"""Names that would go astray are refused, with the reason."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wps_run.actions.names import hub_error, name_error, slash_error


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("", "is empty"),
        (" \t", "is blank"),
        (".", "HTTP libraries remove"),
        ("..", "HTTP libraries remove"),
        ("a\nb", "U+000A"),
        ("a\x7fb", "U+007F"),
        ("a\x85b", "U+0085"),
        ("\ud83d", "surrogate"),
        ("a" * 1025, "1025 UTF-16 units"),
        ("😀" * 513, "1026 UTF-16 units"),
    ],
)
def test_a_name_that_would_go_astray_is_refused(name: str, fault: str) -> None:
    """Blank, removed by HTTP stacks, not a character, or too long."""
    assert fault in (name_error(name, 1024) or "")


@pytest.mark.parametrize("name", ["a", "...", " a ", "a b%+?#:'\"", "😀" * 512, "x" * 1024])
def test_any_other_name_goes_out(name: str) -> None:
    """Odd names are percent-encoded, not refused."""
    assert name_error(name, 1024) is None


def test_without_a_limit_a_name_may_be_long() -> None:
    """The service states no limit for users and connections."""
    assert name_error("x" * 5000, None) is None


@given(name=st.text())
def test_a_name_without_fault_survives_utf_8(name: str) -> None:
    """Whatever is let through can be sent."""
    if name_error(name, 1024) is None:
        assert name.encode().decode() == name
        assert name.strip()


@pytest.mark.parametrize("hub", ["chat", "Chat_1", "a`,.[]", "a" * 128])
def test_hub_names_that_the_service_takes(hub: str) -> None:
    """A letter, then at most 127 of a few characters."""
    assert hub_error(hub) is None


@pytest.mark.parametrize("hub", ["", "1chat", "my-hub", "chat/1", "a" * 129, "chat\n"])
def test_hub_names_that_the_service_refuses(hub: str) -> None:
    """A dash is the usual mistake."""
    assert hub_error(hub)


@pytest.mark.parametrize(
    ("action", "values", "way"),
    [
        (
            "sendToGroup",
            {"group": "tenant/42"},
            """; `sendToAll` with `filter: "'tenant/42' in groups"` reaches those who joined""",
        ),
        (
            "sendToUser",
            {"userId": "o'x/y"},
            """; use `sendToAll` with `filter: "userId eq 'o''x/y'"`""",
        ),
        (
            "addConnectionToGroup",
            {"connectionId": "c1", "group": "a/b"},
            (
                """; use `addConnectionsToGroups` with `groups: ["a/b"]` and """
                """`filter: "connectionId eq 'c1'"`"""
            ),
        ),
        (
            "removeUserFromGroup",
            {"userId": "ada", "group": "a/b"},
            (
                """; use `removeConnectionsFromGroups` with `groups: ["a/b"]` and """
                """`filter: "userId eq 'ada'"`"""
            ),
        ),
        ("closeGroupConnections", {"group": "a/b"}, " (`slashInNames: allow`"),
        ("addUserToGroup", {"group": 7}, " (`slashInNames: allow`"),
    ],
)
def test_the_refusal_of_a_slash_names_the_way_round(
    action: str, values: dict[str, object], way: str
) -> None:
    """The service compares the values of a filter as they are."""
    assert f"clients with this name{way}" in slash_error(action, values)
