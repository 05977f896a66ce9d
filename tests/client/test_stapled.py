"""A proof beside a certificate: what it shows offline, and that no change of it shows anything."""

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctlog.cli.getter import drive
from ctlog.client.inclusion import advance, find
from ctlog.client.issuers import IssuerPool
from ctlog.client.sct import CLOCK_SKEW_MS
from ctlog.client.stapled import format_seen, format_stapled, verify_stapled
from ctlog.client.trusted import LogPolicy, TrustedLog
from ctlog.errors import (
    CtlogError,
    InputError,
    MalformedError,
    ProofError,
    SctError,
    SignatureError,
    UsageError,
    VerificationError,
)
from ctlog.wire.rfc6962 import LogKey, TimestampedEntry, format_merkle_tree_leaf
from ctlog.wire.signed_note import Ed25519Verifier
from ctlog.wire.tlog_proof import format_tlog_proof, parse_tlog_proof
from tests.small_log import AUTHORITY, KEY, NOW, SmallLog, tbs
from tests.wire_values import TestLog

LOG = SmallLog()
EMBEDDED = [LOG.issue(number) for number in range(300)]
PLAIN = LOG.issue(900, precert=False)
CHECKPOINTS = Ed25519Verifier.from_vkey(LOG.vkey)
FILES = LOG.files()


class _Files:
    def get(self, path: str) -> bytes | None:
        return FILES.get(path)


def proof_of(certificate: bytes) -> bytes:
    pool = IssuerPool(AUTHORITY.chain)
    trusted = drive(advance(TrustedLog(LogPolicy(LOG.origin, KEY)), NOW + 1000), _Files())
    (kept,) = drive(find(certificate, pool, trusted, NOW + 1000), _Files())
    return format_stapled(kept)


PROOF, PLAIN_PROOF = proof_of(EMBEDDED[7]), proof_of(PLAIN)


def checked(certificate=EMBEDDED[7], proof=PROOF, key: LogKey | None = KEY, now_ms=NOW + 1000, **options):
    return verify_stapled(certificate, proof, key, now_ms, **options)


def refused(kind=VerificationError, **options) -> str:
    with pytest.raises(kind) as caught:
        checked(**options)
    return caught.value.reason


# What it shows ------------------------------------------------------------------------------------------------------


def test_a_certificate_with_its_sct():
    found = checked()
    assert (found.origin, found.index, found.size, found.sct_checked) == (LOG.origin, 7, 301, True)
    assert (found.head_ms, found.sct.timestamp_ms) == (NOW + 301, NOW + 7)
    assert len(PROOF) < 2500


def test_a_certificate_as_it_was_logged():
    found = checked(PLAIN, PLAIN_PROOF)
    assert (found.index, found.entry.issuer_key_hash) == (300, b"")


def test_with_the_checkpoint_key_alone_or_both():
    found = checked(key=None, checkpoints=CHECKPOINTS)
    assert (found.index, found.head_ms, found.sct_checked) == (7, None, False)
    assert checked(checkpoints=CHECKPOINTS).sct_checked
    with pytest.raises(UsageError):
        checked(key=None)


def test_by_another_maker():
    """Without our extra, or with another's, the certificate's own SCT and its issuer say what is needed."""
    plain = parse_tlog_proof(PROOF)
    for extra in (b"", b"\x07other"):
        proof = format_tlog_proof(type(plain)(plain.index, plain.hashes, plain.checkpoint, extra))
        assert checked(proof=proof, issuers=AUTHORITY.chain).index == 7
        assert refused(ProofError, proof=proof) == "bad-proof"
        assert refused(ProofError, proof=proof, certificate=PLAIN, issuers=AUTHORITY.chain) == "bad-proof"


def seen_of(index: int) -> bytes:
    """What whoever read the log writes: he has no SCT."""
    found = checked(EMBEDDED[index], proof_of(EMBEDDED[index]))
    leaf = format_merkle_tree_leaf(TimestampedEntry(found.timestamp_ms, found.entry, found.sct.extensions))
    plain = parse_tlog_proof(proof_of(EMBEDDED[index]))
    return format_seen(leaf, index, plain.hashes, plain.checkpoint)


SEEN = seen_of(7)


def test_an_entry_that_was_seen_in_the_log():
    """No SCT is at hand, and none is needed: the tree is signed. It holds for every form of the certificate."""
    for same in (EMBEDDED[7], AUTHORITY.precertificate(tbs(7))):
        found = checked(same, SEEN)
        assert (found.index, found.size, found.timestamp_ms) == (7, 301, NOW + 7)
        assert (found.sct, found.sct_checked) == (None, False)
    assert checked(proof=SEEN, key=None, checkpoints=CHECKPOINTS).index == 7


def test_an_entry_that_was_seen_is_not_another_one():
    assert refused(ProofError, certificate=EMBEDDED[8], proof=SEEN) == "bad-proof"
    proof = parse_tlog_proof(SEEN)
    for at in range(1, len(proof.extra)):
        wrong = proof.extra[:at] + bytes([proof.extra[at] ^ 1]) + proof.extra[at + 1 :]
        changed = format_tlog_proof(type(proof)(proof.index, proof.hashes, proof.checkpoint, wrong))
        with pytest.raises((VerificationError, InputError)):
            checked(proof=changed)
    moved = format_tlog_proof(type(proof)(8, proof.hashes, proof.checkpoint, proof.extra))
    assert refused(SctError, proof=moved) == "wrong-index"
    assert refused(SignatureError, proof=SEEN, key=TestLog(5).key) == "unsigned"


# What it does not ---------------------------------------------------------------------------------------------------


def test_another_certificate():
    for certificate in (EMBEDDED[8], PLAIN, AUTHORITY.certificate_for(tbs(8))):
        assert refused(ProofError, certificate=certificate) == "bad-proof"


def test_the_certificates_own_signature_is_no_part_of_it():
    """An entry is what is signed, and by whose key: the same with other SCTs, or with a signature that is none."""
    for same in (AUTHORITY.certificate_for(tbs(7)), EMBEDDED[7][:-1] + b"\x00", AUTHORITY.precertificate(tbs(7))):
        assert checked(same).index == 7


def test_another_log():
    other = TestLog(5)
    assert refused(SignatureError, key=other.key) == "unsigned"
    assert refused(SignatureError, key=None, checkpoints=other.ed25519) == "wrong-origin"
    same_name = Ed25519Verifier(LOG.origin, other.ed25519_key)
    assert refused(SignatureError, key=None, checkpoints=same_name) == "unsigned"
    assert refused(SignatureError, checkpoints=same_name) == "unsigned"


def test_a_tree_from_the_future():
    assert checked(now_ms=NOW + 301 - CLOCK_SKEW_MS)
    assert refused(now_ms=NOW + 300 - CLOCK_SKEW_MS) == "from-the-future"


def test_an_sct_that_the_log_did_not_sign():
    """Its entry is in the tree, so only its signature can be wrong; it is not a part of the entry."""
    proof = parse_tlog_proof(PROOF)
    wrong = proof.extra[:-1] + bytes([proof.extra[-1] ^ 1])
    changed = format_tlog_proof(type(proof)(proof.index, proof.hashes, proof.checkpoint, wrong))
    assert refused(SignatureError, proof=changed) == "bad-signature"
    assert checked(proof=changed, key=None, checkpoints=CHECKPOINTS).index == 7


def test_another_place():
    proof = parse_tlog_proof(PROOF)
    moved = format_tlog_proof(type(proof)(8, proof.hashes, proof.checkpoint, proof.extra))
    assert refused(SctError, proof=moved) == "wrong-index"


def test_every_flipped_bit_of_the_proof():
    """Each changes a hash, the head, its signature or the hint; the text around them has one spelling."""
    head, _, checkpoint = PROOF.partition(b"\n\n")
    for at in range(len(head)):
        wrong = head[:at] + bytes([head[at] ^ 1 << at % 7]) + head[at + 1 :] + b"\n\n" + checkpoint
        with pytest.raises((VerificationError, InputError)):
            checked(proof=wrong)


def test_hints_that_are_none():
    proof = parse_tlog_proof(PROOF)
    for extra in (b"\x01", b"\x01\x20", b"\x01\x01\x00" + proof.extra[34:], proof.extra + b"\x00"):
        changed = format_tlog_proof(type(proof)(proof.index, proof.hashes, proof.checkpoint, extra))
        with pytest.raises(MalformedError):
            checked(proof=changed)
    other = b"\x01\x20" + hashlib.sha256(b"another issuer").digest() + proof.extra[34:]
    changed = format_tlog_proof(type(proof)(proof.index, proof.hashes, proof.checkpoint, other))
    assert refused(ProofError, proof=changed) == "bad-proof"


@given(st.binary(max_size=60), st.integers(0, len(PROOF)))
def test_no_bytes_raise_anything_else(data, at):
    for proof in (data, PROOF[:at] + data, PROOF[:at] + base64.b64encode(data) + PROOF[at:]):
        for certificate in (EMBEDDED[7], data):
            try:
                found = verify_stapled(certificate, proof, KEY, NOW + 1000, issuers=AUTHORITY.chain)
            except CtlogError:
                continue
            assert (certificate, found.index) == (EMBEDDED[7], 7)
