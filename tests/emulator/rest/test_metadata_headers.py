"""Headers that become metadata of a message."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from wps_run.emulator.names import METADATA_LIMIT, METADATA_NAME_LIMIT, METADATA_VALUE_LIMIT
from wps_run.emulator.rest.bodies import METADATA_PREFIX, metadata_from_headers
from wps_run.emulator.rest.responses import RefusedError
from wps_run.emulator.server import Emulator


def test_names_are_kept_in_lower_case_without_the_prefix() -> None:
    """Header names have no case; other headers are none of its business."""
    headers = [("X-WebPubSub-Metadata-Trace-ID", "A b"), ("Content-Type", "text/plain")]

    assert metadata_from_headers(headers) == {"trace-id": "A b"}


def test_a_header_that_comes_twice_is_joined_by_a_comma() -> None:
    """In whatever case it is written."""
    headers = [("x-webpubsub-metadata-k", "1"), ("X-WEBPUBSUB-METADATA-K", "2")]

    assert metadata_from_headers(headers) == {"k": "1,2"}


FULL = METADATA_LIMIT // METADATA_VALUE_LIMIT - 1
"""So many of the longest values fit, and leave room for their names."""


@pytest.mark.parametrize(
    ("fits", "does_not"),
    [
        ({"k" * METADATA_NAME_LIMIT: ""}, {"k" * (METADATA_NAME_LIMIT + 1): ""}),
        ({"k": "v" * METADATA_VALUE_LIMIT}, {"k": "v" * (METADATA_VALUE_LIMIT + 1)}),
        ({"k": "plain"}, {"k": "é"}),
        ({"!#$%&'*+-.^_`|~09az": ""}, {"a b": ""}),
        ({"k": ""}, {"": "v"}),
        (
            {f"k{number}": "v" * METADATA_VALUE_LIMIT for number in range(FULL)},
            {f"k{number}": "v" * METADATA_VALUE_LIMIT for number in range(FULL + 1)},
        ),
    ],
)
def test_what_is_too_long_or_not_ascii_is_refused(
    fits: dict[str, str], does_not: dict[str, str]
) -> None:
    """256 for a name, 1024 for a value, 8 KiB for all; 400 otherwise."""
    assert (
        metadata_from_headers((METADATA_PREFIX + name, value) for name, value in fits.items())
        == fits
    )

    with pytest.raises(RefusedError) as refusal:
        metadata_from_headers((METADATA_PREFIX + name, value) for name, value in does_not.items())
    assert refusal.value.response.status == 400
    assert json.loads(refusal.value.response.body)["code"] == "Error.BadRequest"


@pytest.mark.parametrize(
    "target", ["/:send", "/groups/g/:send", "/users/ada/:send", "/connections/c/:send"]
)
async def test_every_send_carries_its_metadata(
    emulator: Emulator, call: Any, make_client: Callable[[], Any], target: str
) -> None:
    """To each client that hears it; a send with bad metadata reaches nobody."""
    one = make_client()
    emulator.attach("chat", one, user_id="ada", connection_id="c", groups=["g"])

    sent = await call(
        "POST", "/api/hubs/chat" + target, b"hi", X_WebPubSub_Metadata_Kind="greeting"
    )
    refused = await call(
        "POST", "/api/hubs/chat" + target, b"hi", X_WebPubSub_Metadata_Kind="v" * 1025
    )

    assert (sent.status, refused.status) == (202, 400)
    assert [message.metadata for message in one.received] == [{"kind": "greeting"}]
