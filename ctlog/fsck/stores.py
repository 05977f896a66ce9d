"""What an operator has besides the published files, compared with them: the head store and the look-ups.

In scope: is the head store the newer one (P9, P1), are the look-ups whole, and do they lead to every entry that they
cover (P6). Nothing is written. Out of scope: recovery, which is what the next start does.
"""

from __future__ import annotations

from pathlib import Path

from ctlog.client.parallel import Damage
from ctlog.errors import CtlogError
from ctlog.fsck.span import SpanResult
from ctlog.fsck.whole import Report
from ctlog.merkle.tree import HASH_SIZE
from ctlog.store.lookups import SqliteLookupStore
from ctlog.store.sqlite import SqliteHeadStore
from ctlog.wire.checkpoint import open_checkpoint
from ctlog.wire.rfc6962 import LogKey
from ctlog.wire.signed_note import Ed25519Verifier

_MAX_SENTENCES = 3


async def check_heads(path: Path, key: LogKey, ed25519: Ed25519Verifier, report: Report) -> int:
    """Compare the head store with the published head, which `report` has. Returns the size of the larger one."""
    published = report.head
    size = published.size if published is not None else 0
    try:
        store = SqliteHeadStore(path)
        try:
            stored = await store.fetch(key.log_id)
        finally:
            await store.close()
        if stored is None:
            report.damages.append(Damage(str(path), "it does not know this log (P10)"))
            return size
        head = open_checkpoint(stored.head, stored.origin, key, ed25519)
    except CtlogError as error:
        report.damages.append(Damage(str(path), str(error)))
        return size
    if published is None:
        report.notes.append(f"the head store's head has {head.size} entries; the next start publishes it again")
    elif head.size < size or (head.size == size and head.timestamp_ms < published.timestamp_ms):
        sentence = f"its head has {head.size} entries, and is older than the published one of {size} (P9)"
        report.damages.append(Damage(str(path), sentence))
    elif head.size == size and head.root != published.root:
        report.damages.append(Damage(str(path), f"it holds another root for {size} entries than is published (P1)"))
    elif head.size > size:
        sentence = f"the head store is {head.size - size} entries further than what is published"
        report.notes.append(f"{sentence}: a publication is under way, or the next start finishes it")
    return max(size, head.size)


class LookupCheck:
    """Compares the look-ups with the entries, span by span."""

    def __init__(self, path: Path, log_id: bytes) -> None:
        """Open the look-ups; that they cannot be is a damage, that there are none is not."""
        self._path = path
        self._store: SqliteLookupStore | None = None
        self._sentences: list[str] = []
        self._missing = not path.exists()
        if self._missing:
            return
        try:
            self._store = SqliteLookupStore(path, log_id)
        except CtlogError as error:
            self._sentences.append(str(error))

    @property
    def wanted(self) -> bool:
        """Is there anything to compare with?"""
        return self._store is not None

    async def check(self, result: SpanResult) -> None:
        """Does each entry's key lead to its place and its time?"""
        if self._store is None:
            return
        lo, keys = result.span.lo, result.keys
        covered = max(0, await self._store.size() - lo)
        names = [keys[at : at + HASH_SIZE] for at in range(0, len(keys), HASH_SIZE)][:covered]
        times = iter([*result.times, (1 << 62, 0)])
        (_, time_ms), (change, later) = (0, 0), next(times)
        for index, found in enumerate(await self._store.by_entry_keys(names), lo):
            if index == change:
                time_ms, (change, later) = later, next(times)
            if (index, time_ms) not in found:
                self._sentences.append(f"it does not lead to entry {index}; `ctlog reindex` rebuilds it (P6)")

    async def close(self, size: int, report: Report) -> None:
        """Let go of the file, and report. `size` is how many entries the log ever signed."""
        if self._missing:
            report.notes.append(f"there are no look-ups in {self._path}; the next start makes them from the tiles")
        if self._store is not None:
            if await self._store.size() > size:
                sentence = f"it covers more than the {size} entries that were signed; `ctlog reindex` rebuilds it"
                self._sentences.append(sentence)
            await self._store.close()
        report.damages += [Damage(str(self._path), sentence) for sentence in self._sentences[:_MAX_SENTENCES]]
