"""The responses of the service: statuses, error codes and error bodies.

Source: recorded responses of the service. `details` and `innererror` are always null there.
"""

import json
from dataclasses import dataclass, replace
from email.utils import formatdate

from wps_run.emulator.faults import InjectedFault, RetryAfterHeader

BAD_REQUEST = "Error.BadRequest"
INJECTED_FAULT = "Fault.OnDemand"
"""The error code of an injected response; the service itself never uses it."""

JSON = "application/json; charset=utf-8"
PROBLEM = "application/problem+json; charset=utf-8"


@dataclass(frozen=True, slots=True)
class RestResponse:
    """One response of the REST API.

    Attributes:
        content_type: The type of the body, "" when there is none.
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
    """The service refuses a request. `response` is what it answers."""

    def __init__(self, response: RestResponse) -> None:
        super().__init__(response.status, response.code)
        self.response = response


def json_response(value: object) -> RestResponse:
    """Make a 200 response with a JSON body."""
    return RestResponse(200, _encode(value), JSON)


def error(status: int, code: str, message: str, target: str) -> RestResponse:
    """Make an error response in the service's usual format."""
    body = {
        "code": code,
        "message": message,
        "target": target,
        "details": None,
        "innererror": None,
    }
    return RestResponse(status, _encode(body), JSON, code)


def bad_request(message: str, target: str = "Request") -> RestResponse:
    """Make a 400 response for an invalid request."""
    return error(400, BAD_REQUEST, message, target)


def not_found(level: str, kind: str, name: str) -> RestResponse:
    """Make a 404 response for a connection, user or group that does not exist.

    Args:
        level: `Error`, `Warning` or `Info`: the prefix of the code, which depends on the operation.
        kind: `Connection`, `User` or `Group`.
        name: Its name.
    """
    return error(404, f"{level}.{kind}.NotExisted", f"{kind} `{name}` is not found.", kind)


def unauthorized(reason: str) -> RestResponse:
    """Make a 401 response without a body; `reason` is sent in a header: never quote a token."""
    challenge = f'Bearer error="invalid_token", error_description="{reason}"'
    return RestResponse(401, headers=(("WWW-Authenticate", challenge),))


def method_not_allowed(allowed: str) -> RestResponse:
    """Make a 405 response for a path that exists with other methods."""
    return RestResponse(405, headers=(("Allow", allowed),))


def filter_problem(message: str) -> RestResponse:
    """Make a 400 response for the filter of a bulk operation: only these use problem+json."""
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
    return RestResponse(400, _encode(body), PROBLEM, BAD_REQUEST)


def injected_response(fault: InjectedFault, now: float) -> RestResponse:
    """Make the response of a fault that has a status; `now` is in seconds since the epoch."""
    message = f"This fault was injected: `{fault.text}`."
    response = error(fault.status, INJECTED_FAULT, message, "Fault")
    return replace(response, headers=_retry_after(fault, now))


def _retry_after(fault: InjectedFault, now: float) -> tuple[tuple[str, str], ...]:
    match fault.retry_after:
        case RetryAfterHeader.SECONDS:
            return (("Retry-After", str(int(fault.retry_after_seconds))),)
        case RetryAfterHeader.DATE:
            date = formatdate(now + fault.retry_after_seconds, usegmt=True)
            return (("Retry-After", date),)
        case RetryAfterHeader.MILLISECONDS:
            return (("retry-after-ms", str(round(fault.retry_after_seconds * 1000))),)
        case None:
            return ()


def _encode(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
