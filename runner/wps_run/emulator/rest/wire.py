"""Bodies read from aiohttp, and answers given to it."""

import asyncio

from aiohttp import web
from multidict import CIMultiDict

from wps_run.emulator.rest.bodies import Body, check_length
from wps_run.emulator.rest.replies import PROBLEM, RefusedError, RestResponse, bad_request
from wps_run.emulator.rest.versions import SUPPORTED

_SECURITY = ("Strict-Transport-Security", "max-age=15724800; includeSubDomains")
_VERSIONS = ("api-supported-versions", ", ".join(SUPPORTED))


async def read_body(request: web.BaseRequest) -> Body:
    """The body of a request, read whole.

    Raises:
        RefusedError: It has no length, is too long, or breaks off.
    """
    length = check_length(request.content_length)
    content_type = request.headers.get("Content-Type", "")
    if not length:
        return Body(content_type)
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0
    try:
        return Body(content_type, await request.content.readexactly(length))
    except (asyncio.IncompleteReadError, ConnectionError):
        raise RefusedError(bad_request("The request body is shorter than announced.")) from None


def response(reply: RestResponse) -> web.Response:
    """An answer, for aiohttp to write."""
    return web.Response(status=reply.status, body=reply.body or None, headers=headers_of(reply))


def headers_of(reply: RestResponse) -> CIMultiDict[str]:
    """The headers of an answer, its length excepted."""
    headers = CIMultiDict((_SECURITY,))
    if reply.content_type != PROBLEM:
        headers.add(*_VERSIONS)
    if reply.content_type:
        headers["Content-Type"] = reply.content_type
    if reply.code:
        headers["x-ms-error-code"] = reply.code
    headers.update(reply.headers)
    return headers
