"""What metadata a message may carry."""

import pytest

from wps_run.emulator.names import (
    METADATA_LIMIT,
    METADATA_NAME_LIMIT,
    METADATA_VALUE_LIMIT,
    MetadataError,
    read_metadata,
)


@pytest.mark.parametrize(
    "pairs",
    [
        [],
        [("k", "")],
        [("a", "1"), ("A", "2")],
        [("!#$%&'*+-.^_`|~09az", " ~\n")],
        [("k" * METADATA_NAME_LIMIT, "v" * METADATA_VALUE_LIMIT)],
        [(str(number), "v" * (METADATA_VALUE_LIMIT - 1)) for number in range(8)],
    ],
)
def test_metadata_within_the_limits_is_kept(pairs: list[tuple[str, str]]) -> None:
    """Names as they are, with case."""
    assert list(read_metadata(pairs).items()) == pairs


@pytest.mark.parametrize(
    ("pairs", "why"),
    [
        ([("", "v")], "forbidden character"),
        ([("k k", "v")], "forbidden character"),
        ([("k\n", "v")], "forbidden character"),
        ([("é", "v")], "forbidden character"),
        ([("k", "é")], "not ASCII"),
        ([("k" * (METADATA_NAME_LIMIT + 1), "v")], str(METADATA_NAME_LIMIT)),
        ([("k", "v" * (METADATA_VALUE_LIMIT + 1))], str(METADATA_VALUE_LIMIT)),
        ([("k", "1"), ("k", "1")], "twice"),
        ([(str(number), "v" * METADATA_VALUE_LIMIT) for number in range(8)], str(METADATA_LIMIT)),
    ],
)
def test_metadata_beyond_the_limits_is_refused(pairs: list[tuple[str, str]], why: str) -> None:
    """The reason says what is wrong, and holds nothing of what was sent."""
    with pytest.raises(MetadataError, match=why) as caught:
        read_metadata(pairs)

    assert len(str(caught.value)) <= 123
