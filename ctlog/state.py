"""What is true of a running log right now, for pages, metrics and health; and the accepted roots that it holds.

In scope: reading the accepted roots whole and swapping them whole (SIGHUP), the sentences of /health, and values for
`ctlog.http.pages` and `ctlog.http.metrics`. Out of scope: HTTP, and what follows from being unhealthy.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple

from ctlog import __version__
from ctlog.admission import Planned, Policy, plan_accept
from ctlog.config import Config
from ctlog.errors import ConfigError
from ctlog.folder import Folder, clock_ms
from ctlog.http.answers import Answer, json_answer
from ctlog.http.metrics import Snapshot
from ctlog.http.pages import Identity, LimitRow, Moment, RootRow
from ctlog.http.submission import Admit
from ctlog.log_v3 import log_v3_json
from ctlog.merkle.hashing import IMPLEMENTATION
from ctlog.sequencer.log import Log
from ctlog.sequencer.signer import Signer
from ctlog.store import Shelves, Space
from ctlog.wire.rfc6962 import EntryType
from ctlog.wire.static_ct import PendingEntry

logger = logging.getLogger("ctlog")

LATE_HEADS = 3  # a head may be as old as so many intervals before /health fails
MIN_LATE_S = 5


class Accepted(NamedTuple):
    """The accepted roots as everyone needs them; swapped whole."""

    admit: Admit
    ders: Sequence[bytes]
    rows: Sequence[RootRow]
    by_domain: Mapping[str, int]


def read_roots(folder: Folder) -> Accepted:
    """Read the accepted roots. Raises ConfigError when any of them cannot be read."""
    roots, records = folder.roots.accepted()
    policy = Policy(roots, folder.config.window_ms, folder.config.require_number)
    rows = [RootRow(record.name, record.domain, record.fingerprint.hex(), _date(record.added_ms)) for record in records]
    return Accepted(partial(_admit, policy), [record.certificate for record in records], rows,
                    Counter(record.domain for record in records))


class State:
    """One running log. `connections` and `cache` are set by who knows."""

    def __init__(self, folder: Folder, log: Log[PendingEntry], shelves: Shelves) -> None:
        self.folder = folder
        self.log = log
        self.accepted = read_roots(folder)
        self.connections: Callable[[], int] = lambda: 0
        self.cache: Callable[[], tuple[int, int, int]] = lambda: (0, 0, 0)
        """Bytes, hits and misses of the objects in memory."""
        self._shelves = shelves
        self._space: dict[str, Space] = {}

    def reload_roots(self) -> bool:
        """SIGHUP: swap all, or keep the old set and say why in one line. Returns whether it swapped."""
        try:
            accepted = read_roots(self.folder)
        except ConfigError as error:
            logger.error("the accepted roots stay as they were: %s", error)
            return False
        old, new = set(self.accepted.ders), set(accepted.ders)
        self.accepted = accepted
        logger.info("accepted roots: %d (%d new, %d retired)", len(new), len(new - old), len(old - new))
        return True

    async def look(self) -> None:
        """Ask the stores for their free space; whatever is told afterwards is as fresh as this."""
        for name, store in (("public", self._shelves.public), ("heads", self._shelves.heads)):
            space = await store.space()
            if space is not None:
                self._space[name] = space

    def problems(self) -> tuple[str, ...]:
        """Why this log is not healthy, each a sentence; empty when it is."""
        found = []
        config, head = self.folder.config, self.log.head
        if self.log.trouble is not None:
            found.append(f"the sequencer is in trouble: {self.log.trouble}")
        age_s = (clock_ms() - head.timestamp_ms) / 1000
        late_s = max(LATE_HEADS * config.pool.head_interval_s, MIN_LATE_S)
        if not self.log.frozen and age_s > late_s:
            found.append(f"the head is {age_s:.0f} s old; a fresh one is due every {config.pool.head_interval_s} s")
        for name, space in self._space.items():
            if is_short(space, config):
                found.append(f"space is short for the {name} store: {space.free_bytes >> 20} MiB and "
                             f"{space.free_inodes} inodes are free, so submissions are refused")
        return tuple(found)

    async def health(self) -> Answer:
        """/health: 200 or 503, with the reasons."""
        await self.look()
        problems = self.problems()
        head = self.log.head
        value = {"healthy": not problems, "problems": problems, "frozen": self.log.frozen, "tree_size": head.size,
                 "head_timestamp": head.timestamp_ms, "head_age_s": round((clock_ms() - head.timestamp_ms) / 1000, 1)}
        return json_answer(value, 503 if problems else 200)

    def snapshot(self) -> Snapshot:
        """For /metrics."""
        config, head = self.folder.config, self.log.head
        start, end = config.window_ms
        cache_bytes, hits, misses = self.cache()
        return Snapshot(
            tree_size=head.size, head_s=head.timestamp_ms / 1000, frozen=self.log.frozen, healthy=not self.problems(),
            pool_entries=self.log.waiting, pool_size=config.pool.size, period_s=config.pool.period_ms / 1000,
            window_s=(None if start is None else start / 1000, None if end is None else end / 1000),
            roots=self.accepted.by_domain, free_bytes={name: space.free_bytes for name, space in self._space.items()},
            cache_bytes=cache_bytes, cache_hits=hits, cache_misses=misses, evicted=self.log.evicted,
            connections=self.connections())

    def moment(self) -> Moment:
        """For the home page."""
        head = self.log.head
        return Moment(head.size, head.root, head.timestamp_ms, clock_ms(), self.log.frozen, self.problems(),
                      self.accepted.rows)

    def metadata(self) -> bytes:
        """log.v3.json."""
        final = self.log.head if self.log.frozen else None
        return log_v3_json(self.folder.config, self.log.signer.key, final)


def identity(config: Config, signer: Signer) -> Identity:
    """What the home page says that never changes."""
    window = _window(config)
    limits = config.limits
    rows = [
        LimitRow("Expiry", window or "no window: certificates of any notAfter are accepted"),
        LimitRow("Size", f"{limits.body_bytes >> 10} KiB for a submission, 10 certificates in a chain"),
        LimitRow("Merge delay", f"none: the SCT comes when the entry is published; {config.mmd_s} s are promised"),
    ]
    for what, rate, burst in (("One source", limits.source_rate, limits.source_burst),
                              ("One issuing CA", limits.issuer_rate, limits.issuer_burst),
                              ("One root", limits.root_rate, limits.root_burst)):
        rows.append(LimitRow(what, f"{rate:g} submissions a second, {burst} at once" if rate else "no limit"))
    return Identity(
        origin=config.origin, description=config.description, operator=config.operator, contact=config.contact,
        submission_url=config.public_submission_url, monitoring_url=config.public_monitoring_url,
        log_id=signer.key.log_id, spki=signer.key.spki, vkeys=(signer.checkpoint_key.vkey,), window=window,
        require_number=config.require_number,
        restricted=bool(config.submitters.networks or config.submitters.tokens), limits=tuple(rows),
        version=__version__, kernel=IMPLEMENTATION)


def is_short(space: Space, config: Config) -> bool:
    """Does the log refuse submissions because of this?"""
    share = config.space.min_percent / 100
    return (space.free_bytes < max(config.space.min_bytes, share * space.total_bytes)
            or (space.total_inodes > 0 and space.free_inodes < share * space.total_inodes))


def _admit(policy: Policy, chain: Sequence[bytes], kind: EntryType, now_ms: int) -> Planned:
    return plan_accept(chain, kind, policy, now_ms)


def _window(config: Config) -> str:
    start, end = config.window_ms
    return " and ".join([*([f"notAfter from {_date(start)}"] if start is not None else []),
                         *([f"notAfter before {_date(end)}"] if end is not None else [])])


def _date(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d")
