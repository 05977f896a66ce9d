"""The files of static-ct-api over HTTP: which exist, their types, their caches, gzip."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from ctlog.http.static import accepts_gzip
from ctlog.merkle.hashing import hash_leaves
from ctlog.wire.checkpoint import open_checkpoint
from ctlog.wire.static_ct import merkle_tree_leaves, parse_data_tile
from tests.server import ORIGIN, RunningLog, running_log

pytestmark = pytest.mark.asyncio(loop_scope="module")
IMMUTABLE = "public, max-age=31536000, immutable"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def log(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningLog]:
    async with running_log(tmp_path_factory.mktemp("log"), description="a test") as log:
        await log.fill(260)
        yield log


async def test_the_checkpoint_is_signed_twice(log: RunningLog) -> None:
    answer = await log.get("checkpoint")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["Cache-Control"] == "public, max-age=2"
    signer = log.folder.signer()
    head = open_checkpoint(answer.body, ORIGIN, log.key, signer.checkpoint_key)
    assert head.size == 260


async def test_tiles_fit_together(log: RunningLog) -> None:
    level0 = await log.get("tile/0/000")
    assert level0.headers["Content-Type"] == "application/octet-stream"
    assert level0.headers["Cache-Control"] == IMMUTABLE
    data = await log.get("tile/data/000")
    assert hash_leaves(merkle_tree_leaves(data.body)) == level0.body
    edge = await log.get("tile/data/001.p/4")
    assert hash_leaves(merkle_tree_leaves(edge.body)) == (await log.get("tile/0/001.p/4")).body
    assert len((await log.get("tile/1/000.p/1")).body) == 32
    assert edge.headers["Cache-Control"] == IMMUTABLE
    assert "Content-Encoding" not in edge.headers


async def test_full_data_tiles_are_sent_compressed_to_whoever_takes_it(log: RunningLog) -> None:
    for path in ("tile/data/000", "tile/numbers/000"):
        plain = await log.ask("GET", path, headers={"Accept-Encoding": "identity"})
        packed = await log.ask("GET", path, headers={"Accept-Encoding": "gzip, deflate"})
        assert packed.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(packed.body) == plain.body
        assert len(packed.body) < len(plain.body)
        assert "Content-Encoding" not in plain.headers
        for answer in (plain, packed):
            assert answer.headers["Vary"] == "Accept-Encoding"
            assert answer.headers["Cache-Control"] == IMMUTABLE
            assert answer.headers["Content-Type"] == "application/octet-stream"


async def test_the_numbers_feed_has_a_line_for_each_entry(log: RunningLog) -> None:
    lines = (await log.ask("GET", "tile/numbers/000", headers={"Accept-Encoding": "identity"})).body.splitlines()
    found = [json.loads(line) for line in lines]
    assert [line["index"] for line in found] == list(range(256))
    assert {tuple(line["codes"]) for line in found} == {("709J",)}


async def test_every_issuer_resolves(log: RunningLog) -> None:
    data = await log.get("tile/data/001.p/4")
    for fingerprint in {fingerprint for leaf in parse_data_tile(data.body) for fingerprint in leaf.chain}:
        answer = await log.get(f"issuer/{fingerprint.hex()}")
        assert hashlib.sha256(answer.body).digest() == fingerprint
        assert answer.headers["Content-Type"] == "application/pkix-cert"
        assert answer.headers["Cache-Control"] == IMMUTABLE


async def test_log_v3_json(log: RunningLog) -> None:
    answer = await log.get("log.v3.json")
    assert answer.headers["Content-Type"] == "application/json"
    value = answer.json
    assert value["description"] == "a test"
    assert value["status"] == "active"
    assert value["mmd"] == 86400
    assert value["submission_url"] == f"https://{ORIGIN}/"
    assert "final_tree_head" not in value
    assert answer.body == (log.folder.path / "public" / "log.v3.json").read_bytes()


@pytest.mark.parametrize("path", [
    "tile/0/001", "tile/0/002.p/1", "tile/0/001.p/5", "tile/0/001.p/3", "tile/1/000.p/2", "tile/2/000.p/1",
    "tile/0/000.p/256", "tile/0/000.p/0", "tile/0/0", "tile/0/0000", "tile/0/x000/000", "tile/6/000.p/1", "tile/00/000",
    "tile/data/001", "tile/data/x", "tile/names/000", "tile/", "tile", "tile/0/../0/000", "tile/0/%2e%2e/0/000",
    "issuer/", "issuer/" + "0" * 64, "issuer/" + "A" * 64, "issuer/../checkpoint", "issuer/%2e%2e/checkpoint", "seed",
    "../seed", "..%2fseed", "%2e%2e/seed", "log.toml", "public/checkpoint", "tile/0/000/", "checkpoint/",
])
async def test_what_is_not_there_is_not_found(log: RunningLog, path: str) -> None:
    from yarl import URL

    async with log.session.get(URL(log.url + path, encoded=True)) as answer:
        assert answer.status == 404
        assert answer.headers["Cache-Control"] == "no-store"
        assert (await answer.json())["error_message"]


async def test_a_partial_tile_that_was_removed_is_gone(log: RunningLog) -> None:
    old = log.folder.path / "public" / "tile" / "0" / "000.p"
    for name in sorted(path.name for path in old.iterdir())[:1]:
        (old / name).unlink()
        assert (await log.get(f"tile/0/000.p/{name}")).status == 404


async def test_reads_are_open_to_every_origin(log: RunningLog) -> None:
    for path in ("checkpoint", "tile/0/000", "tile/data/000", "log.v3.json", "metrics", "health", ""):
        answer = await log.get(path)
        assert answer.status == 200
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        options = await log.ask("OPTIONS", path)
        assert (options.status, options.headers["Access-Control-Allow-Methods"]) == (204, "GET, HEAD, OPTIONS")


@pytest.mark.parametrize(("header", "yes"), [
    ("", False), ("gzip", True), ("GZIP", True), ("deflate, gzip;q=0.5", True), ("gzip;q=0", False),
    ("gzip; q=0.000", False), ("*", True), ("br", False), ("identity;q=1, *;q=0", False), ("x-gzip", True),
    ("gzipped", False), ("gzip;q=", True), (",,;,", False),
])
async def test_accept_encoding(header: str, yes: bool) -> None:
    assert accepts_gzip(header) == yes
