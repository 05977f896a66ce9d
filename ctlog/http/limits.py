"""Who may submit, and how much: token buckets by source, issuer and root, and the allow-list of submitters.

A bucket is kept as one number, the time at which it will be full again (the generic cell rate algorithm, ITU-T I.371).
The table is bounded: beyond `MAX_KEYS` keys the least recently used one is forgotten, most likely a full bucket.
Out of scope: the clock (`now_s` is an argument, monotonic seconds) and the size of the pool.
"""

from __future__ import annotations

import hashlib
import ipaddress
import math
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any

from ctlog.errors import RateLimitedError, RefusedError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

MAX_KEYS = 65_536  # 65,536 debts at ~150 bytes are 10 MB


class Buckets:
    """Token buckets of one kind, by key. `rate` per second, up to `burst` at once; a rate of 0 means no limit."""

    def __init__(self, what: str, rate: float, burst: int, key: Callable[[Any], Hashable] = lambda key: key,
                 max_keys: int = MAX_KEYS) -> None:
        """`key` turns what is asked about into what shares a bucket, such as `source_key`."""
        self.what = what
        self._key = key
        self._interval = 1 / rate if rate else 0.0
        self._burst_s = self._interval * burst
        self._max_keys = max_keys
        self._full_at: OrderedDict[Hashable, float] = OrderedDict()  # least recently used first

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, key: Hashable, now_s: float) -> None:
        """Take one token. Raises RateLimitedError with the seconds after which one is there."""
        if not self._interval:
            return
        key = self._key(key)
        full_at = max(self._full_at.get(key, now_s), now_s) + self._interval
        wait_s = full_at - now_s - self._burst_s
        if wait_s > 1e-9:
            raise RateLimitedError(f"too many submissions from this {self.what}; come back in {math.ceil(wait_s)} s",
                                   retry_after_s=math.ceil(wait_s), reason=f"rate-limited-{self.what}")
        self._full_at[key] = full_at
        self._full_at.move_to_end(key)
        if len(self._full_at) > self._max_keys:
            self._full_at.popitem(last=False)

    def give_back(self, key: Hashable, now_s: float) -> None:
        """Undo one `take`: what it was taken for cost nothing (a resubmission)."""
        key = self._key(key)
        full_at = self._full_at.get(key)
        if full_at is not None:
            if full_at - self._interval <= now_s:
                del self._full_at[key]
            else:
                self._full_at[key] = full_at - self._interval


def source_key(address: str) -> str:
    """The key of a source: an IPv4 address, the /64 of an IPv6 one; anything else (a Unix socket) as it is."""
    if ":" not in address:
        return address
    try:
        six = ipaddress.IPv6Address(address)
    except ValueError:
        return address
    if six.ipv4_mapped:
        return str(six.ipv4_mapped)
    return str(ipaddress.IPv6Network((six.packed[:8] + bytes(8), 64)))


class Proxies:
    """Whose word about a client's address is believed: X-Forwarded-For from these networks only."""

    def __init__(self, networks: Iterable[Network]) -> None:
        self._networks = tuple(networks)

    def client(self, peer: str, forwarded_for: str) -> str:
        """The client's address: the last hop that is no trusted proxy. `peer` "" is the Unix socket, always trusted."""
        if not forwarded_for or not (peer == "" or self._trusts(peer)):
            return peer or "unix"
        client = peer
        for hop in reversed(forwarded_for.split(",")):
            address = _address(hop.strip())
            if address is None:
                break
            client = str(address)
            if not self._trusts(client):
                break
        return client or "unix"

    def _trusts(self, address: str) -> bool:
        value = _address(address)
        return value is not None and any(value in network for network in self._networks)


class AllowList:
    """Which submitters are let in: by network or by bearer token; everyone while neither is configured."""

    def __init__(self, networks: Iterable[Network], token_hashes: Mapping[str, str]) -> None:
        self._networks = tuple(networks)
        self._hashes = frozenset(token_hashes.values())
        self.open = not self._networks and not self._hashes

    def check(self, address: str, authorization: str) -> None:
        """Raises RefusedError ("submitter-not-allowed") for a stranger."""
        if self.open:
            return
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() == "bearer" and self._knows(token.strip()):
            return
        value = _address(address)
        if value is not None and any(value in network for network in self._networks):
            return
        raise RefusedError("this log takes submissions only from those whom its operator has listed",
                           reason="submitter-not-allowed")

    def _knows(self, token: str) -> bool:
        # Hashes are compared, not tokens, so how long it takes says nothing that helps to guess one.
        return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest() in self._hashes


def _address(text: str) -> Address | None:
    """An address, of which an IPv4-mapped IPv6 one is its IPv4; None if it is none. A scope id is dropped."""
    try:
        value = ipaddress.ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None
    return getattr(value, "ipv4_mapped", None) or value
