"""The entries of one data tile, and their lines in the numbers feed.

In scope: place and time of each entry (P4), the issuers that it names (P8), that a stored precertificate is the one
whose TBSCertificate was logged, that the feed has a line for each entry and nothing else, and that a line says what
admission makes of the stored chain. Out of scope: hashes (`span`), the leaf's signature, which the log checked when it
accepted it and which is looked at here only where two stored bytes disagree.

An entry of which the tree has not yet said whether it is right is left out: there is one damage, not two.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence

from ctlog.admission import Planned, Policy, plan_accept
from ctlog.errors import CtlogError, NotFoundError
from ctlog.merkle.hashing import hash_messages
from ctlog.merkle.tiles import WIDTH, Tile, entries_path
from ctlog.wire.numbers_feed import VERSION, format_feed_line
from ctlog.wire.rfc6962 import EntryType
from ctlog.wire.static_ct import PendingEntry, TileLeaf, format_leaf_index, parse_data_tile
from ctlog.x509.chain import Roots, accepted_root

# A quotation mark inside of a JSON string has a backslash before it, so these cannot be found in one.
_LINE = re.compile(
    rb'\{"index":([0-9]{1,19}),"timestamp":([0-9]{1,19}),"v":([0-9]{1,9}),.*"certificate":"([0-9a-f]{64})"'
)
_DOMAIN = re.compile(rb'"trust_domain":"([a-z0-9-]{1,32})"')
_EXPIRY_SLACK_MS = 60_000  # a certificate may expire between the making of its line and the time of its batch
_MAX_CHAIN = 100  # a log's own limits were whatever they were
_MAX_LEAF = 1 << 24
_TIME, _EXTENSIONS = slice(2, 10), slice(-8, None)  # of a MerkleTreeLeaf with the leaf index alone

Read = Callable[[str], bytes]
"""Gives a published file, decompressed; raises NotFoundError, or another CtlogError for what cannot be read."""


class Entries:
    """Checks tiles in order. `say` is told (path, sentence) of each damage."""

    def __init__(self, read: Read, say: Callable[[str, str], None], head_ms: int, *, quick: bool) -> None:
        self.issuers: dict[bytes, tuple[str, int]] = {}
        """Fingerprint -> the first data tile that names it, and how many entries do."""
        self.domains: dict[tuple[str, str], str] = {}
        """(Root, trust domain) -> the first tile of the feed that says so."""
        self.times: list[tuple[int, int]] = []
        """(Index, time in ms) of each entry whose time is not that of the one before it."""
        self.unsure: set[str] = set()
        """Data tiles that name an issuer which is not there."""
        self._read = read
        self._say = say
        self._head_ms = head_ms
        self._quick = quick
        self._ders: dict[bytes, bytes | None] = {}
        self._policies: dict[tuple[bytes, str], Policy] = {}

    def check(
        self, tile: Tile, data: bytes, leaves: Sequence[bytes], feed: bytes | None, doubt: frozenset[int]
    ) -> None:
        """Check a data tile that can be read. `leaves` are its MerkleTreeLeaf structures, `feed` its tile of the
        numbers feed, if there is one; `doubt` has the places of entries that have two leaf hashes."""
        path = entries_path("data", tile.index, tile.width)
        entries = parse_data_tile(data)[: tile.width]
        self._places(path, tile.index * WIDTH, leaves, doubt)
        chains = Counter(leaf.chain for place, leaf in enumerate(entries) if place not in doubt)
        for fingerprint, count in ((name, count) for chain, count in chains.items() for name in chain):
            first, before = self.issuers.get(fingerprint, (path, 0))
            self.issuers[fingerprint] = (first, before + count)
        lines = self._lines(tile, feed) if feed is not None else None
        versions = self._heads(tile, path, entries, lines, doubt)
        if self._quick:
            return
        for place, leaf in enumerate(entries):
            if place not in doubt and (leaf.pre_certificate or versions[place] == VERSION):
                line = lines[place] if lines is not None and versions[place] == VERSION else None
                self._derive(tile, path, tile.index * WIDTH + place, leaf, line)

    # Place and time -------------------------------------------------------------------------------------------------

    def _places(self, path: str, lo: int, leaves: Sequence[bytes], doubt: frozenset[int]) -> None:
        last = self.times[-1][1] if self.times else 0
        for index, leaf in enumerate(leaves, lo):
            if index - lo in doubt:
                continue
            if leaf[_EXTENSIONS] != format_leaf_index(index):
                self._say(path, f"entry {index} does not have its own index in its extensions")
            timestamp_ms = int.from_bytes(leaf[_TIME], "big")
            if timestamp_ms == last:
                continue
            if timestamp_ms < last:
                self._say(path, f"entry {index} is older than the one before it (P4)")
            if timestamp_ms > self._head_ms:
                self._say(path, f"entry {index} is newer than the signed head (P4)")
            last = timestamp_ms
            self.times.append((index, timestamp_ms))

    # Lines ----------------------------------------------------------------------------------------------------------

    def _lines(self, tile: Tile, feed: bytes) -> list[bytes] | None:
        lines = feed.split(b"\n")
        if lines.pop() or len(lines) not in (tile.width, WIDTH):
            path = entries_path("numbers", tile.index, tile.width)
            self._say(path, f"it has {len(lines)} lines, not {tile.width}")
            return None
        return lines[: tile.width]

    def _heads(
        self, tile: Tile, path: str, entries: Sequence[TileLeaf], lines: Sequence[bytes] | None, doubt: frozenset[int]
    ) -> list[int]:
        """The version of each line that is of its entry's index, time and certificate; 0 for one that is not."""
        if lines is None:
            return [0] * len(entries)
        submitted = [leaf.pre_certificate or leaf.entry.certificate for leaf in entries]
        digests, lo = hash_messages(submitted).hex(), tile.index * WIDTH
        versions = []
        for place, (leaf, line) in enumerate(zip(entries, lines, strict=True)):
            found = _LINE.match(line)
            digest = digests[place * 64 : place * 64 + 64]
            wanted = (lo + place, leaf.timestamp_ms)
            if found is None or (int(found[1]), int(found[2])) != wanted or found[4].decode() != digest:
                if place not in doubt:
                    self._wrong_line(tile, path, leaf, lo + place, found is not None and found[4].decode() != digest)
                versions.append(0)
            else:
                versions.append(int(found[3]))
        return versions

    def _wrong_line(self, tile: Tile, path: str, leaf: TileLeaf, index: int, is_of_another: bool) -> None:
        feed_path = entries_path("numbers", tile.index, tile.width)
        if not is_of_another:
            self._say(feed_path, f"the line of entry {index} is not of its index and time")
            return
        # What was logged is certain, but of a precertificate only the TBSCertificate is.
        is_whole = not leaf.pre_certificate or self._holds(leaf)
        self._say(feed_path if is_whole else path, f"entry {index} and its line have different certificates")

    # What follows from the certificate ------------------------------------------------------------------------------

    def _derive(self, tile: Tile, path: str, index: int, leaf: TileLeaf, line: bytes | None) -> None:
        """`line` is None where there is none, or where another version read it, whose rules this one does not know."""
        domain = _DOMAIN.search(line) if line is not None else None
        try:
            pending = self._admit(leaf, domain[1].decode() if domain else "x", leaf.timestamp_ms).pending
        except NotFoundError:
            self.unsure.add(path)
            return  # `whole` says what is wrong with issuers
        except CtlogError as error:
            self._say(path, f"entry {index}: {error}")
            return
        if pending.entry != leaf.entry:
            self._say(path, f"entry {index}: its precertificate is not the one whose TBSCertificate was logged")
        elif line is not None:
            feed_path = entries_path("numbers", tile.index, tile.width)
            self.domains.setdefault((pending.root.hex(), pending.trust_domain), feed_path)
            if not self._says(line + b"\n", index, leaf, pending):
                self._say(feed_path, f"the line of entry {index} is not what its certificate says")

    def _says(self, line: bytes, index: int, leaf: TileLeaf, pending: PendingEntry) -> bool:
        if line == format_feed_line(index, leaf.timestamp_ms, pending.feed):
            return True
        earlier = self._admit(leaf, pending.trust_domain, leaf.timestamp_ms - _EXPIRY_SLACK_MS).pending
        return line == format_feed_line(index, leaf.timestamp_ms, earlier.feed)

    def _holds(self, leaf: TileLeaf) -> bool:
        """Is a stored precertificate's signature valid?"""
        try:
            return all(check.holds() for check in self._admit(leaf, "x", leaf.timestamp_ms).checks)
        except NotFoundError:
            return True
        except CtlogError:
            return False

    def _admit(self, leaf: TileLeaf, domain: str, now_ms: int) -> Planned:
        """The entry as admission makes it of the stored chain. Raises NotFoundError where an issuer is not at hand, and
        another CtlogError where admission would refuse."""
        ders = [self._issuer(fingerprint) for fingerprint in leaf.chain]
        key = (leaf.chain[-1] if leaf.chain else b"", domain)
        if key not in self._policies:
            roots = Roots([accepted_root(ders[-1], domain)] if ders else [])
            self._policies[key] = Policy(roots, require_number=False, max_chain=_MAX_CHAIN, max_leaf=_MAX_LEAF)
        kind = EntryType.PRECERT if leaf.pre_certificate else EntryType.X509
        submitted = leaf.pre_certificate or leaf.entry.certificate
        return plan_accept([submitted, *ders], kind, self._policies[key], now_ms)

    def _issuer(self, fingerprint: bytes) -> bytes:
        if fingerprint not in self._ders:
            try:
                der = self._read(f"issuer/{fingerprint.hex()}")
                self._ders[fingerprint] = der if hash_messages([der]) == fingerprint else None
            except CtlogError:
                self._ders[fingerprint] = None
        found = self._ders[fingerprint]
        if found is None:
            raise NotFoundError(f"issuer/{fingerprint.hex()} cannot be read (P8)")
        return found
