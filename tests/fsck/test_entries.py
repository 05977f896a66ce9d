"""ctlog.fsck.entries: the entries of one tile, bent one at a time. (Whole logs, bent bit by bit: test_whole.py.)"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

import pytest

from ctlog import issuance
from ctlog.admission import Policy, accept
from ctlog.errors import NotFoundError
from ctlog.fsck.entries import Entries, Memory
from ctlog.issuance import DAY_MS, Subject
from ctlog.merkle.tiles import Tile
from ctlog.sequencer.forms import StaticCtForm
from ctlog.wire.rfc6962 import EntryType
from ctlog.wire.static_ct import DataTile, TileLeaf, format_tile_leaf, parse_data_tile
from ctlog.x509.chain import Roots, accepted_root
from tests.whole_log import FIRST, LEAF_SPKI, NOW, chain

FORM = StaticCtForm()
NAMES = ("tile/data/000.p/6", "tile/numbers/000.p/6")
ISSUERS: dict[str, bytes] = {}


class Made(NamedTuple):
    data: bytes
    feed: bytes


def make(count: int = 6, now_ms: int = NOW, step_ms: int = 5) -> Made:
    """A tile's entries, each a batch of its own."""
    policy = Policy(Roots([accepted_root(FIRST.above[0], "us-shaken")]))
    data = feed = b""
    for index, number in enumerate([1, 2, 3, 4, 6, 7][:count]):  # none of the second CA
        entry = accept(*chain(number), policy, now_ms)
        ISSUERS.update(FORM.attachments(entry))
        (placed,) = FORM.place([entry], index, now_ms + index * step_ms)
        data, feed = data + placed.pieces[0], feed + placed.pieces[1]
    return Made(data, feed)


GOOD = make()


def read(path: str) -> bytes:
    if path not in ISSUERS:
        raise NotFoundError(path)
    return ISSUERS[path]


def check(
    made: Made, doubt: Sequence[int] = (), *, quick: bool = False, head_ms: int = 1 << 60
) -> list[tuple[str, str]]:
    said: list[tuple[str, str]] = []
    entries = Entries(read, lambda path, sentence: said.append((path, sentence)), head_ms, Memory(), quick=quick)
    tile = DataTile(made.data)
    entries.check(Tile(0, 0, len(tile)), tile, made.feed, frozenset(doubt))
    return said


def with_leaf(at: int, **changes: object) -> Made:
    leaves = parse_data_tile(GOOD.data)
    leaves[at] = leaves[at]._replace(**changes)
    return GOOD._replace(data=b"".join(map(format_tile_leaf, leaves)))


def with_line(at: int, **changes: object) -> Made:
    lines = GOOD.feed.splitlines()
    lines[at] = json.dumps({**json.loads(lines[at]), **changes}, separators=(",", ":")).encode()
    return GOOD._replace(feed=b"\n".join(lines) + b"\n")


def leaf(at: int) -> TileLeaf:
    return parse_data_tile(GOOD.data)[at]


def test_a_good_tile_is_good_and_its_sums_are_kept() -> None:
    said: list[tuple[str, str]] = []
    entries = Entries(read, lambda *one: said.append(one), 1 << 60, Memory(), quick=False)  # type: ignore[arg-type]
    entries.check(Tile(0, 0, 6), DataTile(GOOD.data), GOOD.feed, frozenset())
    assert said == []
    assert entries.times == [(index, NOW + 5 * index) for index in range(6)]
    assert set(entries.issuers.values()) == {("tile/data/000.p/6", 6)}
    assert entries.domains == {(leaf(0).chain[-1].hex(), "us-shaken"): "tile/numbers/000.p/6"}
    assert entries.unsure == set()


@pytest.mark.parametrize(
    ("made", "path", "words"),
    [
        (with_leaf(2, extensions=leaf(3).extensions), NAMES[0], "own index"),
        (with_leaf(2, timestamp_ms=NOW + 3), NAMES[0], "older than the one before it"),
        (with_leaf(0, pre_certificate=leaf(1).pre_certificate), NAMES[0], "whose TBSCertificate was logged"),
        (with_leaf(0, pre_certificate=leaf(0).pre_certificate[:-1] + b"\0"), NAMES[0], "different certificates"),
        (with_leaf(0, chain=leaf(0).chain[:1]), NAMES[1], "not what its certificate says"),
        (with_leaf(0, chain=()), NAMES[0], "entry 0: "),
        (with_line(2, index=3), NAMES[1], "not of its index and time"),
        (with_line(2, timestamp=3), NAMES[1], "not of its index and time"),
        (with_line(2, certificate="00" * 32), NAMES[1], "different certificates"),
        (with_line(2, labels=[]), NAMES[1], "not what its certificate says"),
        (with_line(1, certificate="00" * 32), NAMES[1], "different certificates"),
        (GOOD._replace(feed=GOOD.feed[:-1]), NAMES[1], "lines, not 6"),
        (GOOD._replace(feed=b""), NAMES[1], "0 lines, not 6"),
    ],
)
def test_what_is_wrong_is_said_of_the_file_that_is_wrong(made: Made, path: str, words: str) -> None:
    said = check(made)
    assert any(found == path and words in sentence for found, sentence in said), said


def test_doubtful_entries_are_left_out() -> None:
    assert check(with_leaf(2, timestamp_ms=NOW + 9, extensions=leaf(3).extensions), doubt=[2]) == []
    assert check(with_line(2, certificate="00" * 32), doubt=[2]) == []


def test_quick_compares_only_the_frame_of_a_line() -> None:
    assert check(with_line(2, labels=[]), quick=True) == []
    assert check(with_line(2, index=3), quick=True) != []
    assert check(with_leaf(0, pre_certificate=leaf(1).pre_certificate), quick=True) != []


def test_a_line_of_another_version_is_believed_about_what_only_it_knows() -> None:
    assert check(with_line(2, v=2, labels=["whatever"])) == []


def test_entries_newer_than_the_head_are_said() -> None:
    assert "newer than the signed head" in check(GOOD, head_ms=NOW + 24)[0][1]


def test_a_missing_issuer_is_for_others_to_say(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = Entries(lambda path: b"", lambda *one: pytest.fail(str(one)), 1 << 60, Memory(), quick=False)
    entries.check(Tile(0, 0, 6), DataTile(GOOD.data), GOOD.feed, frozenset())
    assert entries.unsure == {"tile/data/000.p/6"}


def test_a_certificate_that_expired_between_its_line_and_its_batch_is_no_damage() -> None:
    policy = Policy(Roots([accepted_root(FIRST.above[0], "us-shaken")]))
    who = Subject(issuance.name(CN="short"), LEAF_SPKI, NOW - DAY_MS, NOW)
    der = FIRST.certificate_for(issuance.delegate_leaf(FIRST, who, issuance.one("12025550123")))
    entry = accept([der, *FIRST.chain], EntryType.X509, policy, NOW)
    (placed,) = FORM.place([entry], 0, NOW + 30_000)
    made = Made(*placed.pieces)
    assert b"expired" not in made.feed
    assert check(made) == []
    (placed,) = FORM.place([entry], 0, NOW + 3_600_000)
    assert check(Made(*placed.pieces)) != []
