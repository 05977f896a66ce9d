"""What an operator has besides the published files, compared with them: the head store and the look-ups.

In scope: is the head store the newer one (P9, P1), are the look-ups whole, and do they lead to every entry that they
cover (P6). Nothing is written. Out of scope: recovery, which is what the next start does.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ctlog.client.parallel import Damage
from ctlog.errors import CtlogError
from ctlog.fsck.span import SpanResult
from ctlog.fsck.whole import Report
from ctlog.merkle.tree import HASH_SIZE
from ctlog.store.lookups import Contents, KeySums, SqliteLookupStore
from ctlog.store.sqlite import SqliteHeadStore
from ctlog.wire.checkpoint import open_checkpoint
from ctlog.wire.rfc6962 import LogKey
from ctlog.wire.signed_note import Ed25519Verifier

_REBUILD = "`ctlog reindex` rebuilds it (P6)"


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
    """Compares the look-ups with the entries: `await LookupCheck.open(...)`, `check` for each span, `close`."""

    def __init__(self, path: Path) -> None:
        """For `open`."""
        self._path = path
        self._store: SqliteLookupStore | None = None
        self._sentences: list[str] = []
        self._missing = not path.exists()
        self._contents = Contents(0, KeySums(), [])
        self._sums = KeySums()
        self._times: list[tuple[int, int]] = []

    @classmethod
    async def open(cls, path: Path, log_id: bytes) -> LookupCheck:
        """Open the look-ups; that they cannot be is a damage, that there are none is not."""
        made = cls(path)
        if not made._missing:
            try:
                made._store = SqliteLookupStore(path, log_id)
                made._contents = await made._store.contents()
            except CtlogError as error:
                made._sentences.append(str(error))
        return made

    @property
    def wanted(self) -> bool:
        """Is there anything to compare with?"""
        return self._store is not None

    def check(self, result: SpanResult) -> None:
        """Take in a span's keys and times, in order."""
        if result.keys and self._sums.rows == result.span.lo:
            last = min(len(result.keys) // HASH_SIZE, self._contents.covered - result.span.lo)
            self._sums = self._sums.plus(result.span.lo, result.keys[: max(0, last) * HASH_SIZE])
        self._times += result.times

    async def close(self, size: int, report: Report) -> None:
        """Compare, let go of the file, and report. `size` is how many entries the log ever signed."""
        if self._missing:
            report.notes.append(f"there are no look-ups in {self._path}; the next start makes them from the tiles")
        if self._store is not None:
            await self._store.close()
            self._compare(size)
        report.damages += [Damage(str(self._path), sentence) for sentence in self._sentences]

    def _compare(self, size: int) -> None:
        covered = self._contents.covered
        if covered > size:
            self._sentences.append(f"it covers more than the {size} entries that were signed; {_REBUILD}")
        elif self._sums.rows < covered:
            return  # data tiles are damaged, so there is nothing to compare with
        elif self._sums != self._contents.keys:
            self._sentences.append(f"it does not lead to the entries that are in the tiles; {_REBUILD}")
        elif _changes(self._contents.times) != _changes([time for time in self._times if time[0] < covered]):
            self._sentences.append(f"its times are not those of the entries; {_REBUILD}")


def _changes(times: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Without the places at which the time stays as it was."""
    befores = [0, *(time_ms for _, time_ms in times)]
    return [time for before, time in zip(befores, times, strict=False) if before != time[1]]
