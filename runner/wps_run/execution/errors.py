"""Error code, message and hint for an action that is not ok, or a read that fails. Pure."""

from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType

from wps_run.actions.request import API_VERSION
from wps_run.actions.table import Action, RestOperation
from wps_run.connect.reply import NoReply, Outcome, Reply
from wps_run.execution.result import ActionError, SkipReason

_NO_USER = (
    "the user has no live connection, and nothing is remembered for later; to have every "
    "connection of a user in the group, put it into the client token's `webpubsub.group`"
)
_NO_CONNECTION = (
    "this connection is closed; a client that reconnects gets a new connection ID, so name the "
    "user, or use its current ID"
)

_STATUS_HINTS = MappingProxyType(
    {
        400: "the service rejected the request; see its message, and try `wps-run validate`",
        401: "the token was refused: check the access key (was it rotated or disabled?), this "
        "machine's clock, and that the endpoint is the service's own, since the token names it",
        403: "the key is known but not allowed: check the service's network access control",
        407: "a proxy between you and the service requires a user and a password: set them in "
        "`HTTPS_PROXY`",
        408: "the service waited too long for the request; try a lower `concurrency`",
        413: "the message is too large: the service takes at most 1 MiB",
        415: "the service does not take this content type; check `dataType`",
        429: "the service gets too many requests: set `rate`, lower `concurrency`, or add units",
        511: "something between you and the service answered: this network requires a login",
    }
)
_READ_HINTS: Mapping[int, str] = MappingProxyType(
    {
        400: "the service rejected the request: it may not know this read yet, which the REST API "
        f"has since {API_VERSION} at the latest",
        404: "check the endpoint: is it the service's own, without a path? The service itself "
        "says what is missing",
    }
)
"""What is different for reads. The 404 is one without the service's code."""

IDENTITY_HINTS: Mapping[int, str] = MappingProxyType(
    {
        401: "the token of the identity was refused: check that the identity is in the tenant of "
        "the service (`NAME__tenantId`), that the token's scope is that of its cloud "
        "(`NAME__scope`), that the service allows Entra ID, and this machine's clock",
        403: "the identity has no permission: give it the role `Web PubSub Service Owner` on the "
        "service, and wait some minutes until that applies; also check the service's network "
        "access control",
    }
)
"""Status to hint where the request had a token of Entra ID. `NAME` is the setting."""

_INTERMEDIARY = (
    "something between you and the service answered, such as a proxy, a gateway or the login page "
    "of a network; check the endpoint and the way to it"
)
_GATEWAY_REFUSAL = (
    "a gateway in front of the service refused the request; if it expects a key, add "
    "`--header {}=SETTING` with the name of the setting that has the key; else check what the "
    "gateway allows, and the access key if it passes requests on"
)
_GATEWAY_REFUSED_KEY = (
    "a gateway in front of the service refused the request, although it had the header of "
    "`--header`; check its name and the value of its setting, and what the gateway allows"
)
_GATEWAY_MISSING = (
    "something in front of the service answered, such as a gateway, and has nothing at this path; "
    "check the endpoint and the path of `--endpoint https://HOST/PATH`, to which the service's "
    "`/api/hubs/…` is added"
)
_KEY_HEADER = "Ocp-Apim-Subscription-Key"
"""The header of Azure API Management, unless the answer names another one."""

_REDIRECT = (
    "redirects are not followed, since the token is only for this endpoint; check it, and whether "
    "something between you and the service answered, such as the login page of a network"
)
_SERVICE_TROUBLE = "trouble inside the service or on the way to it"

_NO_REPLY_HINTS: Mapping[str, str] = MappingProxyType(
    {
        "connect": "check the host and port of the endpoint, and that a firewall or proxy lets "
        "it through",
        "dns": "check the spelling of the endpoint's host and this machine's name resolution",
        "token": "check that the identity may still sign in (`az account show`, or the settings "
        "`NAME__credential` and `NAME__clientId`)",
        "open-files": "lower `concurrency`, or raise the limit of open files (`ulimit -n`)",
        "tls": "check the clock and the certificates of this machine; `--ca-bundle FILE` adds a CA",
        "timeout": "set a longer `timeout`, or a lower `concurrency`",
        "proxy": "nothing was sent; check `HTTPS_PROXY` and that the proxy works, and if it "
        "answers with a status, that it finds the service's host; `NO_PROXY` names hosts to reach "
        "directly",
        "proxy-auth": "nothing was sent; write `http://USER:PASSWORD@HOST:PORT` into "
        "`HTTPS_PROXY`, with special characters percent-encoded (`@` as `%40`)",
        "proxy-denied": "nothing was sent; the proxy must allow CONNECT to the service's host and "
        "port; check `HTTPS_PROXY`, or name the host in `NO_PROXY` to reach it directly",
        "proxy-tls": "nothing was sent; write `http://` in `HTTPS_PROXY` unless the proxy itself "
        "uses TLS, which few do; `--ca-bundle FILE` adds its CA",
        "disconnected": "the service or something on the way to it closed the connection",
    }
)

_IN_DOUBT_HINTS = {
    True: "it may have happened; it is safe to run it again",
    False: "it may have happened; check before running it again, since a repeat would do it twice",
}
"""Whether the action is idempotent, to the hint for an unknown outcome."""

_SKIP_MESSAGES: Mapping[SkipReason, str] = MappingProxyType(
    {
        SkipReason.STOPPED: "not started, since an action before it did not succeed",
        SkipReason.BUDGET: "not started, since more actions did not succeed than `maxFailures` "
        "allows",
        SkipReason.EXPIRED: "not started, since the moment of `notAfter` has passed",
        SkipReason.INTERRUPTED: "not started, since the run was interrupted",
        SkipReason.MISSING: "not done, since its target is not there",
        SkipReason.IN_PLACE: "not sent, since it would change nothing",
        SkipReason.REHEARSAL_ONLY: "not checked, since only a rehearsal shows who received a "
        "message and who was closed",
        SkipReason.RESOLVED: "not done, as `wps-run resolve` says; `--resume` runs it",
        SkipReason.JOURNAL: "not started, since the journal could no longer be written",
        SkipReason.PROCESS: "not started, since its process ended early",
    }
)

NOT_RETRIED = "the run ended before another attempt"
"""The message for an action that waited for another attempt."""


def error_for(action: RestOperation, outcome: Outcome, *, in_doubt: bool) -> ActionError:
    """Explain why an action is not ok, or why a read failed.

    Args:
        action: The action or the read.
        outcome: The outcome of its last attempt.
        in_doubt: Whether an attempt may have been carried out nevertheless.
    """
    code: str
    if isinstance(outcome, NoReply):
        code, message = outcome.code, outcome.message
        hint = _NO_REPLY_HINTS.get(code, "")
    else:
        code = outcome.code or f"http-{outcome.status}"
        message = _reply_message(action, outcome)
        hint = _reply_hint(action, outcome)
    if hint.endswith(_SERVICE_TROUBLE) and not in_doubt:
        hint += "; try again later"
    hints = filter(None, (_doubt_hint(action, in_doubt=in_doubt), hint))
    return ActionError(code, message, "; ".join(hints))


def skip_error(reason: SkipReason, message: str | None = None) -> ActionError:
    """Explain why an action was skipped, with the service's message if there is one."""
    return ActionError(reason.value, message or _SKIP_MESSAGES[reason])


def retry_cancelled_error(action: Action) -> ActionError:
    """Explain an unknown outcome: the run ended while the action waited for another attempt."""
    hint = _doubt_hint(action, in_doubt=True)
    return ActionError(SkipReason.INTERRUPTED.value, NOT_RETRIED, hint)


def abandoned_error(action: Action) -> ActionError:
    """Explain an unknown outcome: the run was abandoned while the request was in flight."""
    message = "the run was stopped before the response arrived"
    hint = _doubt_hint(action, in_doubt=True)
    return ActionError(SkipReason.INTERRUPTED.value, message, hint)


def defect_error(action: Action, *, in_doubt: bool) -> ActionError:
    """Explain an action that a defect of wps-run ended."""
    message = "a defect of wps-run ended this run"
    return ActionError("defect", message, _doubt_hint(action, in_doubt=in_doubt))


def _doubt_hint(action: RestOperation, *, in_doubt: bool) -> str:
    return _IN_DOUBT_HINTS[action.is_idempotent] if in_doubt else ""


def _reply_message(action: RestOperation, reply: Reply) -> str:
    """Return the service's own message; for an answer that is not the service's, what is wrong."""
    if reply.status in _ERROR_STATUSES:
        source = "a gateway" if reply.is_gateway else "the service"
        return reply.message or f"{source} answered {status_text(reply.status)}"
    page = f" with a page ({reply.message or 'without text'})" if reply.is_page else ""
    expected = " or ".join(map(str, action.success))
    answer = f"the response was {status_text(reply.status)}{page}"
    purpose = "confirms this action" if isinstance(action, Action) else "answers a read"
    return f"{answer}; the service {purpose} with {expected}"


_ERROR_STATUSES = range(300, 600)
"""The statuses that say that a request did not succeed."""


def _reply_hint(action: RestOperation, reply: Reply) -> str:
    status = reply.status
    identity_hint = IDENTITY_HINTS.get(status) if reply.by_identity else None
    if hint := gateway_hint(reply) or identity_hint:
        return hint
    hints = _STATUS_HINTS if isinstance(action, Action) else _STATUS_HINTS | _READ_HINTS
    if status in hints and not reply.is_page:
        return hints[status]
    if status == HTTPStatus.NOT_FOUND:
        return _missing_hint(action)
    if HTTPStatus.INTERNAL_SERVER_ERROR <= status < _ERROR_STATUSES.stop:
        return f"{_INTERMEDIARY}; {_SERVICE_TROUBLE}" if reply.is_gateway else _SERVICE_TROUBLE
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return _REDIRECT
    return _INTERMEDIARY if reply.is_page or status not in _ERROR_STATUSES else ""


def gateway_hint(reply: Reply) -> str:
    """Return what to do about a gateway's refusal, or "" if the reply is none."""
    if not reply.is_gateway:
        return ""
    if reply.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        if reply.has_own_header:
            return _GATEWAY_REFUSED_KEY
        return _GATEWAY_REFUSAL.format(reply.key_header or _KEY_HEADER)
    return _GATEWAY_MISSING if reply.status == HTTPStatus.NOT_FOUND else ""


def _missing_hint(action: RestOperation) -> str:
    names = {field.name for field in action.fields if field.is_target}
    if "userId" in names:
        return _NO_USER
    if "connectionId" in names:
        return _NO_CONNECTION
    return "check the endpoint: is it the service's own, without a path?"


def status_text(status: int) -> str:
    """Return a status with its name, if it has one: `503 Service Unavailable`."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
