"""A log of any size in a minute: entries that look like precertificates, through the real sequencer and stores.

Their signatures are not checked, and their subjects are counters; everything behind admission is as always, and `ctlog
fsck` finds nothing wrong.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from dataclasses import replace

from ctlog import issuance
from ctlog.admission import Policy, accept
from ctlog.folder import Folder, clock_ms
from ctlog.sequencer.forms import StaticCtForm
from ctlog.sequencer.log import Log, Settings
from ctlog.wire.rfc6962 import EntryType, SignedEntry, entry_key
from ctlog.wire.static_ct import PendingEntry
from ctlog.x509.chain import Roots, accepted_root

AT_ONCE = 8192


async def grow(folder: Folder, size: int) -> None:
    """Add entries to a log that nobody serves until it has `size`."""
    signer = folder.signer()
    shelves = await folder.shelves(signer.key.log_id)
    settings = Settings(period_ms=1, pool_size=2 * AT_ONCE, min_free_bytes=0, min_free_share=0.0)
    log = await Log.open(shelves, signer, StaticCtForm(), clock=clock_ms, settings=settings)
    running = asyncio.create_task(log.run())
    entries = synthetic()
    try:
        while (missing := size - log.head.size) > 0:
            await asyncio.gather(*(log.add(next(entries)) for _ in range(min(missing, AT_ONCE))))
    finally:
        await log.close()
        await running
        await shelves.close()


def synthetic() -> Iterator[PendingEntry]:
    """Different entries for ever, each the copy of one that was admitted, with another number in it."""
    now = clock_ms()
    authority = issuance.example_authority(now)
    tbs = issuance.shaken_leaf(authority, issuance.Key.generate().spki, "709J", "Example Telephone Company",
                               not_before_ms=now, not_after_ms=now + 90 * issuance.DAY_MS)
    root = accepted_root(authority.chain[-1], "bench")
    model = accept([authority.precertificate(tbs), *authority.chain], EntryType.PRECERT, Policy(Roots([root])), now)
    name, fingerprint = b"SHAKEN 709J", model.certificate_hash.hex().encode()
    at, before = model.entry.certificate.index(name), model.pre_certificate.index(name)
    number = 0
    while True:
        number += 1
        mark = f"{number:011d}".encode()
        entry = SignedEntry(EntryType.PRECERT, model.entry.certificate[:at] + mark + model.entry.certificate[at + 11 :],
                            model.entry.issuer_key_hash)
        submitted = model.pre_certificate[:before] + mark + model.pre_certificate[before + 11 :]
        digest = hashlib.sha256(submitted)
        yield replace(model, entry=entry, key=entry_key(entry), pre_certificate=submitted,
                      certificate_hash=digest.digest(),
                      feed=model.feed.replace(fingerprint, digest.hexdigest().encode()).replace(name, mark))
