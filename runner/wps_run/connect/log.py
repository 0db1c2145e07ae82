"""Log requests and responses, with secrets masked."""

import logging
import time
from collections.abc import Mapping

from wps_run.actions.request import Request
from wps_run.connect.reply import Cleaner, NoReply
from wps_run.redaction import MASK, Secrets
from wps_run.text import ELLIPSIS

LOG = logging.getLogger("wps_run.connect")
"""INFO: each request and its response. DEBUG: their headers and sizes as well."""

_MAX_HEADER_LENGTH = 500
"""The most characters of a header that are logged."""

_SECRET_HEADERS = {"authorization": f"Bearer {MASK}", "set-cookie": MASK}


class RequestLogger:
    """Logs one request and its response.

    Args:
        request: The request.
        request_id: Its `x-ms-client-request-id`.
        attempt: The number of this attempt of its action, from 1.
        secrets: Values to mask in the request.
        clean: Removes secrets and parts of the request from headers of the response.
    """

    def __init__(
        self,
        request: Request,
        request_id: str,
        attempt: int,
        secrets: Secrets,
        clean: Cleaner,
    ) -> None:
        self._target = secrets.mask(f"{request.method} {request.target()}")
        self._attempt = f"id {request_id}, attempt {attempt}"
        self._size = len(request.body)
        self._secrets = secrets
        self._clean = clean
        self._started = time.perf_counter()

    def log_request(self, headers: Mapping[str, str]) -> None:
        LOG.info("> %s (%s)", self._target, self._attempt)
        self._log_details(headers, self._size, lambda line, _: self._secrets.mask(line or ""))

    def log_response(self, status: int, headers: Mapping[str, str], size: int) -> None:
        """Log the response; `size` is the number of bytes that were read of its body."""
        LOG.info("< %d %s in %s (%s)", status, self._target, self._duration, self._attempt)
        self._log_details(headers, size, self._clean)

    def log_failure(self, failure: NoReply) -> None:
        reason = f"{failure.code}: {failure.message}"
        LOG.info(
            "< no response %s in %s (%s): %s", self._target, self._duration, self._attempt, reason
        )

    @property
    def _duration(self) -> str:
        return f"{(time.perf_counter() - self._started) * 1000:.1f} ms"

    def _log_details(self, headers: Mapping[str, str], size: int, clean: Cleaner) -> None:
        if LOG.isEnabledFor(logging.DEBUG):
            for name, value in headers.items():
                line = f"{name}: {_SECRET_HEADERS.get(name.lower(), value)}"
                LOG.debug("    %s", clean(line, _MAX_HEADER_LENGTH) or ELLIPSIS)
            LOG.debug("    %d bytes", size)
