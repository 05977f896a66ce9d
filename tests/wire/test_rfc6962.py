"""RFC 6962's structures: the bytes of the RFC, inverses, strictness, and what other people's code makes of them."""

import datetime
import hashlib
from contextlib import suppress

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from ctlog.errors import MalformedError, SignatureError
from ctlog.wire import rfc6962
from ctlog.wire.rfc6962 import (
    DigitallySigned,
    EntryType,
    LogKey,
    SignedCertificateTimestamp,
    SignedEntry,
    TimestampedEntry,
)
from tests.wire_values import ENTRY, SCT, SIGNATURE, STH, TIMESTAMPED, RsaLog, TestLog

X509 = SignedEntry(EntryType.X509, b"certificate")
PRECERT = SignedEntry(EntryType.PRECERT, b"tbs", b"k" * 32)

PARSERS = {
    "leaf": rfc6962.parse_merkle_tree_leaf,
    "signed": rfc6962.parse_digitally_signed,
    "sct": rfc6962.parse_sct,
    "sct-list": rfc6962.parse_sct_list,
    "extra-x509": rfc6962.parse_extra_data_x509,
    "extra-precert": rfc6962.parse_extra_data_precert,
    "key": LogKey.from_spki,
}


def examples() -> dict[str, bytes]:
    log = TestLog()
    sct = rfc6962.format_sct(log.sct(X509, 5, 6))
    return {
        "leaf": rfc6962.format_merkle_tree_leaf(TimestampedEntry(7, PRECERT, b"ext")),
        "signed": rfc6962.format_digitally_signed(DigitallySigned(4, 3, b"signature")),
        "sct": sct,
        "sct-list": rfc6962.format_sct_list([sct, b"\x01 of another version"]),
        "extra-x509": rfc6962.format_extra_data_x509([b"issuer", b"root"]),
        "extra-precert": rfc6962.format_extra_data_precert(b"pre", [b"issuer"]),
        "key": log.spki,
    }


# The bytes ----------------------------------------------------------------------------------------------------------


def test_merkle_tree_leaf_of_a_certificate_by_hand():
    leaf = rfc6962.format_merkle_tree_leaf(TimestampedEntry(0x0102, X509, b"xy"))
    assert leaf == b"\0\0" + b"\0\0\0\0\0\0\1\2" + b"\0\0" + b"\0\0\x0bcertificate" + b"\0\x02xy"


def test_merkle_tree_leaf_of_a_precertificate_by_hand():
    leaf = rfc6962.format_merkle_tree_leaf(TimestampedEntry(1, PRECERT, b""))
    assert leaf == b"\0\0" + b"\0\0\0\0\0\0\0\1" + b"\0\1" + b"k" * 32 + b"\0\0\3tbs" + b"\0\0"


def test_sct_by_hand():
    sct = SignedCertificateTimestamp(b"L" * 32, 3, b"e", DigitallySigned(4, 3, b"sig"))
    assert rfc6962.format_sct(sct) == b"\0" + b"L" * 32 + b"\0\0\0\0\0\0\0\3" + b"\0\1e" + b"\4\3\0\3sig"
    assert rfc6962.format_sct_list([b"ab", b"c"]) == b"\0\7\0\2ab\0\1c"


def test_tree_head_input_by_hand():
    assert rfc6962.tree_head_input(1, 2, b"r" * 32) == b"\0\1" + b"\0" * 7 + b"\1" + b"\0" * 7 + b"\2" + b"r" * 32
    for timestamp_ms, size, root in ((-1, 2, b"r" * 32), (1, 1 << 64, b"r" * 32), (1, 2, b"r" * 31)):
        with pytest.raises(MalformedError):
            rfc6962.tree_head_input(timestamp_ms, size, root)


def test_extra_data_by_hand():
    assert rfc6962.format_extra_data_x509([b"ab", b"c"]) == b"\0\0\x09" + b"\0\0\2ab" + b"\0\0\1c"
    assert rfc6962.format_extra_data_x509([]) == b"\0\0\0"
    assert rfc6962.format_extra_data_precert(b"p", []) == b"\0\0\1p" + b"\0\0\0"


def test_the_entry_key_is_the_hash_of_type_and_entry_alone():
    assert rfc6962.entry_key(X509) == hashlib.sha256(b"\0\0\0\0\x0bcertificate").digest()
    assert rfc6962.entry_key(PRECERT) == hashlib.sha256(b"\0\1" + b"k" * 32 + b"\0\0\3tbs").digest()


# Inverses and strictness --------------------------------------------------------------------------------------------


@given(TIMESTAMPED)
def test_leaf_round_trip(timestamped):
    leaf = rfc6962.format_merkle_tree_leaf(timestamped)
    assert rfc6962.parse_merkle_tree_leaf(leaf) == timestamped
    assert rfc6962.format_timestamped_entry(timestamped) == leaf[2:]
    assert rfc6962.format_signed_entry(timestamped.entry) in leaf


@given(SCT)
def test_sct_round_trip(sct):
    assert rfc6962.parse_sct(rfc6962.format_sct(sct)) == sct
    assert rfc6962.sct_from_json(rfc6962.sct_to_json(sct) | {"more": 1}) == sct


@given(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=5))
def test_sct_list_round_trip(scts):
    assert rfc6962.parse_sct_list(rfc6962.format_sct_list(scts)) == scts


@given(STH)
def test_sth_round_trip(sth):
    assert rfc6962.sth_from_json(rfc6962.sth_to_json(sth)) == sth


@given(SIGNATURE)
def test_signature_round_trip(signed):
    assert rfc6962.parse_digitally_signed(rfc6962.format_digitally_signed(signed)) == signed


@given(st.binary(min_size=1, max_size=9), st.lists(st.binary(min_size=1, max_size=9), max_size=3).map(tuple))
def test_extra_data_round_trip(pre_certificate, chain):
    assert rfc6962.parse_extra_data_x509(rfc6962.format_extra_data_x509(chain)) == chain
    both = rfc6962.format_extra_data_precert(pre_certificate, chain)
    assert rfc6962.parse_extra_data_precert(both) == (pre_certificate, chain)


@pytest.mark.parametrize("name", PARSERS)
def test_cut_short_and_trailing_bytes_are_refused(name):
    data = examples()[name]
    PARSERS[name](data)
    for cut in range(len(data)):
        with pytest.raises(MalformedError) as caught:
            PARSERS[name](data[:cut])
        assert caught.value.field
    with pytest.raises(MalformedError):
        PARSERS[name](data + b"\0")


@pytest.mark.parametrize("name", PARSERS)
@given(data=st.data())
def test_no_byte_string_raises_anything_else(name, data):
    good = bytearray(examples()[name])
    for at, value in data.draw(st.lists(st.tuples(st.integers(0, len(good) - 1), st.integers(0, 255)), max_size=3)):
        good[at] = value
    for candidate in (bytes(good), data.draw(st.binary(max_size=60))):
        with suppress(MalformedError):
            PARSERS[name](candidate)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("leaf", b"\1\0" + bytes(8) + b"\0\0\0\0\1x\0\0"),  # version 2
        ("leaf", b"\0\1" + bytes(8) + b"\0\0\0\0\1x\0\0"),  # another leaf type
        ("leaf", b"\0\0" + bytes(8) + b"\0\2\0\0\1x\0\0"),  # another entry type
        ("leaf", b"\0\0" + bytes(8) + b"\0\0\0\0\0\0\0"),  # no certificate
        ("sct-list", b"\0\0"),  # RFC 6962: SerializedSCT sct_list<1..2^16-1>
        ("sct-list", b"\0\2\0\0"),  # SerializedSCT<1..2^16-1>
        ("sct-list", b"\0\3\0\2a"),  # an SCT that ends beyond the list
        ("extra-x509", b"\0\0\3\0\0\0"),  # ASN.1Cert<1..2^24-1>
        ("extra-precert", b"\0\0\0\0\0\0"),
    ],
)
def test_refused(name, data):
    with pytest.raises(MalformedError) as caught:
        PARSERS[name](data)
    assert caught.value.offset is not None


def test_an_sct_of_another_version_has_its_own_reason():
    with pytest.raises(MalformedError) as caught:
        rfc6962.parse_sct(b"\1" + examples()["sct"][1:])
    assert caught.value.reason == "unknown-version"
    with pytest.raises(MalformedError) as caught:
        rfc6962.sct_from_json(rfc6962.sct_to_json(TestLog().sct(X509, 1, 2)) | {"sct_version": 1})
    assert caught.value.reason == "unknown-version"


@pytest.mark.parametrize(
    "entry",
    [
        SignedEntry(EntryType.X509, b""),
        SignedEntry(EntryType.X509, b"c", b"k" * 32),
        SignedEntry(EntryType.PRECERT, b"t"),
        SignedEntry(EntryType.PRECERT, b"t", b"k" * 33),
        SignedEntry(EntryType.X509, bytes(1 << 24)),
    ],
)
def test_entries_that_cannot_be_written(entry):
    with pytest.raises(MalformedError):
        rfc6962.format_signed_entry(entry)


def test_other_values_that_cannot_be_written():
    for timestamp_ms, extensions in ((-1, b""), (1 << 64, b""), (1, bytes(65536))):
        with pytest.raises(MalformedError):
            rfc6962.format_merkle_tree_leaf(TimestampedEntry(timestamp_ms, X509, extensions))
    with pytest.raises(MalformedError):
        rfc6962.format_sct_list([])
    with pytest.raises(MalformedError):
        rfc6962.format_sct_list([b"x" * 40000] * 2)
    with pytest.raises(MalformedError):
        rfc6962.format_sct(TestLog().sct(X509, 1, 2)._replace(log_id=b"short"))


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=9), st.lists, max_leaves=3)


@given(st.sampled_from(["sct_version", "id", "timestamp", "extensions", "signature"]), JSON)
def test_no_json_raises_anything_else(member, value):
    for candidate in (value, rfc6962.sct_to_json(TestLog().sct(X509, 1, 2)) | {member: value}):
        with suppress(MalformedError):
            rfc6962.sct_from_json(candidate)


@given(st.sampled_from(["tree_size", "timestamp", "sha256_root_hash", "tree_head_signature"]), JSON)
def test_no_json_tree_head_raises_anything_else(member, value):
    for candidate in (value, rfc6962.sth_to_json(TestLog().sth(1, 2, bytes(32))) | {member: value}):
        with suppress(MalformedError):
            rfc6962.sth_from_json(candidate)


def test_json_too_long_extensions():
    members = rfc6962.sct_to_json(TestLog().sct(X509, 1, 2)._replace(extensions=bytes(65536)))
    with pytest.raises(MalformedError):
        rfc6962.sct_from_json(members)


# Keys and signatures ------------------------------------------------------------------------------------------------


def spki(key) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def test_log_id():
    log = TestLog()
    assert LogKey.from_spki(log.spki).log_id == rfc6962.log_id(log.spki) == hashlib.sha256(log.spki).digest()
    assert LogKey.from_spki(log.spki) == log.key != TestLog(2).key
    assert len({log.key, LogKey.from_spki(log.spki)}) == 1


@pytest.mark.parametrize(
    "key",
    [
        lambda: spki(ec.derive_private_key(1, ec.SECP384R1())),
        lambda: spki(ed25519.Ed25519PrivateKey.generate()),
        lambda: spki(rsa.generate_private_key(65537, 1024)),
    ],
)
def test_keys_that_rfc_6962_does_not_allow(key):
    with pytest.raises(MalformedError) as caught:
        LogKey.from_spki(key())
    assert caught.value.reason == "unsupported-key"


def test_a_key_in_another_form_would_have_another_log_id():
    log = TestLog()
    public = ec.derive_private_key(1, ec.SECP256R1()).public_key()
    compressed = public.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    other = bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200") + compressed
    pkcs1 = rsa.generate_private_key(65537, 2048).public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)
    for form in (other, pkcs1, log.spki + b"\0"):
        with pytest.raises(MalformedError):
            LogKey.from_spki(form)


@pytest.mark.parametrize("make", [TestLog, RsaLog])
def test_a_signature_binds_every_bit(make):
    log = make()
    key = LogKey.from_spki(log.spki)
    timestamped = TimestampedEntry(123456, PRECERT, b"\0\0\5\0\0\0\0\1")
    signed = log.sign(rfc6962.format_merkle_tree_leaf(timestamped))
    sct = SignedCertificateTimestamp(key.log_id, 123456, timestamped.extensions, signed)
    key.verify_sct(sct, PRECERT)
    for wrong in (
        sct._replace(timestamp_ms=123457),
        sct._replace(extensions=b"\0\0\5\0\0\0\0\2"),
        sct._replace(extensions=b""),
        sct._replace(signature=signed._replace(hash_algorithm=5)),
        sct._replace(signature=signed._replace(signature_algorithm=4 - signed.signature_algorithm)),
        sct._replace(signature=signed._replace(signature=b"")),
        sct._replace(signature=signed._replace(signature=signed.signature + b"\0")),
    ):
        with pytest.raises(SignatureError) as caught:
            key.verify_sct(wrong, PRECERT)
        assert caught.value.reason == "bad-signature"
    for entry in (PRECERT._replace(certificate=b"tbt"), PRECERT._replace(issuer_key_hash=b"j" * 32), X509):
        with pytest.raises(SignatureError):
            key.verify_sct(sct, entry)
    with pytest.raises(SignatureError) as caught:
        key.verify_sct(sct._replace(log_id=bytes(32)), PRECERT)
    assert caught.value.reason == "unknown-log"


def test_a_tree_head_is_bound_to_size_time_and_root():
    log = TestLog()
    sth = log.sth(10, 20, b"r" * 32)
    log.key.verify_tree_head(sth)
    for wrong in (sth._replace(size=11), sth._replace(timestamp_ms=21), sth._replace(root=b"s" * 32)):
        with pytest.raises(SignatureError):
            log.key.verify_tree_head(wrong)
    with pytest.raises(SignatureError):
        TestLog(2).key.verify_tree_head(sth)


@given(ENTRY, SIGNATURE)
def test_no_signature_raises_anything_else(entry, signed):
    log = TestLog()
    for algorithms in ((signed.hash_algorithm, signed.signature_algorithm), (4, 3)):
        sct = SignedCertificateTimestamp(log.key.log_id, 1, b"", DigitallySigned(*algorithms, signed.signature))
        with pytest.raises(SignatureError):
            log.key.verify_sct(sct, entry)


# Other people's code ------------------------------------------------------------------------------------------------


def test_the_cryptography_package_reads_our_sct_list():
    log = TestLog()
    when = datetime.datetime(2026, 11, 23, 8, 30, 0, 123000)  # naive UTC, as that package gives it
    timestamp_ms = int(when.replace(tzinfo=datetime.UTC).timestamp() * 1000)
    scts = [log.sct(PRECERT, timestamp_ms, 77), TestLog(2).sct(PRECERT, timestamp_ms + 1000, 1 << 39)]
    tls_list = rfc6962.format_sct_list([rfc6962.format_sct(sct) for sct in scts])
    octets = bytes([0x04, 0x82]) + len(tls_list).to_bytes(2, "big") + tls_list
    extensions = _certificate_with_sct_list(octets).extensions
    found = extensions.get_extension_for_class(x509.PrecertificateSignedCertificateTimestamps)
    assert len(found.value) == 2
    for ours, theirs in zip(scts, found.value, strict=True):
        assert theirs.version is x509.certificate_transparency.Version.v1
        assert theirs.log_id == ours.log_id
        assert theirs.entry_type is x509.certificate_transparency.LogEntryType.PRE_CERTIFICATE
        assert theirs.signature_hash_algorithm.name == "sha256"
        assert theirs.signature_algorithm is x509.certificate_transparency.SignatureAlgorithm.ECDSA
        assert theirs.signature == ours.signature.signature
        assert theirs.extension_bytes == ours.extensions
    assert found.value[0].timestamp == when


def _certificate_with_sct_list(octets: bytes) -> x509.Certificate:
    key = ec.derive_private_key(5, ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "SHAKEN 1234")])
    oid = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
    return (
        x509.CertificateBuilder(name, name, key.public_key(), 1)
        .not_valid_before(datetime.datetime(2026, 1, 1))
        .not_valid_after(datetime.datetime(2027, 1, 1))
        .add_extension(x509.UnrecognizedExtension(oid, octets), critical=False)
        .sign(key, hashes.SHA256())
    )
