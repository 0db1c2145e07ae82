"""Which api-versions are answered."""

import pytest

from wps_run.emulator.rest.targets import Query, VersionCheck, check_api_version


@pytest.mark.parametrize(
    ("query", "verdict"),
    [
        ("", VersionCheck.SUPPORTED),
        ("api-version=2021-10-01", VersionCheck.SUPPORTED),
        ("API-Version=2024-12-01", VersionCheck.SUPPORTED),
        ("api-version=2025-01-01", VersionCheck.NEWER),
        ("api-version=2099-12-31-preview", VersionCheck.NEWER),
        ("api-version=2020-10-01", VersionCheck.REFUSED),
        ("api-version=2024-12-01-preview", VersionCheck.REFUSED),
        ("api-version=2099-13-01", VersionCheck.REFUSED),
        ("api-version=latest", VersionCheck.REFUSED),
        ("api-version=", VersionCheck.REFUSED),
        ("api-version=2024-12-01&api-version=2024-12-01", VersionCheck.REFUSED),
    ],
)
def test_versions(query: str, verdict: VersionCheck) -> None:
    """Published ones and none at all are fine; later dates are newer; the rest is refused."""
    assert check_api_version(Query(query)) is verdict
