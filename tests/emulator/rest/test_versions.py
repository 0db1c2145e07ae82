"""Which api-versions are answered."""

import pytest

from wps_run.emulator.rest.targets import Query
from wps_run.emulator.rest.versions import Verdict, judge


@pytest.mark.parametrize(
    ("query", "verdict"),
    [
        ("", Verdict.SUPPORTED),
        ("api-version=2021-10-01", Verdict.SUPPORTED),
        ("API-Version=2024-12-01", Verdict.SUPPORTED),
        ("api-version=2025-01-01", Verdict.NEWER),
        ("api-version=2099-12-31-preview", Verdict.NEWER),
        ("api-version=2020-10-01", Verdict.REFUSED),
        ("api-version=2024-12-01-preview", Verdict.REFUSED),
        ("api-version=2099-13-01", Verdict.REFUSED),
        ("api-version=latest", Verdict.REFUSED),
        ("api-version=", Verdict.REFUSED),
        ("api-version=2024-12-01&api-version=2024-12-01", Verdict.REFUSED),
    ],
)
def test_versions(query: str, verdict: Verdict) -> None:
    """Published ones and none at all are fine; later dates are newer; the rest is refused."""
    assert judge(Query(query)) is verdict
