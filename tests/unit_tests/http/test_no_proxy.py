"""NO_PROXY: who is reached directly, in every form in which people write it."""

from __future__ import annotations

import pytest

from langchain_easyllm._http.models import parse_url
from langchain_easyllm._http.proxies import is_exempt, proxy_for

from ...support.cases import each_case

NAMES = ["example.com", ".example.com", "example.com.", "EXAMPLE.com", "http://example.com/"]
# The entry, hosts that it exempts, hosts that it does not.
CASES: list[tuple[str, list[str], list[str]]] = [
    *((name, ["example.com", "a.b.example.com", "Example.COM.", "example.com:81"],
       ["example.org", "notexample.com", "com", "example.com.evil.test"]) for name in NAMES),
    ("*.example.com", ["a.example.com", "a.b.example.com"], ["example.com", "notexample.com"]),
    ("*example.com", ["a.example.com", "example.com", "notexample.com"], ["example.org"]),
    ("model-*.local", ["model-1.local"], ["model.local", "model-1.local.test"]),
    ("example.com:8080", ["example.com:8080", "a.example.com:8080"], ["example.com", "a.com:8080"]),
    ("*", ["example.com", "10.0.0.1", "[::1]"], []),
    ("other.test,*", ["example.com"], []),
    ("other.test *", ["example.com"], []),
    (" a.test ,\t b.test,,c.test ", ["a.test", "b.test", "c.test"], ["d.test"]),
    ("10.0.0.0/8", ["10.0.0.1", "10.255.255.255:8080"], ["11.0.0.1", "ten.10.test", "[::1]"]),
    ("10.1.2.3/8", ["10.9.9.9"], ["11.0.0.1"]),
    ("192.168.1.5", ["192.168.1.5", "192.168.1.5:81"], ["192.168.1.50", "1.192.168.1.5.test"]),
    ("192.168.1.5:80", ["192.168.1.5"], ["192.168.1.5:81"]),
    ("192.168.*", ["192.168.7.7"], ["10.192.168.1"]),
    ("172.16.0.0/12:81", ["172.31.0.1:81"], ["172.31.0.1", "172.32.0.1:81"]),
    ("[::1]", ["[::1]", "[0:0::1]:99"], ["[::2]", "127.0.0.1"]),
    ("::1", ["[::1]", "[::1]:99"], ["[::2]"]),
    ("[::1]:8080", ["[::1]:8080"], ["[::1]", "[::1]:8081"]),
    ("fd00::/8", ["[fd12:3456::1]"], ["[fe80::1]", "fd00.test", "10.0.0.1"]),
    ("[fd00::]/8", ["[fd12:3456::1]"], ["[fe80::1]"]),
    ("[fd00::/8]:81", ["[fd12::1]:81"], ["[fd12::1]"]),
    ("fe80::/10", ["[fe80::1%1]", "[fe80::1]"], ["[fd00::1]"]),
    ("10.0.0.0/8", ["[::ffff:10.0.0.1]"], ["[::ffff:11.0.0.1]"]),
    ("straße.de", ["straße.de", "a.xn--strae-oqa.de"], ["strasse.de"]),
    ("127.0.0.0/8,localhost", ["127.0.0.1", "localhost", "a.localhost"], ["local", "128.0.0.1"]),
    ("", [], ["example.com", "10.0.0.1"]),
    (".", [], ["example.com"]),
    ("/8 :80 [ [] ]:8 a:b:c example.com:x 10.0.0.0/99 ü..ü %", [], ["example.com", "10.0.0.1"]),
]  # fmt: skip


@each_case(("entry", "exempt", "others"), CASES, ids=[case[0] for case in CASES])
def test_who_is_exempt(entry: str, exempt: list[str], others: list[str]) -> None:
    for host in exempt:
        assert is_exempt(parse_url(f"http://{host}/"), entry), host
    for host in others:
        assert not is_exempt(parse_url(f"http://{host}/"), entry), host


def test_a_long_pattern_is_read_in_linear_time() -> None:
    pattern = "*a" * 50 + "b"
    assert not is_exempt(parse_url(f"http://{'a' * 60}/"), f"x.test,{pattern}")


@pytest.mark.parametrize("variable", ["no_proxy", "NO_PROXY"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_either_case_of_the_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, scheme: str
) -> None:
    monkeypatch.setenv(f"{scheme}_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv(variable, "10.0.0.0/8, *.corp.test")
    for host in ("10.1.2.3:8443", "a.corp.test"):
        assert proxy_for(parse_url(f"{scheme}://{host}/")) is None
    assert proxy_for(parse_url(f"{scheme}://corp.test/")) is not None
    monkeypatch.setenv("no_proxy", "")  # the lower case one wins, empty too
    assert proxy_for(parse_url(f"{scheme}://a.corp.test/")) is not None
