"""What is published, read through a bounded memory: objects, proven tiles, entries and their issuers.

In scope: an LRU of objects counted in bytes; hashes that are proven against the head before a proof is made of them,
so that a tile that rots on the disk is a 500 with its name in the operator's log and never a wrong proof.
Out of scope: what is not published yet (never visible here), and the requests that ask (`ctlog.http.monitoring`).
"""

from __future__ import annotations

import asyncio
import gzip
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from ctlog.errors import StoreError
from ctlog.http.proven import ProvenTiles
from ctlog.merkle.proof import Plan, build
from ctlog.merkle.tiles import WIDTH, entries_path, tile_path
from ctlog.merkle.tree import TreeHead
from ctlog.sequencer.forms import TileKind
from ctlog.store import ObjectStore
from ctlog.wire.checkpoint import SignedHead
from ctlog.wire.static_ct import TileLeaf, parse_data_tile


class ObjectCache:
    """Immutable objects by key, the least recently used forgotten first; never more than `max_bytes` of them."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._objects: OrderedDict[str, bytes] = OrderedDict()
        self.bytes = 0
        self.hits = 0
        self.misses = 0

    def get(self, key: str) -> bytes | None:
        """The object, which becomes the most recently used one."""
        data = self._objects.get(key)
        if data is None:
            self.misses += 1
            return None
        self.hits += 1
        self._objects.move_to_end(key)
        return data

    def put(self, key: str, data: bytes) -> None:
        """Remember an object, unless it is larger than a quarter of the whole."""
        if len(data) > self._max_bytes // 4 or key in self._objects:
            return
        self._objects[key] = data
        self.bytes += len(data)
        while self.bytes > self._max_bytes:
            self.bytes -= len(self._objects.popitem(last=False)[1])


class Published:
    """The log as the world may see it: everything that the head of the moment covers, and nothing more."""

    def __init__(self, store: ObjectStore, head: Callable[[], SignedHead], kinds: Sequence[TileKind],
                 cache_bytes: int, observe: Callable[[float], None] = lambda seconds: None) -> None:
        """`observe` is told how long each read of the store took."""
        self._store = store
        self._observe = observe
        self._head = head
        self.kinds = {kind.name: kind for kind in kinds}
        self.cache = ObjectCache(cache_bytes // 2)
        self._proven = ProvenTiles(cache_bytes // 2)

    @property
    def signed_head(self) -> SignedHead:
        """The published head. Take it once per request: the next one may come at any `await`."""
        return self._head()

    @property
    def tree(self) -> TreeHead:
        """Size and root of the published head."""
        checkpoint = self._head().checkpoint
        return TreeHead(checkpoint.size, checkpoint.root)

    async def object(self, key: str) -> bytes | None:
        """An immutable object, from memory or from the store; None where there is none."""
        data = self.cache.get(key)
        if data is None:
            (data,) = await self._read([key])
        return data

    async def objects(self, keys: Sequence[str]) -> list[bytes]:
        """Objects that must be there. Raises StoreError, which names the first that is not."""
        found = [self.cache.get(key) for key in keys]
        missing = [key for key, data in zip(keys, found, strict=True) if data is None]
        if missing:
            fetched = dict(zip(missing, await self._read(missing), strict=True))
            for key, data in fetched.items():
                if data is None:
                    raise StoreError(f"{key} is published but cannot be found", reason="object-missing")
            found = [fetched[key] if data is None else data for key, data in zip(keys, found, strict=True)]
        return [data for data in found if data is not None]

    async def proof(self, proof_plan: Plan) -> list[bytes]:
        """The hashes that `proof_plan` folds, proven against the published head. It may be about any smaller tree: its
        nodes are nodes of every later one too. Raises StoreError, ProofError."""
        if not proof_plan.groups:
            return []
        nodes, proven = proof_plan.nodes, self._proven
        while missing := proven.missing(nodes, tree := self.tree):
            before = proven.tree
            keys = [tile_path(tile) for tile in missing]
            found = await self._read(keys, keep=False)
            for key, data in zip(keys, found, strict=True):
                if data is None:
                    raise StoreError(f"{key} is published but cannot be found", reason="object-missing")
            if before != tree or proven.tree == tree:  # else another request has moved the edge on: once more
                proven.add(tree, {tile: data for tile, data in zip(missing, found, strict=True) if data is not None})
        return build(proof_plan, proven)

    async def entries(self, lo: int, hi: int, tree: TreeHead) -> list[TileLeaf]:
        """The entries [lo, hi) from the data tiles; hi <= tree.size."""
        leaves: list[TileLeaf] = []
        for index in range(lo // WIDTH, -(-hi // WIDTH)):
            first = index * WIDTH
            width = min(WIDTH, tree.size - first)
            key = entries_path("data", index, width)
            (data,) = await self.objects([key])
            found = parse_data_tile(self.plain("data", width, data))
            if len(found) != width:
                raise StoreError(f"{key} holds {len(found)} entries, not {width}", reason="object-damaged")
            leaves += found[max(lo - first, 0) : hi - first]
            await asyncio.sleep(0)  # parsing is a millisecond's work: let submissions through between tiles
        return leaves

    async def _read(self, keys: Sequence[str], keep: bool = True) -> list[bytes | None]:
        started = time.perf_counter()
        found = await self._store.get_many(keys)
        self._observe(time.perf_counter() - started)
        for key, data in zip(keys, found, strict=True):
            if keep and data is not None:
                self.cache.put(key, data)
        return found

    def plain(self, kind: str, width: int, data: bytes) -> bytes:
        """A tile beside the tree as its spec says it; `data` is how it is stored."""
        return gzip.decompress(data) if width == WIDTH and self.kinds[kind].gzip_full else data

    async def chains(self, leaves: Sequence[TileLeaf]) -> list[tuple[bytes, ...]]:
        """Each leaf's issuers as DER, the leaf's own issuer first, the root last (P8: all of them are there)."""
        wanted = list({fingerprint for leaf in leaves for fingerprint in leaf.chain})
        ders = await self.objects([issuer_path(fingerprint) for fingerprint in wanted])
        by_fingerprint = dict(zip(wanted, ders, strict=True))
        return [tuple(by_fingerprint[fingerprint] for fingerprint in leaf.chain) for leaf in leaves]


def issuer_path(fingerprint: bytes) -> str:
    """static-ct-api, "Issuers": where the certificate with this SHA-256 is published."""
    return f"issuer/{fingerprint.hex()}"
