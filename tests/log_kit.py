"""A log for tests: entries out of nothing, a clock that is turned by hand, and a life in which it may crash."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ctlog.errors import CtlogError
from ctlog.sequencer.commit import Cosign
from ctlog.sequencer.forms import StaticCtForm
from ctlog.sequencer.log import BatchReport, Log, Settings
from ctlog.sequencer.places import Sequenced
from ctlog.sequencer.signer import SeedSigner
from ctlog.store import Shelves
from ctlog.wire.checkpoint import SignedHead
from ctlog.wire.rfc6962 import EntryType, SignedEntry, entry_key
from ctlog.wire.static_ct import Issuer, PendingEntry
from tests.check_log import Checked, Keys, check_heads, check_log
from tests.faults import Faults, MemoryHeadStore, MemoryObjectStore, faulty, memory_shelves

ORIGIN = "log.example/test"
SEED = bytes(range(32))
START_MS = 1_800_000_000_000
QUICK = Settings(period_ms=1, resign_ms=3_600_000)
FORM = StaticCtForm()


def issuer(name: str) -> Issuer:
    der = f"issuer {name}".encode() * 20
    return Issuer(hashlib.sha256(der).digest(), der)


def pending(number: int, *, low: bool = False, issuers: Sequence[str] = ("A", "root"), size: int = 90) -> PendingEntry:
    """An entry that is as good as any; every third is a final certificate."""
    body = f"certificate {number} ".encode() + b"x" * size
    if number % 3 == 0:
        entry, pre = SignedEntry(EntryType.X509, body), b""
    else:
        entry, pre = SignedEntry(EntryType.PRECERT, body, hashlib.sha256(b"key").digest()), b"pre" + body
    chain = tuple(issuer(name) for name in issuers)
    feed = b'"v":1,"number":"%d"}\n' % number
    certificate_hash = hashlib.sha256(pre or body).digest()
    return PendingEntry(
        entry, pre, chain, feed, low, certificate_hash, "test", chain[-1].fingerprint, entry_key(entry)
    )


class Clock:
    """Goes on by a millisecond whenever it is read."""

    def __init__(self, now_ms: int = START_MS) -> None:
        self.now_ms = now_ms
        self.step_ms = 1

    def __call__(self) -> int:
        self.now_ms += self.step_ms
        return self.now_ms


@dataclass
class Life:
    """One log over several processes. `shelves` survive a crash; `held` are the places that submitters know."""

    shelves: Shelves = field(default_factory=memory_shelves)
    faults: Faults = field(default_factory=Faults)
    clock: Clock = field(default_factory=Clock)
    signer: SeedSigner = field(default_factory=lambda: SeedSigner(ORIGIN, SEED))
    settings: Settings = QUICK
    held: dict[int, Sequenced] = field(default_factory=dict)
    reports: list[BatchReport] = field(default_factory=list)
    outside: Sequence[SignedHead] = ()
    cosign: Cosign | None = None
    log: Log[PendingEntry] | None = None
    running: asyncio.Task[None] | None = None

    @property
    def keys(self) -> Keys:
        return Keys(ORIGIN, self.signer.key, self.signer.checkpoint_key)

    async def create(self) -> None:
        """Make the log; no faults."""
        await Log.create(self.shelves, self.signer, clock=self.clock)

    async def start(self) -> Log[PendingEntry]:
        """A process: recovery, and then the rounds."""
        self.log = await Log.open(
            faulty(self.shelves, self.faults),
            self.signer,
            FORM,
            clock=self.clock,
            settings=self.settings,
            outside=self.outside,
            cosign=self.cosign,
            on_batch=self.reports.append,
        )
        self.running = asyncio.create_task(self.log.run())
        await asyncio.sleep(0)
        return self.log

    async def stop(self) -> None:
        """The process ends as it should, or has ended already."""
        log, running = self.log, self.running
        self.log = self.running = None
        if log is not None and running is not None:
            await log.close()
            await asyncio.gather(running, return_exceptions=True)

    async def crash(self) -> None:
        """The process ends at once, wherever it is."""
        running = self.running
        self.log = self.running = None
        if running is not None:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def submit(self, *numbers: int, **options: Any) -> list[Sequenced | CtlogError]:
        """Submit these at once; what is answered is held, and must be what was held before (P6)."""
        assert self.log is not None
        answers = await asyncio.gather(
            *(self.log.add(pending(number, **options)) for number in numbers), return_exceptions=True
        )
        found: list[Sequenced | CtlogError] = []
        for number, answer in zip(numbers, answers, strict=True):
            if isinstance(answer, Sequenced):
                assert self.held.setdefault(number, answer) == answer, f"entry {number} has two places (P6)"
                found.append(answer)
            elif isinstance(answer, CtlogError):
                found.append(answer)
            else:
                raise answer
        return found

    def check(self) -> Checked:
        """The whole log, every head that was ever signed, and everything that submitters hold."""
        public, heads = self.shelves.public, self.shelves.heads
        assert isinstance(public, MemoryObjectStore)
        assert isinstance(heads, MemoryHeadStore)
        checked = check_log(public.objects, self.keys)
        check_held(self.held, checked)
        published = [note for note in heads.history if self._is_published(note, checked)]
        check_heads(published, self.keys, checked.leaf_hashes)
        check_heads_do_not_fork(heads.history)
        return checked

    def _is_published(self, note: bytes, checked: Checked) -> bool:
        return int(note.split(b"\n", 2)[1]) <= checked.head.size


def check_held(held: dict[int, Sequenced], checked: Checked) -> None:
    """All for which a submitter holds an SCT is in the tree at its index, byte for byte (P3, P7), nothing twice."""
    for number, place in held.items():
        assert place.index < checked.head.size, f"entry {number} has an SCT and is in no published head (P3)"
        entry = checked.entries[place.index]
        submitted = pending(number)
        assert entry.entry == submitted.entry, f"another entry is at the index of {number} (P7)"
        assert entry.pre_certificate == submitted.pre_certificate, f"entry {number} has another precertificate"
        assert entry.timestamp_ms == place.timestamp_ms, f"entry {number} has another time than its SCT (P7)"
    keys = [entry.entry for entry in checked.entries]
    assert len(set(keys)) == len(keys), "an entry is in the log twice"


def check_heads_do_not_fork(notes: Sequence[bytes]) -> None:
    """No two heads that were in force have one size and two roots (P1)."""
    roots: dict[bytes, bytes] = {}
    for note in notes:
        _, size, root, _ = note.split(b"\n", 3)
        assert roots.setdefault(size, root) == root, f"two heads of size {size.decode()} (P1)"


def with_settings(**changes: Any) -> Settings:
    """The quick settings, but for these."""
    return replace(QUICK, **changes)
