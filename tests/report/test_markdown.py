"""Markdown for a job summary."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wps_run.execution.result import ActionError, Result, Status
from wps_run.report.markdown import MAX_FAILURES, markdown
from wps_run.report.run_report import RunReport
from wps_run.report.simulation import Simulation, message_delivery

TEXTS = st.text("|`\n\r<>&*_[]()#\\!~@\u202e\x00\ud800 a", max_size=12)


def test_it_says_where_how_many_how_fast_and_what_to_do(
    make_report: Callable[..., RunReport],
) -> None:
    """Totals first, then the kinds of failures with their hints, then each failure."""
    text = "".join(markdown(make_report()))

    assert text.startswith("## ❌ Open the rooms\n\n**SERVICE contoso.example** · hub chat")
    assert "| 3 | 1 | 1 | 0 | 1 | 1.50 s | 1.3 | 3.1 ms | 250.0 ms | 250.0 ms | 250.0 ms |" in text
    assert "| 1 | ❌ failed | Warning.User.NotExisted | Let the user connect. |" in text
    assert "| 404 | User `ada` is not found. |" in text
    assert text.endswith(
        "_`ok` means that the service accepted the action. Delivery is not confirmed._\n"
    )


@given(text=TEXTS)
def test_no_name_breaks_its_cell(
    make_report: Callable[..., RunReport], make_result: Callable[..., Result], text: str
) -> None:
    """Each row has as many bars as its head, and no name opens a tag."""
    result = make_result(
        name=text, target={"userId": text}, source=text, status=Status.FAILED,
        error=ActionError(text, text, text),
    )  # fmt: skip
    shown = "".join(markdown(make_report(result, playbook=text)))

    bars = None
    for row in shown.replace("\\\\", "").replace("\\|", "").splitlines():
        if not row.startswith("|"):
            bars = None
            continue
        bars = bars or row.count("|")
        assert row.count("|") == bars
    assert "<a" not in shown
    assert shown.encode()


def test_a_run_of_many_failures_fits_a_job_summary(
    make_report: Callable[..., RunReport], make_result: Callable[..., Result]
) -> None:
    """GitHub takes a mebibyte; the rest is counted."""
    long = "|" * 1024
    results = [
        make_result(
            index=index, name=long, target={"userId": long, "group": long}, source=long,
            status=Status.FAILED, error=ActionError(f"{long}{index}", long, long),
        )
        for index in range(MAX_FAILURES + 1000)
    ]  # fmt: skip
    names = (long,) * 5000
    deliveries = (message_delivery(long, "text", long.encode(), names),) * 500
    simulation = Simulation(long, 9, {f"{long}{n}": names for n in range(500)}, deliveries, (), ())
    text = "".join(markdown(make_report(*results, simulations=(simulation, simulation))))

    assert len(text.encode()) < 1024 * 1024
    assert "… and 1,000 more." in text


@pytest.mark.parametrize("text", ["https://evil.example", "www.evil.example"])
def test_an_address_in_a_name_is_no_link(
    make_report: Callable[..., RunReport], make_result: Callable[..., Result], text: str
) -> None:
    """Names are shown literally."""
    shown = "".join(markdown(make_report(make_result(name=text))))

    assert text not in shown
