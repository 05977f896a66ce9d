"""Go's golang.org/x/mod/sumdb/note and tlog check our checkpoint, tiles and proofs (by tests/journeys/go_sumdb)."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from ctlog.merkle import hashing
from ctlog.merkle.proof import build, plan_consistency, plan_inclusion
from ctlog.merkle.tiles import AuthenticTiles, Tile, tile_path, tiles_of
from ctlog.merkle.tree import Frontier
from ctlog.wire.b64 import format_base64
from ctlog.wire.checkpoint import Checkpoint, format_checkpoint
from ctlog.wire.rfc6962 import EntryType, SignedEntry, TimestampedEntry, format_merkle_tree_leaf
from ctlog.wire.signed_note import format_note
from ctlog.wire.static_ct import format_leaf_index
from tests.tools import missing, tool
from tests.wire_values import TestLog

pytestmark = pytest.mark.trial

SOURCE = Path(__file__).parent / "go_sumdb"
LOG = TestLog(7)
SIZES = [1, 2, 255, 256, 257, 65_536, 70_000]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    go = tool("go")
    binary = tmp_path_factory.mktemp("go") / "go_sumdb"
    environment = os.environ | {"CGO_ENABLED": "0"}
    build_it = [go, "build", "-mod=readonly", "-o", str(binary), "."]
    ran = subprocess.run(build_it, cwd=SOURCE, env=environment, capture_output=True, text=True, timeout=300)
    if ran.returncode and any(sign in ran.stderr for sign in ("dial tcp", "proxy", "requires go >=", "lookup ")):
        missing(f"Go cannot get golang.org/x/mod: {ran.stderr.strip().splitlines()[-1]}")
    assert ran.returncode == 0, ran.stderr
    return binary


@dataclass
class Published:
    """A log of made-up entries in a folder, as a web server would serve it, and what we claim about it."""

    folder: Path
    leaves: list[bytes]
    hashes: bytes
    tiles: dict[Tile, bytes]
    root: bytes

    @property
    def size(self) -> int:
        return len(self.leaves)

    def questions(self) -> dict[str, list[object]]:
        authentic = AuthenticTiles(self.size, self.root, self.tiles)
        near = {0, 1, 2, 128, 254, 255, 256, 257, 65_535, 65_536, self.size // 2, self.size - 1, self.size}
        some = sorted(index for index in near if index < self.size)
        older = sorted(size for size in near if 0 < size <= self.size)
        return {
            "Leaves": [format_base64(leaf) for leaf in self.leaves[:300]],
            "Inclusion": [
                {
                    "Index": index,
                    "Hash": format_base64(self.hashes[32 * index : 32 * index + 32]),
                    "Path": [format_base64(one) for one in build(plan_inclusion(index, self.size), authentic)],
                }
                for index in some
            ],
            "Older": [
                {
                    "Size": size,
                    "Root": format_base64(Frontier().append(self.hashes[: 32 * size]).root()),
                    "Path": [format_base64(one) for one in build(plan_consistency(size, self.size), authentic)],
                }
                for size in older
            ],
        }

    def ask(self, program: Path, questions: dict[str, list[object]] | None = None) -> subprocess.CompletedProcess[str]:
        asked = json.dumps(self.questions() if questions is None else questions)
        command = [str(program), str(self.folder), LOG.ed25519.vkey]
        return subprocess.run(command, input=asked, capture_output=True, text=True, timeout=120)


def publish(folder: Path, size: int) -> Published:
    entries = [SignedEntry(EntryType.X509, b"certificate %d" % i) for i in range(size)]
    leaves = [
        format_merkle_tree_leaf(TimestampedEntry(1_700_000_000_000 + i, entry, format_leaf_index(i)))
        for i, entry in enumerate(entries)
    ]
    hashes = hashing.hash_leaves(leaves)
    rows = [hashes]
    while len(rows[-1]) >= 256 * 32:
        row = rows[-1]
        full = range(0, len(row) - len(row) % 8192, 8192)
        rows.append(b"".join(hashing.fold(row[at : at + 8192]) for at in full))
    tiles = {}
    for tile in tiles_of(size):
        tiles[tile] = rows[tile.level][8192 * tile.index : 8192 * tile.index + 32 * tile.width]
        path = folder / tile_path(tile)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(tiles[tile])
    head = Checkpoint(LOG.origin, size, Frontier().append(hashes).root())
    text = format_checkpoint(head)
    lines = [LOG.rfc6962_line(head, 1_800_000_000_000), LOG.ed25519_line(text)]
    (folder / "checkpoint").write_bytes(format_note(text, lines))
    return Published(folder, leaves, hashes, tiles, head.root)


@pytest.mark.parametrize("size", SIZES)
def test_go_agrees(program: Path, tmp_path: Path, size: int) -> None:
    log = publish(tmp_path, size)
    ran = log.ask(program)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.startswith(f"good: {size} entries, {min(size, 300)} leaves, ")


def test_go_would_disagree(program: Path, tmp_path: Path) -> None:
    """The judge is awake: damage in a tile, in the signature, and in each kind of claim is refused.

    This is why go.mod asks for v0.40.0: before it tlog did not check every tile that it was given.
    """
    log = publish(tmp_path, 1000)
    good = log.questions()

    def refusal(questions: dict[str, list[object]] = good) -> str:
        ran = log.ask(program, questions)
        assert ran.returncode == 1, ran.stdout + ran.stderr
        return ran.stdout

    wrong_hash = format_base64(bytes(32))
    leaf, inclusion, older = good["Leaves"][0], good["Inclusion"][-1], good["Older"][0]
    assert "leaf 0" in refusal({**good, "Leaves": [format_base64(b"other")]}), leaf
    assert "inclusion of" in refusal({**good, "Inclusion": [{**inclusion, "Hash": wrong_hash}]})
    assert "inclusion of" in refusal({**good, "Inclusion": [{**inclusion, "Path": inclusion["Path"][::-1]}]})
    assert "consistency with" in refusal({**good, "Older": [{**older, "Root": wrong_hash}]})

    tile = tmp_path / tile_path(Tile(0, 0, 256))
    data = tile.read_bytes()
    tile.write_bytes(data[:5] + bytes([data[5] ^ 1]) + data[6:])
    assert "inconsistent tile" in refusal()
    tile.write_bytes(data)
    checkpoint = tmp_path / "checkpoint"
    checkpoint.write_bytes(checkpoint.read_bytes().replace(b"\n1000\n", b"\n1001\n"))
    assert "invalid signature" in refusal()
