"""Errors of results: a stable code, a message and a hint."""

import pytest

from wps_run.actions.table import ACTIONS
from wps_run.connect.reply import NoReply, Outcome, Reply
from wps_run.execution.errors import abandoned_error, error_for, skip_error
from wps_run.execution.result import ActionError, SkipReason


@pytest.mark.parametrize(
    ("action", "outcome", "remedy"),
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
        ("sendToAll", NoReply(sent=False, code="open-files", message="m"), "`concurrency`"),
        ("sendToAll", NoReply(sent=False, code="timeout", message="m"), "timeout"),
        ("sendToAll", NoReply(sent=True, code="disconnected", message="m"), "closed"),
        ("sendToAll", NoReply(sent=False, code="proxy", message="m"), "`NO_PROXY`"),
        ("sendToAll", NoReply(sent=False, code="proxy-auth", message="m"), "USER:PASSWORD@"),
        ("sendToAll", NoReply(sent=False, code="proxy-denied", message="m"), "CONNECT"),
        ("sendToAll", NoReply(sent=False, code="proxy-tls", message="m"), "`http://`"),
        ("sendToAll", Reply(401, is_gateway=True), "--header Ocp-Apim-Subscription-Key=SETTING"),
        ("sendToAll", Reply(403, is_gateway=True, key_header="X-Key"), "--header X-Key=SETTING"),
        ("addUserToGroup", Reply(404, is_gateway=True), "path of `--endpoint"),
    ],
)
def test_hint_names_the_remedy(action: str, outcome: Outcome, remedy: str) -> None:
    assert remedy in error_for(ACTIONS[action], outcome, in_doubt=False).hint


def test_a_message_that_may_have_been_sent_is_not_to_be_sent_again_later() -> None:
    hint = error_for(ACTIONS["sendToAll"], Reply(502), in_doubt=True).hint
    assert "check before running it again" in hint
    assert "try again later" not in hint


def test_error_has_the_code_and_message_of_the_service() -> None:
    reply = Reply(404, "Warning.User.NotExisted", "User `ada` is not found.")
    error = error_for(ACTIONS["addUserToGroup"], reply, in_doubt=False)

    assert (error.code, error.message) == ("Warning.User.NotExisted", "User `ada` is not found.")


@pytest.mark.parametrize(
    ("status", "message"),
    [(403, "the service answered 403 Forbidden"), (499, "the service answered 499")],
)
def test_response_without_body_gets_a_code_and_a_message(status: int, message: str) -> None:
    error = error_for(ACTIONS["sendToAll"], Reply(status), in_doubt=False)

    assert (error.code, error.message) == (f"http-{status}", message)


@pytest.mark.parametrize(
    ("action", "advice"), [("addUserToGroup", "safe to run it again"), ("sendToAll", "twice")]
)
def test_hint_of_an_unknown_result_says_whether_a_repeat_is_safe(action: str, advice: str) -> None:
    hint = error_for(ACTIONS[action], Reply(500), in_doubt=True).hint

    assert hint.startswith("it may have happened")
    assert advice in hint
    assert advice in abandoned_error(ACTIONS[action]).hint


@pytest.mark.parametrize("reason", SkipReason)
def test_code_of_a_skip_is_its_reason(reason: SkipReason) -> None:
    """Reports and the exit code depend on it."""
    error = skip_error(reason)

    assert error.code == reason.value
    assert error == ActionError(reason, error.message)
    assert error.message.startswith("not ")


def test_an_answer_without_body_is_told_as_the_gateways() -> None:
    error = error_for(ACTIONS["sendToAll"], Reply(403, is_gateway=True), in_doubt=False)

    assert error.message == "a gateway answered 403 Forbidden"
    assert "access control" not in error.hint
