"""From what went wrong to words that help: code, message and hint of a ActionError."""

from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType

from wps_run.actions.table import Action
from wps_run.connect.reply import NoReply, Outcome, Reply
from wps_run.execution.result import ActionError, Skip

_NO_USER = (
    "the user has no live connection, and nothing is remembered for later; to have every "
    "connection of a user in the group, put it into the client token's `webpubsub.group`"
)
_NO_CONNECTION = (
    "this connection is gone; a client that reconnects gets a new connection ID, so name the "
    "user, or take a fresh ID"
)

_STATUS_HINTS: Mapping[int, str] = MappingProxyType(
    {
        400: "the service refuses the request as it stands; see its message, and try "
        "`wps-run validate`",
        401: "the token was refused: check the access key (was it rotated or disabled?), this "
        "machine's clock, and that the endpoint is the service's own, since the token names it",
        403: "the key is known but not allowed: check the service's network access control and "
        "the role of the identity",
        408: "the service waited too long for the request; try a lower `concurrency`",
        413: "the message is too large: the service takes at most 1 MiB",
        415: "the service does not take this content type; check `dataType`",
        429: "the service is asked too often: set `rate`, lower `concurrency`, or add units",
    }
)
_REDIRECT = "redirects are not followed, since the token is only for this endpoint; check it"
_TROUBLE = "trouble inside the service or on the way to it; try again later"

_NO_REPLY_HINTS: Mapping[str, str] = MappingProxyType(
    {
        "connect": "check the host and port of the endpoint, and that a firewall or proxy lets "
        "it through",
        "dns": "check the spelling of the endpoint's host and this machine's name resolution",
        "token": "check that the identity may still sign in",
        "tls": "check the clock and the certificates of this machine; `--ca-bundle FILE` adds a CA",
        "timeout": "set a longer `timeout`, or a lower `concurrency`",
        "disconnected": "the service or something on the way to it closed the connection",
    }
)

_DOUBT = {
    True: "it may have happened; it is safe to run it again",
    False: "it may have happened; check before running it again, since a repeat would do it twice",
}
"""Idempotent or not, to what is said of an unknown outcome."""

_SKIPS: Mapping[Skip, str] = MappingProxyType(
    {
        Skip.STOPPED: "not started, since an action before it did not succeed",
        Skip.INTERRUPTED: "not started, since the run was interrupted",
        Skip.MISSING: "not done, since its target is not there",
        Skip.JOURNAL: "not started, since the journal could no longer be written",
    }
)


NOT_AGAIN = "the run ended before another attempt"
"""What is said of an action that was attempted, and was to be once more."""


def error_for(action: Action, outcome: Outcome, *, doubt: bool) -> ActionError:
    """Why an action is not ok.

    Args:
        action: What was attempted.
        outcome: The last attempt's outcome.
        doubt: Whether an attempt may have been carried out all the same.
    """
    if isinstance(outcome, NoReply):
        code, message = outcome.code, outcome.message
        hint = _NO_REPLY_HINTS.get(code, "")
    else:
        code = outcome.code or f"http-{outcome.status}"
        message = outcome.message or f"the service answered {_status(outcome.status)}"
        hint = _reply_hint(action, outcome)
    return ActionError(code, message, "; ".join(filter(None, (_doubt(action, doubt=doubt), hint))))


def skipped(reason: Skip, words: str | None = None) -> ActionError:
    """Why an action was skipped, in the service's words if it has said some."""
    return ActionError(reason, words or _SKIPS[reason])


def broken_off(action: Action) -> ActionError:
    """Why the outcome of an action is unknown that was to be attempted once more."""
    return ActionError(Skip.INTERRUPTED, NOT_AGAIN, _doubt(action, doubt=True))


def abandoned(action: Action) -> ActionError:
    """Why the outcome of an action is unknown that was left while it was under way."""
    message = "the run was left before the answer came"
    return ActionError(Skip.INTERRUPTED, message, _doubt(action, doubt=True))


def defect(action: Action, *, doubt: bool) -> ActionError:
    """Why an action has not succeeded that a defect of ours kept us from going on with."""
    message = "a defect of wps-run ended this run"
    return ActionError("defect", message, _doubt(action, doubt=doubt))


def _doubt(action: Action, *, doubt: bool) -> str:
    return _DOUBT[action.is_idempotent] if doubt else ""


def _reply_hint(action: Action, reply: Reply) -> str:
    if reply.status == HTTPStatus.NOT_FOUND:
        return _missing_hint(action)
    if reply.status in _STATUS_HINTS:
        return _STATUS_HINTS[reply.status]
    if reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _TROUBLE
    return _REDIRECT if reply.status < HTTPStatus.BAD_REQUEST else ""


def _missing_hint(action: Action) -> str:
    names = {one.name for one in action.fields if one.is_target}
    if "userId" in names:
        return _NO_USER
    if "connectionId" in names:
        return _NO_CONNECTION
    return "check the endpoint: is it the service's own, without a path?"


def _status(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
