"""One stretch of a log, checked in a worker: what its data tiles hold, against its hashes, its feed and its issuers.

In scope: data tiles (readable, as many entries as there should be, in place and in time, each precertificate the one
whose TBSCertificate was logged, under issuers that signed each other), the hash tiles of level 0, the numbers feed made
anew from the certificates and compared byte for byte, and the partial tiles that are still there. Out of scope: the
levels above (`whole`), and signatures of leaves, which the log checked when it accepted them.

A damaged file is a finding, not an exception: whatever its bytes are, its name and what is wrong with it come back.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ctlog.admission import Planned, Policy, plan_accept
from ctlog.client.fetch import DirectoryFetcher
from ctlog.client.parallel import Damage, Span
from ctlog.errors import CtlogError, NotFoundError
from ctlog.merkle.hashing import fold, hash_leaves, hash_messages
from ctlog.merkle.tiles import WIDTH, Tile, entries_path, tile_path
from ctlog.merkle.tree import HASH_SIZE
from ctlog.wire.numbers_feed import VERSION, format_feed_line
from ctlog.wire.rfc6962 import EntryType
from ctlog.wire.static_ct import PendingEntry, TileLeaf, format_leaf_index, merkle_tree_leaves, parse_data_tile
from ctlog.x509.chain import Roots, accepted_root

_LINE = re.compile(rb'\{"index":([0-9]{1,19}),"timestamp":([0-9]{1,19}),"v":([0-9]{1,9}),')
_DOMAIN = re.compile(rb'"trust_domain":"([a-z0-9-]{1,32})"')
_CERTIFICATE = re.compile(rb'"certificate":"([0-9a-f]{64})"')
_EXPIRY_SLACK_MS = 60_000  # a certificate may expire between the making of its line and the time of its batch
_MAX_PER_FILE = 3  # sentences about one file; there may be 256 things wrong with it
_MAX_CHAIN = 100  # a log's own limit was whatever it was


class SpanTask(NamedTuple):
    """What a worker is given. `files` is the public folder, or the files themselves by path, decompressed.

    `size` and `head_ms` are those of the signed head; `quick` leaves out what has to be derived from certificates;
    `with_keys` asks for what a look-up store should know.
    """

    span: Span
    size: int
    head_ms: int
    files: str | dict[str, bytes]
    quick: bool = False
    with_keys: bool = False


@dataclass(slots=True)
class SpanResult:
    """What came of it.

    `parents` has the hash of each full tile, None where neither data nor hashes could be read. `by_data` and `by_tile`
    are the leaf hashes of the log's last tile where it is partial: those of its entries, and those of its hash tile.
    """

    span: Span
    parents: list[bytes | None] = field(default_factory=list)
    by_data: bytes | None = None
    by_tile: bytes | None = None
    damages: list[Damage] = field(default_factory=list)
    issuers: dict[bytes, tuple[str, int]] = field(default_factory=dict)
    """Fingerprint -> the first data tile that names it, and how many entries do."""
    domains: dict[tuple[str, str], str] = field(default_factory=dict)
    """(Root, trust domain) -> the first tile of the feed that says so."""
    keys: bytes = b""
    """The entry keys (32 bytes each), up to the first tile that cannot be read; only if they were asked for."""
    times: list[tuple[int, int]] = field(default_factory=list)
    """(Index, time in ms) of each entry whose time is not that of the one before it."""

    @property
    def last_ms(self) -> int:
        """The time of the last entry that could be read; 0 where there is none."""
        return self.times[-1][1] if self.times else 0


def check_span(task: SpanTask) -> SpanResult:
    """Check one span. Bad bytes and files that cannot be read raise nothing: they are damages."""
    return _Checker(task).run()


class _Checker:
    def __init__(self, task: SpanTask) -> None:
        self._task = task
        self._result = SpanResult(task.span)
        self._folder = Path(task.files) if isinstance(task.files, str) else None
        self._read = _reader(task.files)
        self._issuers: dict[bytes, bytes | None] = {}
        self._unsure: set[str] = set()  # data tiles that name issuers which are not there
        self._policies: dict[tuple[bytes, str], Policy] = {}

    def run(self) -> SpanResult:
        for tile in self._task.span.tiles:
            self._tile(tile)
        return self._result

    def _say(self, path: str, sentence: str) -> None:
        if sum(damage.path == path for damage in self._result.damages) < _MAX_PER_FILE:
            self._result.damages.append(Damage(path, sentence))

    def _get(self, path: str, full: str) -> bytes | None:
        """A tile, or the full one in the place of a partial one that is gone; None, and a damage, where neither is."""
        try:
            return self._read(path)
        except NotFoundError as error:
            if path != full:
                try:
                    return self._read(full)
                except CtlogError:
                    pass
            self._say(path, f"it is missing: {error}")
        except CtlogError as error:
            self._say(path, str(error))
        return None

    def _is_named(self, path: str) -> bool:
        return any(damage.path == path for damage in self._result.damages)

    # Hashes ---------------------------------------------------------------------------------------------------------

    def _tile(self, tile: Tile) -> None:
        """One data tile and the hash tile above it."""
        path, data_path = tile_path(tile), entries_path("data", tile.index, tile.width)
        served = self._hash_tile(tile, path)
        data = self._get(data_path, entries_path("data", tile.index, WIDTH))
        hashes = None
        if data is not None:
            hashes = self._leaf_hashes(tile, data_path, data)
            if hashes is not None:
                doubtful = _differing(hashes, served)
                self._entries(tile, data_path, data, doubtful)
                if not doubtful:
                    self._partials(tile, hashes, data)
                    self._keys(tile, data)
        if tile.width < WIDTH:
            self._result.by_data, self._result.by_tile = hashes, served
        else:
            self._result.parents.append(self._parent(tile, path, data_path, hashes, served))

    def _keys(self, tile: Tile, data: bytes) -> None:
        """The entry keys, as long as no tile is left out."""
        if self._task.with_keys and len(self._result.keys) == (tile.index * WIDTH - self._task.span.lo) * HASH_SIZE:
            # A leaf is version, type and time (10 bytes), the signed entry, and 10 bytes of extensions.
            self._result.keys += hash_messages([leaf[10:-10] for leaf in merkle_tree_leaves(data)[: tile.width]])

    def _hash_tile(self, tile: Tile, path: str) -> bytes | None:
        served = self._get(path, tile_path(tile._replace(width=WIDTH)))
        length = tile.width * HASH_SIZE
        if served is not None and len(served) not in (length, WIDTH * HASH_SIZE):
            self._say(path, f"it has {len(served)} bytes, not {length}")
            return None
        return None if served is None else served[:length]

    def _leaf_hashes(self, tile: Tile, path: str, data: bytes) -> bytes | None:
        try:
            leaves = merkle_tree_leaves(data)
        except CtlogError as error:
            self._say(path, str(error))
            return None
        if len(leaves) not in (tile.width, WIDTH):
            self._say(path, f"it has {len(leaves)} entries, not {tile.width}")
            return None
        return hash_leaves(leaves[: tile.width])

    def _parent(
        self, tile: Tile, path: str, data_path: str, hashes: bytes | None, served: bytes | None
    ) -> bytes | None:
        """The hash of a full tile. Where entries and hashes disagree, the level above says which of them is damaged."""
        if hashes is None or served is None or hashes == served:
            one = hashes or served
            return fold(one) if one is not None else None
        above = self._above(tile)
        by_data, by_tile = fold(hashes), fold(served)
        if by_tile != above:
            self._say(path, "its hashes are not those of the entries in the data tile")
        if by_data != above:
            self._say(data_path, "its entries do not hash to the hashes of level 0")
        return by_tile if by_tile == above else by_data

    def _above(self, tile: Tile) -> bytes | None:
        """What the tile of level 1 says of a full tile of level 0; whether that is right, `whole` finds out."""
        index, place = divmod(tile.index, WIDTH)
        width = min(WIDTH, self._task.size // WIDTH - index * WIDTH)
        for each in (width, WIDTH):
            try:
                data = self._read(tile_path(Tile(1, index, each)))
            except CtlogError:
                continue
            return data[place * HASH_SIZE : (place + 1) * HASH_SIZE]
        return None

    # Entries and their lines ----------------------------------------------------------------------------------------

    def _entries(self, tile: Tile, path: str, data: bytes, doubtful: frozenset[int]) -> None:
        """All but the doubtful ones: entries that have two leaf hashes, of which the tree will say which is right."""
        leaves = parse_data_tile(data)[: tile.width]
        feed_path = entries_path("numbers", tile.index, tile.width)
        feed = self._get(feed_path, entries_path("numbers", tile.index, WIDTH))
        lines = self._lines(tile, feed_path, feed) if feed is not None else None
        for place, leaf in enumerate(leaves):
            index = tile.index * WIDTH + place
            if place in doubtful:
                continue
            if leaf.extensions != format_leaf_index(index):
                self._say(path, f"entry {index} does not have its own index in its extensions")
            self._time(path, index, leaf.timestamp_ms)
            for fingerprint in leaf.chain:
                first, count = self._result.issuers.get(fingerprint, (path, 0))
                self._result.issuers[fingerprint] = (first, count + 1)
            self._entry(path, feed_path, index, leaf, lines[place] if lines is not None else None)

    def _time(self, path: str, index: int, timestamp_ms: int) -> None:
        if timestamp_ms < self._result.last_ms:
            self._say(path, f"entry {index} is older than the one before it (P4)")
        if timestamp_ms > self._task.head_ms:
            self._say(path, f"entry {index} is newer than the signed head (P4)")
        if timestamp_ms != self._result.last_ms:
            self._result.times.append((index, timestamp_ms))

    def _lines(self, tile: Tile, path: str, feed: bytes) -> list[bytes] | None:
        lines = feed.split(b"\n")
        if lines.pop() or len(lines) not in (tile.width, WIDTH):
            self._say(path, f"it has {len(lines)} lines, not {tile.width}")
            return None
        return lines[: tile.width]

    def _entry(self, path: str, feed_path: str, index: int, leaf: TileLeaf, line: bytes | None) -> None:
        """What is derived from one certificate, with what is stored of it."""
        submitted = leaf.pre_certificate or leaf.entry.certificate
        version = 0
        if line is not None:
            head, named = _LINE.match(line), _CERTIFICATE.search(line)
            if head is None or named is None or (int(head[1]), int(head[2])) != (index, leaf.timestamp_ms):
                self._say(feed_path, f"the line of entry {index} is not of its index and time")
            elif bytes.fromhex(named[1].decode()) != hashlib.sha256(submitted).digest():
                # What was logged is certain, but of a precertificate only the TBSCertificate is.
                is_whole = not leaf.pre_certificate or self._holds(leaf, submitted)
                self._say(feed_path if is_whole else path, f"entry {index} and its line have different certificates")
            else:
                version = int(head[3])
        if self._task.quick or (version != VERSION and not leaf.pre_certificate):
            return
        domain = _DOMAIN.search(line) if line is not None else None
        try:
            pending = self._admit(leaf, submitted, domain[1].decode() if domain else "x", leaf.timestamp_ms).pending
        except NotFoundError:
            self._unsure.add(path)
            return  # `whole` says what is wrong with issuers
        except CtlogError as error:
            self._say(path, f"entry {index}: {error}")
            return
        if pending.entry != leaf.entry:
            self._say(path, f"entry {index}: its precertificate is not the one whose TBSCertificate was logged")
        elif version == VERSION and line is not None:  # what another version read, this one does not know
            self._derived(feed_path, index, leaf, line + b"\n", pending)

    def _derived(self, feed_path: str, index: int, leaf: TileLeaf, line: bytes, pending: PendingEntry) -> None:
        """A line, with what its certificate says."""
        self._result.domains.setdefault((pending.root.hex(), pending.trust_domain), feed_path)
        if line == format_feed_line(index, leaf.timestamp_ms, pending.feed):
            return
        submitted = leaf.pre_certificate or leaf.entry.certificate
        earlier = self._admit(leaf, submitted, pending.trust_domain, leaf.timestamp_ms - _EXPIRY_SLACK_MS).pending
        if line != format_feed_line(index, leaf.timestamp_ms, earlier.feed):
            self._say(feed_path, f"the line of entry {index} is not what its certificate says")

    def _holds(self, leaf: TileLeaf, submitted: bytes) -> bool:
        """Is a stored precertificate's signature valid?"""
        try:
            return all(check.holds() for check in self._admit(leaf, submitted, "x", leaf.timestamp_ms).checks)
        except NotFoundError:
            return True
        except CtlogError:
            return False

    def _admit(self, leaf: TileLeaf, submitted: bytes, domain: str, now_ms: int) -> Planned:
        """The entry as admission makes it of the stored chain. Raises NotFoundError where an issuer is not at hand, and
        another CtlogError where admission would refuse."""
        ders = [self._issuer(fingerprint) for fingerprint in leaf.chain]
        key = (leaf.chain[-1] if leaf.chain else b"", domain)
        if key not in self._policies:
            roots = Roots([accepted_root(ders[-1], domain)] if ders else [])
            self._policies[key] = Policy(roots, require_number=False, max_chain=_MAX_CHAIN, max_leaf=1 << 24)
        kind = EntryType.PRECERT if leaf.pre_certificate else EntryType.X509
        return plan_accept([submitted, *ders], kind, self._policies[key], now_ms)

    def _issuer(self, fingerprint: bytes) -> bytes:
        if fingerprint not in self._issuers:
            try:
                der = self._read(f"issuer/{fingerprint.hex()}")
                self._issuers[fingerprint] = der if hashlib.sha256(der).digest() == fingerprint else None
            except CtlogError:
                self._issuers[fingerprint] = None
        found = self._issuers[fingerprint]
        if found is None:
            raise NotFoundError(f"issuer/{fingerprint.hex()} cannot be read (P8)")
        return found

    # Partial tiles that are still there -----------------------------------------------------------------------------

    def _partials(self, tile: Tile, hashes: bytes, data: bytes) -> None:
        """Each must be a beginning of what stands now; those beyond the head belong to a batch that was broken off."""
        if self._folder is None:
            return
        full = tile_path(tile._replace(width=WIDTH))
        self._partial(full, tile, lambda: hashes, lambda part: len(part) // HASH_SIZE)
        now, full = entries_path("data", tile.index, tile.width), entries_path("data", tile.index, WIDTH)
        if not self._is_named(now) and now not in self._unsure:
            self._partial(full, tile, lambda: data, lambda part: len(parse_data_tile(part)))
        now, full = entries_path("numbers", tile.index, tile.width), entries_path("numbers", tile.index, WIDTH)
        if not self._is_named(now):
            self._partial(full, tile, lambda: self._read(now), _count_lines)

    def _partial(self, full: str, tile: Tile, whole: Callable[[], bytes], count: Callable[[bytes], int]) -> None:
        for found, name in partial_files(self._folder, full):
            if found >= tile.width:
                continue
            try:
                part = self._read(name)
                good = whole().startswith(part) and count(part) == found
            except CtlogError:
                good = False
            if not good:
                self._say(name, "it is not the beginning of the tile that followed it (P5)")


def _count_lines(feed: bytes) -> int:
    """How many lines there are, if the last one is whole."""
    return feed.count(b"\n") if feed.endswith(b"\n") else 0


def _differing(hashes: bytes, served: bytes | None) -> frozenset[int]:
    """The places at which two rows of hashes differ."""
    if served is None or hashes == served:
        return frozenset()
    places = range(len(hashes) // HASH_SIZE)
    return frozenset(at for at in places if hashes[at * 32 : at * 32 + 32] != served[at * 32 : at * 32 + 32])


def partial_files(folder: Path | None, full: str) -> list[tuple[int, str]]:
    """The partial tiles beside a full one: (width, path), narrowest first."""
    if folder is None:
        return []
    try:
        names = [path.name for path in (folder / f"{full}.p").iterdir()]
    except OSError:
        return []
    return sorted((int(name), f"{full}.p/{name}") for name in names if name.isdigit())


def _reader(files: str | dict[str, bytes]) -> Callable[[str], bytes]:
    """Gives a published file, decompressed; raises NotFoundError, or another CtlogError for what cannot be read."""
    if isinstance(files, str):
        return DirectoryFetcher(Path(files)).read

    def read(path: str) -> bytes:
        if path not in files:
            raise NotFoundError("the log does not hand it out")
        return files[path]

    return read
