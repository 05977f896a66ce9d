"""Token buckets against a plain simulation; addresses and proxies; the allow-list."""

from __future__ import annotations

import hashlib
import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctlog.errors import RateLimitedError, RefusedError
from ctlog.http.limits import AllowList, Buckets, Proxies, source_key


def takes(buckets: Buckets, key: str, now_s: float) -> bool:
    try:
        buckets.take(key, now_s)
    except RateLimitedError:
        return False
    return True


@given(rate=st.sampled_from([0.5, 1.0, 4.0, 32.0]), burst=st.integers(1, 8),
       steps=st.lists(st.integers(0, 64), max_size=60))
def test_buckets_are_token_buckets(rate: float, burst: int, steps: list[int]) -> None:
    buckets = Buckets("source", rate, burst)
    tokens, now = float(burst), 1000.0
    for step in steps:
        now += step / 64  # exact in binary, so that the plain simulation is too
        tokens = min(burst, tokens + step / 64 * rate)
        allowed = takes(buckets, "k", now)
        assert allowed == (tokens >= 1)
        tokens -= allowed


def test_the_wait_is_enough_and_not_a_second_too_long() -> None:
    buckets = Buckets("issuer", 0.25, 1)
    buckets.take("k", 10.0)
    with pytest.raises(RateLimitedError) as caught:
        buckets.take("k", 11.5)
    assert caught.value.retry_after_s == 3
    assert caught.value.reason == "rate-limited-issuer"
    assert takes(buckets, "k", 11.5 + caught.value.retry_after_s)


def test_keys_do_not_share() -> None:
    buckets = Buckets("root", 1, 1)
    assert takes(buckets, "a", 0.0)
    assert takes(buckets, "b", 0.0)
    assert not takes(buckets, "a", 0.0)


def test_zero_is_no_limit_and_holds_nothing() -> None:
    buckets = Buckets("source", 0, 1)
    for _ in range(1000):
        buckets.take("k", 0.0)
    assert len(buckets) == 0


def test_what_is_given_back_can_be_taken_again() -> None:
    buckets = Buckets("issuer", 1, 2)
    for _ in range(10):
        buckets.take("k", 5.0)
        buckets.give_back("k", 5.0)
    assert len(buckets) == 0
    assert takes(buckets, "k", 5.0)
    assert takes(buckets, "k", 5.0)
    assert not takes(buckets, "k", 5.0)
    buckets.give_back("k", 5.0)
    assert takes(buckets, "k", 5.0)
    buckets.give_back("unknown", 5.0)


def test_the_table_is_bounded_and_forgets_the_least_used() -> None:
    buckets = Buckets("source", 0.001, 1, max_keys=3)
    for key in "abc":
        buckets.take(key, 0.0)
    buckets.give_back("a", 0.0)
    buckets.take("a", 0.0)  # used last now
    buckets.take("d", 0.0)
    assert len(buckets) == 3
    assert not takes(buckets, "a", 1.0)
    assert takes(buckets, "b", 1.0)


@pytest.mark.parametrize(("address", "key"), [
    ("192.0.2.7", "192.0.2.7"),
    ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
    ("2001:db8:1:2::", "2001:db8:1:2::/64"),
    ("::ffff:192.0.2.7", "192.0.2.7"),
    ("fe80::1%eth0", "fe80::/64"),
    ("unix", "unix"),
    ("a:b", "a:b"),
])
def test_source_keys(address: str, key: str) -> None:
    assert source_key(address) == key


PROXIES = Proxies([ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("2001:db8::/32")])


@pytest.mark.parametrize(("peer", "header", "client"), [
    ("192.0.2.1", "", "192.0.2.1"),
    ("192.0.2.1", "198.51.100.9", "192.0.2.1"),  # a stranger's word
    ("10.1.1.1", "198.51.100.9", "198.51.100.9"),
    ("10.1.1.1", "203.0.113.5, 198.51.100.9", "198.51.100.9"),  # what the client wrote itself is not believed
    ("10.1.1.1", "198.51.100.9, 10.2.2.2", "198.51.100.9"),
    ("10.1.1.1", "10.3.3.3, 10.2.2.2", "10.3.3.3"),
    ("10.1.1.1", "198.51.100.9, nonsense", "10.1.1.1"),
    ("10.1.1.1", "", "10.1.1.1"),
    ("::ffff:10.1.1.1", "198.51.100.9", "198.51.100.9"),
    ("2001:db8::1", "[2001:dba::5]", "2001:dba::5"),
    ("", "198.51.100.9", "198.51.100.9"),
    ("", "", "unix"),
    ("", "nonsense", "unix"),
])
def test_proxies_are_believed_only_when_trusted(peer: str, header: str, client: str) -> None:
    assert PROXIES.client(peer, header) == client


@given(st.text(), st.text())
def test_no_header_breaks_it(peer: str, header: str) -> None:
    assert PROXIES.client(peer, header)
    source_key(header)


def test_allow_list() -> None:
    everyone = AllowList([], {})
    assert everyone.open
    everyone.check("192.0.2.1", "")
    some = AllowList([ipaddress.ip_network("192.0.2.0/24")], {"bob": hashlib.sha256(b"s3cret").hexdigest()})
    some.check("192.0.2.1", "")
    some.check("::ffff:192.0.2.1", "")
    some.check("198.51.100.1", "Bearer s3cret")
    some.check("198.51.100.1", "bearer  s3cret ")
    for address, header in [("198.51.100.1", ""), ("198.51.100.1", "Bearer wrong"), ("unix", "Basic s3cret"),
                            ("198.51.100.1", "s3cret"), ("2001:db8::1", "Bearer "), ("x", "Bearer \udcff")]:
        with pytest.raises(RefusedError) as caught:
            some.check(address, header)
        assert caught.value.reason == "submitter-not-allowed"
