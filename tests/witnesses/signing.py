"""What schemathesis is taught: to sign its requests, and what a signature changes.

Without an access key in the environment, no request is signed.
"""

import os
import time
from http import HTTPStatus
from typing import Any

import jwt
import requests
import schemathesis

KEY = os.environ.get("SIGNING_KEY", "")
IDENTITY = "https://webpubsub.azure.com"


@schemathesis.hook
def before_call(_context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Add a token for the very URL, or, where only an identity will do, one of an identity."""
    if KEY:
        told = case.as_transport_kwargs(base_url=kwargs.get("base_url"))
        url = requests.Request(told["method"], told["url"]).prepare().url or ""
        audience = IDENTITY if ":generateToken" in case.path else url
        token = jwt.encode({"aud": audience, "exp": time.time() + 60}, KEY)
        case.headers["Authorization"] = f"Bearer {token}"


@schemathesis.check
def signatures_count(_context: Any, response: Any, case: Any) -> None:
    """Whoever signs is never turned away at the door; who does not, always is."""
    denied = response.status_code == HTTPStatus.UNAUTHORIZED
    is_open = case.path == "/api/health" or response.status_code == HTTPStatus.METHOD_NOT_ALLOWED
    assert denied is not bool(KEY) or (is_open and not denied), response.status_code
