"""Certificates by `x5u`, fetched at most once at a time and kept for a while: RFC 8224 section 6.2 step 3, RFC 8226.

In scope: a bounded memory of what URLs gave, failures for a short time too, so that a call whose certificate cannot be
had does not make this a tool to knock on other people's doors; one fetch at a time for each URL, and not too many at
once. Out of scope: the fetching itself, which is handed in and must be fit for URLs that strangers choose
(`ctlog.client.guarded`), and what the bytes mean.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from ctlog.client.lru import LruCache
from ctlog.errors import CtlogError, TransportError

Fetch = Callable[[str], Awaitable[bytes]]
"""The body at a URL. Raises CtlogError, such as InputError and TransportError of `ctlog.client.guarded`."""

KEEP_MS = 24 * 3_600_000
"""How long bytes are kept: a certificate does not change, and a URL that gives another one is asked again (`renew`)."""
RETRY_MS = 30_000
"""How long a failure is kept."""
RENEW_MS = 60_000
"""How often at most a URL is asked again because what it gave did not fit."""
MAX_FETCHING = 64


class CertificateStore:
    """What URLs gave. Used from one event loop. `now_ms` is the caller's clock, in every call."""

    def __init__(self, fetch: Fetch, *, entries: int = 4096, octets: int = 64 << 20) -> None:
        self._fetch = fetch
        self._known: LruCache[str, tuple[bytes | CtlogError, int]] = LruCache(entries, octets)
        self._coming: dict[str, asyncio.Task[bytes | CtlogError]] = {}

    def __len__(self) -> int:
        return len(self._known)

    @property
    def fetching(self) -> int:
        """How many fetches are under way."""
        return len(self._coming)

    async def get(self, url: str, now_ms: int) -> bytes | CtlogError:
        """What the URL gives, or gave not long ago; or the error because of which it gives nothing."""
        found = self._known.get(url)
        if found is not None:
            what, when_ms = found
            if 0 <= now_ms - when_ms < (KEEP_MS if isinstance(what, bytes) else RETRY_MS):
                return what
        task = self._coming.get(url)
        if task is None:
            if len(self._coming) >= MAX_FETCHING:
                return TransportError("too many certificates are being fetched", reason="unreachable")
            task = self._coming[url] = asyncio.create_task(self._ask(url, now_ms))
        return await asyncio.shield(task)

    def renew(self, url: str, now_ms: int) -> bool:
        """Forget what a URL gave, for it does not fit; true unless that is too fresh to be worth another fetch."""
        found = self._known.get(url)
        if found is None or now_ms - found[1] < RENEW_MS:
            return False
        self._known.drop(url)
        return True

    async def _ask(self, url: str, now_ms: int) -> bytes | CtlogError:
        what: bytes | CtlogError
        try:
            what = await self._fetch(url)
        except CtlogError as error:
            what = error
        finally:
            del self._coming[url]
        self._known.put(url, (what, now_ms), len(url) + (len(what) if isinstance(what, bytes) else 200))
        return what
