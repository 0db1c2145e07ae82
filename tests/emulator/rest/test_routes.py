"""Tests of the routes."""

import re
from typing import Any

import pytest

from wps_run.emulator.rest.responses import RefusedError
from wps_run.emulator.rest.routes import find_route


def test_each_published_operation_has_its_route(operation: Any) -> None:
    """Its operation ID, and the names in its path in order."""
    path = operation.path.replace("{", "").replace("}", "")

    route = find_route(operation.method, path.split("/")[1:])

    assert route.operation.name == operation.operation_id.partition("_")[2]
    assert route.operation.has_body is operation.sends_body
    assert (route.hub, *route.names) == tuple(re.findall(r"{(\w+)}", operation.path)) or (
        operation.path == "/api/health"
    )


@pytest.mark.parametrize(
    "path",
    [
        "",
        "api",
        "api/hubs",
        "api/hubs/h",
        "api/hubs/h/",
        "api/hubs//:send",
        "api/hubs/h/groups",
        "api/hubs/h/groups/g/h/:send",
        "api/hubs/h/groups//:send",
        "api/hubs/h/users/u/connections",
        "api/hubs/h/permissions/p",
        "api/hubs/h/:Send",
        "api/Hubs/h/:send",
        "api/hubs/h/../:send",
        "client/hubs/h",
    ],
)
def test_other_paths_are_404(path: str) -> None:
    """So are paths with an empty name."""
    with pytest.raises(RefusedError) as error:
        find_route("POST", path.split("/"))

    assert error.value.response.status == 404


def test_another_method_is_405_with_the_allowed_ones() -> None:
    """As HTTP requires."""
    with pytest.raises(RefusedError) as error:
        find_route("POST", ["api", "hubs", "h", "connections", "c"])

    assert error.value.response.status == 405
    assert error.value.response.headers == (("Allow", "HEAD, DELETE"),)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("api/hubs/1h/groups/g/:send", "Invalid hub name."),
        ("api/hubs/h/groups/ /:send", "Invalid group name."),
        ("api/hubs/h/users/ /:send", "Invalid user ID."),
        ("api/hubs/h/connections/ /:send", "Invalid connection ID."),
    ],
)
def test_bad_names_are_400(path: str, message: str) -> None:
    """The message says which."""
    with pytest.raises(RefusedError) as error:
        find_route("POST", path.split("/")).check_names()

    assert error.value.response.status == 400
    assert message.encode() in error.value.response.body
