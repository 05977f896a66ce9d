"""ctlog.client.inclusion against an honest log, and against one that breaks each of its promises in turn."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import json
from collections.abc import Generator, Sequence
from typing import Any, TypeVar

import pytest

from ctlog.client.evidence import verify_evidence
from ctlog.client.inclusion import Kept, advance, find, unpacked
from ctlog.client.issuers import IssuerPool
from ctlog.client.trusted import LogPolicy, TrustedLog
from ctlog.errors import (
    CtlogError,
    MalformedError,
    Misbehaviour,
    NotFoundError,
    SctError,
    SignatureError,
    TransportError,
)
from ctlog.wire.rfc6962 import DigitallySigned, EntryType, SignedCertificateTimestamp, TimestampedEntry, format_sct
from ctlog.wire.signed_note import Ed25519Verifier
from ctlog.wire.static_ct import format_leaf_index
from tests.small_log import AUTHORITY, KEY, NOW, SmallLog, tbs

T = TypeVar("T")
Files = dict[str, bytes]
LATER = NOW + 3_600_000


def drive(walk: Generator[Sequence[str], Sequence[bytes | None], T], files: Files) -> T:
    try:
        wanted = next(walk)
        while True:
            wanted = walk.send([files.get(path) for path in wanted])
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


def policy(log: SmallLog) -> LogPolicy:
    return LogPolicy(log.origin, KEY, Ed25519Verifier.from_vkey(log.vkey), "here")


def check(
    log: SmallLog, certificate: bytes, files: Files, pool: Sequence[bytes] = AUTHORITY.chain, now: int = LATER
) -> Kept:
    trusted = drive(advance(TrustedLog(policy(log)), now), files)
    (kept,) = drive(find(certificate, IssuerPool(pool), trusted, now), files)
    return kept


@pytest.fixture(scope="module")
def log() -> SmallLog:
    made = SmallLog()
    for number in range(300):
        made.issue(number)
    return made


@pytest.mark.parametrize("number", [0, 1, 255, 256, 299])
def test_an_embedded_sct_is_proven_kept(log: SmallLog, number: int) -> None:
    kept = check(log, log.issue(number), log.files())
    assert (kept.index, kept.embedded, kept.issuer_from_log) == (number, True, False)
    assert kept.head.size == len(log.leaves)
    assert kept.verified.entry.type == EntryType.PRECERT


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257])
def test_the_edges_of_tiles(size: int) -> None:
    log = SmallLog()
    certificates = [log.issue(number) for number in range(size)]
    for number in {0, size - 1}:
        assert check(log, certificates[number], log.files()).index == number


def test_without_an_sct_the_log_is_asked_for_the_one_it_gave() -> None:
    log = SmallLog()
    final, precertificate = log.issue(1, precert=False), AUTHORITY.precertificate(tbs(2))
    log.add([precertificate, *AUTHORITY.chain])
    files = log.files()
    assert (check(log, final, files).verified.entry.type, check(log, final, files).embedded) == (EntryType.X509, False)
    assert check(log, precertificate, files).verified.entry.type == EntryType.PRECERT
    with pytest.raises(NotFoundError, match="says that it does not have it"):
        check(log, AUTHORITY.certificate_for(tbs(3)), files)


def test_the_issuer_may_come_from_the_log_full_tile_or_partial(log: SmallLog) -> None:
    for number in (3, 299):
        kept = check(log, log.issue(number), log.files(), pool=())
        assert (kept.index, kept.issuer_from_log) == (number, True)
    files = {path: data for path, data in log.files().items() if not path.startswith("issuer/")}
    with pytest.raises(TransportError, match="hand it in as well"):
        check(log, log.issue(3), files, pool=())
    files = {path: AUTHORITY.above[0] if path.startswith("issuer/") else data for path, data in log.files().items()}
    with pytest.raises(TransportError, match="hand it in as well"):
        check(log, log.issue(3), files, pool=())


def test_a_partial_tile_that_is_gone_is_read_from_the_full_one() -> None:
    log = SmallLog()
    certificates = [log.issue(number) for number in range(200)]
    old = log.checkpoint()
    for number in range(200, 260):
        log.issue(number)
    files = {**log.files(), "checkpoint": old}  # a cache's old head, over today's tiles
    for pool in (AUTHORITY.chain, ()):
        assert check(log, certificates[7], files, pool).head.size == 200


def test_a_head_that_was_seen_is_continued_and_a_second_one_of_its_size_is_a_fork() -> None:
    log = SmallLog()
    log.issue(0)
    before = drive(advance(TrustedLog(policy(log)), LATER), log.files())
    for number in range(1, 300):
        log.issue(number)
    after = drive(advance(before, LATER), log.files())
    assert after.head is not None
    assert after.head.size == 300
    with pytest.raises(Misbehaviour) as lie:
        drive(advance(after, LATER), {"checkpoint": log.checkpoint(root=bytes(32), timestamp_ms=NOW + 500)})
    assert verify_evidence(lie.value.evidence, KEY).evidence.kind == "fork"


def test_a_log_that_rewrote_its_past_is_caught() -> None:
    log, other = SmallLog(), SmallLog()
    log.issue(0)
    before = drive(advance(TrustedLog(policy(log)), LATER), log.files())
    for number in range(1, 5):
        other.issue(number)
    with pytest.raises(Misbehaviour) as lie:
        drive(advance(before, LATER), other.files())
    assert verify_evidence(lie.value.evidence, KEY).evidence.kind == "rewrite"


def test_an_sct_without_its_entry_is_a_proof_against_the_log(log: SmallLog) -> None:
    where_another_is = log.promise(log.leaves[5].timestamped._replace(timestamp_ms=NOW + 999))
    certificate = AUTHORITY.final(tbs(5), [format_sct(where_another_is)])
    with pytest.raises(Misbehaviour, match="another entry stands at index 5") as lie:
        check(log, certificate, log.files())
    verdict = verify_evidence(lie.value.evidence, KEY)
    assert (verdict.is_proof, verdict.evidence.kind) == (True, "broken-sct")


def beyond(log: SmallLog, timestamp_ms: int) -> bytes:
    entry = log.leaves[5].entry
    return AUTHORITY.final(
        tbs(5), [format_sct(log.promise(TimestampedEntry(timestamp_ms, entry, format_leaf_index(10_000))))]
    )


def test_a_promise_beyond_the_tree_is_not_due_or_broken(log: SmallLog) -> None:
    with pytest.raises(TransportError) as early:
        check(log, beyond(log, NOW), log.files())
    assert early.value.reason == "not-yet"
    late = {**log.files(), "checkpoint": log.checkpoint(timestamp_ms=NOW + 2 * 86_400_000)}
    with pytest.raises(Misbehaviour) as lie:
        check(log, beyond(log, NOW), late, now=NOW + 3 * 86_400_000)
    assert verify_evidence(lie.value.evidence, KEY).evidence.kind == "broken-sct"


def altered(sct: SignedCertificateTimestamp, **fields: Any) -> bytes:
    return AUTHORITY.final(tbs(5), [format_sct(sct._replace(**fields))])


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"timestamp_ms": NOW + 1}, "bad-signature"),
        ({"extensions": format_leaf_index(6)}, "bad-signature"),
        ({"signature": DigitallySigned(4, 3, b"\x30\x00")}, "bad-signature"),
        ({"extensions": b""}, "no-index"),
        ({"extensions": b"\x00"}, "bad-extensions"),
        ({"timestamp_ms": LATER + 10_000_000}, "from-the-future"),
    ],
)
def test_an_sct_that_is_not_the_logs_is_refused(log: SmallLog, fields: dict[str, Any], reason: str) -> None:
    sct = log.promise(log.leaves[5].timestamped)
    with pytest.raises(SctError) as refusal:
        check(log, altered(sct, **fields), log.files())
    assert refusal.value.reason == reason


def test_another_certificates_sct_is_refused(log: SmallLog) -> None:
    sct = log.promise(log.leaves[6].timestamped)
    with pytest.raises(SctError):
        check(log, AUTHORITY.final(tbs(5), [format_sct(sct)]), log.files())


def test_an_sct_of_another_log_only_counts_as_none(log: SmallLog) -> None:
    sct = log.promise(log.leaves[5].timestamped)._replace(log_id=bytes(32))
    with pytest.raises(NotFoundError):
        check(log, AUTHORITY.final(tbs(5), [format_sct(sct)]), log.files())


@pytest.mark.parametrize("bit", [0, 100 * 8 + 3, 5 * 256 + 7])
def test_a_tile_with_a_flipped_bit_is_recorded(log: SmallLog, bit: int) -> None:
    files = log.files()
    rotten = bytearray(files["tile/0/000"])
    rotten[bit // 8] ^= 1 << bit % 8
    with pytest.raises(Misbehaviour) as lie:
        check(log, log.issue(5), {**files, "tile/0/000": bytes(rotten)})
    verdict = verify_evidence(lie.value.evidence, KEY)
    assert (verdict.is_proof, verdict.evidence.kind) == (False, "bad-tile")


def test_what_the_log_keeps_back_is_no_answer(log: SmallLog) -> None:
    certificate, files = log.issue(299), log.files()
    for number, path in ((3, "tile/0/000"), (299, "tile/0/001.p/44"), (299, "tile/1/000.p/1")):
        certificate = log.issue(number)
        with pytest.raises(TransportError, match="does not hand out"):
            check(log, certificate, {k: v for k, v in files.items() if k != path})
    with pytest.raises(TransportError, match="no checkpoint"):
        check(log, certificate, {})
    with pytest.raises(TransportError, match=r"tile/data/001\.p/44"):
        check(log, certificate, {k: v for k, v in files.items() if "data" not in k}, pool=())
    with pytest.raises(TransportError, match="cannot be read"):
        check(log, certificate, {**files, "tile/data/001.p/44": b"junk"}, pool=())


@pytest.mark.parametrize("answer", [b"", b"null", b"[]", b"{}", b"\xff", b"[" * 100_000, b'{"sct_version":1}'])
def test_an_answer_that_is_no_sct_is_a_bad_sct(log: SmallLog, answer: bytes) -> None:
    certificate = AUTHORITY.certificate_for(tbs(9))
    with pytest.raises(SctError, match="is no SCT"):
        check(log, certificate, {**log.files(), f"sct/{hashlib.sha256(certificate).hexdigest()}": answer})


def test_an_sct_of_another_log_from_the_log_is_refused(log: SmallLog) -> None:
    certificate = log.issue(1000, precert=False)
    files = log.files()
    path = f"sct/{hashlib.sha256(certificate).hexdigest()}"
    answer = {**json.loads(files[path]), "id": "A" * 43 + "="}
    with pytest.raises(SctError) as refusal:
        check(log, certificate, {**files, path: json.dumps(answer).encode()})
    assert refusal.value.reason == "unknown-log"


def test_a_checkpoint_of_somebody_else_is_refused(log: SmallLog) -> None:
    with pytest.raises(SignatureError):
        check(log, log.issue(1), {"checkpoint": SmallLog("another.example").checkpoint()})
    with pytest.raises(MalformedError):
        check(log, log.issue(1), {"checkpoint": b"hello"})


def test_any_byte_of_any_file_may_be_wrong_and_only_our_errors_come_out() -> None:
    log = SmallLog()
    certificates = [log.issue(n, precert=n % 2 == 0) for n in range(4)]
    files = log.files()
    refusals = 0
    for path, data in files.items():
        for at, value in itertools.product(range(0, len(data), max(1, len(data) // 12)), (0x00, 0x80, 0xFF)):
            bent = {**files, path: data[:at] + bytes([value]) + data[at + 1 :]}
            for certificate in certificates[:2]:
                try:
                    check(log, certificate, bent, pool=())
                except CtlogError:
                    refusals += 1
    assert refusals > 50


def test_gzip_is_read_with_a_bound_and_to_its_end() -> None:
    data = gzip.compress(b"x" * 1000)
    assert unpacked(data) == b"x" * 1000
    assert unpacked(b"x") == b"x"
    for bad in (data[:-1], data + b"x", data[:10] + b"\xff" * 9, data[:12]):
        with pytest.raises(MalformedError):
            unpacked(bad)
    with pytest.raises(MalformedError):
        unpacked(data, limit=999)
