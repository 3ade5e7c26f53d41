"""What an error shows of the secrets that were sent: nothing."""

from __future__ import annotations

from itertools import permutations
from uuid import uuid4

import pytest

from langchain_easyllm._http.auth import Credentials, redact, remember
from langchain_easyllm.errors import AuthenticationError, EasyLLMError

from ...support.fake_server import FakeServer, Received, Reply
from ...support.http_clients import post
from .conftest import MakeClient


class Owner:
    """Whoever has a secret."""


@pytest.mark.parametrize(
    ("secrets", "text", "shown"),
    [
        (["hf_secret", "hf_secret_tail", "hf_secret_tail_2"], "<hf_secret_tail_2>", "<***>"),
        (["hf_secret", "hf_secret_tail"], "hf_secret hf_secret_tail", "*** ***"),
        (["end_secret", "front_end_secret"], "a front_end_secret b", "a *** b"),
        (["hf_secret", "my_hf_secret_2"], "my_hf_secret_2 my_hf_secret", "*** my_***"),
        (["one_secret_two", "two_secret_three"], "(one_secret_two_secret_three)", "(***)"),
        (["abcabcabc"], "x abcabcabcabc y", "x *** y"),
        (["hf_secret", "hf_secret"], "hf_secrethf_secret", "******"),
        (["hf_secret"], "hf_secre t hf_Secret", "hf_secre t hf_Secret"),
        (["EMPTY", "none"], "EMPTY or none", "EMPTY or none"),
    ],
)
def test_nothing_of_a_secret_stays(secrets: list[str], text: str, shown: str) -> None:
    for arrived in permutations(secrets):
        owner = Owner()
        for secret in arrived:
            remember(owner, secret)
        assert redact(text) == shown


def test_a_secret_is_hidden_as_long_as_somebody_has_it() -> None:
    first, second = Owner(), Owner()
    for owner in (first, second):
        remember(owner, "hf_shared_secret")
    del owner, first
    assert redact("hf_shared_secret") == "***"
    del second
    assert redact("hf_shared_secret") == "hf_shared_secret"


def test_two_threads_may_come_with_the_same_secret() -> None:
    first, second = Owner(), Owner()

    class Meeting(str):
        """A secret at which another thread arrives the second time that it is looked up."""

        __slots__ = ()

        def __hash__(self) -> int:
            lookups.append(self)
            if len(lookups) == 2:
                remember(second, str(self))
            return super().__hash__()

    lookups: list[str] = []
    remember(first, Meeting("hf_contended_secret"))
    if len(lookups) < 2:
        remember(second, "hf_contended_secret")
    del first
    assert redact("hf_contended_secret") == "***"


def echo(*names: str):
    """Answer with a refusal that quotes headers."""

    def answer(request: Received) -> Reply:
        said = " and ".join(request.headers[name] for name in names)
        return Reply({"error": f"bad {said}"}, status=401)

    return answer


@pytest.mark.parametrize(
    ("key", "header"), [("hf_short_1", "hf_short_1_and_long"), ("hf_abcdef_2", "x_hf_abcdef_2")]
)
def test_secrets_that_hold_one_another_stay_out_of_errors(
    fake_server: FakeServer, make_client: MakeClient, key: str, header: str
) -> None:
    fake_server.on("POST", "/a", echo("authorization", "x-api-key"))
    for one, other in ((key, header), (header, key)):
        credentials = Credentials(one, base_url=fake_server.url)
        client = make_client(credentials, headers={"X-API-Key": other})
        for ask in (client.send, client.read):
            with pytest.raises(AuthenticationError, match=r"bad Bearer \*\*\* and \*\*\*\.") as got:
                ask(post(fake_server.url + "/a"))
            assert "***_" not in f"{got.value!r} {got.value.body}"


@pytest.mark.parametrize(
    "value",
    [
        "Bearer {}",
        "{}",
        "id={}; theme=dark",
        'Digest a="{}", b=1',
    ],
)
def test_every_part_of_a_secret_header_stays_out_of_errors(
    fake_server: FakeServer, make_client: MakeClient, value: str
) -> None:
    for name in ("Authorization", "Cookie", "X-Auth-Token"):
        secret = uuid4().hex
        fake_server.on("POST", "/a", Reply({"error": f"who is {secret}?"}, status=401))
        with pytest.raises(AuthenticationError, match=r"who is \*\*\*\?"):
            make_client(headers={name: value.format(secret)}).send(post(fake_server.url + "/a"))


def test_a_login_in_the_address_stays_out_of_errors(
    fake_server: FakeServer, make_client: MakeClient
) -> None:
    fake_server.on("POST", "/a", echo("authorization"))
    fake_server.on("POST", "/b", Reply({"error": "no such user: me:pass-word-2"}, status=403))
    address = fake_server.url.replace("://", "://me:pass-word-2@")
    client = make_client()
    for path, shown in (("/a", r"bad Basic \*\*\*"), ("/b", r"me:\*\*\*")):
        with pytest.raises(EasyLLMError, match=shown):
            client.send(post(address + path))
    assert fake_server.requests[0].headers["authorization"].startswith("Basic ")


@pytest.mark.parametrize("status", [300, 301, 308, 400])
def test_no_header_of_an_answer_brings_a_secret_back(
    fake_server: FakeServer, make_client: MakeClient, status: int
) -> None:
    headers = {"location": "ftp://host/hf_very_secret", "x-request-id": "for-hf_very_secret"}
    fake_server.on("POST", "/a", Reply("no", status=status, headers=headers))
    client = make_client(Credentials("hf_very_secret", base_url=fake_server.url))
    with pytest.raises(EasyLLMError) as caught:
        client.send(post(fake_server.url + "/a"))
    assert "hf_very_secret" not in f"{caught.value} {vars(caught.value)}"


def test_a_proxys_password_stays_out_of_errors(
    fake_server: FakeServer, make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", fake_server.url.replace("://", "://me:pass-word-1@"))
    fake_server.on("POST", "/a", echo("proxy-authorization"))
    with pytest.raises(EasyLLMError, match=r"bad Basic \*\*\*"):
        make_client().send(post("http://example.test/a"))
