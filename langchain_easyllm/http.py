"""What an HTTP client of your own has to offer, for `http_client` and `http_async_client`.

An `httpx.Client` or `httpx.AsyncClient` (also httpx2's) can be given as it is. Any other client
needs two methods, `send` and `open`, or `asend` and `aopen`::

    from langchain_easyllm.http import Request, Response


    class MyClient:
        def send(self, request: Request) -> Response:
            reply = fetch(request.method, request.url, request.headers, request.body)
            return Response(reply.code, reply.headers, reply.content)

        open = send  # a whole response: it is not streamed


    llm = EasyLLMChat(base_url=url, http_client=MyClient())

Retries, cold starts, redirects, tokens, event streams and errors stay this package's. A
`request_hook` is given a `Request`, too.
"""

from __future__ import annotations

from ._http.client_protocols import (
    AsyncHTTPClient,
    AsyncStreamedResponse,
    HTTPClient,
    StreamedResponse,
)
from ._http.models import Request, Response

__all__ = [
    "AsyncHTTPClient",
    "AsyncStreamedResponse",
    "HTTPClient",
    "Request",
    "Response",
    "StreamedResponse",
]
