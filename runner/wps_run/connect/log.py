"""Log requests and responses, with secrets masked."""

import logging
import time
from collections.abc import Iterable, Mapping

from wps_run.actions.request import Request
from wps_run.connect.reply import NoReply
from wps_run.text import MASK, clean_line

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
        secrets: Values to mask; a hostile server may echo them.
    """

    def __init__(
        self, request: Request, request_id: str, attempt: int, secrets: Iterable[str]
    ) -> None:
        self._target = f"{request.method} {request.target()}"
        self._attempt = f"id {request_id}, attempt {attempt}"
        self._size = len(request.body)
        self._secrets = tuple(filter(None, secrets))
        self._started = time.perf_counter()

    def log_request(self, headers: Mapping[str, str]) -> None:
        LOG.info("> %s (%s)", self._target, self._attempt)
        self._log_details(headers, self._size)

    def log_response(self, status: int, headers: Mapping[str, str], size: int) -> None:
        """Log the response; `size` is the number of bytes that were read of its body."""
        LOG.info("< %d %s in %s (%s)", status, self._target, self._duration, self._attempt)
        self._log_details(headers, size)

    def log_failure(self, failure: NoReply) -> None:
        reason = f"{failure.code}: {failure.message}"
        LOG.info(
            "< no answer %s in %s (%s): %s", self._target, self._duration, self._attempt, reason
        )

    @property
    def _duration(self) -> str:
        return f"{(time.perf_counter() - self._started) * 1000:.1f} ms"

    def _log_details(self, headers: Mapping[str, str], size: int) -> None:
        if LOG.isEnabledFor(logging.DEBUG):
            for name, value in headers.items():
                masked = _SECRET_HEADERS.get(name.lower(), value)
                LOG.debug(
                    "    %s", clean_line(f"{name}: {masked}", self._secrets, _MAX_HEADER_LENGTH)
                )
            LOG.debug("    %d bytes", size)
