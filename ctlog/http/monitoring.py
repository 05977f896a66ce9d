"""RFC 6962 reads (sections 4.3 to 4.8), computed from tiles, with the codes that existing clients were built against.

In scope: get-sth, get-sth-consistency, get-proof-by-hash, get-entries, get-roots, get-entry-and-proof, and our own
`sct/<sha256>`. Out of scope: the files of static-ct-api (`ctlog.http.static`) and how proofs are made (`ctlog.merkle`).

Caching: an answer that no later head can change (a proof between two sizes, entries that were not cut by the end of
the tree) may be kept for a day; every other answer, and every error, is `no-store`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ctlog.errors import MalformedError, NotFoundError, UsageError
from ctlog.http.answers import FINAL, NO_STORE, Answer, json_answer
from ctlog.http.published import Published
from ctlog.http.site import Call, Handler, Route
from ctlog.merkle.proof import plan_consistency, plan_inclusion
from ctlog.merkle.tiles import WIDTH
from ctlog.sequencer.log import Log
from ctlog.wire.b64 import format_base64, parse_base64
from ctlog.wire.rfc6962 import (
    EntryType,
    SignedCertificateTimestamp,
    format_extra_data_precert,
    format_extra_data_x509,
    format_merkle_tree_leaf,
    sct_to_json,
    sth_to_json,
)
from ctlog.wire.static_ct import PendingEntry, TileLeaf, format_leaf_index

MAX_ENTRIES = 1000  # of one get-entries answer; the reference server's default
MAX_INDEX = (1 << 63) - 1
PREFIXES = ("/ct/v1/", "/stict/v1/")
"""RFC 6962's, and that of draft-ietf-stir-certificate-transparency; the same handlers."""

_NUMBER = re.compile("[0-9]{1,19}")
_FINGERPRINT = re.compile("[0-9a-fA-F]{64}")


class Reads:
    """The handlers. `roots` gives the accepted roots' DER, in the order of get-roots."""

    def __init__(self, log: Log[PendingEntry], published: Published, roots: Callable[[], Sequence[bytes]]) -> None:
        self._log = log
        self._published = published
        self._roots = roots
        self._last_sth: tuple[bytes, Answer] = (b"", Answer(500, b""))
        self._last_roots: tuple[Sequence[bytes], Answer] = ((), json_answer({"certificates": []}))

    def routes(self) -> dict[str, Route]:
        """Each call under both prefixes."""
        handlers: Mapping[str, Handler] = {
            "get-sth": self.get_sth,
            "get-sth-consistency": self.get_sth_consistency,
            "get-proof-by-hash": self.get_proof_by_hash,
            "get-entries": self.get_entries,
            "get-roots": self.get_roots,
            "get-entry-and-proof": self.get_entry_and_proof,
        }
        return {prefix + name: Route(name, {"GET": handler}) for prefix in PREFIXES for name, handler in
                handlers.items()}

    async def get_sth(self, call: Call) -> Answer:
        """Section 4.3."""
        head = self._published.signed_head
        if self._last_sth[0] != head.note:
            self._last_sth = (head.note, json_answer(sth_to_json(head.sth)))
        return self._last_sth[1]

    async def get_sth_consistency(self, call: Call) -> Answer:
        """Section 4.4. From size 0 there is nothing to prove: `[]`, which clients rely on."""
        first, second = _number(call, "first"), _number(call, "second")
        tree = self._published.tree
        if first > second:
            raise UsageError(f"`first` ({first}) is larger than `second` ({second})", reason="sizes-reversed")
        if first == 0:
            return json_answer({"consistency": []}, cache=FINAL)
        if second > tree.size:
            raise UsageError(f"the tree has {tree.size} entries, fewer than `second` ({second})", reason="beyond-tree")
        proof = await self._published.proof(plan_consistency(first, second))
        return json_answer({"consistency": _base64_all(proof)}, cache=FINAL)

    async def get_proof_by_hash(self, call: Call) -> Answer:
        """Section 4.5. Unknown hashes and sizes beyond the tree are 404."""
        # Some clients send the base64 without percent-encoding: its `+` arrives as a space.
        wanted = _bytes(_parameter(call, "hash").replace(" ", "+"), "hash")
        if len(wanted) != 32:
            raise MalformedError(f"`hash` must be a hash of 32 bytes, not {len(wanted)}", field="hash")
        size = _number(call, "tree_size", least=1)
        tree = self._published.tree
        if size > tree.size:
            raise NotFoundError(f"the tree has {tree.size} entries, fewer than `tree_size` ({size})",
                                reason="beyond-tree")
        index = await self._log.find_leaf(wanted)
        if index is None or index >= size:
            raise NotFoundError(f"the first {size} entries hold none with this leaf hash", reason="unknown-hash")
        proof = await self._published.proof(plan_inclusion(index, size))
        return json_answer({"leaf_index": index, "audit_path": _base64_all(proof)}, cache=FINAL)

    async def get_entries(self, call: Call) -> Answer:
        """Section 4.6: "may return fewer": cut at the end of the tree, or at a tile's end when more is asked than fits.

        An answer that stops where a data tile ends reads and parses no tile twice when the client comes back for more.
        """
        start, end = _number(call, "start"), _number(call, "end")
        tree = self._published.tree
        if start > end:
            raise UsageError(f"`start` ({start}) is larger than `end` ({end})", reason="sizes-reversed")
        if start >= tree.size:
            raise UsageError(f"the tree has {tree.size} entries, so there is none at `start` ({start})",
                             reason="beyond-tree")
        stop = min(end + 1, start + MAX_ENTRIES)
        if end + 1 > stop:
            stop = stop // WIDTH * WIDTH
        cut_by_tree = stop > tree.size
        leaves = await self._published.entries(start, min(stop, tree.size), tree)
        entries = [_entry(leaf, chain) for leaf, chain in zip(leaves, await self._published.chains(leaves),
                                                              strict=True)]
        return json_answer({"entries": entries}, cache=NO_STORE if cut_by_tree else FINAL)

    async def get_roots(self, call: Call) -> Answer:
        """Section 4.7."""
        roots = self._roots()
        if self._last_roots[0] is not roots:
            self._last_roots = (roots, json_answer({"certificates": _base64_all(roots)}))
        return self._last_roots[1]

    async def get_entry_and_proof(self, call: Call) -> Answer:
        """Section 4.8."""
        index, size = _number(call, "leaf_index"), _number(call, "tree_size", least=1)
        tree = self._published.tree
        if size > tree.size:
            raise UsageError(f"the tree has {tree.size} entries, fewer than `tree_size` ({size})", reason="beyond-tree")
        if index >= size:
            raise UsageError(f"`leaf_index` ({index}) is not below `tree_size` ({size})", reason="beyond-tree")
        leaves = await self._published.entries(index, index + 1, tree)
        chains = await self._published.chains(leaves)
        proof = await self._published.proof(plan_inclusion(index, size))
        return json_answer({**_entry(leaves[0], chains[0]), "audit_path": _base64_all(proof)}, cache=FINAL)

    async def get_sct(self, call: Call) -> Answer:
        """Ours: where the certificate with this SHA-256 is logged, and its SCT again, byte for byte (P6)."""
        text = call.path.rpartition("/")[2]
        if not _FINGERPRINT.fullmatch(text):
            raise MalformedError("a certificate is asked for by the 64 hex digits of its SHA-256", field="sha256")
        found = await self._log.find_certificate(bytes.fromhex(text))
        if found is None:
            raise NotFoundError("no certificate with this SHA-256 was submitted to this log",
                                reason="unknown-certificate")
        sct = make_sct(self._log, found.index, found.timestamp_ms, found.leaf)
        return json_answer({"leaf_index": found.index, **sct_to_json(sct)}, cache=FINAL)


def make_sct(log: Log[PendingEntry], index: int, timestamp_ms: int, leaf: bytes) -> SignedCertificateTimestamp:
    """The SCT over `leaf`, the MerkleTreeLeaf of a published entry (P3, P7)."""
    signer = log.signer
    return SignedCertificateTimestamp(signer.key.log_id, timestamp_ms, format_leaf_index(index),
                                      signer.digitally_sign(leaf))


def _entry(leaf: TileLeaf, chain: Sequence[bytes]) -> dict[str, Any]:
    if leaf.entry.type is EntryType.PRECERT:
        extra = format_extra_data_precert(leaf.pre_certificate, chain)
    else:
        extra = format_extra_data_x509(chain)
    return {"leaf_input": format_base64(format_merkle_tree_leaf(leaf.timestamped)), "extra_data": format_base64(extra)}


def _parameter(call: Call, name: str) -> str:
    value = call.query.get(name)
    if not value:
        raise UsageError(f"the parameter `{name}` is missing", reason="missing-parameter")
    return value


def _number(call: Call, name: str, least: int = 0) -> int:
    text = _parameter(call, name)
    if not _NUMBER.fullmatch(text) or not least <= int(text) <= MAX_INDEX:
        shown = text if len(text) <= 30 else text[:27] + "..."
        raise UsageError(f"`{name}` must be a whole number of at least {least}, not {shown!a}", reason="bad-number")
    return int(text)


def _bytes(text: str, name: str) -> bytes:
    try:
        return parse_base64(text, name)
    except MalformedError as error:
        raise MalformedError(f"`{name}` is not standard base64", field=name, reason=error.reason) from None


def _base64_all(values: Sequence[bytes]) -> list[str]:
    return [format_base64(value) for value in values]
