"""The admin API below `/_local/` on aiohttp, authorized by access key or dashboard session."""

import hmac
import time
from collections.abc import Callable

from aiohttp import web

from wps_run.emulator.admin.routes import PREFIX, AdminContext, AdminRequest, handle
from wps_run.emulator.auth import DeniedError, TokenVerifier
from wps_run.emulator.rest.http_io import read_body, to_aiohttp
from wps_run.emulator.rest.responses import RefusedError, RestResponse, bad_request, unauthorized
from wps_run.emulator.targets import BadTargetError, Query, split_target

_BEARER = "bearer "

_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
"""Responses hold names that callers chose: a browser must not render them as a page."""


class AdminHandler:
    """Answers the paths below `/_local/`.

    The dashboard is authorized by its session; other callers send the access key itself, or a
    token as for REST. Entra ID tokens are never accepted here, not even when the emulator is
    configured to accept unvalidated ones.

    Args:
        is_dashboard: Whether a request comes from the dashboard, in a session.
    """

    def __init__(
        self, context: AdminContext, key: str, is_dashboard: Callable[[web.BaseRequest], bool]
    ) -> None:
        self._context = context
        self._is_dashboard = is_dashboard
        self._key = key.encode()
        self._verifier = TokenVerifier(key)

    def handles(self, target: str) -> bool:
        return target.startswith(PREFIX)

    async def handle(self, request: web.BaseRequest) -> web.Response:
        try:
            reply = await self._handle(request)
        except RefusedError as refusal:
            reply = refusal.response
        except BadTargetError:
            reply = bad_request("Invalid request target.")
        answer = to_aiohttp(reply)
        answer.headers.update(_HEADERS)
        answer.headers.pop("Strict-Transport-Security", None)  # would bind `localhost` to https
        return answer

    async def _handle(self, request: web.BaseRequest) -> RestResponse:
        path, query = split_target(request.raw_path)
        self._authorize(request, path)
        body = b""
        if request.method in {"PUT", "POST"} and request.body_exists:
            body = (await read_body(request)).data
        admin_request = AdminRequest(Query(query), body, request.headers.get("Host", ""))
        return handle(self._context, request.method, path, admin_request)

    def _authorize(self, request: web.BaseRequest, path: str) -> None:
        authorization = request.headers.get("Authorization", "")
        if not authorization and self._is_dashboard(request):
            return
        scheme, credentials = authorization[: len(_BEARER)], authorization[len(_BEARER) :]
        key = credentials.strip().encode("utf-8", "surrogateescape")
        if scheme.lower() == _BEARER and hmac.compare_digest(key, self._key):
            return
        try:
            self._verifier.verify_rest_token(
                authorization, request.headers.get("Host", ""), path, time.time()
            )
        except DeniedError as error:
            raise RefusedError(unauthorized(str(error))) from None
