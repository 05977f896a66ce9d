"""Hashes that are proven, kept: a full tile is checked once, however many proofs are made of it.

`merkle.tiles.AuthenticTiles` checks every tile each time it is made, which is right for whoever meets a log once. A
server makes proofs from the same tiles all day. A full tile never changes, and what was proven to be in one published
tree is in every later one; so here each is folded once, compared with its place in a tile or a right edge that is
proven already, and kept with all the hashes above its own. Nothing that was not compared is ever handed out.
Out of scope: where tiles come from.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping

from ctlog.errors import ProofError, UsageError
from ctlog.merkle.hashing import hash_levels
from ctlog.merkle.tiles import HEIGHT, WIDTH, AuthenticTiles, Tile, plan, right_edge, tile_path
from ctlog.merkle.tree import EMPTY_ROOT, HASH_SIZE, Node, TreeHead

ROWS_BYTES = 2 * WIDTH * HASH_SIZE  # of one tile: 256 hashes, and the 255 above them
MIN_TILES = 64  # more than one proof can need


class ProvenTiles:
    """Proven full tiles, the least recently used forgotten first, and the right edge of one tree at a time.

    An `Authentic` for `merkle.proof.build`, for the nodes whose tiles `missing` no longer names.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_tiles = max(max_bytes // ROWS_BYTES, MIN_TILES)
        self._rows: OrderedDict[tuple[int, int], list[bytes]] = OrderedDict()  # a tile's hashes, and each level above
        self._edge = AuthenticTiles(0, EMPTY_ROOT, {})

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def tree(self) -> TreeHead:
        """The tree whose right edge is here."""
        return TreeHead(self._edge.size, self._edge.root)

    def missing(self, nodes: Iterable[Node], tree: TreeHead) -> list[Tile]:
        """The tiles that `add` must be given before `hash` knows all of `nodes`; [] when it does."""
        wanted = plan(nodes, tree.size)
        if self.tree == tree:
            wanted = [tile for tile in wanted if tile.width == WIDTH]
        for tile in wanted:
            if (tile.level, tile.index) in self._rows:
                self._rows.move_to_end((tile.level, tile.index))
        return [tile for tile in wanted if tile.width < WIDTH or (tile.level, tile.index) not in self._rows]

    def add(self, tree: TreeHead, tiles: Mapping[Tile, bytes]) -> None:
        """Prove these tiles of `tree`, a published head, and keep them. Raises ProofError, which names the bad one.

        If the right edge of `tree` is not here, it must be among them. A tile whose parent was forgotten meanwhile is
        passed over; `missing` then names both.
        """
        if self.tree != tree:
            edge = {tile: tiles[tile] for tile in right_edge(tree.size)}
            self._edge = AuthenticTiles(tree.size, tree.root, edge)
        for tile in sorted(tiles, reverse=True):  # from the top down: each stands in one that is proven by then
            if tile.width == WIDTH:
                self._prove(tile, tiles[tile])
        while len(self._rows) > self._max_tiles:
            self._rows.popitem(last=False)

    def hash(self, node: Node) -> bytes:
        """The hash of a perfect subtree. Raises UsageError for one whose tile is not here."""
        level, rise = divmod(node.level, HEIGHT)
        across = HEIGHT - rise
        rows = self._rows.get((level, node.index >> across))
        if rows is None:
            return self._edge.hash(node)
        at = (node.index & ((1 << across) - 1)) * HASH_SIZE
        return rows[rise][at : at + HASH_SIZE]

    def _prove(self, tile: Tile, data: bytes) -> None:
        if len(data) != WIDTH * HASH_SIZE:
            raise ProofError(f"{tile_path(tile)} has {len(data)} bytes, not {WIDTH * HASH_SIZE}")
        try:
            expected = self.hash(Node(HEIGHT * (tile.level + 1), tile.index))
        except UsageError:
            return
        rows = [data, *hash_levels(data)]
        if rows[HEIGHT] != expected:
            raise ProofError(f"{tile_path(tile)} does not hash to its place in the tree of {self._edge.size}")
        self._rows[tile.level, tile.index] = rows[:HEIGHT]
