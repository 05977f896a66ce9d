"""How a log begins, and how it starts again: the same walk as a batch, from where the last process stopped.

In scope: creating a log, and `recover`, which a start runs before the first submission. It takes the head store for the
truth, refuses whatever contradicts it, finishes a batch that was signed but not published, and reads the right edge
back through the verifier. Out of scope: everything after that.

A start makes no log, no key and no head store (P10), and it guesses nothing: each refusal is a ConfigError that says
which promise was at stake and what to do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NoReturn, TypeVar

from ctlog.errors import ConfigError, MalformedError, ProofError, SignatureError
from ctlog.merkle.tiles import WIDTH, Tile, entries_path, tile_path
from ctlog.merkle.tree import EMPTY_ROOT, HASH_SIZE, TreeHead
from ctlog.sequencer.commit import CHECKPOINT, Standing, publish_objects
from ctlog.sequencer.forms import EntryForm, StoredEntry
from ctlog.sequencer.plan import (
    Bundle,
    Edge,
    bundle_key,
    check_bundle,
    edge_keys,
    parse_bundle,
    parse_bundle_key,
    read_edge,
    read_entries,
    unpack_tile,
)
from ctlog.sequencer.signer import Signer, open_head, sign_head
from ctlog.store import LookupRow, ObjectStore, Shelves
from ctlog.wire.checkpoint import SignedHead

E = TypeVar("E")

CLOCK_AHEAD_MS = 5_000
"""A start refuses a head that is further ahead of the clock than this."""

_TILES_AT_ONCE = 8  # tiles of entries in memory while the look-ups are brought up to the head


async def create_log(shelves: Shelves, signer: Signer, clock: Callable[[], int]) -> SignedHead:
    """Begin a log, once: the head of the empty tree, in force and published.

    Raises ConfigError if the head store knows the log or its seed (P10), or if something is published already.
    """
    if await shelves.public.get(CHECKPOINT) is not None:
        raise ConfigError("a log is published here already; nothing was changed (P10)", reason="log-exists")
    head = sign_head(signer, 0, EMPTY_ROOT, clock())
    await shelves.heads.create(signer.log_id, signer.origin, signer.seed_id, head.note)
    await shelves.public.put_many([(CHECKPOINT, head.note)], immutable=False)
    return head


async def recover(
    shelves: Shelves, signer: Signer, form: EntryForm[E], now_ms: int, outside: Sequence[SignedHead]
) -> Standing:
    """Where the log stands, after everything that was signed is published and the look-ups cover it.

    `outside` are heads of this log that were fetched from elsewhere. Raises ConfigError for what contradicts the head
    store, StoreError if a store fails, FatalError if another writer is at work.
    """
    if not signer.deterministic:
        _refuse("the signer cannot repeat a signature, and repeating SCTs depends on it", "P6", "signer-unsuitable")
    head, frozen = await _head_in_force(shelves, signer, now_ms)
    for other in outside:
        _compare(head, other, "a head that was seen outside", "P11")
    published = await _published_head(shelves.public, signer)
    if published is not None:
        _compare(head, published, "the published head", "P9")
    if published is None or published.size < head.size:
        await _finish_batch(shelves, form, head, published)
    if published is None or published.timestamp_ms < head.timestamp_ms:
        published = head
    await shelves.public.put_many([(CHECKPOINT, published.note)], immutable=False)  # again: its sync may have failed
    edge = await _read_edge(shelves.public, form, TreeHead(head.size, head.root))
    await bring_up_look_ups(shelves, form, head.size)
    await shelves.staging.delete_many(await stale_bundles(shelves.staging, head.size))
    return Standing(head, published, edge, edge, frozen)


async def stale_bundles(staging: ObjectStore, size: int) -> list[str]:
    """The keys of bundles that lead to a published tree of `size` or before it.

    A later one is of a batch that failed, or of another writer that is at work: let it lie.
    """
    return [key for key in await staging.list_keys("") if parse_bundle_key(key) <= size]


def _refuse(sentence: str, promise: str, reason: str) -> NoReturn:
    raise ConfigError(f"{sentence} ({promise})", reason=reason)


async def _head_in_force(shelves: Shelves, signer: Signer, now_ms: int) -> tuple[SignedHead, bool]:
    """The head of the head store, checked; and whether it is the last that there will be."""
    stored = await shelves.heads.fetch(signer.log_id)
    if stored is None:
        _refuse("the head store knows no log with this key: a wrong seed, or a wrong head store", "P10", "log-unknown")
    if stored.origin != signer.origin:
        _refuse(f"the head store knows this key as the log {stored.origin}", "P1", "wrong-origin")
    try:
        head = open_head(signer, stored.head)
    except (MalformedError, SignatureError) as error:
        _refuse(f"the head in the head store is not one that this log signed: {error}", "P1", "head-damaged")
    ahead_ms = head.timestamp_ms - now_ms
    if ahead_ms > CLOCK_AHEAD_MS:
        _refuse(f"the last head is {ahead_ms} ms ahead of the clock: set the clock right", "P4", "clock-behind")
    return head, stored.frozen


async def _published_head(public: ObjectStore, signer: Signer) -> SignedHead | None:
    note = await public.get(CHECKPOINT)
    if note is None:
        return None
    try:
        return open_head(signer, note)
    except (MalformedError, SignatureError) as error:
        _refuse(f"the published checkpoint is damaged or of another log: {error}", "P9", "checkpoint-damaged")


def _compare(head: SignedHead, other: SignedHead, what: str, promise: str) -> None:
    """Refuse to go back behind `other`, a head that this log signed and that somebody may have seen."""
    if other.size == head.size and other.root != head.root:
        _refuse(f"{what} has the size {head.size} of the head store's, and another root", "P1", "split-view")
    if other.size > head.size or other.timestamp_ms > head.timestamp_ms:
        sentence = (
            f"{what} (size {other.size}, time {other.timestamp_ms}) is newer than the head store's (size {head.size},"
            f" time {head.timestamp_ms}): an old head store was put back. Find the newest; never go on without it"
        )
        _refuse(sentence, promise, "head-store-behind")


async def _finish_batch(shelves: Shelves, form: EntryForm[E], head: SignedHead, published: SignedHead | None) -> None:
    """Publish the tiles of a head that is in force, from its staging bundle: the walk of a batch from step 9 on."""
    tree = TreeHead(head.size, head.root)
    if tree == TreeHead(0, EMPTY_ROOT):
        return
    key = bundle_key(tree)
    staged = await shelves.staging.get(key)
    if staged is None:
        seen = f"{published.size} entries" if published else "nothing"
        sentence = (
            f"the head store has a head of {head.size} entries, {seen} of which is published, and its staging bundle"
            f" {key} is missing: this folder has lost what it held. Put the latest one back; an older one will not do"
        )
        _refuse(sentence, "P11", "folder-behind")
    try:
        bundle = parse_bundle(staged)
        if bundle.head != tree:
            raise ProofError("it leads to another head")
        if published is not None and not _follows(bundle, published):
            raise ProofError("it does not follow the published head")
        check_bundle(bundle, await _read_edge(shelves.public, form, bundle.old), form)
    except (MalformedError, ProofError) as error:
        _refuse(f"the staging bundle {key} of the head in force is damaged: {error}", "P2", "bundle-damaged")
    await publish_objects(shelves, bundle.objects)


def _follows(bundle: Bundle, published: SignedHead) -> bool:
    """A checkpoint that could not be published is left out, so the batch may begin after the published head."""
    old = bundle.old
    return published.size < old.size or (published.size, published.root) == old


async def _read_edge(public: ObjectStore, form: EntryForm[E], tree: TreeHead) -> Edge:
    keys = edge_keys(tree.size, form.kinds)
    objects = dict(zip(keys, await public.get_many(keys), strict=True))
    try:
        return read_edge(tree, form, objects)
    except (MalformedError, ProofError) as error:
        _refuse(f"the published log is damaged: {error}. ctlog fsck names all of it", "P2", "tiles-damaged")


async def bring_up_look_ups(shelves: Shelves, form: EntryForm[E], size: int) -> None:
    """Add the entries that the LookupStore does not cover yet, from the data tiles, each checked against its hash.

    Raises ConfigError when the store covers more than `size`, or when a tile is damaged.
    """
    covered = await shelves.lookup.size()
    if covered > size:
        sentence = f"the look-ups cover {covered} entries, the head in force {size}: an old head store was put back"
        _refuse(sentence, "P11", "head-store-behind")
    for first in range(covered // WIDTH, -(-size // WIDTH), _TILES_AT_ONCE):
        indexes = range(first, min(first + _TILES_AT_ONCE, -(-size // WIDTH)))
        for index, entries, leaf_hashes in await _read_tiles(shelves.public, form, indexes, size):
            rows = [
                LookupRow(entry.timestamp_ms, entry.entry_key, leaf_hash, entry.certificate_hash)
                for entry, leaf_hash in zip(entries, leaf_hashes, strict=True)
            ]
            skipped = max(covered - index * WIDTH, 0)
            await shelves.lookup.add(index * WIDTH + skipped, rows[skipped:])


async def _read_tiles(
    public: ObjectStore, form: EntryForm[E], indexes: Sequence[int], size: int
) -> list[tuple[int, list[StoredEntry], list[bytes]]]:
    """Some tiles of entries: (index, entries, leaf hashes) of each."""
    kind = form.kinds[0]
    widths = [min(WIDTH, size - index * WIDTH) for index in indexes]
    keys = [entries_path(kind.name, index, width) for index, width in zip(indexes, widths, strict=True)]
    hash_keys = [tile_path(Tile(0, index, width)) for index, width in zip(indexes, widths, strict=True)]
    objects = await public.get_many([*keys, *hash_keys])
    tiles = []
    for at, index in enumerate(indexes):
        data, hashes = objects[at], objects[at + len(keys)]
        try:
            if data is None or hashes is None:
                raise ProofError("it or its level-0 tile is missing")
            entries = read_entries(form, unpack_tile(kind, widths[at], data), hashes)
        except (MalformedError, ProofError) as error:
            _refuse(f"{keys[at]} is damaged: {error}", "P2", "tiles-damaged")
        tiles.append((index, entries, [hashes[i : i + HASH_SIZE] for i in range(0, len(hashes), HASH_SIZE)]))
    return tiles
