"""ctlog.issuance.profiles against `cryptography` and the deployed certificates."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import pytest
from cryptography import x509

from ctlog import issuance
from ctlog.errors import UsageError
from ctlog.issuance import DAY_MS, Key, Subject
from ctlog.tn.delegation import check_encompassed
from ctlog.tn.identity import read_identity
from ctlog.x509.der import oid_text, parse_certificate
from tests.corpus import leaves, need_corpus
from tests.issued import AUTHORITY, NOW, TN_OID, check_chain, load, shaken, subject


def test_a_service_providers_certificate_follows_the_profile() -> None:
    certificate = load(AUTHORITY.certificate_for(shaken(serial=0x1234)))
    check_chain(AUTHORITY.certificate_for(shaken()), AUTHORITY)
    assert certificate.subject.rfc4514_string() == "CN=SHAKEN 709J,O=Example Phone Co,C=US"
    assert certificate.serial_number == 0x1234
    assert certificate.not_valid_before_utc == datetime.fromtimestamp(NOW / 1000, UTC)
    assert certificate.not_valid_after_utc == datetime.fromtimestamp(NOW / 1000 + 7 * 86400, UTC)
    extensions = certificate.extensions
    assert [e.oid.dotted_string for e in extensions] == [
        "2.5.29.19", "2.5.29.15", "2.5.29.14", "2.5.29.35", "2.5.29.32", "2.5.29.31", "1.3.6.1.5.5.7.1.26",
    ]  # fmt: skip
    assert [e.critical for e in extensions] == [True, True, False, False, False, False, False]
    usage = extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature
    assert not usage.key_cert_sign
    assert extensions.get_extension_for_oid(TN_OID).value.value.hex() == "3008a0061604" + b"709J".hex()
    points = list(extensions.get_extension_for_class(x509.CRLDistributionPoints).value)
    assert points[0].full_name[0].value == issuance.CRL_URL
    assert points[0].crl_issuer[0].value.rfc4514_string() == "O=STI-PA,C=US,CN=STI-PA CRL,ST=NJ,L=Bridgewater"


@need_corpus
def test_the_layout_is_the_commonest_of_the_deployed_certificates() -> None:
    ours = parse_certificate(AUTHORITY.certificate_for(shaken(policy=issuance.CP_1_3)))
    layout = [(e.oid, e.critical) for e in ours.extensions]
    same = [c for c in map(parse_certificate, leaves()) if [(e.oid, e.critical) for e in c.extensions] == layout]
    assert len(same) == 5324  # of 8,753: phone-certificates.md, section 1.4
    fixed = [ours.extensions[at].der for at in (0, 1, 4, 5)]  # the others speak of keys and codes
    alike = sum([c.extensions[at].der for at in (0, 1, 4, 5)] == fixed for c in same)
    assert alike > 5000


def test_a_delegate_ca_may_issue_and_a_by_reference_leaf_names_its_url() -> None:
    key = Key.from_number(77)
    who = Subject(issuance.name(O="Example VoIP", CN="Delegate CA"), key.spki, NOW, NOW + DAY_MS)
    delegate = issuance.intermediate(AUTHORITY, key, who, tn_value=issuance.number_range("12025550100", 100))
    tbs = issuance.delegate_leaf(delegate, subject(), issuance.one("12025550123"))
    check_chain(delegate.certificate_for(tbs), delegate)
    assert load(delegate.certificate).extensions.get_extension_for_oid(TN_OID)
    tbs = AUTHORITY.leaf(subject(), [issuance.tn_auth_list_by_reference("https://tn.example/list")])
    access = load(AUTHORITY.certificate_for(tbs)).extensions.get_extension_for_class(x509.AuthorityInformationAccess)
    (entry,) = access.value
    assert entry.access_method.dotted_string == "1.3.6.1.5.5.7.48.14"
    assert entry.access_location.value == "https://tn.example/list"


def test_a_scope_by_reference_alone_and_beside_numbers() -> None:
    url = "https://tn.example/list"
    alone = issuance.delegate_leaf(AUTHORITY, subject(), b"", reference=url)
    read = read_identity(parse_certificate(AUTHORITY.certificate_for(alone)))
    assert (read.by_reference, read.claims) == ((url,), ())
    beside = issuance.delegate_leaf(AUTHORITY, subject(), issuance.one("12025550123"), reference=url)
    read = read_identity(parse_certificate(AUTHORITY.certificate_for(beside)))
    assert (read.by_reference, [str(claim) for claim in read.claims]) == ((url,), ["12025550123"])
    with pytest.raises(UsageError, match="RFC 9060"):
        issuance.delegate_leaf(AUTHORITY, subject(), b"")


def test_a_delegate_ca_holds_its_leaves_to_its_numbers() -> None:
    key = Key.from_number(78)
    who = Subject(issuance.name(O="Example VoIP", CN="Delegate CA"), key.spki, NOW, NOW + DAY_MS)
    scope = issuance.number_range("12025550100", 100)
    delegate = issuance.delegate_authority(AUTHORITY, key, who, scope)
    constraints = load(delegate.certificate).extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (constraints.ca, constraints.path_length) == (True, 0)
    above = [read_identity(parse_certificate(der)) for der in delegate.chain]
    for number, good in (("12025550199", True), ("12025550200", False)):
        tbs = issuance.delegate_leaf(delegate, subject(), issuance.one(number))
        leaf = read_identity(parse_certificate(delegate.certificate_for(tbs)))
        assert (not check_encompassed(leaf, above)) == good
    with pytest.raises(UsageError, match="TNAuthList"):
        issuance.delegate_authority(AUTHORITY, key, who, b"")


def test_authorities_follow_the_profile() -> None:
    """ATIS-1000080 section 6.4.1: no policy, CRL or numbers on a root; CN says SHAKEN and ROOT; one key usage."""
    top, middle = load(AUTHORITY.above[0]), load(AUTHORITY.certificate)
    assert "SHAKEN" in middle.subject.rfc4514_string()
    assert "ROOT" in top.subject.rfc4514_string()
    for certificate, count in ((top, 4), (middle, 6)):
        found = {e.oid.dotted_string: e for e in certificate.extensions}
        assert len(found) == count
        assert found["2.5.29.19"].critical
        assert found["2.5.29.19"].value.ca
        usage = found["2.5.29.15"]
        assert usage.critical
        assert (usage.value.key_cert_sign, usage.value.crl_sign, usage.value.digital_signature) == (True, False, False)
    assert not {"2.5.29.32", "2.5.29.31", "1.3.6.1.5.5.7.1.26"} & {e.oid.dotted_string for e in top.extensions}
    (policy,) = middle.extensions.get_extension_for_class(x509.CertificatePolicies).value
    assert policy.policy_identifier.dotted_string == issuance.CP_1_4


# The 18 layouts of the deployed certificates --------------------------------------------------------------------------

SHORT = {
    "2.5.29.19": "constraints", "2.5.29.15": "usage", "2.5.29.14": "subject key", "2.5.29.35": "authority key",
    "2.5.29.32": "policies", "2.5.29.31": "crl", "1.3.6.1.5.5.7.1.26": "numbers", "1.3.6.1.5.5.7.1.1": "access",
    "1.3.6.1.4.1.37476.9000.64.1": "private",
}  # fmt: skip


def layout(der: bytes) -> tuple[str, ...]:
    return tuple(SHORT[oid_text(e.oid)] for e in parse_certificate(der).extensions)


def difference(found: tuple[str, ...], ours: tuple[str, ...]) -> str:
    """How one layout differs from ours: what is more, what is missing, and else in what order."""
    more = [f"+{name}" for name in found if name not in ours]
    missing = [f"-{name}" for name in ours if name not in found]
    return " ".join(more + missing) or "order"


@need_corpus
def test_how_the_other_layouts_differ_from_ours() -> None:
    ours = layout(AUTHORITY.certificate_for(shaken()))
    found = Counter(layout(der) for der in leaves())
    assert len(found) == 18
    assert found.most_common(1) == [(ours, 5324)]
    ways: Counter[str] = Counter()
    certificates: Counter[str] = Counter()
    for other, count in found.items():
        if other != ours:
            ways[difference(other, ours)] += 1
            certificates[difference(other, ours)] += count
    assert ways == {"order": 9, "+access": 3, "+access -policies": 2, "-crl": 1, "-policies -crl": 1, "+private": 1}
    assert certificates == {
        "order": 3333, "+access": 53, "+access -policies": 10, "-crl": 21, "-policies -crl": 3, "+private": 9,
    }  # fmt: skip


@need_corpus
def test_where_the_flags_of_the_others_differ() -> None:
    """The same extensions with other critical flags: only the policies, which ATIS-1000080 wants not critical."""
    ours = {e.oid: e.critical for e in parse_certificate(AUTHORITY.certificate_for(shaken())).extensions}
    different = Counter(
        SHORT[oid_text(e.oid)] for der in leaves() for e in parse_certificate(der).extensions
        if ours.get(e.oid, False) != e.critical
    )  # fmt: skip
    assert different == {"policies": 51}
