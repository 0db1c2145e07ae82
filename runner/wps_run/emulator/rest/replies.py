"""What the service answers: statuses, error codes and the bodies of errors.

Source: recorded answers of the service. `details` and `innererror` are null there, always.
"""

import json
from dataclasses import dataclass

BAD_REQUEST = "Error.BadRequest"
JSON = "application/json; charset=utf-8"
PROBLEM = "application/problem+json; charset=utf-8"


@dataclass(frozen=True, slots=True)
class RestResponse:
    """One answer.

    Attributes:
        status: The HTTP status.
        body: The body, encoded.
        content_type: Its type, "" when there is no body.
        code: The value of `x-ms-error-code`, "" when there is none.
        headers: Further headers.
    """

    status: int
    body: bytes = b""
    content_type: str = ""
    code: str = ""
    headers: tuple[tuple[str, str], ...] = ()


OK = RestResponse(200)
ACCEPTED = RestResponse(202)
NO_CONTENT = RestResponse(204)
UNKNOWN_ROUTE = RestResponse(404)
UNSUPPORTED_MEDIA_TYPE = RestResponse(415)


class RefusedError(Exception):
    """The service refuses a request; holds the answer that says so."""

    def __init__(self, reply: RestResponse) -> None:
        super().__init__(reply.status, reply.code)
        self.reply = reply


def json_reply(value: object) -> RestResponse:
    """200 with a JSON body."""
    return RestResponse(200, _encoded(value), JSON)


def error(status: int, code: str, message: str, target: str) -> RestResponse:
    """An error in the service's usual shape."""
    body = {
        "code": code,
        "message": message,
        "target": target,
        "details": None,
        "innererror": None,
    }
    return RestResponse(status, _encoded(body), JSON, code)


def bad_request(message: str, target: str = "Request") -> RestResponse:
    """400 for a request that breaks a rule."""
    return error(400, BAD_REQUEST, message, target)


def not_found(level: str, kind: str, name: str) -> RestResponse:
    """404 for a connection, user or group that is not there.

    Args:
        level: `Error`, `Warning` or `Info`: the prefix of the code, which depends on the operation.
        kind: `Connection`, `User` or `Group`.
        name: Which one.
    """
    return error(404, f"{level}.{kind}.NotExisted", f"{kind} `{name}` is not found.", kind)


def unauthorized(reason: str) -> RestResponse:
    """401 with no body; the reason is for people who read headers, and never quotes the token."""
    challenge = f'Bearer error="invalid_token", error_description="{reason}"'
    return RestResponse(401, headers=(("WWW-Authenticate", challenge),))


def method_not_allowed(allowed: str) -> RestResponse:
    """405 for a path that exists with other methods."""
    return RestResponse(405, headers=(("Allow", allowed),))


def filter_problem(message: str) -> RestResponse:
    """400 for a bad `filter` of the two bulk operations, which alone answer problem+json."""
    body: dict[str, object] = {
        "code": BAD_REQUEST,
        "message": message,
        "target": "Filter",
        "errors": {},
        "type": None,
        "title": "One or more validation errors occurred.",
        "status": 400,
        "detail": None,
        "instance": None,
        "extensions": {},
    }
    return RestResponse(400, _encoded(body), PROBLEM, BAD_REQUEST)


def _encoded(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
