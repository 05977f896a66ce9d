"""A log of any size in a minute: entries that look like precertificates, through the real sequencer and stores.

Their signatures are noise, which nobody checks, and their subjects are counters; everything behind admission is as
always, and `ctlog fsck` finds nothing wrong.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ctlog import issuance
from ctlog.admission import Policy, accept
from ctlog.folder import Folder, clock_ms
from ctlog.issuance import Authority
from ctlog.sequencer.forms import StaticCtForm
from ctlog.sequencer.log import Log, Settings
from ctlog.wire.rfc6962 import EntryType, SignedEntry, entry_key
from ctlog.wire.static_ct import PendingEntry
from ctlog.x509.chain import Roots, accepted_root
from ctlog.x509.der import parse_certificate

AT_ONCE = 8192


async def grow(folder: Folder, size: int, authority: Authority | None = None) -> None:
    """Add entries to a log that nobody serves until it has `size`; `authority` issues them, or one that is made."""
    signer = folder.signer()
    shelves = await folder.shelves(signer.key.log_id)
    settings = Settings(period_ms=1, pool_size=2 * AT_ONCE, min_free_bytes=0, min_free_share=0.0)
    log = await Log.open(shelves, signer, StaticCtForm(), clock=clock_ms, settings=settings)
    running = asyncio.create_task(log.run())
    entries = synthetic(authority or issuance.example_authority(clock_ms()))
    try:
        while (missing := size - log.head.size) > 0:
            await asyncio.gather(*(log.add(next(entries)) for _ in range(min(missing, AT_ONCE))))
    finally:
        await log.close()
        await running
        await shelves.close()


def synthetic(authority: Authority) -> Iterator[PendingEntry]:
    """Different entries for ever, each the copy of one that was admitted, with another serial number, beginning,
    subject, key and signature in it: what no two certificates have in common, and no compression makes smaller."""
    hour = clock_ms() // 3_600_000 * 3_600_000
    tbs = issuance.shaken_leaf(authority, issuance.Key.generate().spki, "709J", "Example Telephone Company",
                               not_before_ms=hour, not_after_ms=hour + 90 * issuance.DAY_MS)
    root = accepted_root(authority.chain[-1], "bench")
    model = accept([authority.precertificate(tbs), *authority.chain], EntryType.PRECERT, Policy(Roots([root])), hour)
    certificate = parse_certificate(model.pre_certificate)
    begins = certificate.validity[4:16]
    assert begins.endswith(b"0000")
    old = (certificate.serial[1:], begins, b"SHAKEN 709J", certificate.spki[-64:])
    logged = _split(model.entry.certificate, old)
    submitted = _split(model.pre_certificate, (*old, certificate.signature))
    key = certificate.spki[:-64]
    feed = _split(model.feed, [old[2], hashlib.sha256(certificate.spki).hexdigest().encode(), str(hour).encode(),
                               model.certificate_hash.hex().encode()])  # fmt: skip
    noise, number = random.Random(hour), 0
    while True:
        number += 1
        second = number % 3600
        mark, random_key = f"{number:011d}".encode(), noise.randbytes(64)
        new = (noise.randbytes(len(old[0])), begins[:-4] + b"%02d%02d" % divmod(second, 60), mark, random_key)
        der = _joined(submitted, (*new, noise.randbytes(len(certificate.signature))))
        entry = SignedEntry(EntryType.PRECERT, _joined(logged, new), model.entry.issuer_key_hash)
        digest = hashlib.sha256(der)
        line = _joined(feed, (mark, hashlib.sha256(key + random_key).hexdigest().encode(),
                              b"%d" % (hour + second * 1000), digest.hexdigest().encode()))  # fmt: skip
        yield replace(model, entry=entry, key=entry_key(entry), pre_certificate=der, certificate_hash=digest.digest(),
                      feed=line)


def _split(data: bytes, parts: Sequence[bytes]) -> list[bytes]:
    """What stands between these parts, each of which is there once, in this order."""
    between = []
    for part in parts:
        assert data.count(part) == 1
        before, _, data = data.partition(part)
        between.append(before)
    return [*between, data]


def _joined(between: Sequence[bytes], parts: Sequence[bytes]) -> bytes:
    return b"".join([each for pair in zip(between, parts, strict=False) for each in pair] + [between[-1]])
