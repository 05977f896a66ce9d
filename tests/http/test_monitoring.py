"""RFC 6962 reads over HTTP, at every size that matters, against a transcription of the RFC; and their codes."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from ctlog.merkle.hashing import leaf_hash
from ctlog.merkle.proof import verify_consistency, verify_inclusion
from ctlog.wire.rfc6962 import (
    EntryType,
    format_merkle_tree_leaf,
    parse_extra_data_precert,
    parse_extra_data_x509,
    parse_merkle_tree_leaf,
    sct_from_json,
    sth_from_json,
)
from ctlog.wire.static_ct import parse_data_tile, parse_leaf_index
from tests.rfc6962_tree import MTH, PATH, PROOF
from tests.server import RunningLog, running_log

pytestmark = pytest.mark.asyncio(loop_scope="module")
SIZE = 300  # more than one tile
SIZES = [1, 2, 3, 5, 8, 100, 255, 256, 257, 299, 300]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def log(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningLog]:
    async with running_log(tmp_path_factory.mktemp("log")) as log:
        await log.fill(SIZE)
        yield log


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def leaves(log: RunningLog) -> tuple[bytes, ...]:
    """Every leaf as get-entries gives it."""
    found: list[bytes] = []
    while len(found) < SIZE:
        answer = await log.get("ct/v1/get-entries", start=len(found), end=SIZE - 1)
        found += [unbase64(entry["leaf_input"]) for entry in answer.json["entries"]]
    return tuple(found)


def unbase64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def unbase64_all(texts: list[str]) -> list[bytes]:
    return [unbase64(text) for text in texts]


async def test_get_sth_is_signed_and_is_the_checkpoint(log: RunningLog, leaves: tuple[bytes, ...]) -> None:
    answer = await log.get("ct/v1/get-sth")
    assert answer.headers["Cache-Control"] == "no-store"
    sth = sth_from_json(answer.json)
    log.key.verify_tree_head(sth)
    assert sth.size == SIZE
    assert sth.root == MTH(leaves)
    checkpoint = (await log.get("checkpoint")).body.decode().splitlines()
    assert checkpoint[:3] == ["log.test/2026", str(SIZE), base64.b64encode(sth.root).decode()]


async def test_every_consistency_proof_is_the_rfcs(log: RunningLog, leaves: tuple[bytes, ...]) -> None:
    for second in SIZES:
        for first in [size for size in SIZES if size <= second]:
            answer = await log.get("ct/v1/get-sth-consistency", first=first, second=second)
            proof = unbase64_all(answer.json["consistency"])
            assert proof == PROOF(first, leaves[:second])
            verify_consistency(first, second, MTH(leaves[:first]), MTH(leaves[:second]), proof)
            assert answer.headers["Cache-Control"] == "public, max-age=86400"


async def test_every_inclusion_proof_is_the_rfcs(log: RunningLog, leaves: tuple[bytes, ...]) -> None:
    for size in SIZES:
        for index in {0, size // 3, size // 2, size - 1}:
            wanted = leaf_hash(leaves[index])
            answer = await log.get("ct/v1/get-proof-by-hash", hash=base64.b64encode(wanted).decode(), tree_size=size)
            assert answer.json["leaf_index"] == index
            path = unbase64_all(answer.json["audit_path"])
            assert path == PATH(index, leaves[:size])
            verify_inclusion(index, size, wanted, path, MTH(leaves[:size]))
            assert answer.headers["Cache-Control"] == "public, max-age=86400"
            both = await log.get("ct/v1/get-entry-and-proof", leaf_index=index, tree_size=size)
            assert both.json["leaf_input"] == base64.b64encode(leaves[index]).decode()
            assert both.json["audit_path"] == answer.json["audit_path"]
            assert both.headers["Cache-Control"] == "public, max-age=86400"


async def test_a_proof_is_found_by_a_hash_that_was_not_percent_encoded(log: RunningLog,
                                                                       leaves: tuple[bytes, ...]) -> None:
    with_plus = next(leaf for leaf in leaves if b"+" in base64.b64encode(leaf_hash(leaf)))
    text = base64.b64encode(leaf_hash(with_plus)).decode()
    raw = await raw_get(log, f"/ct/v1/get-proof-by-hash?hash={text}&tree_size={SIZE}")
    assert raw.startswith(b"HTTP/1.1 200")


async def test_entries_are_those_of_the_data_tiles(log: RunningLog, leaves: tuple[bytes, ...]) -> None:
    first = parse_data_tile((await log.get("tile/data/000")).body)
    rest = parse_data_tile((await log.get("tile/data/001.p/44")).body)
    assert [format_merkle_tree_leaf(leaf.timestamped) for leaf in first + rest] == list(leaves)
    answer = await log.get("ct/v1/get-entries", start=250, end=262)
    for entry, leaf in zip(answer.json["entries"], (first + rest)[250:263], strict=True):
        assert set(entry) == {"leaf_input", "extra_data"}
        timestamped = parse_merkle_tree_leaf(unbase64(entry["leaf_input"]))
        if timestamped.entry.type is EntryType.PRECERT:
            precert, chain = parse_extra_data_precert(unbase64(entry["extra_data"]))
            assert precert == leaf.pre_certificate
        else:
            chain = parse_extra_data_x509(unbase64(entry["extra_data"]))
        assert chain == log.authority.chain
        assert tuple(hashlib.sha256(der).digest() for der in chain) == leaf.chain


async def test_every_entry_says_its_own_index(leaves: tuple[bytes, ...]) -> None:
    assert [parse_leaf_index(parse_merkle_tree_leaf(leaf).extensions) for leaf in leaves] == list(range(SIZE))


@pytest.mark.parametrize(("start", "end", "count", "cache"), [
    (0, 0, 1, "public, max-age=86400"),
    (10, 19, 10, "public, max-age=86400"),
    (0, 299, 300, "public, max-age=86400"),
    (290, 310, 10, "no-store"),  # cut by the end of the tree: it may grow
    (299, 10**18, 1, "no-store"),
    (0, 999, 300, "no-store"),
])
async def test_get_entries_is_cut_where_the_tree_ends(log: RunningLog, start: int, end: int, count: int,
                                                      cache: str) -> None:
    answer = await log.get("ct/v1/get-entries", start=start, end=end)
    assert answer.status == 200
    assert len(answer.json["entries"]) == count
    assert answer.headers["Cache-Control"] == cache


async def test_get_entries_is_cut_at_a_tile_when_too_much_is_asked(log: RunningLog,
                                                                   monkeypatch: pytest.MonkeyPatch) -> None:
    from ctlog.http import monitoring

    monkeypatch.setattr(monitoring, "MAX_ENTRIES", 280)
    for start, end, count in [(0, 299, 256), (0, 279, 280), (0, 280, 256), (5, 299, 251), (256, 299, 44)]:
        answer = await log.get("ct/v1/get-entries", start=start, end=end)
        assert len(answer.json["entries"]) == count
        assert answer.headers["Cache-Control"] == "public, max-age=86400"


async def test_get_roots(log: RunningLog) -> None:
    answer = await log.get("ct/v1/get-roots")
    assert unbase64_all(answer.json["certificates"]) == [log.authority.chain[-1]]


async def test_consistency_from_nothing_is_an_empty_list(log: RunningLog) -> None:
    for second in (0, 1, SIZE, 10**6):
        answer = await log.get("ct/v1/get-sth-consistency", first=0, second=second)
        assert (answer.status, answer.body) == (200, b'{"consistency":[]}')


HASH = base64.b64encode(bytes(32)).decode()


@pytest.mark.parametrize(("call", "query", "status", "reason"), [
    ("get-sth-consistency", {"first": 5, "second": 4}, 400, "sizes-reversed"),
    ("get-sth-consistency", {"first": 1, "second": SIZE + 1}, 400, "beyond-tree"),
    ("get-sth-consistency", {"first": 1}, 400, "missing-parameter"),
    ("get-sth-consistency", {"first": -1, "second": 1}, 400, "bad-number"),
    ("get-sth-consistency", {"first": "1e1", "second": 20}, 400, "bad-number"),
    ("get-sth-consistency", {"first": "٣", "second": 20}, 400, "bad-number"),
    ("get-sth-consistency", {"first": 1, "second": 1 << 63}, 400, "bad-number"),
    ("get-sth-consistency", {"first": 1, "second": "9" * 5000}, 400, "bad-number"),
    ("get-proof-by-hash", {"hash": HASH, "tree_size": SIZE}, 404, "unknown-hash"),
    ("get-proof-by-hash", {"hash": HASH, "tree_size": SIZE + 1}, 404, "beyond-tree"),
    ("get-proof-by-hash", {"hash": HASH, "tree_size": 0}, 400, "bad-number"),
    ("get-proof-by-hash", {"hash": HASH}, 400, "missing-parameter"),
    ("get-proof-by-hash", {"hash": "%%%", "tree_size": 1}, 400, "malformed"),
    ("get-proof-by-hash", {"hash": HASH[4:], "tree_size": 1}, 400, "malformed"),
    ("get-proof-by-hash", {"tree_size": 1}, 400, "missing-parameter"),
    ("get-entries", {"start": SIZE, "end": SIZE}, 400, "beyond-tree"),
    ("get-entries", {"start": 2, "end": 1}, 400, "sizes-reversed"),
    ("get-entries", {"start": 2}, 400, "missing-parameter"),
    ("get-entries", {"start": "x", "end": 1}, 400, "bad-number"),
    ("get-entry-and-proof", {"leaf_index": 0, "tree_size": SIZE + 1}, 400, "beyond-tree"),
    ("get-entry-and-proof", {"leaf_index": 5, "tree_size": 5}, 400, "beyond-tree"),
    ("get-entry-and-proof", {"leaf_index": 0, "tree_size": 0}, 400, "bad-number"),
])
async def test_what_is_wrong_is_said_as_clients_expect(log: RunningLog, call: str, query: dict[str, Any], status: int,
                                                       reason: str) -> None:
    answers = [await log.get(prefix + call, **query) for prefix in ("ct/v1/", "stict/v1/")]
    assert {answer.status for answer in answers} == {status}
    assert answers[0].json["reason"] == reason
    assert answers[0].json["error_message"]
    assert answers[0].body == answers[1].body
    assert answers[0].headers["Cache-Control"] == "no-store"


async def test_a_hash_of_a_later_entry_is_unknown_to_an_earlier_tree(log: RunningLog,
                                                                     leaves: tuple[bytes, ...]) -> None:
    wanted = base64.b64encode(leaf_hash(leaves[10])).decode()
    assert (await log.get("ct/v1/get-proof-by-hash", hash=wanted, tree_size=10)).status == 404
    assert (await log.get("ct/v1/get-proof-by-hash", hash=wanted, tree_size=11)).status == 200


async def test_both_prefixes_and_methods(log: RunningLog) -> None:
    for call in ("get-sth", "get-roots", "get-sth-consistency?first=1&second=3", "get-entries?start=0&end=2",
                 "get-entry-and-proof?leaf_index=1&tree_size=3"):
        one, two = await log.get(f"ct/v1/{call}"), await log.get(f"stict/v1/{call}")
        assert one.status == two.status == 200
        assert one.body == two.body
        head = await log.ask("HEAD", f"ct/v1/{call}")
        assert (head.status, head.body, head.headers["Content-Length"]) == (200, b"", str(len(one.body)))
        wrong = await log.ask("POST", f"ct/v1/{call}")
        assert (wrong.status, wrong.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")
        assert one.headers["Access-Control-Allow-Origin"] == "*"


async def test_the_sct_of_a_certificate_comes_again_byte_for_byte(log: RunningLog) -> None:
    for call, der in (("add-chain", log.certificate()), ("add-pre-chain", log.precertificate())):
        given = (await log.post(call, [der, *log.authority.chain])).json
        fingerprint = hashlib.sha256(der).hexdigest()
        for text in (fingerprint, fingerprint.upper()):
            again = await log.get(f"sct/{text}")
            assert again.status == 200
            assert again.json == {"leaf_index": parse_leaf_index(sct_from_json(given).extensions), **given}
    for path, status in (("sct/" + "0" * 64, 404), ("sct/xyz", 400), ("sct/", 400), ("sct/" + "0" * 63, 400)):
        assert (await log.get(path)).status == status


async def test_a_rotten_tile_is_never_proven_from(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with running_log(tmp_path) as log:
        await log.fill(3)
        tile = log.folder.path / "public" / "tile" / "0" / "000.p" / "3"
        data = bytearray(tile.read_bytes())
        data[40] ^= 1
        tile.chmod(0o644)
        tile.write_bytes(data)
        answer = await log.get("ct/v1/get-sth-consistency", first=2, second=3)
        assert answer.status == 500
        assert answer.json["id"] in caplog.text
        assert "tile/0/000.p/3" in caplog.text
        assert "tile/0/000.p/3" not in answer.body.decode()


async def raw_get(log: RunningLog, target: str) -> bytes:
    """A GET whose target goes over the wire as it is."""
    import asyncio

    host, port = log.url.removeprefix("http://").rstrip("/").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    try:
        return await reader.read()
    finally:
        writer.close()
