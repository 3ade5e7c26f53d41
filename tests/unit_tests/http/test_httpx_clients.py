"""The tests of our own connections, once more with httpx's clients in their place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from ...support.httpx_clients import Httpx
from .conftest import MakeClient
from .test_client import (  # noqa: F401 - collected here with another fixture
    test_301_to_303_are_followed_for_get_only,
    test_307_and_308_are_followed_with_the_body,
    test_a_body_cut_short_is_an_error,
    test_a_coding_nobody_asked_for_is_undone,
    test_a_connection_closed_while_idle_costs_nothing,
    test_a_damaged_coding_is_an_error,
    test_a_login_in_the_address_is_basic_auth,
    test_a_redirect_to_nowhere_is_the_servers_fault,
    test_a_refusal_before_the_whole_body_was_read_is_seen,
    test_an_address_that_is_none_is_refused_before_anything_is_sent,
    test_an_answer_that_is_no_http_is_a_protocol_error,
    test_an_unknown_host,
    test_connections_are_reused,
    test_get_has_no_body,
    test_interim_answers_are_skipped,
    test_large_bodies_both_ways,
    test_no_answer_is_a_connection_error,
    test_nobody_listens,
    test_non_ascii_paths_are_encoded,
    test_nothing_of_the_callers_crosses_to_another_origin,
    test_redirects_in_a_circle_end,
    test_the_callers_headers_win,
    test_the_token_stays_within_its_origin,
)
from .test_event_streams import (  # noqa: F401 - as above
    test_a_compressed_stream_is_read,
    test_a_finished_stream_gives_its_connection_back,
    test_a_page_instead_of_a_stream_is_an_error,
    test_a_stream_cut_short_hands_over_what_came_and_fails,
    test_a_stream_left_early_closes_its_connection_at_once,
    test_a_stream_of_rubbish_ends_without_events,
    test_a_stream_that_ends_with_its_connection_just_ends,
    test_an_event_is_handed_over_before_the_next_one_is_sent,
    test_error_events_can_be_distinguished,
    test_events_arrive_however_they_are_written,
    test_every_byte_counts_as_progress,
    test_json_instead_of_a_stream_comes_as_one_item,
    test_no_answer_within_the_timeout,
    test_no_timeout_means_no_bound,
    test_silence_ends_a_stream,
    test_the_whole_of_a_send_is_bounded,
)
from .test_retries import (  # noqa: F401 - as above
    test_a_cold_start_does_not_count_as_a_retry,
    test_a_refused_connection_is_tried_again,
    test_a_refused_stream_carries_the_servers_words,
    test_a_stream_is_never_tried_again_after_its_first_event,
    test_a_stream_is_tried_again_until_it_begins,
    test_broken_connections_are_tried_again,
    test_retry_after_is_honoured,
    test_the_last_error_is_raised_after_max_retries,
    test_what_may_pass_is_tried_again,
    test_what_will_not_change_is_not_tried_again,
)
from .test_tls_and_proxies import (  # noqa: F401 - as above
    proxy,
    secure,
    test_a_name_that_the_certificate_does_not_hold,
    test_a_redirect_from_https_to_http_is_not_followed,
    test_a_stranger_is_not_trusted_and_not_asked_again,
    test_connections_under_tls_are_reused,
    test_http_to_a_tls_server,
    test_https_to_a_plain_server,
    test_no_proxy,
    test_plain_requests_go_through_the_proxy,
    test_tls_goes_through_a_tunnel_that_never_sees_the_token,
)


@pytest.fixture(params=["httpx-sync", "httpx-async"])
def make_client(request: pytest.FixtureRequest) -> Iterator[MakeClient]:
    """Builds clients over httpx's, and closes both."""
    with ExitStack() as stack:
        yield Httpx(*request.param.split("-"), stack)
