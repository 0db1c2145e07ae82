"""What is logged of requests and their answers, with secrets masked."""

import logging
import time
from collections.abc import Iterable, Mapping

from wps_run.actions.request import Request
from wps_run.connect.reply import NoReply
from wps_run.text import MASK, clean_line

LOG = logging.getLogger("wps_run.connect")
"""INFO: each request and its answer. DEBUG: their headers and sizes as well."""

_LINE = 500
"""The most characters of a header line."""

_SECRET_HEADERS = {"authorization": f"Bearer {MASK}", "set-cookie": MASK}


class RequestLogger:
    """Logs one request and its answer.

    Args:
        request: What is sent.
        request_id: Its `x-ms-client-request-id`.
        attempt: Which attempt of its action it is, from 1.
        secrets: What must not be logged, though a hostile server may echo it.
    """

    def __init__(
        self, request: Request, request_id: str, attempt: int, secrets: Iterable[str]
    ) -> None:
        self._what = f"{request.method} {request.target()}"
        self._whose = f"id {request_id}, attempt {attempt}"
        self._size = len(request.body)
        self._secrets = tuple(filter(None, secrets))
        self._began = time.perf_counter()

    def sent(self, headers: Mapping[str, str]) -> None:
        """Log the request, just before it leaves."""
        LOG.info("> %s (%s)", self._what, self._whose)
        self._details(headers, self._size)

    def answered(self, status: int, headers: Mapping[str, str], size: int) -> None:
        """Log the answer; `size` is in bytes, as far as it was read."""
        LOG.info("< %d %s in %s (%s)", status, self._what, self._duration, self._whose)
        self._details(headers, size)

    def broke(self, failure: NoReply) -> None:
        """Log why no answer came."""
        words = f"{failure.code}: {failure.message}"
        LOG.info("< no answer %s in %s (%s): %s", self._what, self._duration, self._whose, words)

    @property
    def _duration(self) -> str:
        return f"{(time.perf_counter() - self._began) * 1000:.1f} ms"

    def _details(self, headers: Mapping[str, str], size: int) -> None:
        if LOG.isEnabledFor(logging.DEBUG):
            for name, value in headers.items():
                shown = _SECRET_HEADERS.get(name.lower(), value)
                LOG.debug("    %s", clean_line(f"{name}: {shown}", self._secrets, _LINE))
            LOG.debug("    %d bytes", size)
