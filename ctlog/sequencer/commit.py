"""A batch's way through the stores, in the one order in which nothing can be lost and no head can be contradicted.

In scope: steps 3 to 14 of docs/promises.md for a batch, and the same for a head without a batch. Out of scope: which
entries (`log.py`), what a batch is (`plan.py`), and how a start finds out where the last process stopped
(`recovery.py`).

What an error means is decided here, by where it happens:

    before the swap     nothing was signed that anybody can see: StoreError, this batch fails, the next may succeed
    at the swap         whether it took effect is unknown: FatalError
    publishing tiles    the head is in force and readers cannot see it: FatalError; a start repeats the walk
    the checkpoint      StoreError: no SCT for this batch, the next round publishes
    after that          noted and tried again later: a start would do the same

Syncs per batch, on the embedded stores: 2 for the bundle, 1 for the swap, 1 for each new object and 1 for each folder
that gets one (mostly three and three), 2 for the checkpoint: 11. The bundle's must be there before the signature (P2),
the swap's before anybody sees the head (P1, P9); the objects' and the checkpoint's before the bundle goes, which until
then stands for them. Deleting the bundle and the look-ups need none: a start does both again. Six are waited for one
after the other: the bundle's file (and with it the objects' bytes, under no name yet), its folder, the swap, the
folders of the objects, the checkpoint's file, its folder. A hop to a thread costs as much as a sync where the processor
is busy, so what need not be waited for is done beside something else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from time import perf_counter
from typing import Generic, NamedTuple, TypeVar

from ctlog.errors import CtlogError, FatalError, MalformedError, ProofError, SignatureError, StoreError
from ctlog.merkle.tree import HASH_SIZE, TreeHead
from ctlog.sequencer.forms import EntryForm, Object
from ctlog.sequencer.plan import (
    Batch,
    Edge,
    bundle_key,
    bundle_objects,
    check_bundle,
    format_bundle,
    parse_bundle,
    plan_batch,
)
from ctlog.sequencer.signer import Signer, open_head, sign_head
from ctlog.store import LookupRow, Prepared, Shelves
from ctlog.wire.checkpoint import SignedHead

E = TypeVar("E")

Cosign = Callable[[bytes], Awaitable[bytes]]
"""Given a head's note, the further signature lines (of witnesses) that arrived; b"" for none."""

CHECKPOINT = "checkpoint"
CLOCK_WAIT_MS = 1_000
"""A clock that is behind the last head by no more than this is waited for."""


@dataclass(slots=True)
class Standing:
    """Where the log stands: its head in the head store, and the one that readers see, which is the same or before it.

    `edge` is the right edge of the signed tree, `published_edge` of the published one.
    """

    signed: SignedHead
    published: SignedHead
    edge: Edge
    published_edge: Edge
    frozen: bool

    @property
    def tree(self) -> TreeHead:
        """Size and root of the signed head."""
        return TreeHead(self.signed.size, self.signed.root)


class Unrecorded(NamedTuple):
    """Entries that the LookupStore did not take yet, the first of which is at `lo`."""

    lo: int
    rows: list[LookupRow]


class Committer(Generic[E]):
    """The one writer's hand. Not to be entered twice at once."""

    def __init__(
        self,
        shelves: Shelves,
        signer: Signer,
        form: EntryForm[E],
        standing: Standing,
        clock: Callable[[], int],
        cosign: Cosign | None,
        cosign_limit_ms: int,
    ) -> None:
        """`standing` comes from `recovery.py`; `clock` gives Unix time in milliseconds."""
        self.standing = standing
        self.unrecorded: Unrecorded | None = None
        self.seconds: dict[str, float] = {}
        """How long each step took since somebody last emptied this."""
        self._shelves = shelves
        self._signer = signer
        self._form = form
        self._clock = clock
        self._cosign = cosign
        self._cosign_limit_ms = cosign_limit_ms
        self._note = standing.signed.note  # what `publish_checkpoint` publishes
        self._staged: list[str] = []  # keys of bundles that may be needed
        self._stale: list[str] = []  # of those that are not, and may still be there

    @property
    def unpublished(self) -> bool:
        """Is there a head in force that readers do not see yet?"""
        return self.standing.published.timestamp_ms < self.standing.signed.timestamp_ms

    async def sequence(self, entries: Sequence[E]) -> tuple[int, int]:
        """Steps 3 to 10: these entries are in the tree, and their tiles are public. Returns first index and time.

        Raises StoreError or MalformedError when the batch failed and nothing was signed, FatalError when the process
        must stop.
        """
        timestamp_ms = await self._next_time_ms()
        standing = self.standing
        with self._timed("plan"):
            batch = plan_batch(standing.edge, standing.tree, self._form, entries, timestamp_ms)
            bundle = format_bundle(batch)
        prepared, back = await self._stage(bundle_key(batch.head), bundle, batch.objects)
        with self._timed("read-back"):
            edge, leaf_hashes = self._check(back, bundle, batch)
        rows = [
            LookupRow(timestamp_ms, self._form.key(entry), leaf_hash, self._form.certificate_hash(entry))
            for entry, leaf_hash in zip(entries, _split(leaf_hashes), strict=True)
        ]
        head = self._sign(batch.head, timestamp_ms)
        await self._swap(head)
        standing.edge = edge
        self.unrecorded = Unrecorded(batch.old.size, rows)
        self._note = await self._cosigned(head)
        with self._timed("publish"):
            await _published(self._shelves.public.put_prepared(prepared))
        return batch.old.size, timestamp_ms

    async def sign_fresh(self, *, final: bool = False) -> None:
        """A new head of the same tree, so that silence is visible; the `final` one ends the log. Errors as above."""
        standing = self.standing
        head = self._sign(standing.tree, await self._next_time_ms())
        await self._swap(head, final=final)
        standing.frozen = final
        self._note = await self._cosigned(head)

    async def publish_checkpoint(self) -> None:
        """Step 11, if there is anything to publish. Raises StoreError: it may or may not be visible; try again."""
        if self.unpublished:
            with self._timed("checkpoint"):
                await self._shelves.public.put_many([(CHECKPOINT, self._note)], immutable=False)
            self.standing.published = self.standing.signed._replace(note=self._note)
            self.standing.published_edge = self.standing.edge

    async def discard(self) -> None:
        """Step 14: bundles that nobody needs any more; what fails is tried again with the next. When a batch follows,
        it does so by the way."""
        self._release_staged()
        await self._delete_stale()

    async def record(self) -> None:
        """Step 12. Raises StoreError; what was not recorded stays in `unrecorded`, and no batch may begin before."""
        if self.unrecorded is not None:
            with self._timed("lookup"):
                await self._shelves.lookup.add(self.unrecorded.lo, self.unrecorded.rows)
            self.unrecorded = None

    async def _next_time_ms(self) -> int:
        """Step 3. The clock is read once a round and must have moved on (P4)."""
        until_s = asyncio.get_running_loop().time() + 2 * CLOCK_WAIT_MS / 1000
        while asyncio.get_running_loop().time() < until_s:
            now_ms = self._clock()
            behind_ms = self.standing.signed.timestamp_ms - now_ms
            if behind_ms < 0:
                return now_ms
            if behind_ms > CLOCK_WAIT_MS:
                sentence = f"the clock is {behind_ms} ms behind the last head: set it right and start again"
                raise FatalError(sentence, promise="P4", reason="clock-went-back")
            await asyncio.sleep((behind_ms + 1) / 1000)
        raise FatalError("the clock stands still, or goes back again and again", promise="P4", reason="clock-stuck")

    async def _stage(self, key: str, bundle: bytes, objects: Sequence[Object]) -> tuple[Prepared, bytes | None]:
        """Steps 5 and 6 but for the check, with the slow half of step 10: nobody sees the objects yet.

        They are written from the very bytes of the bundle, with which what is read back is then compared.
        """
        preparing = asyncio.ensure_future(self._shelves.public.prepare(bundle_objects(bundle, objects)))
        self._release_staged()
        self._staged.append(key)
        try:
            with self._timed("stage"):
                staging = self._shelves.staging.put_many([(key, bundle)])
                await _all_of(staging, preparing, self._delete_stale())
            with self._timed("read-back"):
                return preparing.result(), await self._shelves.staging.get(key)
        except BaseException:
            if preparing.done() and not preparing.cancelled() and preparing.exception() is None:
                with suppress(StoreError):
                    await self._shelves.public.drop_prepared(preparing.result())
            raise

    def _release_staged(self) -> None:
        if not self.unpublished:
            self._stale += self._staged
            self._staged = []

    async def _delete_stale(self) -> None:
        keys, self._stale = self._stale, []
        if keys:
            try:
                with self._timed("discard"):
                    await self._shelves.staging.delete_many(keys)
            except StoreError:
                self._stale += keys

    def _check(self, back: bytes | None, bundle: bytes, batch: Batch) -> tuple[Edge, bytes]:
        """Step 6: what was read back must be what was planned, by its bytes and by its hashes (P2)."""
        try:
            if back is None:
                raise ProofError("the staging bundle is gone")
            staged = parse_bundle(back)
            if (staged.old, staged.head) != (batch.old, batch.head) or back != bundle:
                raise ProofError("the staging bundle is not the one that was written")
            edge, leaf_hashes = check_bundle(staged, self.standing.edge, self._form)
            planned = (batch.frontier, batch.levels, batch.tails, batch.leaf_hashes)
            if (edge.frontier, edge.levels, edge.tails, leaf_hashes) != planned:
                raise ProofError("the staging bundle is right, but it is not what was planned")
        except (ProofError, MalformedError) as error:
            sentence = f"what was stored cannot be signed: {error}. Nothing was signed; suspect memory or disk"
            raise FatalError(sentence, promise="P2", reason="read-back-differs") from error
        return edge, leaf_hashes

    def _sign(self, tree: TreeHead, timestamp_ms: int) -> SignedHead:
        """Step 7."""
        with self._timed("sign"):
            try:
                return sign_head(self._signer, tree.size, tree.root, timestamp_ms)
            except SignatureError as error:
                sentence = f"a head was signed wrongly and thrown away: {error}. Suspect memory or processor"
                raise FatalError(sentence, promise="P2", reason="signed-wrongly") from error

    async def _swap(self, head: SignedHead, *, final: bool = False) -> None:
        """Step 8."""
        old = self.standing.signed.note
        with self._timed("swap"):
            try:
                await self._shelves.heads.replace(self._signer.log_id, old, head.note, final=final)
            except FatalError:
                raise
            except Exception as error:
                sentence = f"whether the new head is in force is unknown: {error}"
                raise FatalError(sentence, promise="P1", reason="swap-unknown") from error
        self.standing.signed = head

    async def _cosigned(self, head: SignedHead) -> bytes:
        """Step 9: the note with the lines of witnesses, if they come in time and say the same; without, if not."""
        if self._cosign is None:
            return head.note
        with self._timed("cosign"):
            try:
                async with asyncio.timeout(self._cosign_limit_ms / 1000):
                    note = head.note + await self._cosign(head.note)
                opened = open_head(self._signer, note)
                return note if opened._replace(note=head.note) == head else head.note
            except Exception:  # whatever a witness or its line does wrong, the log goes on
                return head.note

    @contextmanager
    def _timed(self, step: str) -> Iterator[None]:
        start = perf_counter()
        try:
            yield
        finally:
            self.seconds[step] = self.seconds.get(step, 0.0) + perf_counter() - start


async def _all_of(*acts: Awaitable[object]) -> None:
    """Do all at the same time; when all have ended, raise what the first that failed raised."""
    for outcome in await asyncio.gather(*acts, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome


async def publish_objects(shelves: Shelves, objects: Sequence[Object]) -> None:
    """Step 10 when a start repeats it. Raises FatalError."""
    await _published(shelves.public.put_many(objects))


async def _published(putting: Awaitable[None]) -> None:
    try:
        await putting
    except FatalError:
        raise
    except CtlogError as error:
        sentence = f"the tiles of a head that is in force could not be published: {error}. A start repeats it"
        raise FatalError(sentence, promise="P3", reason="publish-failed") from error


def _split(hashes: bytes) -> list[bytes]:
    return [hashes[at : at + HASH_SIZE] for at in range(0, len(hashes), HASH_SIZE)]
