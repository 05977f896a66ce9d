"""What the call path remembers from call to call: headers, certificates with what was found of them, chains of CAs.

In scope: bounds, and for whom it was found. Out of scope: for how long a thing holds, which a `Credential` says itself.
Pure, and used from one thread; it belongs to the caller.
"""

from __future__ import annotations

from ctlog.client.credential import Credential, Trust
from ctlog.client.lru import LruCache
from ctlog.client.verdict import Check
from ctlog.tn.delegation import Scope
from ctlog.wire.passport import Header
from ctlog.x509.chain import PathCache


class CallCache:
    """Serves one `Trust` at a time, the very object: with another it starts anew.

    headers: by their text, and credentials: by the DER of their chains; both only of certificates that an accepted root
    vouches for. bundles: by what an x5u gave, taken apart. lists: by certificate and the list that it refers to. Each
    holds `entries` and a quarter of `octets` at most.
    """

    def __init__(self, entries: int = 4096, octets: int = 256 << 20) -> None:
        self.headers: LruCache[bytes, Header] = LruCache(entries, octets // 4)
        self.credentials: LruCache[tuple[bytes, ...], Credential] = LruCache(entries, octets // 4)
        self.bundles: LruCache[bytes, tuple[bytes, ...]] = LruCache(entries, octets // 4)
        self.lists: LruCache[tuple[bytes, bytes], tuple[Scope, Check]] = LruCache(entries, octets // 4)
        self.paths: PathCache = PathCache()
        self._trust: Trust | None = None

    def __len__(self) -> int:
        """How many certificates are remembered."""
        return len(self.credentials)

    def serve(self, trust: Trust) -> None:
        """From now on for this `trust`."""
        if self._trust is not trust:
            for each in (self.headers, self.credentials, self.bundles, self.lists):
                each.clear()
            self.paths = PathCache()
            self._trust = trust
