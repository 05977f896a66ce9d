"""Following a log over RFC 6962 (sections 4.3, 4.4, 4.6): entries are seen at once, and proven when a head is met.

In scope: `EntriesFollower`. get-entries proves nothing, so whoever follows a log by it joins the batches' hashes:

    step = log.offer(await follower.head(), now_ms)
    seen = []
    async for batch in follower.entries(step.new, step.old_size, step.new.size):
        ...                                     # look at them, and remember that nothing is proven yet
        seen.append(batch.as_range())
    log = log.accept(step, merge_ranges(seen))  # now they are, in the tree of step.new; or it is Misbehaviour

Out of scope: the same over tiles (`ctlog.client.follow`), get-proof-by-hash, what stands in entries.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import msgspec

from ctlog.client.fetch import Fetcher
from ctlog.client.follow import Batch, FollowerBase, check_span, in_order, system_now_ms
from ctlog.client.patient import back_off_s
from ctlog.client.trusted import LogPolicy, Step
from ctlog.errors import CtlogError, MalformedError, NotFoundError, TransportError
from ctlog.merkle.hashing import hash_leaves
from ctlog.wire.checkpoint import SignedHead
from ctlog.wire.json_members import json_hashes
from ctlog.wire.rfc6962 import sth_from_json

PAGE = 1024
"""Entries that one request asks for; logs answer with as many as they like, often up to a multiple of their page."""
MAX_ANSWER = 1 << 20
"""Bytes of a tree head or a proof."""
TRIES = 4
"""How often an answer that cannot be used is asked for again."""


@dataclass(frozen=True, slots=True)
class SeenBatch(Batch):
    """Entries as get-entries gave them: nothing is proven yet. `extra_data` is what RFC 6962 section 4.6 says."""

    extra_data: Sequence[bytes]


class _Entry(msgspec.Struct):
    leaf_input: bytes
    extra_data: bytes


class _Entries(msgspec.Struct):
    entries: list[_Entry]


class EntriesFollower(FollowerBase):
    """A log's RFC 6962 calls. `window` requests run at once, each for one page of entries."""

    def __init__(
        self,
        policy: LogPolicy,
        fetcher: Fetcher,
        *,
        prefix: str = "ct/v1/",
        window: int = 4,
        page: int = PAGE,
        now_ms: Callable[[], int] = system_now_ms,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        super().__init__(policy, fetcher, now_ms, sleep)
        self._prefix = prefix
        self._window = window
        self._page = page

    async def head(self) -> SignedHead:
        """See Follower. get-sth carries the RFC 6962 signature only."""
        return self._policy.open_sth(sth_from_json(await self._json("get-sth")))

    async def show(self, step: Step) -> list[bytes] | None:
        """See Follower: the consistency proof."""
        if not step.needs_proof:
            return None
        path = f"get-sth-consistency?first={step.old_size}&second={step.new.size}"
        answer = await self._must(lambda: self._json(path), step.new, "no-consistency")
        try:
            return json_hashes(answer if isinstance(answer, dict) else {}, "consistency")
        except MalformedError as error:
            raise TransportError(f"get-sth-consistency gave no proof: {error}") from None

    async def entries(self, head: SignedHead, lo: int, hi: int) -> AsyncIterator[SeenBatch]:
        """See Follower. Short answers are completed; pages begin at multiples of the page, as servers that cut their
        answers at such multiples like it."""
        check_span(head, lo, hi)
        cuts = sorted({lo, hi, *range((lo // self._page + 1) * self._page, hi, self._page)})
        pages = (self._whole(head, start, stop) for start, stop in pairwise(cuts))
        async with aclosing(in_order(pages, self._window)) as done:
            async for page, error in done:
                for batch in page:
                    yield batch
                if error is not None:
                    raise error

    async def _whole(self, head: SignedHead, lo: int, hi: int) -> tuple[list[SeenBatch], CtlogError | None]:
        """The entries [lo, hi) in as many answers as the log needs; what came before an error is handed over, too."""
        batches: list[SeenBatch] = []
        while lo < hi:
            try:
                batch = await self._some(head, lo, hi)
            except CtlogError as error:
                return batches, error
            batches.append(batch)
            lo = batch.hi
        return batches, None

    async def _some(self, head: SignedHead, lo: int, hi: int) -> SeenBatch:
        """One answer: at least one entry from `lo` on."""
        answer = await self._must(lambda: self._get_entries(lo, hi), head)
        leaves = [entry.leaf_input for entry in answer]
        return SeenBatch(lo, leaves, hash_leaves(leaves), [entry.extra_data for entry in answer])

    async def _get_entries(self, lo: int, hi: int) -> list[_Entry]:
        path = f"get-entries?start={lo}&end={hi - 1}"
        for failures in range(1, TRIES + 1):
            data = await self._fetcher.get(self._prefix + path)
            try:
                entries = msgspec.json.decode(data, type=_Entries).entries[: hi - lo]
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                await self._sleep(back_off_s(failures))
                continue
            if not entries:
                raise NotFoundError(f"{path}: the answer has no entries")
            return entries
        raise TransportError(f"{path}: the answer is not what RFC 6962 section 4.6 says")

    async def _json(self, path: str) -> Any:
        for failures in range(1, TRIES + 1):
            data = await self._fetcher.get(self._prefix + path, limit=MAX_ANSWER)
            try:
                return msgspec.json.decode(data)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                await self._sleep(back_off_s(failures))
        raise TransportError(f"{path}: the answer is not JSON")
