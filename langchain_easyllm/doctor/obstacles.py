"""Why a server cannot be checked: what was seen, and what to do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from .._http.error_mapping import parse_error_body
from .._http.models import Request, RetryPolicy, is_hugging_face, parse_url, public_url
from .._servers.detection import Reply, detect_server, reply_of
from .._servers.urls import parse_server_url
from ..errors import (
    AuthenticationError,
    ConfigurationError,
    ConnectionError,
    EasyLLMError,
    EndpointPausedError,
    IncompleteStreamError,
    ModelLoadingError,
    NotFoundError,
    PermissionDeniedError,
    ProtocolError,
    RateLimitError,
    ServerError,
    TimeoutError,
)
from .recording import Exchange

if TYPE_CHECKING:
    from .subject import Subject

_FINAL = (
    AuthenticationError,
    PermissionDeniedError,
    ConnectionError,
    TimeoutError,
    EndpointPausedError,
    ModelLoadingError,
)

_REFUSALS = AuthenticationError, PermissionDeniedError

ROOT_SECONDS = 3.0
"""Seconds for a look at the root of a host where nothing is at the path that was given."""

_PAGE = re.compile(rb"(?is)\s*(?:<!--.*?-->\s*)*<(?:!doctype html|html|head|body)")
_TITLE = re.compile(rb"<title[^<>]*>([^<]{1,200})", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def of_detection(subject: Subject, proxy: str | None) -> str | None:
    """Return why nothing more need be asked, by what the detection met; None if there is nothing.

    Args:
        subject: The server, whose detection found nothing it knows.
        proxy: The proxy on the way, if there is one.
    """
    exchanges = subject.exchanges
    if proxy and (answer := _of_proxy(exchanges, proxy)):
        return answer
    refused = next((e for one in exchanges if (e := one.error) and _is_of_key(e)), None)
    if refused is not None:
        return _of_key(subject, refused)
    failure = subject.session.failure
    if isinstance(failure, TimeoutError):
        asked = exchanges[-1].path if exchanges else "/info"
        if proxy:
            return (
                f"The proxy {proxy} accepts the connection and does not answer GET {asked} in "
                "time. It hangs, or the server behind it does: see their logs, or add the host to "
                "NO_PROXY to connect without the proxy."
            )
        return (
            f"The server accepts the connection and does not answer GET {asked} in time. It hangs, "
            "is still starting, or speaks another protocol (TLS on an http:// URL, say): see its "
            "log, check the port, and raise --timeout or --wait if it is slow."
        )
    if failure is None or not is_final(failure):
        return None
    return _in_words(failure) + _other_scheme(subject, failure)


def of_first_answer(subject: Subject, error: EasyLLMError, proxy: str | None) -> str:
    """Return why a server cannot be checked that answers no question at all."""
    if proxy and (answer := _of_proxy(subject.exchanges, proxy)):
        return answer
    if _is_of_key(error):
        return _of_key(subject, error)
    if isinstance(error, TimeoutError):
        return (
            f"The server answers questions about itself, and not POST {subject.last().path} within "
            f"{subject.options.timeout:g} s: see its log, and raise --timeout if it is slow, or "
            "--wait if its model is loading."
        )
    if not subject.server.known and (page := _web_page(subject.exchanges)) is not None:
        through = f" It came through the proxy {proxy}, whose page it may be." if proxy else ""
        return page + through
    if not is_missing(error) or subject.server.known:
        return _in_words(error) + _other_scheme(subject, error)
    shown = public_url(subject.session.url.root)
    paths = ", ".join(dict.fromkeys(one.path for one in subject.exchanges))
    message = f"Nothing that this package knows is at {shown}: it has none of {paths}."
    through = ""
    if proxy:
        through = (
            f" The answers came through the proxy {proxy}, and may be its own: add the host to "
            "NO_PROXY to connect without it."
        )
    return f"{message} {_look_at_root(subject)}{through}"


def is_final(error: EasyLLMError) -> bool:
    """Whether other questions would fare no better than the first one did."""
    return isinstance(error, _FINAL) and not isinstance(error, IncompleteStreamError)


def is_missing(error: EasyLLMError) -> bool:
    """Whether a server says that it has no such route."""
    return isinstance(error, NotFoundError) or (
        isinstance(error, ServerError) and error.status_code == 501
    )


def _is_of_key(error: EasyLLMError) -> bool:
    return isinstance(error, _REFUSALS) and error.status_code in (401, 403)


def _other_scheme(subject: Subject, error: EasyLLMError) -> str:
    """Return what else may be wrong where no HTTP comes back: a server that wants TLS."""
    answered = any(one.status is not None for one in subject.exchanges)
    if answered or not subject.session.url.root.startswith("http:"):
        return ""
    lost = isinstance(error, ConnectionError) and error.is_retryable
    if lost or isinstance(error, ProtocolError):
        return " If the server speaks TLS, write https:// in its URL."
    return ""


def _in_words(error: EasyLLMError) -> str:
    """Return an error's message, with the options of the command for the fields of objects."""
    if isinstance(error, RateLimitError):
        return f"{error.message.partition(' Wait, lower')[0]} Try again when it is less busy."
    if isinstance(error, ModelLoadingError) and not isinstance(error, EndpointPausedError):
        return f"{error.message.partition(' Set wait_for_model')[0]} Give it time: --wait 300."
    return error.message


def _of_key(subject: Subject, error: EasyLLMError) -> str:
    """Return what a server says of the key, or of there being none."""
    said = parse_error_body((error.body or "").encode()).short
    quoted = f": {said.rstrip('.')}" if said else ""
    url = subject.session.url.root
    if subject.options.api_key is not None:
        return f"The server refuses the key ({error.status_code}{quoted}). Check its value."
    if is_hugging_face(parse_url(url)):
        return error.message
    return (
        f"The server wants a key ({error.status_code}{quoted}). Name the environment variable that "
        "has it: --api-key-env NAME."
    )


def _of_proxy(exchanges: Sequence[Exchange], proxy: str) -> str | None:
    """Return what a proxy answers in place of the server, if all that came is failures of one."""
    kinds = {one.status for one in exchanges}
    if not kinds or not kinds <= {403, 407, 502, 503, 504}:
        return None
    error = next(one.error for one in exchanges if one.error is not None)
    said = parse_error_body((error.body or "").encode()).short
    quoted = f": {said}" if said else ""
    return (
        f"The proxy {proxy} seems to answer in place of the server ({error.status_code}{quoted}). "
        "Have it let the host through, or add the host to NO_PROXY to connect without it."
    )


def _web_page(exchanges: Sequence[Exchange]) -> str | None:
    for one in exchanges:
        if one.response is not None and _PAGE.match(one.response.body[:4096]):
            title = _TITLE.search(one.response.body[:65536])
            said = _CONTROL.sub(" ", title[1].decode("utf-8", "replace")).strip() if title else ""
            named = f' ("{said[:60]}")' if said else ""
            return (
                f"A web page{named} answers at {one.path}, and no inference server: give the root "
                "of the server's API, such as http://host:8080, and check the port."
            )
    return None


def _look_at_root(subject: Subject) -> str:
    """Say whether there is a server at the root of the host, or what to do."""
    todo = "Check the port, and that base_url is the server's root or its /v1."
    url = subject.session.url
    scheme, _, rest = url.root.partition("://")
    host, slash, _ = rest.partition("/")
    if not slash:
        return todo
    root = parse_server_url(f"{scheme}://{host}")
    policy = RetryPolicy(ROOT_SECONDS, max_retries=0).begin()
    flow = detect_server(replace(root, query=url.query))
    try:
        route = next(flow)
        while True:
            reply: Reply
            try:
                request = Request("GET", root.url(route))
                response = subject.session.transport.send(request, policy)
                reply = response.status, response.body
            except ConfigurationError:
                return todo
            except EasyLLMError as error:
                reply = reply_of(error)
            route = flow.send(reply)
    except StopIteration as end:
        found = end.value
    if not found.known:
        return todo
    return f"There is a server ({found.profile.name}) at {public_url(root.root)}: use that URL."
