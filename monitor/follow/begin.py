"""Where to begin with a log: at the first entry, at the newest, or at a date; with the tree that stands before it.

In scope: the frontier of any size of a signed tree, proven, over tiles or by RFC 6962 get-proof-by-hash; finding the
first entry of a date by bisection. Whoever begins at 0 needs none of this. Out of scope: reading on from there.

Over RFC 6962 the audit path of the entry before is what the frontier is made of: what lies left of an entry, on its way
to the root, are the perfect subtrees before it.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec

from ctlog.client.follow import advance
from ctlog.client.tile_reader import TileReader
from ctlog.client.trusted import TrustedLog
from ctlog.errors import MalformedError, ProofError, TransportError
from ctlog.merkle.hashing import leaf_hash
from ctlog.merkle.proof import plan_inclusion, verify_inclusion
from ctlog.merkle.tree import Frontier, TreeHead, perfect_nodes
from ctlog.wire.b64 import format_base64
from ctlog.wire.checkpoint import SignedHead
from ctlog.wire.json_members import json_hashes
from monitor.follow.followed import Followed
from monitor.state import State
from monitor.state.rows import LogRow, Position

PREFIX = "ct/v1/"
FIRST, NEWEST = "first", "newest"
Start = str | int
"""FIRST, NEWEST, or a time in ms."""
SLACK_MS = 86_400_000
"""Over RFC 6962 an entry may have been promised a day before it was merged, so times are only roughly in order."""


async def begin(log: Followed, state: State, start: Start, now_ms: int) -> LogRow:
    """Begin to follow a log; its row. One that is followed already goes on where it is.

    `start`: FIRST, NEWEST, or a time in ms: entries logged before it are not read. FIRST needs no network.
    """
    known = await state.logs.get(log.log_id)
    if known is None:
        position = Position() if start == FIRST else await _position(log, start, now_ms)
        await state.logs.add(log.log_id, log.name, log.url, position, now_ms)
        if position.trusted is not None:
            await state.logs.answered(log.log_id, log.policy.open(position.trusted), now_ms)
        known = await state.logs.get(log.log_id)
        assert known is not None
    return known


async def _position(log: Followed, start: Start, now_ms: int) -> Position:
    """The position before entry `start` of the log's newest tree, proven."""
    trusted = await advance(log.follower, TrustedLog(log.policy), now_ms)
    head = trusted.head
    assert head is not None
    index = head.size if start == NEWEST else await first_since(log, head, int(start))
    frontier = await frontier_at(log, head, index)
    return Position(frontier, frontier, head.note, head.note)


async def frontier_at(log: Followed, head: SignedHead, size: int) -> Frontier:
    """The first `size` entries of the tree of `head` as a frontier, proven.

    Raises TransportError and what fetchers raise; ProofError for what does not lead to the head's root.
    """
    if size == 0:
        return Frontier()
    if log.is_proven_at_once:
        reader = TileReader(log.fetcher)
        nodes = perfect_nodes(0, size)
        authentic = await reader.authentic(TreeHead(head.size, head.root), nodes)
        return Frontier(size, tuple(authentic.hash(node) for node in nodes))
    (leaf,) = await leaves(log, head, size - 1, size)
    value = leaf_hash(leaf)
    path = await audit_path(log, head, value, size - 1)
    return _left_of(size - 1, head.size, path).append(value)


async def audit_path(log: Followed, head: SignedHead, value: bytes, index: int | None = None) -> list[bytes]:
    """RFC 6962 section 4.5: the audit path of a leaf hash in the tree of `head`, verified.

    Raises NotFoundError where the log says that it has no such entry, TransportError for what is no answer, ProofError
    for a path that leads elsewhere, or to another place than `index`.
    """
    found, path = await proof_by_hash(log, head, value)
    if index is not None and found != index:
        raise ProofError(f"get-proof-by-hash finds entry {index} at {found}")
    return path


async def proof_by_hash(log: Followed, head: SignedHead, value: bytes) -> tuple[int, list[bytes]]:
    """The same, with the place where the log says that the leaf hash stands, verified."""
    query = f"get-proof-by-hash?hash={quote(format_base64(value), safe='')}&tree_size={head.size}"
    answer = _json(await log.fetcher.get(PREFIX + query, limit=1 << 20), query)
    index = answer.get("leaf_index")
    if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < head.size:
        raise TransportError("get-proof-by-hash gave no place in the tree")
    try:
        path = json_hashes(answer, "audit_path")
    except MalformedError as error:
        raise TransportError(f"get-proof-by-hash gave no proof: {error}") from None
    verify_inclusion(index, head.size, value, path, head.root)
    return index, path


async def leaves(log: Followed, head: SignedHead, lo: int, hi: int) -> list[bytes]:
    """The MerkleTreeLeaf of a few entries; proven over tiles, and not over RFC 6962."""
    found: list[bytes] = []
    async for batch in log.follower.entries(head, lo, hi):
        found += batch.leaves
    return found


async def first_since(log: Followed, head: SignedHead, since_ms: int) -> int:
    """The index of the first entry that was logged at `since_ms` or later; the tree's size where none was.

    One entry is fetched for each halving: some 30 in a large log.
    """
    if not log.is_proven_at_once:
        since_ms -= SLACK_MS
    lo, hi = 0, head.size
    while lo < hi:
        middle = (lo + hi) // 2
        (leaf,) = await leaves(log, head, middle, middle + 1)
        if int.from_bytes(leaf[2:10], "big") < since_ms:
            lo = middle + 1
        else:
            hi = middle
    return lo


def _left_of(index: int, size: int, path: list[bytes]) -> Frontier:
    """The leaves before `index` as a frontier, from the audit path of the leaf there."""
    hashes = dict(zip((group for group in plan_inclusion(index, size).groups), path, strict=True))
    left = {group[0]: value for group, value in hashes.items() if group[-1].hi <= index}
    return Frontier(index, tuple(left[node] for node in perfect_nodes(0, index)))


def _json(data: bytes, query: str) -> dict[str, Any]:
    try:
        answer = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise TransportError(f"{query}: the answer is not JSON") from None
    if not isinstance(answer, dict):
        raise TransportError(f"{query}: the answer is no JSON object")
    return answer
