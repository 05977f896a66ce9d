"""The whole log: its checkpoint, its spans joined to its root, the tiles above them, its issuers.

In scope: everything that is published. Spans are checked by all cores; here they meet: times go on from one to the
next, the hashes of their tiles make the upper tiles and, at last, the root that the log signed. Out of scope: what an
operator has besides (`stores`).
"""

from __future__ import annotations

import binascii
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from ctlog.client.parallel import Damage, map_in_order, plan_spans
from ctlog.errors import CtlogError, NotFoundError, TransportError
from ctlog.fsck.sources import Source
from ctlog.fsck.span import SpanChecker, SpanResult, SpanTask, partial_files
from ctlog.merkle.hashing import fold_many
from ctlog.merkle.tiles import WIDTH, Tile, tile_path, tiles_of
from ctlog.merkle.tree import HASH_SIZE, Frontier
from ctlog.wire.checkpoint import SignedHead, open_checkpoint, parse_checkpoint
from ctlog.wire.rfc6962 import LogKey
from ctlog.wire.signed_note import NoteVerifier, parse_note

_SMALL = 20_000  # entries that are checked sooner than worker processes have begun
_SPAN_TILES = 16  # 4,096 entries: a second of work when certificates are read too, so that progress is seen


@dataclass(slots=True)
class Report:
    """What was found. `head` is None where the checkpoint itself is damaged: then nothing else could be checked."""

    head: SignedHead | None = None
    damages: list[Damage] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What is no damage, and worth knowing."""

    @property
    def clean(self) -> bool:
        """Is everything as the log signed it?"""
        return not self.damages


@dataclass(frozen=True, slots=True)
class Options:
    """How to check. `quick` leaves out what has to be derived from certificates, `with_keys` is for the look-ups;
    `domains` says, for each root in hex, under which trust domains it was ever accepted, where that is known;
    `on_span` is called for each span that was checked, in order."""

    quick: bool = False
    with_keys: bool = False
    domains: Mapping[str, frozenset[str]] | None = None
    processes: int | None = None
    on_span: Callable[[SpanResult], None] = lambda result: None


def check_log(source: Source, key: LogKey, ed25519: NoteVerifier | None, options: Options) -> Report:
    """Recompute a log. Raises TransportError where a network fails, for that is no damage."""
    report = Report()
    head = report.head = _head(source, key, ed25519, report)
    if head is None:
        return report
    tasks = (
        SpanTask(
            span, head.size, head.timestamp_ms, source.files(span, head.size), options.quick, options.with_keys
        )
        for span in plan_spans(0, head.size, _SPAN_TILES)
    )
    whole = _Whole(source, head, report)
    processes = options.processes or (1 if head.size < _SMALL else None)
    for result in map_in_order(SpanChecker(), tasks, processes):
        whole.add(result)
        options.on_span(result)
    whole.finish()
    _check_metadata(source, key, report)
    _check_domains(whole.domains, options.domains, report)
    return report


def _head(source: Source, key: LogKey, ed25519: NoteVerifier | None, report: Report) -> SignedHead | None:
    try:
        note = source.read("checkpoint")
    except TransportError:
        if source.folder is None:
            raise
        report.damages.append(Damage("checkpoint", "it cannot be read"))
        return None
    except CtlogError:
        report.damages.append(Damage("checkpoint", "it is missing"))
        return None
    try:
        return open_checkpoint(note, parse_checkpoint(parse_note(note).text).origin, key, ed25519)
    except CtlogError as error:
        report.damages.append(Damage("checkpoint", str(error)))
        return None


class _Whole:
    """Takes the spans' results in order, and then looks at what lies above them."""

    def __init__(self, source: Source, head: SignedHead, report: Report) -> None:
        self._source = source
        self._head = head
        self._report = report
        self._parents: list[bytes | None] = []
        self._last: SpanResult | None = None
        self._issuers: dict[bytes, tuple[str, int]] = {}
        self.domains: dict[tuple[str, str], str] = {}

    def add(self, result: SpanResult) -> None:
        """Join the next span."""
        self._report.damages += result.damages
        before = self._last
        if before is not None and result.times and before.times and result.times[0][1] < before.times[-1][1]:
            path = tile_path(result.span.tiles[0]).replace("tile/0/", "tile/data/")
            self._report.damages.append(Damage(path, f"entry {result.span.lo} is older than the one before it (P4)"))
        self._parents += result.parents
        for fingerprint, (path, count) in result.issuers.items():
            first, before_count = self._issuers.get(fingerprint, (path, 0))
            self._issuers[fingerprint] = (first, before_count + count)
        self.domains = result.domains | self.domains
        self._last = result

    def finish(self) -> None:
        """Everything above the spans."""
        row = self._first_row()
        rows = [row]
        while len(rows[-1]) >= WIDTH * HASH_SIZE:
            whole = len(rows[-1]) // (WIDTH * HASH_SIZE) * WIDTH * HASH_SIZE
            rows.append(fold_many(rows[-1][:whole], WIDTH))
        for tile in tiles_of(self._head.size):
            if tile.level > 0:
                at = tile.index * WIDTH * HASH_SIZE
                self._upper_tile(tile, rows[tile.level - 1][at : at + tile.width * HASH_SIZE])
        if None not in self._parents:
            self._root(row)
        else:
            self._report.notes.append("the root could not be recomputed, since entries are missing")
        for fingerprint, (path, count) in sorted(self._issuers.items()):
            self._issuer(fingerprint, path, count)
        self._other_issuers()

    def _first_row(self) -> bytes:
        """The hashes of the full tiles of level 0; where one is unknown, what the tile above says of it."""
        row = bytearray()
        for index, value in enumerate(self._parents):
            row += value if value is not None else self._from_above(index)
        return bytes(row)

    def _from_above(self, index: int) -> bytes:
        at, place = divmod(index, WIDTH)
        width = min(WIDTH, len(self._parents) - at * WIDTH)
        try:
            data = self._read_tile(Tile(1, at, width))
        except CtlogError:
            data = b""
        return data[place * HASH_SIZE : (place + 1) * HASH_SIZE].ljust(HASH_SIZE, b"\0")

    def _read_tile(self, tile: Tile) -> bytes:
        try:
            return self._source.read(tile_path(tile))
        except NotFoundError:
            if tile.width == WIDTH:
                raise
            return self._source.read(tile_path(tile._replace(width=WIDTH)))[: tile.width * HASH_SIZE]

    def _upper_tile(self, tile: Tile, expected: bytes) -> None:
        path = tile_path(tile)
        try:
            served = self._read_tile(tile)
        except NotFoundError:
            self._report.damages.append(Damage(path, "it is missing"))
        except TransportError as error:
            if self._source.folder is None:
                raise
            self._report.damages.append(Damage(path, str(error)))
        else:
            if served != expected:
                self._report.damages.append(Damage(path, "its hashes are not those of the tiles below it"))
        full = tile_path(tile._replace(width=WIDTH))
        for width, name in partial_files(self._source.folder, full):
            if width < tile.width and self._source.read(name) != expected[: width * HASH_SIZE]:
                self._report.damages.append(Damage(name, "it is not the beginning of the tile that followed it (P5)"))

    def _root(self, row: bytes) -> None:
        """Does all this make the signed root? Where the last, partial tile has two versions, the root decides."""
        full = Frontier().append(row)
        base = Frontier(full.size * WIDTH, full.hashes)
        last = self._last
        tail = self._head.size % WIDTH
        by_data = last.by_data if last is not None and tail else b""
        by_tile = last.by_tile if last is not None and tail else b""
        fits = [
            part is not None and base.append(part).root() == self._head.root for part in (by_data, by_tile)
        ]
        if by_data is None and by_tile is None:
            self._report.notes.append("the root could not be recomputed, since the last entries are missing")
            return
        if by_data != by_tile and by_data is not None and by_tile is not None:
            tile = Tile(0, self._head.size // WIDTH, tail)
            if not fits[0]:
                path = tile_path(tile).replace("tile/0/", "tile/data/")
                self._report.damages.append(Damage(path, "its entries do not hash to the signed root"))
            if not fits[1]:
                self._report.damages.append(Damage(tile_path(tile), "its hashes do not lead to the signed root"))
        elif not any(fits):
            sentence = f"the {self._head.size} entries make another root than the signed one"
            self._report.damages.append(Damage("checkpoint", sentence))

    def _issuer(self, fingerprint: bytes, needed_by: str, count: int) -> None:
        path = f"issuer/{fingerprint.hex()}"
        try:
            data = self._source.read(path)
        except NotFoundError:
            if count == 1:  # then it may as well be the entry that names it wrongly
                sentence = f"one entry, and no other, names the issuer {fingerprint.hex()}, which is not there (P8)"
                self._report.damages.append(Damage(needed_by, sentence))
            else:
                self._report.damages.append(Damage(path, f"it is missing, and {needed_by} needs it (P8)"))
            return
        except TransportError as error:
            if self._source.folder is None:
                raise
            self._report.damages.append(Damage(path, str(error)))
            return
        if hashlib.sha256(data).digest() != fingerprint:
            self._report.damages.append(Damage(path, "it is not the certificate with this SHA-256"))

    def _other_issuers(self) -> None:
        """Issuers that no entry names: written before an entry was refused a place. Their bytes have a name, too."""
        for name in self._other_names():
            try:
                good = hashlib.sha256(self._source.read(f"issuer/{name}")).hexdigest() == name
            except CtlogError:
                good = False
            if not good:
                self._report.damages.append(Damage(f"issuer/{name}", "it is not the certificate with this SHA-256"))

    def _other_names(self) -> Iterator[str]:
        if self._source.folder is None:
            return
        known = {fingerprint.hex() for fingerprint in self._issuers}
        folder = self._source.folder / "issuer"
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if len(path.name) == 64 and path.name not in known:
                yield path.name


def _check_metadata(source: Source, key: LogKey, report: Report) -> None:
    """log.v3.json is for readers who believe it; it must at least name the log's own key."""
    path = "log.v3.json"
    try:
        value = json.loads(source.read(path))
        named = binascii.a2b_base64(value["key"], strict_mode=True)
    except TransportError:
        raise
    except NotFoundError:
        report.notes.append(f"there is no {path}")
    except (CtlogError, ValueError, KeyError, TypeError, RecursionError):
        report.damages.append(Damage(path, "it is not JSON that names a key"))
    else:
        if named != key.spki:
            report.damages.append(Damage(path, "it names another key than the one that signed the head"))


def _check_domains(
    found: Mapping[tuple[str, str], str], allowed: Mapping[str, frozenset[str]] | None, report: Report
) -> None:
    """The trust domain in the feed is the operator's word; where his roots' history is at hand, it is compared."""
    if allowed is None:
        return
    for (root, domain), path in found.items():
        if domain not in allowed.get(root, frozenset()):
            sentence = f"it puts the root {root[:16]} into the trust domain {domain}, where it never was"
            report.damages.append(Damage(path, sentence))
