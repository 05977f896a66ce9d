"""A log on the disk, made by the real sequencer from real certificates: for fsck, reindex and commands.

It has full tiles, partial ones and partial ones left over, finals and precertificates, two roots under two domains.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from pathlib import Path

from ctlog import issuance
from ctlog.admission import Policy, accept
from ctlog.config import Config, Pool, Space
from ctlog.folder import Folder, clock_ms, create, recovered
from ctlog.issuance import DAY_MS, Authority, Key, Subject
from ctlog.sequencer.log import Log
from ctlog.wire.rfc6962 import EntryType
from ctlog.wire.static_ct import PendingEntry

ORIGIN = "log.test/whole"
NOW = 1_790_000_000_000
FIRST = issuance.example_authority(NOW, label="First", root_key=Key.from_number(21), key=Key.from_number(22))
SECOND = issuance.example_authority(NOW, label="Second", root_key=Key.from_number(23), key=Key.from_number(24))
LEAF_SPKI = Key.from_number(25).spki


def chain(number: int) -> tuple[list[bytes], EntryType]:
    """Chains by number: every third is a final certificate, every fifth of the second CA."""
    authority: Authority = SECOND if number % 5 == 0 else FIRST
    who = Subject(issuance.name(CN=f"subject {number}"), LEAF_SPKI, NOW, NOW + 90 * DAY_MS, number + 1)
    tbs = issuance.delegate_leaf(authority, who, issuance.one(f"1202555{number:04d}"))
    if number % 3 == 0:
        return [authority.certificate_for(tbs), *authority.chain], EntryType.X509
    return [authority.precertificate(tbs), *authority.chain], EntryType.PRECERT


def make_log(directory: Path, batches: Sequence[int]) -> Folder:
    """A log in `directory` with so many entries from each batch, one after the other."""
    return asyncio.run(_make(directory, batches))


async def _make(directory: Path, batches: Sequence[int]) -> Folder:
    config = Config(origin=ORIGIN, pool=Pool(size=2000), space=Space(min_percent=0, min_bytes=0))
    directory.parent.mkdir(parents=True, exist_ok=True)
    roots = []
    for authority, domain in ((FIRST, "us-shaken"), (SECOND, "rcs")):
        path = directory.parent / f"{domain}.der"
        path.write_bytes(authority.above[0])
        roots.append((path, domain))
    folder, _ = await create(directory, config, roots)
    await _add(folder, batches)
    return folder


async def _add(folder: Folder, batches: Sequence[int]) -> None:
    policy = Policy(folder.roots.accepted()[0])
    numbers = itertools.count()
    async with recovered(folder) as log:
        running = asyncio.create_task(log.run())
        for count in batches:
            await _batch(log, [accept(*chain(next(numbers)), policy, clock_ms()) for _ in range(count)])
        await log.close()
        await running


async def _batch(log: Log[PendingEntry], entries: Sequence[PendingEntry]) -> None:
    for entry in entries:
        for path, der in log.form.attachments(entry):
            if await log.shelves.public.get(path) is None:
                await log.shelves.public.put_many([(path, der)])
    await asyncio.gather(*(log.add(entry) for entry in entries))
