"""The TBSCertificate as logged: from the precertificate and from the final certificate, what others compute."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from ctlog.errors import MalformedError, RefusedError
from ctlog.issuance import (
    POISON,
    Key,
    Subject,
    authority_key_id,
    example_authority,
    extended_key_usage,
    extension,
    name,
    precertificate_signer,
    sct_list,
    spc,
    tn_auth_list,
)
from ctlog.x509.der import format_tlv, oid, parse_certificate
from ctlog.x509.precert import (
    OID_AUTHORITY_KEY_ID,
    check_poison,
    insert_extension,
    is_precert_signer,
    is_precertificate,
    logged_precertificate,
    sct_list_extension,
    tbs_of_final,
    tbs_of_precertificate,
)
from tests import der_tree
from tests.corpus import leaves, need_corpus

NOW_MS = 1_790_000_000_000
_CA_KEY = Key.from_number(21)
_CA = example_authority(NOW_MS, root_key=Key.from_number(20), key=_CA_KEY)
_SUBJECT = Subject(name(C="US", CN="SHAKEN 709J"), Key.from_number(22).spki, NOW_MS, NOW_MS + 1000, serial=5)
_SCT_LIST_OID = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")

_THEIR_KEY = ec.derive_private_key(23, ec.SECP256R1())
_THEIR_NAME = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "CA")])
_SCTS = format_tlv(0x04, bytes.fromhex("0003 0001 61"))


def their_certificate(extensions: list[tuple[x509.ExtensionType, bool]]) -> x509.Certificate:
    """A certificate built by `cryptography` alone; the same arguments give the same TBSCertificate."""
    builder = x509.CertificateBuilder(_THEIR_NAME, _THEIR_NAME, _THEIR_KEY.public_key(), 7,
                                      datetime(2025, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC))  # fmt: skip
    for value, critical in extensions:
        builder = builder.add_extension(value, critical)
    return builder.sign(_THEIR_KEY, hashes.SHA256())


def opaque(number: int, size: int) -> x509.UnrecognizedExtension:
    return x509.UnrecognizedExtension(x509.ObjectIdentifier(f"1.3.6.1.4.1.99999.{number}"), bytes(size))


def der_of(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


# Around every length at which a wrapper's length takes one octet more or less.
sizes = st.one_of(st.integers(0, 40), st.sampled_from([90, 100, 110, 120, 127, 128, 200, 230, 255, 256, 65000, 65530]))
others = st.lists(st.tuples(sizes, st.booleans()), max_size=4)


@given(others, st.integers(0, 4))
def test_precertificate_and_final_are_logged_as_cryptography_has_it(parts: list[tuple[int, bool]], at: int) -> None:
    plain = [(opaque(number, size), critical) for number, (size, critical) in enumerate(parts)]
    at = min(at, len(plain))
    scts = x509.UnrecognizedExtension(_SCT_LIST_OID, _SCTS)
    final = their_certificate([*plain[:at], (scts, False), *plain[at:]])
    pre = their_certificate([*plain[:at], (x509.PrecertPoison(), True), *plain[at:]])
    logged = final.tbs_precertificate_bytes
    assert tbs_of_final(parse_certificate(der_of(final))) == logged
    ours = parse_certificate(der_of(pre))
    assert is_precertificate(ours)
    assert tbs_of_precertificate(ours) == logged
    assert sct_list_extension(parse_certificate(der_of(final))) == _SCTS[2:]


@pytest.mark.parametrize("size", [*range(20, 50), *range(150, 180), *range(65250, 65290)])
def test_every_length_around_the_boundaries(size: int) -> None:
    scts = x509.UnrecognizedExtension(_SCT_LIST_OID, _SCTS)
    final = their_certificate([(opaque(1, size), False), (scts, False)])
    assert tbs_of_final(parse_certificate(der_of(final))) == final.tbs_precertificate_bytes


@need_corpus
def test_poison_and_scts_put_into_real_certificates_come_out_again() -> None:
    for der in leaves()[::40]:
        parsed = parse_certificate(der)
        for added, back in ((POISON, tbs_of_precertificate), (sct_list([b"an SCT"]), tbs_of_final)):
            tree = der_tree.read(der)
            rest = parsed.der[-len(tree.children[1].write()) - len(tree.children[2].write()) :]
            bent = parse_certificate(format_tlv(0x30, insert_extension(parsed.tbs, added) + rest))
            assert back(bent) == parsed.tbs
        assert tbs_of_final(parsed) is parsed.tbs
        assert sct_list_extension(parsed) is None
        assert not is_precertificate(parsed)


def test_issuance_and_log_agree() -> None:
    tbs = _CA.leaf(_SUBJECT, (tn_auth_list(spc("709J")), authority_key_id(_CA.key_id)))
    pre, final = parse_certificate(_CA.precertificate(tbs)), parse_certificate(_CA.final(tbs, [b"one", b"two"]))
    check_poison(pre)
    issuers = [parse_certificate(der) for der in _CA.chain]
    assert logged_precertificate(pre, issuers) == (hashlib.sha256(_CA_KEY.spki).digest(), tbs)
    assert tbs_of_final(final) == tbs
    assert sct_list_extension(final) == bytes.fromhex("000a 0003 6f6e65 0003 74776f")


# --- precertificate signing certificates ---


def signing_hierarchy() -> tuple[bytes, list[bytes]]:
    """A TBSCertificate of `_CA`, and the chain of its precertificate as a signing certificate of `_CA` made it."""
    key = Key.from_number(24)
    signer = precertificate_signer(_CA, key, Subject(name(CN="precerts"), key.spki, NOW_MS, NOW_MS + 1000, serial=9))
    tbs = _CA.leaf(_SUBJECT, (tn_auth_list(spc("709J")), authority_key_id(_CA.key_id), extension("1.2.3", b"x")))
    return tbs, [signer.precertificate(tbs), *signer.chain]


def test_a_signing_certificate_is_replaced_by_the_issuer_that_it_stands_for() -> None:
    tbs, chain = signing_hierarchy()
    pre, *issuers = (parse_certificate(der) for der in chain)
    assert pre.issuer == name(CN="precerts")
    assert is_precert_signer(issuers[0])
    assert not is_precert_signer(issuers[1])
    key_hash, logged = logged_precertificate(pre, issuers)
    assert logged == tbs
    assert key_hash == hashlib.sha256(_CA_KEY.spki).digest()


def test_a_signing_certificate_at_the_end_leaves_the_issuer_unknown() -> None:
    pre, signer, *_ = (parse_certificate(der) for der in signing_hierarchy()[1])
    with pytest.raises(RefusedError, match="issuer") as caught:
        logged_precertificate(pre, [signer])
    assert caught.value.reason == "issuer-missing"


def test_a_self_issued_anchor_that_may_sign_precertificates_is_its_own_issuer() -> None:
    usage = extended_key_usage("1.3.6.1.4.1.11129.2.4.4")
    own = parse_certificate(_CA.certificate_for(_CA.leaf(Subject(_CA.name, _CA_KEY.spki, 0, 1000, 1), (usage,))))
    pre = parse_certificate(_CA.precertificate(_CA.leaf(_SUBJECT, (tn_auth_list(spc("709J")),))))
    assert own.issuer == own.subject
    assert logged_precertificate(pre, [own])[0] == hashlib.sha256(_CA_KEY.spki).digest()


def test_key_identifiers_that_only_one_side_has() -> None:
    """As existing logs do: taken out if the signing certificate has none, put at the end if only it has one."""
    key, other = Key.from_number(24), extension("1.2.3", b"x")
    who = Subject(name(CN="precerts"), key.spki, NOW_MS, NOW_MS + 1000, serial=9)
    usage, theirs = extended_key_usage("1.3.6.1.4.1.11129.2.4.4"), authority_key_id(b"of the CA")
    bare, full = _CA.authority(key, who, (usage,)), _CA.authority(key, who, (usage, theirs))

    def logged(signer_chain: tuple[bytes, ...], *extensions: bytes) -> list[bytes]:
        authority = bare if signer_chain is bare.chain else full
        pre = parse_certificate(authority.precertificate(authority.leaf(_SUBJECT, extensions)))
        tbs = tbs_of_precertificate(pre, parse_certificate(signer_chain[0]))
        found = parse_certificate(_CA.certificate_for(tbs))
        assert found.issuer == _CA.name
        return [e.der for e in found.extensions]

    own = authority_key_id(b"of the signer")
    assert logged(bare.chain, own, other) == [other]
    assert logged(full.chain, own, other) == [theirs, other]
    assert logged(full.chain, other) == [other, theirs]
    assert logged(bare.chain, other) == [other]


def test_the_critical_flag_of_a_replaced_key_identifier_stays() -> None:
    key = Key.from_number(24)
    who = Subject(name(CN="precerts"), key.spki, NOW_MS, NOW_MS + 1000, serial=9)
    usage = extended_key_usage("1.3.6.1.4.1.11129.2.4.4")
    signer = _CA.authority(key, who, (usage, extension("2.5.29.35", b"new")))
    old = extension("2.5.29.35", b"old", critical=True)
    pre = parse_certificate(signer.precertificate(signer.leaf(_SUBJECT, (old,))))
    found = parse_certificate(_CA.certificate_for(tbs_of_precertificate(pre, parse_certificate(signer.certificate))))
    assert [(e.oid, e.critical, e.value) for e in found.extensions] == [(OID_AUTHORITY_KEY_ID, True, b"new")]


@pytest.mark.parametrize("value", [b"", b"\x30\x00", b"junk", b"\x30\x80\0\0", b"\x04\x02ab"])
def test_an_unreadable_key_usage_makes_no_signing_certificate(value: bytes) -> None:
    parsed = parse_certificate(_CA.certificate_for(_CA.leaf(_SUBJECT, (extension("2.5.29.37", value),))))
    assert not is_precert_signer(parsed)


# --- the poison ---

_NOT_CRITICAL = extension("1.3.6.1.4.1.11129.2.4.3", b"\x05\0")
_NOT_NULL = extension("1.3.6.1.4.1.11129.2.4.3", b"\x05\0\0", critical=True)


@pytest.mark.parametrize(("extensions", "reason", "words"), [
    ((), "wrong-endpoint", "add-chain"),
    ((_NOT_CRITICAL,), "bad-poison", "not critical"),
    ((_NOT_NULL,), "bad-poison", "NULL"),
    ((extension("1.3.6.1.4.1.11129.2.4.3", b"", critical=True),), "bad-poison", "NULL"),
    ((POISON, POISON), "bad-poison", "2 times"),
])  # fmt: skip
def test_what_is_no_precertificate(extensions: tuple[bytes, ...], reason: str, words: str) -> None:
    parsed = parse_certificate(_CA.certificate_for(_CA.leaf(_SUBJECT, (tn_auth_list(spc("1")), *extensions))))
    assert not is_precertificate(parsed)
    with pytest.raises(RefusedError, match=words) as caught:
        check_poison(parsed, "certificate 1 of the chain")
    assert caught.value.reason == reason
    assert str(caught.value).startswith("certificate 1 of the chain")


# --- the SCT list, and extensions put in ---


def test_two_sct_lists_are_malformed() -> None:
    parsed = parse_certificate(_CA.certificate_for(_CA.leaf(_SUBJECT, (sct_list([b"a"]), sct_list([b"b"])))))
    for function in (tbs_of_final, sct_list_extension):
        with pytest.raises(MalformedError, match="2 SCT list"):
            function(parsed)


@pytest.mark.parametrize("value", [b"", b"\x04\x05ab", b"\x04\x01ab", b"\x30\x00", b"\x04\x80\0\0"])
def test_an_sct_list_with_another_wrapper_is_malformed(value: bytes) -> None:
    found = extension("1.3.6.1.4.1.11129.2.4.2", value)
    with pytest.raises(MalformedError):
        sct_list_extension(parse_certificate(_CA.certificate_for(_CA.leaf(_SUBJECT, (found,)))))


def test_an_extension_is_put_behind_the_others() -> None:
    one, two = extension("1.2.3", b"x" * 100), extension("1.2.4", b"y" * 100)
    assert insert_extension(_CA.leaf(_SUBJECT, (one,)), two) == _CA.leaf(_SUBJECT, (one, two))
    tree = der_tree.read(_CA.leaf(_SUBJECT, (one,)))
    del tree.children[-1]
    assert insert_extension(tree.write(), one) == _CA.leaf(_SUBJECT, (one,))
    assert oid("1.2.3") in one
    for junk in (b"", b"\x30\x02\xa3\x00", b"\x30\x04\xa3\x02\x31\x00", b"\x30\x05\xa3\x03\x30\x00\x00", b"\x04\x00"):
        with pytest.raises(MalformedError):
            insert_extension(junk, one)
