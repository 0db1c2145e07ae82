"""What metadata a message may carry."""

import pytest

from wps_run.emulator.metadata import NAME_LIMIT, TOTAL_LIMIT, VALUE_LIMIT, MetadataError, read


@pytest.mark.parametrize(
    "pairs",
    [
        [],
        [("k", "")],
        [("a", "1"), ("A", "2")],
        [("!#$%&'*+-.^_`|~09az", " ~\n")],
        [("k" * NAME_LIMIT, "v" * VALUE_LIMIT)],
        [(str(number), "v" * (VALUE_LIMIT - 1)) for number in range(8)],
    ],
)
def test_metadata_within_the_limits_is_kept(pairs: list[tuple[str, str]]) -> None:
    """Names as they are, with case."""
    assert list(read(pairs).items()) == pairs


@pytest.mark.parametrize(
    ("pairs", "why"),
    [
        ([("", "v")], "forbidden character"),
        ([("k k", "v")], "forbidden character"),
        ([("k\n", "v")], "forbidden character"),
        ([("é", "v")], "forbidden character"),
        ([("k", "é")], "not ASCII"),
        ([("k" * (NAME_LIMIT + 1), "v")], str(NAME_LIMIT)),
        ([("k", "v" * (VALUE_LIMIT + 1))], str(VALUE_LIMIT)),
        ([("k", "1"), ("k", "1")], "twice"),
        ([(str(number), "v" * VALUE_LIMIT) for number in range(8)], str(TOTAL_LIMIT)),
    ],
)
def test_metadata_beyond_the_limits_is_refused(pairs: list[tuple[str, str]], why: str) -> None:
    """The reason says what is wrong, and holds nothing of what was sent."""
    with pytest.raises(MetadataError, match=why) as caught:
        read(pairs)

    assert len(str(caught.value)) <= 123
