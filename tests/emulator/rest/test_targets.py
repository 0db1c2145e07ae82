"""Request targets: read as the service reads them."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wps_run.emulator.rest.targets import (
    BadTargetError,
    Query,
    decode_path,
    mask_secrets,
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
def test_a_target_is_split_and_not_tidied(target: str, path: str, query: str) -> None:
    """Dot segments stay: a send to the group `..` must not become one to the hub."""
    assert split_target(target) == (path, query)


def test_a_query_is_noted_without_its_tokens() -> None:
    """In any case and place; what only sounds like one stays."""
    told = mask_secrets("access_token=a.b&x=1&AWPS_Reconnection_Token=c&key=d&continuationToken=e")

    assert told == "access_token=***&x=1&AWPS_Reconnection_Token=***&key=***&continuationToken=e"


@pytest.mark.parametrize("target", ["/é", "/\udcff"])
def test_a_target_is_ascii(target: str) -> None:
    """No client may send other bytes in a request line."""
    with pytest.raises(BadTargetError):
        split_target(target)


@pytest.mark.parametrize(
    ("sent", "meant"),
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
def test_a_path_is_decoded_once_but_for_the_slash(sent: str, meant: str) -> None:
    """Two ways of writing a slash end as the same name, which has none."""
    assert decode_path(sent) == meant


def test_no_name_holds_a_nul() -> None:
    """The service's web server refuses it."""
    with pytest.raises(BadTargetError):
        decode_path("/a%00b")


NAMES = st.text("ab/%?#+&; .", min_size=1) | st.text(min_size=1)


@given(names=st.lists(NAMES.filter(lambda name: "\0" not in name), min_size=1))
def test_names_sent_as_the_sdks_send_them_come_back(names: list[str]) -> None:
    """Each stays one segment, and all but a slash survives."""
    path = "".join(f"/{quote(name, safe='-._~')}" for name in names)

    assert split_path(decode_path(path)) == [name.replace("/", "%2F") for name in names]


@given(path=st.text(st.characters(codec="ascii")))
def test_no_path_does_more_than_be_decoded_or_refused(path: str) -> None:
    """What comes out can always be encoded again."""
    try:
        decode_path(path).encode()
    except BadTargetError:
        assert "%00" in path or "\0" in path


def test_a_slash_at_the_end_makes_no_difference() -> None:
    """One, not two."""
    assert split_path("/a/b/") == split_path("/a/b") == ["a", "b"]
    assert split_path("/a//") == ["a", ""]


def test_a_query_keeps_repeats_in_order() -> None:
    """Names are compared without case; values are decoded, a plus is a blank."""
    query = Query("excluded=a&Excluded=b%2Cc&x=1+2%2B3&&flag&excluded=")

    assert query.all("excluded") == ["a", "b,c", ""]
    assert query.first("x") == "1 2+3"
    assert query.first("flag") == ""
    assert query.all("flag") == [""]
    assert query.all("missing") == ()
    assert query.first("missing") == ""
