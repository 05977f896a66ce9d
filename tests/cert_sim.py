"""`tests.simulator` with real certificates: a log that can lie, and holds what owners ask about."""

from __future__ import annotations

import hashlib
import json

from ctlog import issuance
from ctlog.client.submit import signed_entry
from ctlog.issuance import DAY_MS, Authority, Key, Subject
from ctlog.merkle.hashing import hash_leaves, hash_levels
from ctlog.wire.b64 import format_base64
from ctlog.wire.rfc6962 import (
    EntryType,
    SignedCertificateTimestamp,
    SignedEntry,
    format_extra_data_precert,
    format_extra_data_x509,
    format_merkle_tree_leaf,
    format_sct,
)
from ctlog.wire.static_ct import TileLeaf, format_leaf_index
from ctlog.x509.der import parse_certificate
from ctlog.x509.precert import is_precertificate
from tests.simulator import START_MS, Simulator

CA = issuance.example_authority(START_MS, root_key=Key.from_number(1), key=Key.from_number(2))
ROGUE = issuance.example_authority(START_MS, label="Rogue", root_key=Key.from_number(11), key=Key.from_number(12))


def number_tbs(number: int, authority: Authority = CA, *, key: int = 21, serial: int = 1) -> bytes:
    """A delegate's TBSCertificate for +1 202 555 <number>."""
    who = Subject(
        issuance.name(O="Owner Inc", CN=f"owner {number}"), Key.from_number(key).spki, START_MS, START_MS + 90 * DAY_MS,
        serial,
    )  # fmt: skip
    return issuance.delegate_leaf(authority, who, issuance.one(f"1202555{number:04d}"))


class CertSim(Simulator):
    """Entries are added one by one and are in the tree with the next head (`publish`)."""

    def __init__(self, origin: str = "sim.example/log", secret: int = 7) -> None:
        super().__init__(origin, secret)
        self.issuers: dict[str, bytes] = {}

    def submit(self, chain: list[bytes]) -> TileLeaf:
        """Log a chain, the leaf first."""
        leaf, *above = map(parse_certificate, chain)
        before = leaf.der if is_precertificate(leaf) else b""
        return self._take(signed_entry(leaf, tuple(above)), before, chain[1:])

    def submit_raw(self, certificate: bytes, chain: tuple[bytes, ...] = CA.chain) -> TileLeaf:
        """Log any bytes as if they were a certificate."""
        return self._take(SignedEntry(EntryType.X509, certificate), b"", chain)

    def _take(self, entry: SignedEntry, before: bytes, chain) -> TileLeaf:
        fingerprints = tuple(hashlib.sha256(der).digest() for der in chain)
        self.issuers.update((name.hex(), der) for name, der in zip(fingerprints, chain, strict=True))
        self.now_ms += 1
        leaf = TileLeaf(self.now_ms, entry, format_leaf_index(len(self.tree.leaves)), before, fingerprints)
        tree = self.tree
        tree.leaves.append(leaf)
        tree.inputs.append(format_merkle_tree_leaf(leaf.timestamped))
        row = tree.levels[0] + hash_leaves(tree.inputs[-1:])
        tree.levels = [row, *hash_levels(row)]
        return leaf

    def add(self, number: int, authority: Authority = CA, **options) -> tuple[TileLeaf, SignedCertificateTimestamp]:
        """Log a precertificate for a number, and publish."""
        tbs = number_tbs(number, authority, **options)
        leaf = self.submit([authority.precertificate(tbs), *authority.chain])
        self.publish()
        return leaf, self.sct(leaf)

    def issue(self, number: int, authority: Authority = CA, **options) -> tuple[bytes, SignedCertificateTimestamp]:
        """The same, and the final certificate with its SCT."""
        _, sct = self.add(number, authority, **options)
        return authority.final(number_tbs(number, authority, **options), [format_sct(sct)]), sct

    def publish(self):
        """Sign and serve the tree as it is."""
        self.head = self.served = self.sign(len(self.tree.leaves))
        return self.head

    def _answer(self, path: str) -> bytes | None:
        if path.startswith("issuer/"):
            return self.issuers.get(path.removeprefix("issuer/"))
        return super()._answer(path)

    def _rfc6962(self, name: str, numbers: dict[str, int]) -> bytes | None:
        data = super()._rfc6962(name, numbers)
        if name != "get-entries" or data is None:
            return data
        answer = json.loads(data)
        for at, row in enumerate(answer["entries"], numbers["start"]):
            leaf = self.tree.leaves[at]
            chain = [self.issuers[fingerprint.hex()] for fingerprint in leaf.chain]
            extra = format_extra_data_x509(chain)
            if leaf.pre_certificate:
                extra = format_extra_data_precert(leaf.pre_certificate, chain)
            row["extra_data"] = format_base64(extra)
        return json.dumps(answer).encode()
