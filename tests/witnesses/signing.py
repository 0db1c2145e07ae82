"""Hooks and checks of schemathesis: sign requests, and check that the signatures are accepted."""

import os
import re
import time
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

import jwt
import requests
import schemathesis

KEY = os.environ["SIGNING_KEY"]
ENTRA_ID = "https://webpubsub.azure.com"


@schemathesis.hook
def before_call(_context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Add a token for the URL, or an Entra ID token where an operation needs one.

    The audience is the URL as the service reads it: decoded except for `%2F`. The URL itself is
    refused for some names.
    """
    arguments = case.as_transport_kwargs(base_url=kwargs.get("base_url"))
    url = requests.Request(arguments["method"], arguments["url"]).prepare().url or ""
    read = unquote(re.sub("%(?=2f)", "%25", url.partition("?")[0], flags=re.IGNORECASE))
    audience = ENTRA_ID if ":generateToken" in case.path else read
    token = jwt.encode({"aud": audience, "exp": time.time() + 60}, KEY)
    case.headers["Authorization"] = f"Bearer {token}"


@schemathesis.check
def signatures_are_accepted(_context: Any, response: Any, _case: Any) -> None:
    """A signed request is never a 401."""
    assert response.status_code != HTTPStatus.UNAUTHORIZED
