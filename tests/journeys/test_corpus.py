"""The real certificates of the ecosystem: into a log by `ctlog submit`, out by both APIs, checked by everything."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ctlog.merkle.tiles import entries_path
from ctlog.wire.rfc6962 import EntryType, format_extra_data_precert, format_extra_data_x509, format_merkle_tree_leaf
from ctlog.wire.static_ct import TileLeaf, parse_data_tile
from tests.corpus import CORPUS, leaves, need_corpus, pem_certificates
from tests.pem import pem
from tests.serving import command, serving

pytestmark = [pytest.mark.trial, need_corpus]


def get(url: str) -> bytes:
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept-Encoding": "gzip"})) as answer:
        data: bytes = answer.read()
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


def by_tiles(url: str, size: int) -> list[TileLeaf]:
    found: list[TileLeaf] = []
    for lo in range(0, size, 256):
        found += parse_data_tile(get(url + entries_path("data", lo // 256, min(256, size - lo))))
    return found


def by_get_entries(url: str, size: int) -> list[tuple[bytes, bytes]]:
    found: list[tuple[bytes, bytes]] = []
    while len(found) < size:
        answer = json.loads(get(f"{url}ct/v1/get-entries?start={len(found)}&end={size - 1}"))["entries"]
        assert answer
        found += [(base64.b64decode(one["leaf_input"]), base64.b64decode(one["extra_data"])) for one in answer]
    return found


def extra_data(leaf: TileLeaf, issuers: dict[bytes, bytes]) -> bytes:
    chain = [issuers[name] for name in leaf.chain]
    if leaf.entry.type == EntryType.PRECERT:
        return format_extra_data_precert(leaf.pre_certificate, chain)
    return format_extra_data_x509(chain)


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_the_whole_corpus_goes_through(tmp_path: Path) -> None:
    assert CORPUS is not None
    shaken = CORPUS / "shaken"
    roots = [shaken / name for name in ("roots.pem", "intermediates-without-issuer.pem", "null-parameters.pem")]
    command("create", tmp_path / "log", "--origin", "log.example/corpus", "--roots", *roots)
    names = ("leaves-2019-2022.pem.gz", "leaves-2023.pem.gz", "null-parameters.pem", "odd.pem")
    files = [shaken / name for name in names]
    every = {*leaves(), *pem_certificates(shaken / "odd.pem"), pem_certificates(shaken / "null-parameters.pem")[-1]}
    with serving(tmp_path / "log") as log:
        words = ("submit", log.url, *files, "--intermediates", shaken / "intermediates.pem", "--json")
        *first, total = lines(command(*words, state=tmp_path, check=1).stdout)
        accepted = [line for line in first if line["status"] == "logged"]
        assert total == {"status": "sum", "logged": len(every) - 1, "refused": {"unknown-root": 1}}
        (refused,) = [line for line in first if line["status"] == "refused"]
        assert Path(refused["file"]).name.partition("#")[0] == "odd.pem"
        assert sorted(line["index"] for line in accepted) == list(range(len(accepted)))

        # Again, without what was kept of the first time: the same SCTs, byte for byte, and no entry more (P6).
        *second, _ = lines(command(*words, "--again", state=tmp_path, check=1).stdout)
        assert {line["certificate_sha256"]: line.get("sct") for line in second} == {
            line["certificate_sha256"]: line.get("sct") for line in first
        }
        size = int(get(f"{log.url}checkpoint").split(b"\n")[1])
        assert size == len(accepted)
        check_both_apis(log.url, size, every)
        check_sample(log.url, accepted[:: len(accepted) // 12], every, tmp_path)
        assert "is whole" in command("fsck", log.url).stdout
    assert "is whole" in command("fsck", tmp_path / "log").stdout


def check_both_apis(url: str, size: int, every: set[bytes]) -> None:
    """Tiles and RFC 6962 tell of the same entries, and of every certificate that was submitted but the one refused."""
    tiles, entries = by_tiles(url, size), by_get_entries(url, size)
    issuers = {name: get(f"{url}issuer/{name.hex()}") for name in {name for leaf in tiles for name in leaf.chain}}
    assert all(hashlib.sha256(der).digest() == name for name, der in issuers.items())
    assert [(format_merkle_tree_leaf(leaf.timestamped), extra_data(leaf, issuers)) for leaf in tiles] == entries
    assert len(every - {leaf.entry.certificate for leaf in tiles}) == 1
    feed = [get(url + entries_path("numbers", lo // 256, min(256, size - lo))) for lo in range(0, size, 256)]
    told = [json.loads(line) for part in feed for line in part.splitlines()]
    assert [line["index"] for line in told] == list(range(size))
    findings = Counter(name for line in told for name in line["findings"])
    assert findings["tnauthlist-no-tag"] == 2  # the bare PrintableStrings of odd.pem
    assert sum(bool(line["codes"] or "unindexable" in line["labels"]) for line in told) > size - 5


def check_sample(url: str, sample: list[dict[str, Any]], every: set[bytes], tmp_path: Path) -> None:
    by_hash = {hashlib.sha256(der).hexdigest(): der for der in every}
    key = json.loads(get(f"{url}log.v3.json"))["key"]
    for line in sample:
        (tmp_path / "one.pem").write_bytes(pem(by_hash[line["certificate_sha256"]]))
        ran = command("verify", tmp_path / "one.pem", "--log", url, "--key", key, "--json", state=tmp_path)
        assert json.loads(ran.stdout)["index"] == line["index"]
