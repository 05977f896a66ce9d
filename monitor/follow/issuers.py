"""Who issued: chains of one log, fetched and kept, and the one name that history has for each.

In scope: the certificates above an entry (a data tile names them by fingerprint, RFC 6962 sends them along), each
fetched once; who the nearest of them is, as far as signatures up to an accepted root show. Out of scope: the entry's
own signature (`monitor.entry` checks it where the entry concerns somebody), and judging.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from ctlog.client.follow import Batch, ProvenBatch
from ctlog.client.get_entries import SeenBatch
from ctlog.errors import BusyError, CtlogError, MalformedError, NotFoundError, TransportError
from ctlog.wire.rfc6962 import parse_extra_data_x509
from ctlog.x509.chain import verify_path
from ctlog.x509.der import parse_certificate
from monitor.entry import IssuerId, Trust, issuer_below
from monitor.follow.followed import Clock, Followed
from monitor.glance import Glance
from monitor.holder import normalise, organisation

MAX_ISSUER = 1 << 18
"""Bytes of an issuer's certificate."""
MAX_KEPT = 4096
"""Certificates, and names of chains, that are kept of one log."""
RETRY_MS = 60_000
"""After an issuer was not to be had, it is asked for again only after so long."""

_PRECERT = b"\x01"


class Issuers:
    """The issuers of one log. `name_number` gives a name its number (`History.name_number`)."""

    def __init__(
        self, log: Followed, trust: Callable[[], Trust], name_number: Callable[[str], int], now_ms: Clock
    ) -> None:
        self._log = log
        self._trust = trust
        self._name_number = name_number
        self._now_ms = now_ms
        self._ders: dict[bytes, bytes] = {}
        self._numbers: dict[tuple[bytes, bytes], int] = {}
        self._failed_ms: dict[bytes, int] = {}
        self._of_trust: Trust | None = None

    async def numbers(self, batch: Batch, glances: Sequence[Glance]) -> list[int]:
        """The number of each entry's issuer."""
        if self._trust() is not self._of_trust:  # other roots are accepted now
            self._of_trust = self._trust()
            self._numbers.clear()
        keys = [(glance[0], chain) for glance, chain in zip(glances, chain_keys(batch), strict=True)]
        known = self._numbers
        try:
            return [known[key] for key in keys]
        except KeyError:
            return [known[key] if key in known else await self._learn(key) for key in keys]

    async def chain(self, key: bytes) -> tuple[bytes, ...]:
        """The certificates that a chain key stands for, nearest first; () where they are not to be had now."""
        if not self._log.is_proven_at_once:
            return sent_chain(key)
        try:
            return tuple([await self._issuer(key[at : at + 32]) for at in range(0, len(key), 32)])
        except (NotFoundError, TransportError, BusyError):
            return ()

    async def _learn(self, key: tuple[bytes, bytes]) -> int:
        if key in self._numbers:
            return self._numbers[key]
        chain = await self.chain(key[1])
        assert self._of_trust is not None
        number = self._name_number(issuer_of(key[0], chain, self._of_trust).text)
        if chain or not key[1]:
            if len(self._numbers) >= MAX_KEPT:
                self._numbers.clear()
            self._numbers[key] = number
        return number

    async def _issuer(self, fingerprint: bytes) -> bytes:
        der = self._ders.get(fingerprint)
        if der is not None:
            return der
        if self._failed_ms.get(fingerprint, -RETRY_MS) + RETRY_MS > self._now_ms():
            raise NotFoundError("this issuer was not to be had a moment ago")
        try:
            der = await self._log.fetcher.get(f"issuer/{fingerprint.hex()}", limit=MAX_ISSUER)
            if hashlib.sha256(der).digest() != fingerprint:
                raise TransportError(f"issuer/{fingerprint.hex()} is another certificate")
        except CtlogError:
            if len(self._failed_ms) >= MAX_KEPT:
                self._failed_ms.clear()
            self._failed_ms[fingerprint] = self._now_ms()
            raise
        if len(self._ders) >= MAX_KEPT:
            self._ders.clear()
        self._ders[fingerprint] = der
        return der


def chain_keys(batch: Batch) -> Sequence[bytes]:
    """What stands for the chain of each entry: the fingerprints in a data tile, or the certificates that were sent."""
    if isinstance(batch, SeenBatch):
        pairs = zip(batch.leaves, batch.extra_data, strict=True)
        return [_behind_vector(extra) if leaf[11:12] == _PRECERT else extra for leaf, extra in pairs]
    return batch.chains if isinstance(batch, ProvenBatch) else [b""] * len(batch.leaves)


def precertificates(batch: Batch) -> list[bytes]:
    """The precertificates as submitted, beside the entries; b"" where there is none."""
    if isinstance(batch, SeenBatch):
        pairs = zip(batch.leaves, batch.extra_data, strict=True)
        return [extra[3 : len(extra) - len(_behind_vector(extra))] if leaf[11:12] == _PRECERT else b""
                for leaf, extra in pairs]  # fmt: skip
    return [entry.pre_certificate for entry in batch.entries()] if isinstance(batch, ProvenBatch) else []


def sent_chain(data: bytes) -> tuple[bytes, ...]:
    """The certificates of an `extra_data` (RFC 6962 section 4.6); () for what is none."""
    try:
        return tuple(parse_extra_data_x509(data))
    except MalformedError:
        return ()


def issuer_of(name: bytes, chain: Sequence[bytes], trust: Trust) -> IssuerId:
    """Who the issuer called `name` is, by the chain that goes with it; by its own word where that shows nothing."""
    said = IssuerId("", "", normalise(organisation(name)))
    for start in range(min(2, len(chain))):  # a precertificate signing certificate stands below the issuer
        try:
            if parse_certificate(chain[start], "issuer").subject != name:
                continue
            path = verify_path(chain[start:], trust.roots)
        except CtlogError:
            return said
        return issuer_below(path.anchor, path.certificates)
    return said


def _behind_vector(extra: bytes) -> bytes:
    """What stands behind a vector with a length of 24 bits."""
    return extra[3 + int.from_bytes(extra[:3], "big") :]
