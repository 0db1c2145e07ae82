"""Faults: a stable code, words, and a hint that helps."""

import pytest

from wps_run.actions.table import ACTIONS
from wps_run.connect.reply import NoReply, Outcome, Reply
from wps_run.execution.errors import abandoned_error, error_for, skip_error
from wps_run.execution.result import ActionError, SkipReason


@pytest.mark.parametrize(
    ("action", "outcome", "teaches"),
    [
        ("addUserToGroup", Reply(404), "`webpubsub.group`"),
        ("addConnectionToGroup", Reply(404), "new connection ID"),
        ("grantPermission", Reply(404), "new connection ID"),
        ("sendToAll", Reply(404), "endpoint"),
        ("sendToAll", Reply(400), "validate"),
        ("sendToAll", Reply(401), "clock"),
        ("sendToAll", Reply(403), "access control"),
        ("sendToAll", Reply(413), "1 MiB"),
        ("sendToAll", Reply(415), "dataType"),
        ("sendToAll", Reply(429), "`rate`"),
        ("sendToAll", Reply(307), "redirects"),
        ("sendToAll", Reply(502), "try again later"),
        ("sendToAll", NoReply(sent=False, code="connect", message="m"), "firewall"),
        ("sendToAll", NoReply(sent=False, code="dns", message="m"), "spelling"),
        ("sendToAll", NoReply(sent=False, code="tls", message="m"), "--ca-bundle"),
        ("sendToAll", NoReply(sent=False, code="timeout", message="m"), "timeout"),
        ("sendToAll", NoReply(sent=True, code="disconnected", message="m"), "closed"),
    ],
)
def test_a_hint_says_what_to_do(action: str, outcome: Outcome, teaches: str) -> None:
    """Each way of failing that has a remedy names it."""
    assert teaches in error_for(ACTIONS[action], outcome, in_doubt=False).hint


def test_the_service_speaks_first() -> None:
    """Its own code and words stand in the fault as they came."""
    reply = Reply(404, "Warning.User.NotExisted", "User `ada` is not found.")
    fault = error_for(ACTIONS["addUserToGroup"], reply, in_doubt=False)

    assert (fault.code, fault.message) == ("Warning.User.NotExisted", "User `ada` is not found.")


@pytest.mark.parametrize(
    ("status", "message"),
    [(403, "the service answered 403 Forbidden"), (499, "the service answered 499")],
)
def test_an_answer_without_words_gets_ours(status: int, message: str) -> None:
    """Some answers have no body: there is always a code and a message."""
    fault = error_for(ACTIONS["sendToAll"], Reply(status), in_doubt=False)

    assert (fault.code, fault.message) == (f"http-{status}", message)


@pytest.mark.parametrize(
    ("action", "says"), [("addUserToGroup", "safe to run it again"), ("sendToAll", "twice")]
)
def test_doubt_is_told_with_what_a_repeat_would_do(action: str, says: str) -> None:
    """Whoever reads `unknown` must know whether running it again is harmless."""
    hint = error_for(ACTIONS[action], Reply(500), in_doubt=True).hint

    assert hint.startswith("it may have happened")
    assert says in hint
    assert says in abandoned_error(ACTIONS[action]).hint


@pytest.mark.parametrize("reason", SkipReason)
def test_each_skip_has_its_reason(reason: SkipReason) -> None:
    """The code is the reason's word; reports and the exit code key on it."""
    fault = skip_error(reason)

    assert fault.code == reason.value
    assert fault == ActionError(reason, fault.message)
    assert fault.message.startswith("not ")
