"""Some of the tests of our own connections, with the clients of httpx2 in their place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from ...support.httpx_clients import Httpx
from .conftest import MakeClient
from .test_client import (  # noqa: F401 - collected here with another fixture
    test_a_body_cut_short_is_an_error,
    test_a_refusal_before_the_whole_body_was_read_is_seen,
    test_an_answer_that_is_no_http_is_a_protocol_error,
    test_an_unknown_host,
    test_connections_are_reused,
    test_no_answer_is_a_connection_error,
    test_nobody_listens,
    test_nothing_of_the_callers_crosses_to_another_origin,
)
from .test_event_streams import (  # noqa: F401 - as above
    test_a_compressed_stream_is_read,
    test_a_finished_stream_gives_its_connection_back,
    test_a_stream_cut_short_hands_over_what_came_and_fails,
    test_a_stream_left_early_closes_its_connection_at_once,
    test_no_answer_within_the_timeout,
    test_silence_ends_a_stream,
)
from .test_tls_and_proxies import (  # noqa: F401 - as above
    secure,
    test_a_stranger_is_not_trusted_and_not_asked_again,
    test_https_to_a_plain_server,
)


@pytest.fixture(params=["httpx2-sync", "httpx2-async"])
def make_client(request: pytest.FixtureRequest) -> Iterator[MakeClient]:
    """Builds clients over httpx's, and closes both."""
    with ExitStack() as stack:
        yield Httpx(*request.param.split("-"), stack)
