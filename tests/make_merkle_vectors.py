"""Writes tests/vectors/merkle/*.json: proofs, each with one mutation, in a file named for the bug that it hunts.

Made from RFC 6962's own definitions (tests/rfc6962_tree.py), never from the code under test.
Run again after a change: python -m tests.make_merkle_vectors
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.rfc6962_tree import MTH, PATH, PROOF, RANGE, leaves

FOLDER = Path(__file__).parent / "vectors" / "merkle"
D = leaves(16)
LEAF = [MTH((leaf,)) for leaf in D]
EMPTY = MTH(())

Vector = dict[str, Any]


def inclusion(index: int, size: int) -> Vector:
    hashes = {"leaf_hash": LEAF[index], "root": MTH(D[:size])}
    return _vector("inclusion", {"index": index, "size": size}, hashes, PATH(index, D[:size]))


def consistency(old: int, new: int) -> Vector:
    hashes = {"old_root": MTH(D[:old]), "new_root": MTH(D[:new])}
    return _vector("consistency", {"old_size": old, "new_size": new}, hashes, PROOF(old, D[:new]) if old else [])


def run(lo: int, hi: int, size: int) -> Vector:
    hashes = {"leaf_hashes": b"".join(LEAF[lo:hi]), "root": MTH(D[:size])}
    return _vector("range", {"lo": lo, "hi": hi, "size": size}, hashes, RANGE(lo, hi, D[:size]))


def _vector(kind: str, numbers: dict[str, int], hashes: dict[str, bytes], proof: list[bytes]) -> Vector:
    return {"kind": kind, "valid": True, "numbers": numbers, "hashes": hashes, "proof": proof}


def wrong(vector: Vector, change: Callable[[Vector], object]) -> Vector:
    change(vector)
    return vector | {"valid": False}


def put(key: str, name: str, value: object) -> Callable[[Vector], object]:
    return lambda vector: vector[key].__setitem__(name, value)


def swap(a: int, b: int) -> Callable[[Vector], object]:
    def change(vector: Vector) -> None:
        proof = vector["proof"]
        proof[a], proof[b] = proof[b], proof[a]

    return change


def vectors() -> dict[str, Vector]:
    return {
        "inclusion-good-only-leaf": inclusion(0, 1),
        "inclusion-good-first-of-7": inclusion(0, 7),
        "inclusion-good-lone-last-of-7": inclusion(6, 7),
        "inclusion-good-last-of-13": inclusion(12, 13),
        "inclusion-index-not-bound": wrong(inclusion(4, 7), put("numbers", "index", 5)),
        "inclusion-index-mirrored": wrong(inclusion(1, 8), put("numbers", "index", 6)),
        "inclusion-index-is-size": wrong(inclusion(6, 7), put("numbers", "index", 7)),
        "inclusion-index-negative": wrong(inclusion(6, 7), put("numbers", "index", -1)),
        "inclusion-size-zero": wrong(inclusion(0, 1), put("numbers", "size", 0)),
        "inclusion-size-smaller": wrong(inclusion(4, 7), put("numbers", "size", 5)),
        "inclusion-size-next-power": wrong(inclusion(6, 7), put("numbers", "size", 8)),
        "inclusion-size-beyond-63-bits": wrong(inclusion(0, 7), put("numbers", "size", 2**63)),
        "inclusion-leaf-of-neighbour": wrong(inclusion(4, 7), put("hashes", "leaf_hash", LEAF[5])),
        "inclusion-leaf-is-inner-node": wrong(inclusion(0, 4), lambda v: (
            v["hashes"].update(leaf_hash=MTH(D[:2])), v["proof"].pop(0))),
        "inclusion-leaf-hash-short": wrong(inclusion(4, 7), put("hashes", "leaf_hash", LEAF[4][:31])),
        "inclusion-root-of-smaller-tree": wrong(inclusion(4, 7), put("hashes", "root", MTH(D[:6]))),
        "inclusion-root-empty-string": wrong(inclusion(4, 7), put("hashes", "root", b"")),
        "inclusion-proof-empty": wrong(inclusion(4, 7), lambda v: v["proof"].clear()),
        "inclusion-proof-missing-last": wrong(inclusion(4, 7), lambda v: v["proof"].pop()),
        "inclusion-proof-missing-first": wrong(inclusion(4, 7), lambda v: v["proof"].pop(0)),
        "inclusion-proof-trailing-hash": wrong(inclusion(4, 7), lambda v: v["proof"].append(EMPTY)),
        "inclusion-proof-trailing-root": wrong(inclusion(0, 1), lambda v: v["proof"].append(MTH(D[:1]))),
        "inclusion-proof-reversed": wrong(inclusion(4, 7), lambda v: v["proof"].reverse()),
        "inclusion-proof-hash-33-bytes": wrong(inclusion(4, 7), lambda v: v["proof"].__setitem__(0, LEAF[5] + b"\0")),
        "inclusion-sides-swapped": wrong(inclusion(5, 7), lambda v: (
            v["hashes"].update(leaf_hash=LEAF[4]), v["proof"].__setitem__(0, LEAF[5]))),
        "consistency-good-4-to-7": consistency(4, 7),
        "consistency-good-6-to-13": consistency(6, 13),
        "consistency-good-7-to-8": consistency(7, 8),
        "consistency-good-equal": consistency(5, 5),
        "consistency-good-both-empty": consistency(0, 0),
        "consistency-from-empty": wrong(consistency(0, 5), lambda v: None),
        "consistency-from-empty-with-proof": wrong(consistency(0, 5), lambda v: v["proof"].extend(PROOF(4, D[:5]))),
        "consistency-empty-tree-with-a-root": wrong(consistency(0, 0), lambda v: (
            v["hashes"].update(old_root=LEAF[0], new_root=LEAF[0]))),
        "consistency-equal-with-proof": wrong(consistency(5, 5), lambda v: v["proof"].append(LEAF[0])),
        "consistency-equal-other-root": wrong(consistency(5, 5), put("hashes", "new_root", MTH(D[:6]))),
        "consistency-sizes-reversed": wrong(consistency(4, 7), lambda v: (
            v["numbers"].update(old_size=7, new_size=4),
            v["hashes"].update(old_root=MTH(D[:7]), new_root=MTH(D[:4])))),
        "consistency-old-size-negative": wrong(consistency(4, 7), put("numbers", "old_size", -4)),
        "consistency-old-size-not-bound": wrong(consistency(6, 13), put("numbers", "old_size", 5)),
        "consistency-new-size-not-bound": wrong(consistency(6, 13), put("numbers", "new_size", 17)),
        "consistency-old-root-not-compared": wrong(consistency(6, 13), put("hashes", "old_root", MTH(D[:5]))),
        "consistency-old-root-not-compared-power-of-two": wrong(
            consistency(4, 7), put("hashes", "old_root", MTH(D[1:5]))),
        "consistency-new-root-not-compared": wrong(consistency(6, 13), put("hashes", "new_root", MTH(D[:12]))),
        "consistency-roots-swapped": wrong(consistency(6, 13), lambda v: (
            v["hashes"].update(old_root=MTH(D[:13]), new_root=MTH(D[:6])))),
        "consistency-proof-empty": wrong(consistency(6, 13), lambda v: v["proof"].clear()),
        "consistency-proof-empty-power-of-two": wrong(consistency(4, 7), lambda v: v["proof"].clear()),
        "consistency-proof-starts-with-old-root": wrong(consistency(4, 7), lambda v: v["proof"].insert(0, MTH(D[:4]))),
        "consistency-proof-lacks-first": wrong(consistency(6, 13), lambda v: v["proof"].pop(0)),
        "consistency-proof-lacks-last": wrong(consistency(6, 13), lambda v: v["proof"].pop()),
        "consistency-proof-trailing-hash": wrong(consistency(6, 13), lambda v: v["proof"].append(EMPTY)),
        "consistency-proof-two-swapped": wrong(consistency(6, 13), swap(0, 1)),
        "consistency-history-rewritten": wrong(consistency(6, 13), lambda v: v.update(
            proof=PROOF(6, (b"forged", *D[1:13])))),
        "range-good-middle": run(2, 5, 7),
        "range-good-whole": run(0, 7, 7),
        "range-good-to-the-edge": run(3, 13, 13),
        "range-empty": wrong(run(2, 3, 7), lambda v: (v["numbers"].update(hi=2), v["hashes"].update(leaf_hashes=b""))),
        "range-reversed": wrong(run(2, 5, 7), lambda v: v["numbers"].update(lo=5, hi=2)),
        "range-shifted": wrong(run(2, 4, 8), lambda v: v["numbers"].update(lo=4, hi=6)),
        "range-beyond-the-tree": wrong(run(5, 7, 7), lambda v: v["numbers"].update(lo=6, hi=8)),
        "range-one-leaf-less": wrong(run(2, 5, 7), lambda v: v["hashes"].update(leaf_hashes=b"".join(LEAF[2:4]))),
        "range-leaves-swapped": wrong(run(2, 4, 7), lambda v: v["hashes"].update(leaf_hashes=LEAF[3] + LEAF[2])),
        "range-proof-trailing-hash": wrong(run(0, 7, 7), lambda v: v["proof"].append(EMPTY)),
        "range-proof-left-before-deep": wrong(run(3, 5, 8), swap(0, 1)),
        "range-size-not-bound": wrong(run(2, 5, 7), put("numbers", "size", 9)),
    }


def plain(value: Any) -> Any:
    """Bytes as hexadecimal, at any depth."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, vector in vectors().items():
        (FOLDER / f"{name}.json").write_text(json.dumps(plain(vector), indent=1) + "\n")


if __name__ == "__main__":
    main()
