"""Tests of parsing request targets."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wps_run.emulator.targets import (
    BadTargetError,
    Query,
    VersionCheck,
    check_api_version,
    decode_path,
    mask_tokens,
    split_path,
    split_target,
)


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/a/b", "/a/b", ""),
        ("/a?b=/c?d", "/a", "b=/c?d"),
        ("/a/../b/./c", "/a/../b/./c", ""),
        ("//a//b", "//a//b", ""),
        ("http://host:1/a/b?c", "/a/b", "c"),
        ("http://host", "/", ""),
        ("*", "/", ""),
    ],
)
def test_a_target_is_split_and_not_normalized(target: str, path: str, query: str) -> None:
    """Dot segments stay: a send to the group `..` must not become one to the hub."""
    assert split_target(target) == (path, query)


def test_tokens_in_a_query_are_masked() -> None:
    """In any case and position; similar parameters stay."""
    masked = mask_tokens("access_token=a.b&x=1&AWPS_Reconnection_Token=c&key=d&continuationToken=e")

    assert masked == "access_token=***&x=1&AWPS_Reconnection_Token=***&key=***&continuationToken=e"


@pytest.mark.parametrize("target", ["/é", "/\udcff"])
def test_a_target_must_be_ascii(target: str) -> None:
    """Other bytes are not allowed in a request line."""
    with pytest.raises(BadTargetError):
        split_target(target)


@pytest.mark.parametrize(
    ("path", "decoded"),
    [
        ("alice%20smith", "alice smith"),
        ("alice+bob", "alice+bob"),
        ("alice%2Bbob", "alice+bob"),
        ("50%25", "50%"),
        ("tenant%2Falice", "tenant%2Falice"),
        ("tenant%2falice", "tenant%2falice"),
        ("tenant%252Falice", "tenant%2Falice"),
        ("%2e%2E", ".."),
        ("%3Asend", ":send"),
        ("%F0%9F%98%80", "😀"),
        ("%FFx%C3", "%FFx%C3"),
        ("100%", "100%"),
        ("%zz", "%zz"),
    ],
)
def test_a_path_is_decoded_once_except_for_the_slash(path: str, decoded: str) -> None:
    """Two encodings of a slash are the same name, which keeps `%2F`."""
    assert decode_path(path) == decoded


def test_a_nul_in_a_path_is_an_error() -> None:
    """The service's web server refuses it."""
    with pytest.raises(BadTargetError):
        decode_path("/a%00b")


NAMES = st.text("ab/%?#+&; .", min_size=1) | st.text(min_size=1)


@given(names=st.lists(NAMES.filter(lambda name: "\0" not in name), min_size=1))
def test_names_encoded_by_the_sdks_are_decoded(names: list[str]) -> None:
    """Each is one segment; only a slash stays encoded."""
    path = "".join(f"/{quote(name, safe='-._~')}" for name in names)

    assert split_path(decode_path(path)) == [name.replace("/", "%2F") for name in names]


@given(path=st.text(st.characters(codec="ascii")))
def test_any_path_is_decoded_or_an_error(path: str) -> None:
    """The decoded path can be encoded as UTF-8."""
    try:
        decode_path(path).encode()
    except BadTargetError:
        assert "%00" in path or "\0" in path


def test_one_trailing_slash_is_ignored() -> None:
    """A second one is an empty segment."""
    assert split_path("/a/b/") == split_path("/a/b") == ["a", "b"]
    assert split_path("/a//") == ["a", ""]


def test_a_query_keeps_repeats_in_order() -> None:
    """Names are compared without case; values are decoded, a plus is a space."""
    query = Query("excluded=a&Excluded=b%2Cc&x=1+2%2B3&&flag&excluded=")

    assert query.all("excluded") == ["a", "b,c", ""]
    assert query.first("x") == "1 2+3"
    assert query.first("flag") == ""
    assert query.all("flag") == [""]
    assert query.all("missing") == ()
    assert query.first("missing") == ""


@pytest.mark.parametrize(
    ("query", "check"),
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
def test_api_versions(query: str, check: VersionCheck) -> None:
    """Published ones and none are supported; later dates are newer; others are refused."""
    assert check_api_version(Query(query)) is check
