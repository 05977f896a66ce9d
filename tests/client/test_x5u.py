"""Certificates by URL: fetched once, kept for a while, failures kept for less, and asked again when they do not fit."""

import asyncio

import pytest

from ctlog.client.x5u import KEEP_MS, MAX_FETCHING, RENEW_MS, RETRY_MS, CertificateStore
from ctlog.errors import InputError, TransportError
from tests.call_values import NOW

URL = "https://cert.example/a.pem"


class Web:
    """What is out there; counts who asks."""

    def __init__(self, what=b"bytes") -> None:
        self.what = what
        self.asked: list[str] = []
        self.open = asyncio.Event()
        self.open.set()

    async def fetch(self, url: str) -> bytes:
        self.asked.append(url)
        await self.open.wait()
        if isinstance(self.what, Exception):
            raise self.what
        return self.what


async def test_fetched_once_and_kept():
    web = Web()
    store = CertificateStore(web.fetch)
    for at in (0, 1, KEEP_MS - 1):
        assert await store.get(URL, NOW + at) == b"bytes"
    assert len(web.asked) == len(store) == 1
    await store.get(URL, NOW + KEEP_MS)
    await store.get(URL, NOW - 1)  # the clock was set back
    assert len(web.asked) == 3


@pytest.mark.parametrize("error", [TransportError("no", reason="redirect"), InputError("no", reason="not-https")])
async def test_failures_are_kept_for_a_short_time(error):
    web = Web(error)
    store = CertificateStore(web.fetch)
    assert await store.get(URL, NOW) is await store.get(URL, NOW + RETRY_MS - 1) is error
    assert len(web.asked) == 1
    web.what = b"bytes"
    assert await store.get(URL, NOW + RETRY_MS) == b"bytes"


async def test_many_who_want_the_same_wait_for_one_fetch():
    web = Web()
    web.open.clear()
    store = CertificateStore(web.fetch)
    waiting = [asyncio.create_task(store.get(URL, NOW)) for _ in range(20)]
    await asyncio.sleep(0)
    waiting[0].cancel()  # one who hangs up takes nothing from the others
    await asyncio.sleep(0)
    assert store.fetching == 1
    web.open.set()
    assert await asyncio.gather(*waiting[1:]) == [b"bytes"] * 19
    assert (len(web.asked), store.fetching) == (1, 0)


async def test_not_too_many_at_once():
    web = Web()
    web.open.clear()
    store = CertificateStore(web.fetch)
    waiting = [asyncio.create_task(store.get(f"{URL}?{at}", NOW)) for at in range(MAX_FETCHING)]
    await asyncio.sleep(0)
    refused = await store.get(URL, NOW)
    assert isinstance(refused, TransportError)
    assert refused.reason == "unreachable"
    web.open.set()
    await asyncio.gather(*waiting)
    assert await store.get(URL, NOW) == b"bytes"


async def test_what_does_not_fit_is_asked_again_but_not_often():
    web = Web()
    store = CertificateStore(web.fetch)
    assert not store.renew(URL, NOW)
    await store.get(URL, NOW)
    assert not store.renew(URL, NOW + RENEW_MS - 1)
    assert store.renew(URL, NOW + RENEW_MS)
    web.what = b"others"
    assert await store.get(URL, NOW + RENEW_MS) == b"others"


async def test_a_fault_of_the_fetcher_is_not_kept():
    web = Web(RuntimeError("a bug"))
    store = CertificateStore(web.fetch)
    with pytest.raises(RuntimeError):
        await store.get(URL, NOW)
    web.what = b"bytes"
    assert await store.get(URL, NOW) == b"bytes"


async def test_bounded():
    store = CertificateStore(Web(b"x" * 1000).fetch, entries=100, octets=10_000)
    for at in range(50):
        await store.get(f"{URL}?{at}", NOW)
    assert len(store) <= 10
