"""The evidence bundle of an alert: the certificate, its chain, and the proof that a log signed a tree which holds it.

In scope: proving one entry against a head that is trusted, in C2SP's tlog-proof (docs/stapled-proof.md); keeping these
proofs beside the state, soon after the alert, so that they are at hand when the log is gone; the files of a bundle,
with which anybody checks it offline. Each proof is checked as a stranger would before it is kept or shown. Out of
scope: evidence against logs (`ctlog.client.evidence`), and writing bundles (`monitor.cli.bundle`).

    STATE/proofs/LOGID-INDEX.tlog-proof, .leaf      for a flood of alerts those of the newest only; others when asked
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from pathlib import Path
from textwrap import wrap
from typing import Any, NamedTuple

from ctlog.client.stapled import format_seen, verify_stapled
from ctlog.client.tile_reader import TileReader
from ctlog.errors import CtlogError
from ctlog.merkle.hashing import leaf_hash
from ctlog.merkle.proof import verify_inclusion
from ctlog.merkle.tree import TreeHead
from ctlog.wire.checkpoint import SignedHead
from ctlog.wire.rfc6962 import LogKey
from monitor.follow.begin import audit_path, leaves
from monitor.follow.followed import Clock, Followed, Says
from monitor.following import Following
from monitor.history_files import replace_file
from monitor.rules.values import DAY_MS
from monitor.state import State
from monitor.state.rows import CERTIFICATE, S3, UNREADABLE, AlertRow

FOLDER = "proofs"
AT_ONCE = 100
"""Alerts that are looked at in one go, the newest ones: each may have 90,000 octets."""


class EntryProof(NamedTuple):
    """That an entry is in a signed tree. leaf: its MerkleTreeLeaf; proof: the tlog-proof@v1."""

    leaf: bytes
    proof: bytes


async def prove_entry(log: Followed, head: SignedHead, index: int, now_ms: int, certificate: bytes = b"") -> EntryProof:
    """Fetch an entry, prove it, and check the proof as whoever gets it will. certificate: what it must be, if readable.

    Raises ProofError where something else stands there, what fetchers raise, and Misbehaviour from followers.
    """
    (leaf,) = await leaves(log, head, index, index + 1)
    value = leaf_hash(leaf)
    if log.is_proven_at_once:
        path = await TileReader(log.fetcher).inclusion_proof(TreeHead(head.size, head.root), index)
    else:
        path = await audit_path(log, head, value, index)
    verify_inclusion(index, head.size, value, path, head.root)
    proof = format_seen(leaf, index, path, head.note)
    if certificate:
        verify_stapled(certificate, proof, log.policy.key, now_ms)
    return EntryProof(leaf, proof)


def read_proof(state: Path, log_id: bytes, index: int) -> EntryProof | None:
    """One that was kept. Raises OSError."""
    leaf, proof = (_path(state, log_id, index, kind) for kind in ("leaf", "tlog-proof"))
    return EntryProof(leaf.read_bytes(), proof.read_bytes()) if proof.exists() else None


def keep_proof(state: Path, log_id: bytes, index: int, found: EntryProof) -> None:
    """Keep one, durably; the proof is last, so where it is there is the leaf. Raises OSError."""
    path = _path(state, log_id, index, "leaf")
    path.parent.mkdir(mode=0o700, exist_ok=True)
    replace_file(path, found.leaf)
    replace_file(_path(state, log_id, index, "tlog-proof"), found.proof)


def _path(state: Path, log_id: bytes, index: int, kind: str) -> Path:
    return state / FOLDER / f"{log_id.hex()}-{index}.{kind}"


def readable_certificate(document: Mapping[str, Any]) -> bytes:
    """The certificate that an alert carries, if the proof can be checked with it; b"" if not."""
    certificate = document.get("certificate") or {}
    return b64decode(certificate["der"]) if certificate.get("readable") and certificate.get("der") else b""


class Keeper:
    """Keeps the proofs of what was told lately. `work` is called again and again; what fails is tried again then."""

    def __init__(self, state: State, following: Following, now_ms: Clock, says: Says) -> None:
        self._state = state
        self._following = following
        self._now_ms = now_ms
        self._says = says
        self._kept: set[tuple[bytes, int]] = set()
        self._failed: set[tuple[bytes, int]] = set()

    async def work(self) -> None:
        """Prove the newest of those that lack it. Raises StoreError."""
        now_ms, rows = self._now_ms(), []
        for kind in (CERTIFICATE, UNREADABLE):
            rows += await self._state.alerts.find(kind=kind, worst=S3, since_ms=now_ms - DAY_MS, limit=AT_ONCE)
        places = {(row.log_id, row.log_index) for row in rows}
        self._kept &= places
        self._failed &= places
        for row in rows:
            if row.log_index is not None and row.proven is not None and (row.log_id, row.log_index) not in self._kept:
                await self._keep(row, row.log_index)

    async def _keep(self, row: AlertRow, index: int) -> None:
        place, folder = (row.log_id, index), self._state.folder
        found = self._following.trusted(row.log_id)
        if found is None or found[1].size <= index:
            return
        try:
            if read_proof(folder, row.log_id, index) is None:
                certificate = readable_certificate(json.loads(row.body))
                proof = await prove_entry(*found, index, self._now_ms(), certificate)
                keep_proof(folder, row.log_id, index, proof)
            self._kept.add(place)
        except (CtlogError, OSError) as error:
            if place not in self._failed:
                self._says("warning", found[0].name, f"entry {index} cannot be proven for a bundle yet: {error}")
            self._failed.add(place)


# The files ------------------------------------------------------------------------------------------------------------

_README = """\
{summary}

What lies here, and what it shows to anybody, without a network and without trusting whoever wrote it:

  alert.txt, alert.json   what the monitor said of it
{certificate}  entry.leaf              the entry of the log as it is hashed (MerkleTreeLeaf, RFC 6962 section 3.4)
  entry.tlog-proof        the log's signed tree head, and that the entry is number {index} of that tree
  log-key.pem             the key of the log {name}, as the monitor was told it; compare it with what the log publishes

Check it:

{check}
It shows that the log made the certificate public, and under which issuer's key. That this issuer really signed it is
shown by the chain in certificate.pem. Whether it was issued to the right person is not shown by any of this.
"""
_PEM = "  certificate.pem         the certificate, and the chain up to its root\n"
_CHECK = "  ctlog verify certificate.pem --proof entry.tlog-proof --key log-key.pem\n"
_BY_HAND = (
    "  The certificate cannot be read, or is too large for an alert. The proof is of the leaf: its hash is SHA-256 of\n"
    "  an octet 0 and entry.leaf, and leads by the hashes in entry.tlog-proof to the root that is signed there.\n"
)


def bundle_files(
    document: Mapping[str, Any], row: AlertRow, text: str, found: EntryProof, key: LogKey
) -> dict[str, bytes]:
    """Every file of a bundle, by name. document, text: the alert of `row`, for machines and for people."""
    ders = _chain(document)
    readme = _README.format(
        summary=row.summary, index=f"{row.log_index:,}", name=document["log"]["name"], certificate=_PEM if ders else "",
        check=_CHECK if readable_certificate(document) else _BY_HAND,
    )  # fmt: skip
    files = {
        "README.txt": readme.encode(),
        "alert.txt": text.encode(),
        "alert.json": json.dumps(document, indent=1).encode(),
        "entry.leaf": found.leaf,
        "entry.tlog-proof": found.proof,
        "log-key.pem": _armoured(key.spki, "PUBLIC KEY"),
    }
    if ders:
        files["certificate.pem"] = b"".join(_armoured(der, "CERTIFICATE") for der in ders)
    return files


def check_entry(document: Mapping[str, Any], found: EntryProof, key: LogKey, now_ms: int) -> None:
    """Check a proof that was kept, as whoever gets it will. Raises ProofError, SignatureError, MalformedError."""
    certificate = readable_certificate(document)
    if certificate:
        verify_stapled(certificate, found.proof, key, now_ms)


def _chain(document: Mapping[str, Any]) -> list[bytes]:
    certificate = document.get("certificate") or {}
    return [b64decode(each) for each in (certificate["der"], *certificate["chain"])] if certificate.get("der") else []


def _armoured(der: bytes, label: str) -> bytes:
    lines = wrap(b64encode(der).decode(), 64)
    return "\n".join((f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", "")).encode()
