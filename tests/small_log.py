"""A log in memory with real certificates, honest and complete: its SCTs, its tiles, its checkpoint, its issuers.

`files()` is what it serves, by path; tests write these to a folder or hand them out over HTTP, and bend them first.
For a log that lies about whole trees see `tests.simulator`.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ctlog import issuance
from ctlog.client.submit import signed_entry
from ctlog.issuance import DAY_MS, Authority, Key, Subject
from ctlog.merkle.hashing import hash_leaves, hash_levels
from ctlog.merkle.tiles import WIDTH, entries_path, tile_path, tiles_of
from ctlog.merkle.tree import Frontier
from ctlog.wire.b64 import format_base64
from ctlog.wire.checkpoint import Checkpoint, format_checkpoint, sign_rfc6962
from ctlog.wire.rfc6962 import (
    DigitallySigned,
    LogKey,
    SignedCertificateTimestamp,
    TimestampedEntry,
    format_merkle_tree_leaf,
    format_sct,
    sct_to_json,
)
from ctlog.wire.signed_note import ED25519, format_note, format_vkey, sign_ed25519
from ctlog.wire.static_ct import TileLeaf, format_leaf_index, format_tile_leaf
from ctlog.x509.der import parse_certificate
from ctlog.x509.precert import is_precertificate

NOW = 1_790_000_000_000  # 2026-09-21
AUTHORITY = issuance.example_authority(NOW, root_key=Key.from_number(1), key=Key.from_number(2))
LOG_KEY = Key.from_number(3)
KEY = LogKey.from_spki(LOG_KEY.spki)
LEAF_SPKI = Key.from_number(4).spki


def tbs(number: int, authority: Authority = AUTHORITY) -> bytes:
    """A delegate's certificate for +1 202 555 <number>, always the same."""
    who = Subject(issuance.name(CN=f"leaf {number}"), LEAF_SPKI, NOW, NOW + DAY_MS, number + 1)
    return issuance.delegate_leaf(authority, who, issuance.one(f"1202555{number:04d}"))


class SmallLog:
    """Give it chains; it gives SCTs, and has each entry in its tree at once."""

    def __init__(self, origin: str = "log.example/small", now_ms: int = NOW) -> None:
        self.origin = origin
        self.now_ms = now_ms
        self.leaves: list[TileLeaf] = []
        self.issuers: dict[str, bytes] = {}
        self.scts: dict[str, tuple[int, SignedCertificateTimestamp]] = {}
        self._note_key = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(origin.encode()).digest())
        public = self._note_key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self.vkey = format_vkey(origin, ED25519, public)
        self._public = public

    def add(self, chain: Sequence[bytes]) -> SignedCertificateTimestamp:
        """Log a chain, leaf first; the same again gives the same SCT."""
        leaf, *issuers = map(parse_certificate, chain)
        entry = signed_entry(leaf, tuple(issuers))
        index = next((at for at, known in enumerate(self.leaves) if known.entry == entry), len(self.leaves))
        if index == len(self.leaves):
            fingerprints = tuple(hashlib.sha256(der).digest() for der in chain[1:])
            self.issuers.update((name.hex(), der) for name, der in zip(fingerprints, chain[1:], strict=True))
            before = leaf.der if is_precertificate(leaf) else b""
            self.leaves.append(TileLeaf(self.now_ms + index, entry, format_leaf_index(index), before, fingerprints))
        sct = self.promise(self.leaves[index].timestamped)
        self.scts[hashlib.sha256(chain[0]).hexdigest()] = (index, sct)
        return sct

    def promise(self, what: TimestampedEntry) -> SignedCertificateTimestamp:
        """An SCT for this, kept or not."""
        signature = DigitallySigned(4, 3, LOG_KEY.sign(format_merkle_tree_leaf(what)))
        return SignedCertificateTimestamp(KEY.log_id, what.timestamp_ms, what.extensions, signature)

    def checkpoint(self, *, timestamp_ms: int | None = None, root: bytes | None = None) -> bytes:
        """The signed head of the tree as it is, or of another root."""
        hashes = hash_leaves([format_merkle_tree_leaf(leaf.timestamped) for leaf in self.leaves])
        head = Checkpoint(self.origin, len(self.leaves), root or Frontier().append(hashes).root())
        at = self.now_ms + len(self.leaves) if timestamp_ms is None else timestamp_ms
        line = sign_rfc6962(head, at, KEY.log_id, lambda data: DigitallySigned(4, 3, LOG_KEY.sign(data)))
        text = format_checkpoint(head)
        return format_note(text, [line, sign_ed25519(text, self.origin, self._public, self._note_key.sign)])

    def files(self) -> dict[str, bytes]:
        """Everything that it serves."""
        found = {"checkpoint": self.checkpoint(), "log.v3.json": json.dumps({"key": format_base64(KEY.spki)}).encode()}
        hashes = hash_leaves([format_merkle_tree_leaf(leaf.timestamped) for leaf in self.leaves])
        levels = [hashes, *hash_levels(hashes)]
        for tile in tiles_of(len(self.leaves)):
            at = tile.index * WIDTH * 32
            found[tile_path(tile)] = levels[8 * tile.level][at : at + tile.width * 32]
        for start in range(0, len(self.leaves), WIDTH):
            part = self.leaves[start : start + WIDTH]
            data = b"".join(map(format_tile_leaf, part))
            found[entries_path("data", start // WIDTH, len(part))] = gzip.compress(data) if len(part) == WIDTH else data
        found.update((f"issuer/{name}", der) for name, der in self.issuers.items())
        for name, (index, sct) in self.scts.items():
            found[f"sct/{name}"] = json.dumps({"leaf_index": index, **sct_to_json(sct)}).encode()
        return found

    def write(self, folder: Path) -> None:
        """Publish into a folder; what was there and is not replaced stays."""
        for path, data in self.files().items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)

    def issue(self, number: int, *, precert: bool = True) -> bytes:
        """A certificate whose precertificate was logged, with its SCT embedded; or one that was logged as it is."""
        body = tbs(number)
        if not precert:
            final = AUTHORITY.certificate_for(body)
            self.add([final, *AUTHORITY.chain])
            return final
        return AUTHORITY.final(body, [format_sct(self.add([AUTHORITY.precertificate(body), *AUTHORITY.chain]))])
