"""Is this certificate in that log? The walk from a checkpoint to an inclusion proof, without a network of its own.

In scope: a log of static-ct-api, seen through its public paths. `advance` moves a trusted head forward; `find` takes a
certificate and a trusted head, and proves each SCT that the log gave for it kept. Both are generators in the manner of
plan, fetch, finish: they yield the paths that they need, are sent what came (None for what is not there, 404), and
return what was proven; so the same walk serves a command, an event loop and a test. Out of scope: fetching, and
keeping the head.

What is trusted: the log's key, and nothing else. An issuer that the log hands out, and the place that it names, are
hints: what they lead to is checked against the signed head.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from ctlog.client.evidence import prove_broken_sct, record
from ctlog.client.issuers import IssuerPool, check_issued
from ctlog.client.sct import CLOCK_SKEW_MS, VerifiedSct, embedded_scts, verify_sct
from ctlog.client.trusted import TrustedLog
from ctlog.errors import MalformedError, Misbehaviour, NotFoundError, ProofError, SctError, TransportError
from ctlog.merkle.hashing import leaf_hash
from ctlog.merkle.proof import build, plan_inclusion, verify_inclusion
from ctlog.merkle.tiles import WIDTH, AuthenticTiles, Tile, entries_path, plan, tile_path
from ctlog.merkle.tree import HASH_SIZE, Node
from ctlog.wire.checkpoint import SignedHead
from ctlog.wire.rfc6962 import SignedCertificateTimestamp, parse_sct, sct_from_json
from ctlog.wire.static_ct import parse_data_tile, parse_leaf_index
from ctlog.x509.der import parse_certificate

T = TypeVar("T")
Walk: TypeAlias = Generator[Sequence[str], Sequence[bytes | None], T]

_MAX_DATA_TILE = WIDTH * (1 << 20)  # a log's own limit is a quarter of this per entry


@dataclass(frozen=True, slots=True)
class Kept:
    """An SCT whose promise was kept: its entry is number `index` of the tree of `head`, as `proof` shows.

    `embedded`: it stands in the certificate. `tiles`: how many hash tiles the proof was read from. `issuer_from_log`:
    the issuer's certificate, without which an embedded SCT cannot be checked, came from the log itself.
    """

    verified: VerifiedSct
    index: int
    head: SignedHead
    embedded: bool
    tiles: int
    issuer_from_log: bool
    proof: tuple[bytes, ...]


def advance(trusted: TrustedLog, now_ms: int) -> Walk[TrustedLog]:
    """Fetch the log's checkpoint, and prove that it continues what is trusted.

    Raises what `TrustedLog` raises: Misbehaviour with evidence, SignatureError, MalformedError; TransportError.
    """
    (note,) = yield ["checkpoint"]
    if note is None:
        raise TransportError("there is no checkpoint here; is this the log's monitoring URL?", reason="no-checkpoint")
    step = trusted.offer(trusted.policy.open(note), now_ms)
    tiles = (yield from _fetch(step.tiles)) if step.needs_proof else None
    return trusted.accept(step, tiles)


def find(certificate: bytes, pool: IssuerPool, trusted: TrustedLog, now_ms: int) -> Walk[list[Kept]]:
    """Prove that the log keeps its promise to have this certificate; one result for each of its SCTs of this log.

    `certificate` is DER, final or a precertificate. SCTs of the log that stand in it are taken; where there is none,
    the log is asked for the one that it gave. `trusted` is what `advance` returned.

    Raises SctError for an SCT that is not good; SignatureError, "certificate-forged", where the certificate's issuer
    did not sign it; NotFoundError when the log says that it has no such entry (which is its word, and no proof);
    Misbehaviour with evidence when a good SCT's entry is not where it was promised;
    TransportError when the promise is not due ("not-yet"), when the issuer without which an SCT cannot be checked is
    nowhere ("issuer-missing"), or when the log does not hand out what it has published.
    """
    mine = b"\x00" + trusted.policy.key.log_id
    scts: list[bytes | SignedCertificateTimestamp] = [d for d in embedded_scts(certificate) if d.startswith(mine)]
    if not scts:
        scts = [(yield from _ask(certificate))]
    kept = []
    for sct in scts:
        kept.append((yield from _prove(certificate, sct, pool, trusted, now_ms)))
    return kept


def _ask(certificate: bytes) -> Walk[SignedCertificateTimestamp]:
    """The SCT that the log says it gave for these very bytes."""
    (answer,) = yield [f"sct/{hashlib.sha256(certificate).hexdigest()}"]
    if answer is None:
        raise NotFoundError(
            "the certificate carries no SCT of this log, and the log says that it does not have it", reason="not-in-log"
        )
    try:
        return sct_from_json(json.loads(answer))
    except (MalformedError, ValueError, RecursionError) as error:
        raise SctError(f"the log's answer is no SCT: {error}", reason="no-sct") from None


def _prove(
    certificate: bytes, handed: bytes | SignedCertificateTimestamp, pool: IssuerPool, trusted: TrustedLog, now_ms: int
) -> Walk[Kept]:
    """`handed` is bytes for an SCT that stands in the certificate."""
    head = _head(trusted)
    sct = parse_sct(handed) if isinstance(handed, bytes) else handed
    index = _index(sct)
    parsed = parse_certificate(certificate)
    issuers = pool.issuers(parsed)
    issuer_from_log = not issuers
    if issuer_from_log and index < head.size:
        issuers = IssuerPool((yield from _issuers(index, head.size))).issuers(parsed)
    if not issuers:
        raise TransportError("the certificate's issuer is not at hand: hand it in as well", reason="issuer-missing")
    ders = [issuer.der for issuer in issuers]
    verified = verify_sct(certificate, ders, handed, trusted.policy.key, now_ms, CLOCK_SKEW_MS)
    check_issued(parsed, issuers[0])
    if index >= head.size:
        _check_due(verified, head, trusted, now_ms)
    inclusion = plan_inclusion(index, head.size)
    tiles = yield from _fetch(plan([*inclusion.nodes, Node(0, index)], head.size))
    case = trusted.policy.case(now_ms)
    try:
        authentic = AuthenticTiles(head.size, head.root, tiles)
    except ProofError as error:
        raise Misbehaviour(str(error), evidence=record(case, "bad-tile", str(error), heads=[head])) from None
    proof, found = build(inclusion, authentic), authentic.leaf_hashes(index, index + 1)
    if found != leaf_hash(verified.merkle_tree_leaf):
        evidence = prove_broken_sct(case, sct, verified.entry, trusted.policy.mmd_ms, head, (found, proof))
        raise Misbehaviour(f"another entry stands at index {index}, which the log promised", evidence=evidence)
    verify_inclusion(index, head.size, found, proof, head.root)
    return Kept(verified, index, head, isinstance(handed, bytes), len(tiles), issuer_from_log, tuple(proof))


def _head(trusted: TrustedLog) -> SignedHead:
    if trusted.head is None:
        raise TransportError("no head of this log is known yet", reason="no-checkpoint")
    return trusted.head


def _index(sct: SignedCertificateTimestamp) -> int:
    try:
        index = parse_leaf_index(sct.extensions)
    except MalformedError as error:
        raise SctError(f"the SCT's extensions cannot be read: {error}", reason="bad-extensions") from None
    if index is None:
        raise SctError("the SCT names no place in the log, so it was not made by a log of this kind", reason="no-index")
    return index


def _check_due(verified: VerifiedSct, head: SignedHead, trusted: TrustedLog, now_ms: int) -> None:
    """Raises, always: for a promise beyond the tree, whether it is broken or may still be kept."""
    sct, policy = verified.sct, trusted.policy
    due_ms = sct.timestamp_ms + policy.mmd_ms
    if head.timestamp_ms > due_ms:
        evidence = prove_broken_sct(policy.case(now_ms), sct, verified.entry, policy.mmd_ms, head, None)
        raise Misbehaviour("the log promised an entry, and its time is over", evidence=evidence)
    raise TransportError(
        f"the SCT is good, and its entry {verified.leaf_index} is not in the tree of {head.size} yet", reason="not-yet"
    )


def _fetch(tiles: Iterable[Tile]) -> Walk[dict[Tile, bytes]]:
    """These tiles; for a partial one that is gone, the beginning of the full one (static-ct-api, "Merkle Tree")."""
    wanted = list(tiles)
    came = yield [tile_path(tile) for tile in wanted]
    found = {tile: data for tile, data in zip(wanted, came, strict=True) if data is not None}
    gone = [tile for tile in wanted if tile not in found]
    if any(tile.width == WIDTH for tile in gone):
        raise _withheld(next(tile_path(tile) for tile in gone if tile.width == WIDTH))
    if gone:
        whole = yield [tile_path(tile._replace(width=WIDTH)) for tile in gone]
        for tile, data in zip(gone, whole, strict=True):
            if data is None:
                raise _withheld(tile_path(tile))
            found[tile] = data[: tile.width * HASH_SIZE]
    return found


def _issuers(index: int, size: int) -> Walk[list[bytes]]:
    """The certificates that the log stored above entry `index`. Hints: whoever uses them checks."""
    tile, place = divmod(index, WIDTH)
    width = min(WIDTH, size - tile * WIDTH)
    (data,) = yield [entries_path("data", tile, width)]
    if data is None and width < WIDTH:
        (data,) = yield [entries_path("data", tile, WIDTH)]
    if data is None:
        raise _withheld(entries_path("data", tile, width))
    try:
        leaf = parse_data_tile(unpacked(data))[place]
    except (MalformedError, IndexError) as error:
        path = entries_path("data", tile, width)
        raise TransportError(f"{path} cannot be read: {error}", reason="bad-data") from None
    ders = yield [f"issuer/{fingerprint.hex()}" for fingerprint in leaf.chain]
    return [der for der, name in zip(ders, leaf.chain, strict=True) if der and hashlib.sha256(der).digest() == name]


def unpacked(data: bytes, limit: int = _MAX_DATA_TILE) -> bytes:
    """A data tile as it is or was before gzip, which a log may serve unasked. Raises MalformedError."""
    if data[:2] != b"\x1f\x8b":
        return data
    try:
        inflater = zlib.decompressobj(wbits=31)
        out = inflater.decompress(data, limit)
    except (zlib.error, gzip.BadGzipFile) as error:
        raise MalformedError(f"data tile: damaged gzip: {error}", field="data-tile") from None
    if not inflater.eof or inflater.unused_data:
        raise MalformedError("data tile: gzip that does not end where the file does", field="data-tile")
    return out


def _withheld(path: str) -> TransportError:
    return TransportError(f"the log does not hand out {path}, which its signed head needs", reason="missing-data")
