"""The entries of one data tile, and their lines in the numbers feed.

In scope: place and time of each entry (P4), the issuers that it names (P8), that a stored precertificate is the one
whose TBSCertificate was logged, that the feed has a line for each entry and nothing else, and that a line says what
admission makes of the stored chain. Out of scope: hashes (`span`), the leaf's signature, which the log checked when it
accepted it and which is looked at here only where two stored bytes disagree.

An entry of which the tree has not yet said whether it is right is left out: there is one damage, not two.
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from collections.abc import Callable, Sequence

from ctlog.admission import Planned, Policy, plan_accept
from ctlog.errors import CtlogError, NotFoundError
from ctlog.fsck.alike import Alike, Told
from ctlog.merkle.hashing import hash_messages
from ctlog.merkle.tiles import WIDTH, Tile, entries_path
from ctlog.merkle.tree import HASH_SIZE
from ctlog.wire.numbers_feed import VERSION, format_feed_line
from ctlog.wire.rfc6962 import EntryType
from ctlog.wire.static_ct import DataTile, PendingEntry, TileLeaf, format_leaf_index
from ctlog.x509.chain import Roots, accepted_root

# A quotation mark inside of a JSON string has a backslash before it, so these cannot be found in one.
_LINE = re.compile(
    rb'\{"index":([0-9]{1,19}),"timestamp":([0-9]{1,19}),"v":([0-9]{1,9}),.*"certificate":"([0-9a-f]{64})"'
)
_DOMAIN = re.compile(rb'"trust_domain":"([a-z0-9-]{1,32})"')
_EXPIRY_SLACK_MS = 60_000  # a certificate may expire between the making of its line and the time of its batch
_MAX_CHAIN = 100  # a log's own limits were whatever they were
_MAX_LEAF = 1 << 24
_MAX_POLICIES = 64
_OCTETS = [bytes((octet,)) for octet in range(256)]
_TIME, _EXTENSIONS = slice(2, 10), slice(-8, None)  # of a MerkleTreeLeaf with the leaf index alone

Read = Callable[[str], bytes]
"""Gives a published file, decompressed; raises NotFoundError, or another CtlogError for what cannot be read."""


class Memory:
    """What may be kept from one span to the next, in one process: it depends on certificates alone, which are told by
    their hashes, and is bounded."""

    def __init__(self) -> None:
        self.alike = Alike()
        self._policies: dict[tuple[bytes, str], Policy] = {}

    def policy(self, fingerprint: bytes, domain: str, root: bytes | None) -> Policy:
        """A policy that accepts this root, if there is one, and nearly everything below it."""
        key = (fingerprint, domain)
        found = self._policies.get(key)
        if found is None:
            roots = Roots([accepted_root(root, domain)] if root is not None else [])
            found = Policy(roots, require_number=False, max_chain=_MAX_CHAIN, max_leaf=_MAX_LEAF)
            if len(self._policies) >= _MAX_POLICIES:
                self._policies.clear()
            self._policies[key] = found
        return found


class Entries:
    """Checks tiles in order. `say` is told (path, sentence) of each damage; `memory` may go on from one span to the
    next: it holds what certificates and their issuers say, whatever log they are in."""

    def __init__(
        self, read: Read, say: Callable[[str, str], None], head_ms: int, memory: Memory, *, quick: bool
    ) -> None:
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
        self._memory = memory
        self._quick = quick
        self._ders: dict[bytes, bytes | None] = {}

    def check(self, tile: Tile, data: DataTile, feed: bytes | None, doubt: frozenset[int]) -> None:
        """Check a data tile that can be read, and has `tile.width` entries; `feed` is its tile of the numbers feed, if
        there is one; `doubt` has the places of entries that have two leaf hashes."""
        path, lo = entries_path("data", tile.index, tile.width), tile.index * WIDTH
        times_ms = struct.unpack(f">{tile.width}Q", b"".join([leaf[_TIME] for leaf in data.leaves]))
        self._places(path, lo, data.leaves, doubt)
        self._order(path, lo, times_ms, doubt)
        sure = [chain for place, chain in enumerate(data.chains) if place not in doubt] if doubt else data.chains
        for joined, count in Counter(sure).items():
            for at in range(0, len(joined), HASH_SIZE):
                first, before = self.issuers.get(joined[at : at + HASH_SIZE], (path, 0))
                self.issuers[joined[at : at + HASH_SIZE]] = (first, before + count)
        lines = self._lines(tile, feed) if feed is not None else None
        if self._quick:
            self._heads(tile, path, data, lines, range(tile.width), doubt)
            return
        told = self._memory.alike.expect(lo, times_ms, data)
        left = self._untold(tile, told, lines, doubt)
        versions = self._heads(tile, path, data, lines, left, doubt)
        for place, version in zip(left, versions, strict=True):
            leaf = data.entry(place)
            if place not in doubt and (leaf.pre_certificate or version == VERSION):
                line = lines[place] if lines is not None and version == VERSION else None
                if line is not None or told.lines[place] is None:
                    self._derive(tile, path, lo + place, data, line)

    def _untold(
        self, tile: Tile, told: Told, lines: Sequence[bytes] | None, doubt: frozenset[int]
    ) -> Sequence[int]:
        """The places of entries that are not stored as others like them; all the others are as they should be."""
        if lines is None:
            return [place for place, line in enumerate(told.lines) if line is None]
        left = [place for place, line in enumerate(lines) if told.lines[place] != line]
        right = set(range(tile.width)).difference(left, doubt) if left or doubt else range(tile.width)
        feed_path = entries_path("numbers", tile.index, tile.width)
        for family in {told.families[place] for place in right}:
            if family is not None:
                self.domains.setdefault((family.root, family.domain), feed_path)
        return left

    # Place and time -------------------------------------------------------------------------------------------------

    def _places(self, path: str, lo: int, leaves: Sequence[bytes], doubt: frozenset[int]) -> None:
        head = format_leaf_index(lo)[:-1]  # `lo` is a multiple of 256
        right = [head + octet for octet in _OCTETS[: len(leaves)]]
        found = [leaf[_EXTENSIONS] for leaf in leaves]
        if found != right:
            for place, (one, other) in enumerate(zip(found, right, strict=True)):
                if one != other and place not in doubt:
                    self._say(path, f"entry {lo + place} does not have its own index in its extensions")

    def _order(self, path: str, lo: int, times_ms: Sequence[int], doubt: frozenset[int]) -> None:
        last = self.times[-1][1] if self.times else 0
        for index, time_ms in enumerate(times_ms, lo):
            if time_ms == last or index - lo in doubt:
                continue
            if time_ms < last:
                self._say(path, f"entry {index} is older than the one before it (P4)")
            if time_ms > self._head_ms:
                self._say(path, f"entry {index} is newer than the signed head (P4)")
            last = time_ms
            self.times.append((index, time_ms))

    # Lines ----------------------------------------------------------------------------------------------------------

    def _lines(self, tile: Tile, feed: bytes) -> list[bytes] | None:
        lines = feed.split(b"\n")
        if lines.pop() or len(lines) not in (tile.width, WIDTH):
            path = entries_path("numbers", tile.index, tile.width)
            self._say(path, f"it has {len(lines)} lines, not {tile.width}")
            return None
        return lines[: tile.width]

    def _heads(
        self, tile: Tile, path: str, data: DataTile, lines: Sequence[bytes] | None, places: Sequence[int],
        doubt: frozenset[int],
    ) -> list[int]:  # fmt: skip
        """The version of each of these lines; 0 if it is not of its entry's index, time and certificate."""
        if lines is None:
            return [0] * len(places)
        digests, lo = hash_messages([data.submitted[place] for place in places]).hex().encode(), tile.index * WIDTH
        versions, at = [], 0
        for place in places:
            found = _LINE.match(lines[place])
            digest, timestamp = digests[at : at + 64], int.from_bytes(data.leaves[place][_TIME], "big")
            at += 64
            if found is None or (int(found[1]), int(found[2])) != (lo + place, timestamp) or found[4] != digest:
                if place not in doubt:
                    is_of_another = found is not None and found[4] != digest
                    self._wrong_line(tile, path, data.entry(place), lo + place, is_of_another)
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

    def _derive(self, tile: Tile, path: str, index: int, data: DataTile, line: bytes | None) -> None:
        """`line` is None where there is none, or where another version read it, whose rules this one does not know."""
        place = index % WIDTH
        leaf = data.entry(place)
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
            return
        self._memory.alike.learn(index, data.leaves[place], data.submitted[place], data.chains[place], pending)
        if line is not None:
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
        root = ders[-1] if ders else None
        policy = self._memory.policy(leaf.chain[-1] if leaf.chain else b"", domain, root)
        kind = EntryType.PRECERT if leaf.pre_certificate else EntryType.X509
        submitted = leaf.pre_certificate or leaf.entry.certificate
        return plan_accept([submitted, *ders], kind, policy, now_ms)

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
