"""A log in memory that can lie, and is itself a Fetcher: static tiles and RFC 6962 answers over bytes that it signs.

    log = Simulator(); log.grow(300); TileFollower(log.policy, log)

Honest until told otherwise. Every lie is a method named for it: `fork`, `rewrite`, `roll_back`, `backdate`, `truncate`,
`withhold`, `rot`, `swap_entry`, `serve_old`. The keys are real (P-256, deterministic), so are all signatures.
"""

from __future__ import annotations

import asyncio
import base64
import gzip
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import parse_qs

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ctlog.client.trusted import LogPolicy
from ctlog.errors import BusyError, NotFoundError
from ctlog.merkle.hashing import hash_leaves, hash_levels
from ctlog.merkle.proof import build, plan_consistency, plan_inclusion
from ctlog.merkle.tiles import Tile, entries_path, parse_entries_path, parse_tile_path, tile_path, tiles_of
from ctlog.merkle.tree import Frontier, Node
from ctlog.wire.b64 import format_base64
from ctlog.wire.checkpoint import Checkpoint, SignedHead, format_checkpoint, sign_rfc6962
from ctlog.wire.rfc6962 import (
    HASH_SHA256,
    SIGNATURE_ECDSA,
    DigitallySigned,
    EntryType,
    LogKey,
    SignedCertificateTimestamp,
    SignedEntry,
    format_extra_data_x509,
    format_merkle_tree_leaf,
    sth_to_json,
)
from ctlog.wire.signed_note import format_note
from ctlog.wire.static_ct import TileLeaf, format_leaf_index, format_tile_leaf

START_MS = 1_760_000_000_000
ISSUER = b"the issuer's certificate"


def make_key(secret: int) -> ec.EllipticCurvePrivateKey:
    """A P-256 key that is the same in every run."""
    return ec.derive_private_key(secret, ec.SECP256R1())


def spki(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


class Tree:
    """Leaves and all that is computed of them; asked by proofs as `Authentic`."""

    def __init__(self, leaves: Sequence[TileLeaf]) -> None:
        self.leaves = list(leaves)
        self.inputs = [format_merkle_tree_leaf(leaf.timestamped) for leaf in self.leaves]
        leaf_hashes = hash_leaves(self.inputs)
        self.levels = [leaf_hashes, *hash_levels(leaf_hashes)]

    def root(self, size: int) -> bytes:
        return Frontier().append(self.levels[0][: 32 * size]).root()

    def hash(self, node: Node) -> bytes:
        return self.levels[node.level][32 * node.index : 32 * node.index + 32]

    def tile(self, tile: Tile) -> bytes | None:
        level = 8 * tile.level
        row = self.levels[level] if level < len(self.levels) else b""
        data = row[32 * 256 * tile.index : 32 * (256 * tile.index + tile.width)]
        return data if len(data) == 32 * tile.width else None

    def data(self, index: int, width: int) -> bytes | None:
        leaves = self.leaves[256 * index : 256 * index + width]
        return b"".join(format_tile_leaf(leaf) for leaf in leaves) if len(leaves) == width else None


class Simulator:
    """The log. `now_ms` is its clock, which goes on by a second with each head."""

    def __init__(self, origin: str = "sim.example/log", secret: int = 7) -> None:
        self.key = make_key(secret)
        self.origin = origin
        self.now_ms = START_MS
        self.tree = Tree([])
        self.policy = LogPolicy(origin, LogKey.from_spki(spki(self.key)), source="https://sim.example/log/")
        self.head = self.sign(0)
        self.served = self.head
        """What `checkpoint` and get-sth answer with."""
        self.pruned = False
        """Partial tiles are gone where the full one exists."""
        self.page = 1000
        self.aligned = False
        self.missing: set[str] = set()
        self.rotten: dict[str, bytes] = {}
        self.failures: dict[str, list[Exception]] = {}
        """What to raise for the next requests of a path ("*": of any)."""
        self.requests: list[str] = []
        self.delay_s = 0.0
        self.running = self.most_at_once = 0

    # Honest work ----------------------------------------------------------------------------------------------------

    def entry(self, index: int, mark: str = "") -> TileLeaf:
        certificate = b"certificate %d %s " % (index, mark.encode()) + bytes(index % 50)
        entry = SignedEntry(EntryType.X509, certificate)
        return TileLeaf(self.now_ms, entry, format_leaf_index(index), b"", (hashlib.sha256(ISSUER).digest(),))

    def grow(self, count: int) -> SignedHead:
        """Take in `count` entries, sign and serve the new head."""
        size = len(self.tree.leaves)
        self.tree = Tree([*self.tree.leaves, *(self.entry(index) for index in range(size, size + count))])
        self.head = self.served = self.sign(size + count)
        return self.head

    def sign(self, size: int, *, at_ms: int | None = None, root: bytes | None = None) -> SignedHead:
        """A head over the first `size` leaves of the tree as it is, at the clock's next second or at `at_ms`."""
        if at_ms is None:
            self.now_ms += 1000
            at_ms = self.now_ms
        checkpoint = Checkpoint(self.origin, size, self.tree.root(size) if root is None else root)
        line = sign_rfc6962(checkpoint, at_ms, self.policy.key.log_id, self.digitally_sign)
        return self.policy.open(format_note(format_checkpoint(checkpoint), [line]))

    def digitally_sign(self, message: bytes) -> DigitallySigned:
        signature = self.key.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
        return DigitallySigned(HASH_SHA256, SIGNATURE_ECDSA, signature)

    def sct(self, leaf: TileLeaf) -> SignedCertificateTimestamp:
        """The log's promise to hold `leaf`, kept or not."""
        signed = self.digitally_sign(format_merkle_tree_leaf(leaf.timestamped))
        return SignedCertificateTimestamp(self.policy.key.log_id, leaf.timestamp_ms, leaf.extensions, signed)

    def dump(self, folder: Path) -> None:
        """Write the public files of the served head, full data tiles compressed, as our own log stores them."""
        files = {"checkpoint": self.served.note}
        for tile in tiles_of(self.served.size):
            files[tile_path(tile)] = self.tree.tile(tile) or b""
        for index in range(-(-self.served.size // 256)):
            width = min(256, self.served.size - 256 * index)
            data = self.tree.data(index, width) or b""
            files[entries_path("data", index, width)] = gzip.compress(data, 1) if width == 256 else data
        for path, data in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)

    # Lies -----------------------------------------------------------------------------------------------------------

    def _forge(self, index: int) -> None:
        leaves = list(self.tree.leaves)
        index %= len(leaves)
        leaves[index] = self.entry(index, "forged")
        self.tree = Tree(leaves)

    def fork(self, index: int = 0) -> SignedHead:
        """Sign another tree of the same size, in which entry `index` is another, and serve it."""
        self._forge(index)
        self.head = self.served = self.sign(self.head.size)
        return self.head

    def rewrite(self, index: int, count: int) -> SignedHead:
        """Replace an old entry, then grow as if nothing had happened."""
        self._forge(index)
        return self.grow(count)

    def roll_back(self, size: int) -> SignedHead:
        """Forget the newest entries and sign the smaller tree again, now."""
        self.tree = Tree(self.tree.leaves[:size])
        self.head = self.served = self.sign(size)
        return self.head

    def backdate(self, count: int, by_ms: int) -> SignedHead:
        """Grow, and date the new head before the last one."""
        self.grow(count)
        self.head = self.served = self.sign(self.head.size, at_ms=self.head.timestamp_ms - by_ms)
        return self.head

    def merge_late(self, count: int, by_ms: int) -> SignedHead:
        """Take in `count` entries that are dated so long ago."""
        now_ms, size = self.now_ms, len(self.tree.leaves)
        self.now_ms -= by_ms
        self.tree = Tree([*self.tree.leaves, *(self.entry(index, "late") for index in range(size, size + count))])
        self.now_ms = now_ms
        self.head = self.served = self.sign(size + count)
        return self.head

    def serve_old(self, head: SignedHead) -> None:
        """Be a cache: answer with a head of before."""
        self.served = head

    def withhold(self, *paths: str) -> None:
        """404 for these paths."""
        self.missing.update(paths)

    def truncate(self, size: int) -> None:
        """Keep the head, and serve nothing of what lies behind the first `size` entries."""
        self.tree = Tree(self.tree.leaves[:size])

    def swap_entry(self, index: int) -> None:
        """Serve another entry than the one in the tree; the hashes stay."""
        levels = self.tree.levels
        self._forge(index)
        self.tree.levels = levels

    async def rot(self, path: str, bit: int = 0) -> None:
        """Flip a bit of what is served there."""
        data = bytearray(await self.get(path))
        data[bit // 8] ^= 1 << bit % 8
        self.rotten[path] = bytes(data)

    def fail(self, path: str, *errors: Exception) -> None:
        """Raise these, in order, for the next requests of this path."""
        self.failures.setdefault(path, []).extend(errors)

    # Fetcher --------------------------------------------------------------------------------------------------------

    async def get(self, path: str, *, limit: int = 1 << 26) -> bytes:
        self.requests.append(path)
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        try:
            await asyncio.sleep(self.delay_s)
        finally:
            self.running -= 1
        for key in (path, "*"):
            if self.failures.get(key):
                raise self.failures[key].pop(0)
        data = None if path in self.missing else self.rotten.get(path) or self._answer(path)
        if data is None:
            raise NotFoundError(f"{path}: 404")
        assert len(data) <= limit
        return data

    def _answer(self, path: str) -> bytes | None:
        if path == "checkpoint":
            return self.served.note
        if path == f"issuer/{hashlib.sha256(ISSUER).hexdigest()}":
            return ISSUER
        if path.startswith("tile/data/"):
            place = parse_entries_path(path)
            if self.pruned and place.width < 256 and len(self.tree.leaves) >= 256 * (place.index + 1):
                return None
            return self.tree.data(place.index, place.width)
        if path.startswith("tile/"):
            tile = parse_tile_path(path)
            if self.pruned and tile.width < 256 and self.tree.tile(tile._replace(width=256)) is not None:
                return None
            return self.tree.tile(tile)
        name, _, query = path.removeprefix("ct/v1/").partition("?")
        values = {key: found[0] for key, found in parse_qs(query).items()}
        if name == "get-proof-by-hash":
            return self._proof_by_hash(base64.b64decode(values["hash"]), int(values["tree_size"]))
        return self._rfc6962(name, {key: int(value) for key, value in values.items()})

    def _proof_by_hash(self, value: bytes, size: int) -> bytes | None:
        row = self.tree.levels[0]
        if size > len(self.tree.leaves):
            return None
        index = next((at for at in range(size) if row[32 * at : 32 * at + 32] == value), None)
        if index is None:
            return None
        path = [format_base64(value) for value in build(plan_inclusion(index, size), self.tree)]
        return json.dumps({"leaf_index": index, "audit_path": path}).encode()

    def _rfc6962(self, name: str, numbers: dict[str, int]) -> bytes | None:
        if name == "get-sth":
            return json.dumps(sth_to_json(self.served.sth)).encode()
        if name == "get-sth-consistency" and numbers["second"] <= len(self.tree.leaves):
            proof = build(plan_consistency(numbers["first"], numbers["second"]), self.tree)
            return json.dumps({"consistency": [format_base64(value) for value in proof]}).encode()
        if name == "get-entries":
            start, stop = numbers["start"], min(numbers["end"] + 1, numbers["start"] + self.page, len(self.tree.leaves))
            if start >= stop:
                return None
            if self.aligned and stop // self.page * self.page > start:
                stop = stop // self.page * self.page
            extra = format_base64(format_extra_data_x509([ISSUER]))
            rows = [{"leaf_input": format_base64(leaf), "extra_data": extra} for leaf in self.tree.inputs[start:stop]]
            return json.dumps({"entries": rows}).encode()
        return None


def busy(retry_after_s: int) -> BusyError:
    """What a fetcher raises for a 429."""
    return BusyError("too many requests", retry_after_s=retry_after_s)


class FakeTime:
    """A clock that moves when somebody sleeps, and only then."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)
