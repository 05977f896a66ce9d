"""ctlog.reindex: what is derived is made again as it was, and nothing else is touched."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ctlog.errors import StoreError
from ctlog.folder import Folder, open_folder
from ctlog.reindex import mend
from ctlog.sequencer.signer import open_head
from tests.whole_log import make_log

DERIVED = (
    "tile/0/000", "tile/0/001", "tile/0/002.p/84", "tile/1/000.p/2", "tile/numbers/000", "tile/numbers/002.p/84",
)  # fmt: skip


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return make_log(tmp_path_factory.mktemp("original") / "log", [256, 340])


@pytest.fixture
def folder(original: Folder, tmp_path: Path) -> Folder:
    shutil.copytree(original.path, tmp_path / "log")
    return open_folder(tmp_path / "log")


def files(folder: Folder) -> dict[str, tuple[bytes, int]]:
    public = folder.path / "public"
    found = [path for path in public.rglob("*") if path.is_file()]
    return {str(path.relative_to(public)): (path.read_bytes(), path.stat().st_ino) for path in found}


def run(folder: Folder) -> list[str]:
    written: list[str] = []
    head = open_head(folder.signer(), (folder.path / "public" / "checkpoint").read_bytes())
    domains = {record.fingerprint.hex(): record.domain for record in folder.roots.records()}
    assert mend(folder.path / "public", head, domains, written.append) == len(written)
    return written


def test_a_whole_log_is_not_touched(folder: Folder) -> None:
    before = files(folder)
    assert run(folder) == []
    assert files(folder) == before


@pytest.mark.parametrize("harm", ["missing", "bent", "cut", "empty"])
@pytest.mark.parametrize("path", DERIVED)
def test_what_is_damaged_is_as_it_was_and_the_rest_as_it_is(folder: Folder, path: str, harm: str) -> None:
    before = files(folder)
    file = folder.path / "public" / path
    data = file.read_bytes()
    if harm == "missing":
        file.unlink()
    else:
        file.write_bytes({"bent": bytes([data[0] ^ 1]) + data[1:], "cut": data[:-9], "empty": b""}[harm])
    assert run(folder) == [path]
    after = files(folder)
    assert {name: content for name, (content, _) in after.items()} == {n: content for n, (content, _) in before.items()}
    assert {name for name in before if after[name][1] != before[name][1]} <= {path}


def test_everything_derived_at_once(folder: Folder) -> None:
    before = {name: data for name, (data, _) in files(folder).items()}
    for kind in ("0", "1", "numbers"):
        shutil.rmtree(folder.path / "public" / "tile" / kind)
    written = run(folder)
    assert set(written) >= set(DERIVED)
    after = {name: data for name, (data, _) in files(folder).items()}
    assert after == {name: data for name, data in before.items() if name in after}


@pytest.mark.parametrize("path", ["tile/data/000", "tile/data/002.p/84"])
@pytest.mark.parametrize("harm", ["missing", "bent"])
def test_damaged_data_is_said_and_nothing_is_written(folder: Folder, path: str, harm: str) -> None:
    file = folder.path / "public" / path
    if harm == "missing":
        file.unlink()
    else:
        data = file.read_bytes()
        file.write_bytes(data[:100] + bytes([data[100] ^ 1]) + data[101:])
    (folder.path / "public" / "tile/1/000.p/2").unlink()
    before = files(folder)
    with pytest.raises(StoreError) as refusal:
        run(folder)
    assert refusal.value.reason == "data-damaged"
    assert files(folder) == before


def test_a_feed_cannot_be_made_without_the_issuers(folder: Folder) -> None:
    shutil.rmtree(folder.path / "public" / "issuer")
    (folder.path / "public" / "tile/numbers/000").unlink()
    with pytest.raises(StoreError, match="has no line"):
        run(folder)
