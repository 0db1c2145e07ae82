"""The paths below `/_local/` on aiohttp: for the access key, the page, and nobody else."""

import hmac
import time
from collections.abc import Callable

from aiohttp import web

from wps_run.emulator.admin.routes import PREFIX, AdminContext, AdminRequest, answer
from wps_run.emulator.auth import DeniedError, TokenVerifier
from wps_run.emulator.rest.replies import RefusedError, RestResponse, bad_request, unauthorized
from wps_run.emulator.rest.targets import BadTargetError, Query, split_target
from wps_run.emulator.rest.wire import read_body, response

_BEARER = "bearer "

_NOT_FOR_KEEPING = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
"""Names in an answer may have been chosen to look like a page."""


class AdminHandler:
    """Answers the paths below `/_local/`.

    The page is let in by its session; other callers show the access key itself, or a token as
    for REST. Entra ID tokens are of no use here, whatever the service believes elsewhere.

    Args:
        backstage: What can be seen and done.
        key: The access key.
        is_page: Whether a request comes from the page, in a session.
    """

    def __init__(
        self, backstage: AdminContext, key: str, is_page: Callable[[web.BaseRequest], bool]
    ) -> None:
        self._backstage = backstage
        self._is_page = is_page
        self._key = key.encode()
        self._gate = TokenVerifier(key)

    def is_for(self, target: str) -> bool:
        """Whether a request target lies below `/_local/`."""
        return target.startswith(PREFIX)

    async def handle(self, request: web.BaseRequest) -> web.Response:
        """Answer one request."""
        try:
            reply = await self._answer(request)
        except RefusedError as refusal:
            reply = refusal.reply
        except BadTargetError:
            reply = bad_request("Invalid request target.")
        told = response(reply)
        told.headers.update(_NOT_FOR_KEEPING)
        told.headers.pop("Strict-Transport-Security", None)  # it would bind `localhost` to https
        return told

    async def _answer(self, request: web.BaseRequest) -> RestResponse:
        path, query = split_target(request.raw_path)
        self._admit(request, path)
        body = b""
        if request.method in {"PUT", "POST"} and request.body_exists:
            body = (await read_body(request)).data
        ask = AdminRequest(Query(query), body, request.headers.get("Host", ""))
        return answer(self._backstage, request.method, path, ask)

    def _admit(self, request: web.BaseRequest, path: str) -> None:
        authorization = request.headers.get("Authorization", "")
        if not authorization and self._is_page(request):
            return
        scheme, shown = authorization[: len(_BEARER)], authorization[len(_BEARER) :]
        shown_key = shown.strip().encode("utf-8", "surrogateescape")
        if scheme.lower() == _BEARER and hmac.compare_digest(shown_key, self._key):
            return
        try:
            self._gate.admit(authorization, request.headers.get("Host", ""), path, time.time())
        except DeniedError as denied:
            raise RefusedError(unauthorized(str(denied))) from None
