"""Findings about the certificate itself: each id by the smallest change that earns it, and nothing for a good one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from ctlog.issuance import (
    DIGITAL_SIGNATURE,
    POISON,
    Key,
    Subject,
    authority_constraints,
    example_authority,
    extension,
    name,
    sct_list,
    spc,
    tn_auth_list,
)
from ctlog.x509.der import Certificate, parse_certificate
from ctlog.x509.findings import MEANINGS, certificate_findings, outlives, path_findings
from tests import der_tree
from tests.corpus import authorities, leaves, need_corpus, null_parameters

NOW_MS = 1_790_000_000_000
DAY_MS = 86_400_000
CA = example_authority(NOW_MS, root_key=Key.from_number(51), key=Key.from_number(52))
KEY = Key.from_number(53)


def leaf(*more: bytes, spki: bytes = KEY.spki, days: float = 30, start: int = NOW_MS, usage: bytes = DIGITAL_SIGNATURE,
         serial: int = 77) -> bytes:  # fmt: skip
    subject = Subject(name(CN="SHAKEN 709J"), spki, start, int(start + days * DAY_MS), serial)
    return CA.certificate_for(CA.leaf(subject, (usage, tn_auth_list(spc("709J")), *more)))


def found(der: bytes) -> list[str]:
    return certificate_findings(parse_certificate(der), NOW_MS)


def bent(path: Sequence[int], content: bytes) -> bytes:
    tree = der_tree.read(leaf())
    tree.child(*path).children = []
    tree.child(*path).content = content
    return tree.write()


def spki(private: Any) -> bytes:
    encoding = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.public_key().public_bytes(*encoding)


RSA_KEYS = {bits: spki(rsa.generate_private_key(65537, bits)) for bits in (1024, 2048)}
EC_KEYS = {curve.name: spki(ec.derive_private_key(9, curve)) for curve in (ec.SECP384R1(), ec.SECP521R1())}

CASES: dict[str, list[bytes]] = {
    "validity-unreadable": [bent((0, 4), b"junk"), bent((0, 4, 0), b"2402291200Z")],
    "validity-reversed": [leaf(days=-1, start=NOW_MS + 9 * DAY_MS)],
    "validity-long": [leaf(days=398.1)],
    "expired": [leaf(start=NOW_MS - 31 * DAY_MS)],
    "version-not-3": [bent((0, 0), b"\x02\x01\x01"), bent((0, 0), b"junk")],
    "serial-odd": [leaf(serial=0), leaf(serial=-5), leaf(serial=1 << 160), bent((0, 1), b""), bent((0, 1), b"\0\x05")],
    "algorithm-differs": [bent((0, 2, 0), bytes.fromhex("2a8648ce3d040303"))],
    "extension-repeated": [leaf(tn_auth_list(spc("709J")))],
    "key-type": [leaf(spki=RSA_KEYS[1024]), leaf(spki=EC_KEYS["secp521r1"]), leaf(spki=b"\x30\0")],
    "key-usage": [leaf(usage=extension("2.5.29.15", b"\x03\x02\x05\xa0")), leaf(usage=extension("1.2.3", b""))],
    "poison-odd": [leaf(extension("1.3.6.1.4.1.11129.2.4.3", b"\x05\0")),
                   leaf(extension("1.3.6.1.4.1.11129.2.4.3", b"", critical=True))],
    "precertificate-with-scts": [leaf(POISON, sct_list([b"a"]))],
    "sct-list-unreadable": [leaf(extension("1.3.6.1.4.1.11129.2.4.2", b"junk"))],
}  # fmt: skip


@pytest.mark.parametrize("wanted", CASES)
def test_each_by_the_smallest_change(wanted: str) -> None:
    for der in CASES[wanted]:
        assert found(der) == [wanted]


@pytest.mark.parametrize("der", [
    leaf(), leaf(POISON), leaf(sct_list([b"a"])), leaf(spki=RSA_KEYS[2048]), leaf(spki=EC_KEYS["secp384r1"]),
    leaf(days=398),
    leaf(authority_constraints(), days=4000, usage=extension("2.5.29.15", b"\x03\x02\x01\x06")), CA.certificate,
    CA.above[0], leaf(serial=(1 << 159) - 1), leaf(start=NOW_MS - 30 * DAY_MS),
])  # fmt: skip
def test_nothing_for_a_good_one(der: bytes) -> None:
    assert found(der) == []


def test_parameters_where_there_are_none() -> None:
    tree = der_tree.read(leaf())
    for algorithm in (tree.child(0, 2), tree.child(1)):
        algorithm.children.append(der_tree.Element(0x05))
    assert found(tree.write()) == ["algorithm-parameters"]


def test_several_at_once() -> None:
    assert found(leaf(POISON, POISON, days=-1, serial=0)) == [
        "validity-reversed", "expired", "serial-odd", "extension-repeated", "poison-odd",
    ]  # fmt: skip


def test_two_sct_lists() -> None:
    assert found(leaf(sct_list([b"a"]), sct_list([b"a"]))) == ["extension-repeated", "sct-list-unreadable"]


# --- what stands above ---


def a_ca(label: str, *extensions: bytes, issuer: str = "") -> Certificate:
    tree = der_tree.read(CA.certificate_for(CA.leaf(Subject(name(CN=label), KEY.spki, 0, 1000, 1), extensions)))
    tree.child(0).children[3] = der_tree.read(name(CN=issuer or "above " + label))
    return parse_certificate(tree.write())


def test_paths() -> None:
    plain, none, one = a_ca("a", authority_constraints()), authority_constraints(0), authority_constraints(1)
    assert path_findings([plain, plain, plain]) == []
    assert path_findings([a_ca("b", none)]) == []
    assert path_findings([plain, a_ca("b", none)]) == ["path-too-long"]
    assert path_findings([plain, a_ca("b", one)]) == []
    assert path_findings([plain, plain, a_ca("b", one)]) == ["path-too-long"]
    assert path_findings([a_ca("s", authority_constraints(), issuer="s"), a_ca("b", none)]) == []
    assert path_findings([a_ca("leaf")]) == ["issuer-not-ca"]
    assert path_findings([plain, a_ca("odd", extension("2.5.29.19", b"\x30\x03\x01\x01\xff\0"))]) == []


def test_who_ends_after_the_issuer() -> None:
    ders = (leaf(days=1), leaf(days=2), CASES["validity-unreadable"][0])
    early, late, unknown = (parse_certificate(der) for der in ders)
    assert outlives(late, early)
    assert not outlives(early, late)
    assert not outlives(early, early)
    assert not outlives(unknown, early)
    assert not outlives(late, unknown)


# --- the whole ---


def test_every_id_is_kebab_case_and_tried() -> None:
    path_ids = {"outlives-issuer", "issuer-not-ca", "issuer-renamed", "path-too-long", "algorithm-parameters"}
    assert set(MEANINGS) == set(CASES) | path_ids
    for kind, (threat, sentence) in MEANINGS.items():
        assert kind.replace("-", "a").isalnum()
        assert kind == kind.lower()
        assert threat.startswith("T-")
        assert sentence.endswith(".")


@need_corpus
def test_the_corpus_has_few() -> None:
    """Most certificates have none; those of 2023 looked at in 2022, so that none has expired."""
    counts: Counter[str] = Counter()
    for der in leaves():
        counts.update(certificate_findings(parse_certificate(der), 1_500_000_000_000))
    assert set(counts) <= {"key-usage", "validity-long", "serial-odd", "key-type", "version-not-3"}
    assert counts["validity-long"] > 50
    assert sum(counts.values()) < 1000


@need_corpus
def test_the_explicit_null_is_a_finding() -> None:
    for der in (*null_parameters()[0], null_parameters()[1]):
        assert "algorithm-parameters" in certificate_findings(parse_certificate(der), 0)
    assert sum("algorithm-parameters" in certificate_findings(parse_certificate(der), 0) for der in authorities()) == 4
