"""ctlog.fsck over a real log on the disk: every file bent in every way, and named."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
from pathlib import Path

import pytest

from ctlog.errors import TransportError
from ctlog.folder import Folder, open_folder
from ctlog.fsck.sources import FolderSource
from ctlog.fsck.whole import Options, Report, check_log
from ctlog.wire.static_ct import format_tile_leaf, parse_data_tile
from ctlog.x509.der import parse_certificate
from tests.whole_log import FIRST, SECOND, make_log

BATCHES = (250, 6, 300, 40)  # 596 entries: two full tiles, a partial one, and partial ones that were left over
DOMAINS = {
    hashlib.sha256(FIRST.above[0]).hexdigest(): frozenset({"us-shaken"}),
    hashlib.sha256(SECOND.above[0]).hexdigest(): frozenset({"rcs"}),
}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return make_log(tmp_path_factory.mktemp("original") / "log", BATCHES)


@pytest.fixture
def folder(original: Folder, tmp_path: Path) -> Folder:
    shutil.copytree(original.path, tmp_path / "log")
    return open_folder(tmp_path / "log")


def public(folder: Folder, path: str = "") -> Path:
    return folder.path / "public" / path


def check(folder: Folder, **options: object) -> Report:
    signer = folder.signer()
    source = FolderSource(public(folder))
    return check_log(source, signer.key, signer.checkpoint_key, Options(processes=1, **options))  # type: ignore[arg-type]


def named(report: Report) -> set[str]:
    return {damage.path for damage in report.damages}


def files(folder: Folder) -> list[str]:
    return sorted(str(p.relative_to(public(folder))) for p in public(folder).rglob("*") if p.is_file())


def left_over(folder: Folder, kind: str) -> list[str]:
    """Partial tiles of which a wider one exists."""
    now = {"tile/0/002.p/84", "tile/1/000.p/2", "tile/data/002.p/84", "tile/numbers/002.p/84"}
    return [path for path in files(folder) if path.startswith(f"tile/{kind}/") and ".p/" in path and path not in now]


def test_a_whole_log_is_clean_and_has_all_that_the_tests_need(original: Folder) -> None:
    report = check(original)
    assert report.damages == []
    assert report.head is not None
    assert report.head.size == sum(BATCHES)
    assert all(left_over(original, kind) for kind in ("0", "1", "data", "numbers"))
    assert check(original, quick=True).clean


def bend(path: Path, harm: str) -> None:
    data = path.read_bytes()
    if harm == "missing":
        path.unlink()
    elif harm == "empty":
        path.write_bytes(b"")
    elif harm == "cut":
        path.write_bytes(data[: len(data) * 2 // 3])
    elif harm == "longer":
        path.write_bytes(data + data[:7])
    else:
        at = {"first": 0, "middle": len(data) // 2, "last": len(data) - 1}[harm]
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x04]) + data[at + 1 :])


HARMS = ("missing", "empty", "cut", "longer", "first", "middle", "last")
PLACES = (
    "checkpoint", "log.v3.json", "tile/0/000", "tile/0/001", "tile/0/002.p/84", "tile/1/000.p/2", "tile/data/000",
    "tile/data/001", "tile/data/002.p/84", "tile/numbers/000", "tile/numbers/002.p/84",
)  # fmt: skip


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("path", PLACES)
def test_each_file_is_named_and_no_other(folder: Folder, path: str, harm: str) -> None:
    assert path in files(folder)
    bend(public(folder, path), harm)
    report = check(folder)
    if path == "log.v3.json" and harm in ("missing", "middle"):
        assert named(report) <= {path}  # it need not be there; a letter of a URL is beyond checking
    else:
        assert named(report) == {path}


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("kind", ["0", "1", "data", "numbers"])
def test_a_partial_tile_that_was_left_over_is_named_or_may_be_gone(folder: Folder, kind: str, harm: str) -> None:
    for path in left_over(folder, kind):
        bend(public(folder, path), harm)
        assert named(check(folder)) == (set() if harm == "missing" else {path})
        public(folder, path).unlink(missing_ok=True)


@pytest.mark.parametrize("harm", HARMS)
def test_each_issuer_is_named(folder: Folder, harm: str) -> None:
    for path in [path for path in files(folder) if path.startswith("issuer/")]:
        before = public(folder, path).read_bytes()
        bend(public(folder, path), harm)
        assert named(check(folder)) == {path}
        public(folder, path).write_bytes(before)


def test_an_issuer_that_nobody_needs_must_still_be_what_its_name_says(folder: Folder) -> None:
    public(folder, "issuer/" + "ab" * 32).write_bytes(b"hello")
    assert named(check(folder)) == {"issuer/" + "ab" * 32}


def flips(folder: Folder, path: str, stride: int) -> list[set[str]]:
    """What is named when single bits of a file are turned, one at a time."""
    data = public(folder, path).read_bytes()
    found = []
    for at in range(0, len(data), stride):
        public(folder, path).write_bytes(data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :])
        found.append(named(check(folder, domains=DOMAINS)))
    public(folder, path).write_bytes(data)
    return found


def test_any_bit_of_a_tile_is_noticed_where_it_is(tmp_path: Path) -> None:
    small = make_log(tmp_path / "log", [4])
    for path in files(small):  # on a busy machine they come in two batches, and of two tiles either may be the bent one
        if ".p/" in path and not path.endswith("/4") and "tile/" in path:
            public(small, path).unlink()
    for path, stride in (("tile/0/000.p/4", 37), ("tile/numbers/000.p/4", 37), ("tile/data/000.p/4", 13)):
        found = flips(small, path, stride)
        assert [(at * stride, names) for at, names in enumerate(found) if names != {path}] == []


@pytest.mark.parametrize("place", [0, 3, 200])  # of a kind that was not met before, and of one that was
def test_a_line_of_the_feed_that_lies_is_named_though_its_frame_is_right(folder: Folder, place: int) -> None:
    path = public(folder, "tile/numbers/000")
    lines = gzip.decompress(path.read_bytes()).split(b"\n")
    for other in left_over(folder, "numbers"):
        public(folder, other).unlink()
    for change in (
        {"numbers": ["12025559999"]}, {"subject": "CN=somebody"}, {"findings": ["expired"]}, {"issuer": "CN=x"},
        {"ca": True}, {"certificate": "00" * 32}, {"index": 4}, {"timestamp": 4}, {"trust_domain": "x"},
        {"key": "00" * 32}, {"not_before": 1}, {"not_after": None}, {"labels": []}, {"root": "00" * 32},
        {"kind": "x"}, {"issuer_key": "00" * 32}, {"codes": ["709J"]}, {"family": "rcs"},
    ):  # fmt: skip
        value = {**json.loads(lines[place]), **change}
        bent = [*lines[:place], json.dumps(value, separators=(",", ":")).encode(), *lines[place + 1 :]]
        path.write_bytes(gzip.compress(b"\n".join(bent)))
        assert named(check(folder, domains=DOMAINS)) == {"tile/numbers/000"}, change




def test_quick_leaves_out_claims_and_nothing_else(folder: Folder) -> None:
    path = public(folder, "tile/numbers/000")
    for other in left_over(folder, "numbers"):
        public(folder, other).unlink()
    text = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(text.replace(b'"12025550253"', b'"12025550254"')))
    assert named(check(folder)) == {"tile/numbers/000"}
    assert check(folder, quick=True).clean
    path.write_bytes(gzip.compress(text.replace(b'"index":3', b'"index":4')))
    assert named(check(folder, quick=True)) == {"tile/numbers/000"}


def test_two_damages_are_both_named(folder: Folder) -> None:
    bend(public(folder, "tile/0/000"), "middle")
    bend(public(folder, "tile/data/001"), "middle")
    assert named(check(folder)) == {"tile/0/000", "tile/data/001"}


def test_entries_that_were_replaced_with_all_their_hashes_do_not_make_the_root(tmp_path: Path) -> None:
    one, other = make_log(tmp_path / "one" / "log", [5]), make_log(tmp_path / "other" / "log", [5])
    checkpoint = public(one, "checkpoint").read_bytes()
    shutil.rmtree(public(one))
    shutil.copytree(public(other), public(one))
    public(one, "checkpoint").write_bytes(checkpoint)
    report = check(one)
    assert "checkpoint" in named(report)
    assert any("make another root than the signed one" in damage.sentence for damage in report.damages)


def test_an_empty_log_is_clean(tmp_path: Path) -> None:
    report = check(make_log(tmp_path / "log", []))
    assert report.clean
    assert report.head is not None
    assert report.head.size == 0


def test_another_key_names_the_checkpoint(folder: Folder, tmp_path: Path) -> None:
    other = make_log(tmp_path / "other" / "log", [])
    signer = other.signer()
    report = check_log(FolderSource(public(folder)), signer.key, None, Options(processes=1))
    assert named(report) == {"checkpoint"}
    assert report.head is None


def test_a_folder_that_cannot_be_read_is_damaged_and_not_an_error(folder: Folder) -> None:
    public(folder, "checkpoint").unlink()
    public(folder, "checkpoint").mkdir()
    assert named(check(folder)) == {"checkpoint"}


def test_a_network_that_fails_is_no_damage() -> None:
    class Broken:
        folder = None

        def read(self, path: str) -> bytes:
            raise TransportError("no")

        def files(self, span: object, size: int) -> dict[str, bytes]:
            raise TransportError("no")

    from tests.small_log import KEY

    with pytest.raises(TransportError):
        check_log(Broken(), KEY, None, Options())  # type: ignore[arg-type]


def test_several_processes_say_the_same(folder: Folder) -> None:
    bend(public(folder, "tile/data/001"), "middle")
    signer = folder.signer()
    report = check_log(FolderSource(public(folder)), signer.key, signer.checkpoint_key, Options(processes=2))
    assert named(report) == {"tile/data/001"}


def test_an_odd_entry_among_many_alike_is_named(folder: Folder) -> None:
    """A precertificate that is not the one whose TBSCertificate was logged, after 300 that are."""
    for kind in ("0", "1", "data", "numbers"):
        for other in left_over(folder, kind):
            public(folder, other).unlink()
    path = public(folder, "tile/data/001")
    entries = parse_data_tile(gzip.decompress(path.read_bytes()))
    odd = next(at for at, leaf in enumerate(entries) if at > 50 and leaf.pre_certificate)
    der = entries[odd].pre_certificate
    serial = parse_certificate(der).serial
    at = der.index(serial, 10) + len(serial) - 1
    entries[odd] = entries[odd]._replace(pre_certificate=der[:at] + bytes([der[at] ^ 1]) + der[at + 1 :])
    path.write_bytes(gzip.compress(b"".join(map(format_tile_leaf, entries))))
    assert named(check(folder)) == {"tile/data/001"}
