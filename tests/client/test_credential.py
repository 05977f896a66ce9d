"""The certificate behind a call: what CAs and signers must be, real ones, and what is remembered of them how long."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctlog import issuance
from ctlog.client.credential import MAX_BUNDLE, CallPolicy, open_credential, read_bundle
from ctlog.client.issuers import IssuerPool
from ctlog.client.sct_policy import SctPolicy
from ctlog.client.verdict import REASONS
from ctlog.errors import MalformedError
from ctlog.issuance import Authority, Key
from ctlog.tn.claim_constraints import ClaimConstraints
from ctlog.x509.chain import PathCache
from ctlog.x509.der import oid, parse_certificate
from tests.call_values import (
    CA,
    CA_KEY,
    CERTIFICATE,
    CHAIN,
    DAY_MS,
    LOGS,
    NOW,
    ROOT,
    ROOT_KEY,
    constrained,
    log_list,
    logged,
    number_tbs,
    sct,
    subject,
    trust,
)
from tests.corpus import intermediates, need_corpus, odd, roots, sample
from tests.wire_values import RsaLog

PLAIN = trust(CallPolicy(scts=None))
TOP = issuance.root(ROOT_KEY, subject("root", ROOT_KEY))
TOP_TRUST = trust(CallPolicy(scts=None), roots=(TOP.certificate,))


def reason(chain, whom=PLAIN, now_ms=NOW, **options) -> str:
    """The word of the first check that did not pass; "" if all did."""
    found = open_credential(chain, whom, now_ms, **options)
    words = [check.reason for check in found.checks if check.outcome != "passed"]
    assert set(words) <= set(REASONS)
    return words[0] if words else ""


def leaf(*extensions: bytes, authority: Authority = CA, **options) -> tuple[bytes, ...]:
    """A certificate with its chain, without SCTs."""
    return (authority.certificate_for(number_tbs(*extensions, authority=authority, **options)), *authority.chain)


def below(*extensions: bytes, key: Key = CA_KEY, usage: bytes = issuance.CERT_SIGN, days=(-1, 300)) -> Authority:
    """A CA below TOP with these extensions."""
    constraints = extensions or (issuance.authority_constraints(),)
    return TOP.authority(key, subject("a CA", key, days), (*constraints, usage, issuance.subject_key_id(key.spki)))


# What passes --------------------------------------------------------------------------------------------------------


def test_everything_that_is_true_of_a_certificate():
    found = open_credential(CHAIN, trust(), NOW)
    assert [check.outcome for check in found.checks] == ["passed"] * 5
    assert found.is_anchored
    assert found.leaf.der == CERTIFICATE
    assert found.identity.numbers == ["12025550123"]
    assert found.window == (NOW - DAY_MS, NOW + 30 * DAY_MS + 1000)
    assert found.scts.is_met
    assert found.holds_at(NOW)
    assert not found.holds_at(NOW - 1)
    assert not found.holds_at(found.until_ms)
    assert found.until_ms == NOW + 30 * DAY_MS + 1000


@need_corpus
def test_real_certificates():
    """All whose CAs are there pass, with every oddity that they have."""
    pool = IssuerPool(intermediates())
    whom = trust(CallPolicy(scts=None), roots=tuple(roots()))
    words = []
    for der in [*sample(250), *odd()]:
        parsed = parse_certificate(der)
        chain = (der, *(issuer.der for issuer in pool.issuers(parsed)))
        words.append(reason(chain, whom, parsed.not_before_ms))
    assert set(words) <= {"", "unknown-root"}
    assert words.count("") > 200


def test_certificates_with_odd_and_allowed_things():
    assert reason(leaf(issuance.policies("1.2.3"))) == ""
    assert reason(leaf(issuance.extension("2.5.29.32", b"\x30\x00", critical=True))) == ""
    assert reason(leaf(issuance.extension("1.2.3.4", b"\x05\x00"))) == ""
    usages = issuance.extension("2.5.29.15", b"\x03\x02\x06\xc0", critical=True)
    assert reason(leaf(usage=usages)) == ""
    bare = CA.certificate_for(CA.leaf(subject(), [issuance.tn_auth_list(issuance.one("1202"))]))
    assert reason((bare, CA.certificate)) == ""


# What does not: the signer ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("extensions", "word"), [
    ((issuance.extension("1.2.3.4", b"\x05\x00", critical=True),), "unknown-critical-extension"),
    ((issuance.extension("2.5.29.30", b"\x30\x00", critical=True),), "unknown-critical-extension"),
    ((issuance.POISON,), "precertificate"),
    ((issuance.extension("1.3.6.1.4.1.11129.2.4.3", b"\x05\x00"),), "precertificate"),
    ((issuance.tn_auth_list(issuance.one("1303")),), "repeated-extension"),
])  # fmt: skip
def test_extensions_that_refuse(extensions, word):
    assert reason(leaf(*extensions)) == word


ANY_PURPOSE, MESSAGING, OCSP = "2.5.29.37.0", "2.23.146.2.1.3", "1.3.6.1.5.5.7.3.9"


def test_attack_a_key_for_another_purpose():
    """Known to be critical is not the same as heeded: an OCSP responder's key signs no calls."""
    usage = issuance.extended_key_usage
    assert reason(leaf(issuance.extension("2.5.29.37", b"\x30\x0a\x06\x08" + oid(OCSP), critical=True))) == (
        "extended-key-usage"
    )  # fmt: skip
    for odd_usage in (usage(MESSAGING), usage("1.3.6.1.5.5.7.3.2"), issuance.extension("2.5.29.37", b"\x05\x00")):
        assert reason(leaf(odd_usage)) == "extended-key-usage"
    assert reason(leaf(usage(OCSP, ANY_PURPOSE))) == ""


def test_attack_a_certificate_by_the_precertificate_signing_certificate():
    """It is a CA below the real one, and RFC 6962 section 3.1 lets it sign precertificates only."""
    key = Key.from_number(72)
    signer = issuance.precertificate_signer(TOP, key, subject("precert signer", key))
    assert reason(leaf(authority=signer), TOP_TRUST) == "issued-by-precert-signer"
    assert reason(leaf(authority=below(issuance.authority_constraints(), issuance.extended_key_usage(
        "1.3.6.1.4.1.11129.2.4.4", ANY_PURPOSE))), TOP_TRUST) == "issued-by-precert-signer"  # fmt: skip


def test_the_purposes_of_a_ca():
    """Real ones have anyExtendedKeyUsage or nothing; a critical one for something else is heeded."""
    constraints = issuance.authority_constraints()
    for purpose, critical, word in (
        (ANY_PURPOSE, True, ""), (ANY_PURPOSE, False, ""), (OCSP, False, ""), (OCSP, True, "extended-key-usage"),
    ):  # fmt: skip
        content = oid(purpose)
        value = b"\x30" + bytes((len(content) + 2, 6, len(content))) + content
        ca = below(constraints, issuance.extension("2.5.29.37", value, critical=critical))
        assert reason(leaf(authority=ca), TOP_TRUST) == word


def test_a_signer_that_may_not_sign():
    for usage in (issuance.CERT_SIGN, issuance.extension("2.5.29.15", b"\x03\x01\x00"),
                  issuance.extension("2.5.29.15", b"\x05\x00")):  # fmt: skip
        assert reason(leaf(usage=usage)) == "key-usage"


def test_a_ca_that_signs_calls():
    assert reason(CA.chain) == "not-an-end-entity"


def test_keys_of_other_kinds():
    who = subject()
    tbs = CA.leaf(issuance.Subject(who.name, RsaLog().spki, who.not_before_ms, who.not_after_ms, 9), [])
    assert reason((CA.certificate_for(tbs), CA.certificate)) == "unsupported-key"
    spoilt = CA.leaf(issuance.Subject(who.name, b"\x30\x00", who.not_before_ms, who.not_after_ms, 9), [])
    assert reason((CA.certificate_for(spoilt), CA.certificate)) == "unsupported-key"


def test_a_validity_that_cannot_be_read():
    tbs = number_tbs()
    at = tbs.index(b"\x17\x0d")
    wrong = tbs[: at + 2] + b"2613" + tbs[at + 6 :]  # the thirteenth month
    assert reason((CA.certificate_for(wrong), CA.certificate)) == "times-unreadable"


def test_what_is_no_certificate():
    assert reason((b"", CA.certificate)) == "malformed-certificate"
    assert reason((CERTIFICATE, b"\x30\x00")) == "malformed-issuer"
    assert reason((CERTIFICATE, *[CA.certificate] * 10)) == "chain-too-long"


# What does not: the chain -------------------------------------------------------------------------------------------


def test_a_chain_with_a_ca_that_is_none():
    no_ca = below(issuance.END_ENTITY)
    assert reason(leaf(authority=no_ca), TOP_TRUST) == "issuer-not-ca"
    silent = below(issuance.subject_key_id(CA_KEY.spki))
    assert reason(leaf(authority=Authority(silent.certificate, CA_KEY, silent.name, silent.above)), TOP_TRUST) in (
        "issuer-not-ca", "repeated-extension",
    )  # fmt: skip
    assert reason(leaf(authority=below(usage=issuance.DIGITAL_SIGNATURE)), TOP_TRUST) == "issuer-not-ca"
    assert reason(leaf(authority=below()), TOP_TRUST) == ""


def test_a_chain_longer_than_allowed():
    one = below(issuance.authority_constraints(0))
    key = Key.from_number(71)
    two = one.authority(key, subject("two", key), (issuance.authority_constraints(), issuance.CERT_SIGN))
    assert reason(leaf(authority=one), TOP_TRUST) == ""
    assert reason(leaf(authority=two), TOP_TRUST) == "path-too-long"


def test_a_ca_with_a_critical_extension():
    odd_ca = below(issuance.authority_constraints(), issuance.extension("2.5.29.30", b"\x30\x00", critical=True))
    assert reason(leaf(authority=odd_ca), TOP_TRUST) == "unknown-critical-extension"


def test_windows_of_cas_are_kept_apart():
    found = open_credential(leaf(authority=below(days=(-1, 2))), TOP_TRUST, NOW)
    assert found.issuers_window == (NOW - DAY_MS, NOW + 2 * DAY_MS + 1000)
    assert found.window[1] > found.issuers_window[1]
    alone = open_credential(leaf(authority=TOP), TOP_TRUST, NOW)
    assert alone.issuers_window[1] > NOW + 10_000 * DAY_MS


def test_order_and_strangers():
    assert reason((CERTIFICATE, ROOT, CA.certificate)) in ("chain-bad-signature", "chain-out-of-order")
    other = issuance.example_authority(NOW, root_key=Key.from_number(81), key=Key.from_number(82))
    assert reason((CERTIFICATE, other.certificate)) == "chain-bad-signature"  # the same name, another key
    imitation = leaf(authority=other)
    assert reason(imitation) == "chain-bad-signature"
    assert reason((imitation[0], CA.certificate)) == "chain-bad-signature"


def test_paths_are_remembered_only_when_they_hold():
    paths = PathCache()
    assert reason(CHAIN, paths=paths) == ""
    assert len(paths) == 1
    assert reason((CERTIFICATE, b"\x30\x00"), paths=paths) == "malformed-issuer"
    assert len(paths) == 1
    assert reason(leaf(whose=subject("another"))[:2], paths=paths) == ""
    assert len(paths) == 1


# Delegation ---------------------------------------------------------------------------------------------------------


def delegated(*claims_above: bytes, own: bytes) -> tuple[bytes, ...]:
    """A certificate that claims `own`, below CAs that claim these, the lowest last."""
    authority = TOP
    for at, value in enumerate(claims_above):
        key = Key.from_number(90 + at)
        lists = (issuance.tn_auth_list(value),) if value else ()
        usual = (issuance.authority_constraints(), issuance.CERT_SIGN)
        authority = authority.authority(key, subject(f"delegate {at}", key), (*usual, *lists))
    return leaf(authority=authority, tn=own)


RANGE = issuance.number_range("12025550000", 1000)


def test_delegates_hold_what_their_cas_hold():
    assert reason(delegated(RANGE, own=issuance.one("12025550123")), TOP_TRUST) == ""
    assert reason(delegated(RANGE, own=issuance.one("12025551000")), TOP_TRUST) == "scope-exceeds-issuer"
    wide = issuance.number_range("12025550000", 100)
    assert reason(delegated(wide, RANGE, own=issuance.one("12025550123")), TOP_TRUST) == "scope-exceeds-issuer"
    assert reason(delegated(RANGE, b"", own=issuance.one("12025550123")), TOP_TRUST) == "scope-list-missing"
    assert reason(delegated(b"", own=issuance.one("12025550123")), TOP_TRUST) == ""
    assert reason(delegated(b"\x30\x00", own=issuance.one("12025550123")), TOP_TRUST) == "scope-incomparable"


def test_numbers_below_a_code_are_a_matter_of_policy():
    chain = delegated(issuance.spc("709J"), own=issuance.one("12025550123"))
    check = next(c for c in open_credential(chain, TOP_TRUST, NOW).checks if c.name == "delegation")
    assert (check.outcome, check.reason) == ("passed", "by-code")
    strict = trust(CallPolicy(scts=None, by_code=False), roots=(TOP.certificate,))
    assert reason(chain, strict) == "by-code"
    assert reason(delegated(issuance.spc("709J"), own=issuance.spc("1234")), TOP_TRUST) == "scope-exceeds-issuer"


# Logs, constraints, time --------------------------------------------------------------------------------------------


def test_words_about_scts():
    tbs = number_tbs()
    foreign = sct(LOGS[0], number_tbs(whose=subject("other")))
    for certificate, word in (
        (CA.certificate_for(tbs), "no-sct"),
        (CA.final(tbs, [foreign, sct(LOGS[2], tbs)]), "sct-bad-signature"),
        (CA.final(tbs, [sct(LOGS[0], tbs)]), "too-few-scts"),
        (CA.final(tbs, [sct(LOGS[0], tbs), sct(LOGS[1], tbs)]), "too-few-operators"),
        (CA.final(tbs, [sct(LOGS[0], tbs, timestamp_ms=NOW + 1), sct(LOGS[2], tbs)]), "sct-from-the-future"),
    ):
        assert reason((certificate, CA.certificate), trust()) == word
    one = trust(CallPolicy(scts=SctPolicy(1, 1)))
    assert reason((CA.final(tbs, [sct(LOGS[0], tbs)]), CA.certificate), one) == ""
    assert reason(CHAIN, trust(found=log_list(timestamp_ms=0))) == "log-list-stale"


def test_it_holds_no_longer_than_its_scts():
    tbs = number_tbs()
    ahead = CA.final(tbs, [sct(LOGS[0], tbs), sct(LOGS[2], tbs, timestamp_ms=NOW + 50)])
    found = open_credential((ahead, CA.certificate), trust(), NOW)
    assert found.until_ms == NOW + 50
    assert open_credential(leaf(), PLAIN, NOW).until_ms == NOW + 30 * DAY_MS + 1000


def test_constraints_are_read_once():
    one = ClaimConstraints(("rcd",))
    assert open_credential(leaf(constrained(one)), PLAIN, NOW).constraints == (one,)
    assert open_credential(leaf(issuance.extension("1.3.6.1.5.5.7.1.27", b"")), PLAIN, NOW).constraints is None


# Bytes --------------------------------------------------------------------------------------------------------------


def pem(*ders: bytes) -> bytes:
    blocks = (b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(d) + b"-----END CERTIFICATE-----\n" for d in ders)
    return b"".join(blocks)


def test_what_an_x5u_gives():
    assert read_bundle(pem(*CHAIN)) == CHAIN
    assert read_bundle(pem(*CHAIN).replace(b"\n", b"\r\n")) == CHAIN
    assert read_bundle(b"subject=x\n" + pem(CERTIFICATE)) == (CERTIFICATE,)
    assert read_bundle(CERTIFICATE) == (CERTIFICATE,)
    for wrong in (b"", b"x" * MAX_BUNDLE, pem(*[CERTIFICATE] * 11), b"\x30" * (MAX_BUNDLE + 1),
                  pem(CERTIFICATE).replace(b"=", b""), pem(CERTIFICATE)[:-20]):  # fmt: skip
        with pytest.raises(MalformedError) as caught:
            read_bundle(wrong)
        assert caught.value.reason == "x5u-no-certificate"


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=3), st.integers(0, 900), st.binary(max_size=9))
def test_no_bytes_raise_anything(ders, at, data):
    mutated = CERTIFICATE[:at] + data + CERTIFICATE[at + len(data) :]
    for chain in (tuple(ders), (CERTIFICATE, *ders), (mutated, CA.certificate), (logged(number_tbs()), mutated)):
        found = open_credential(chain, trust(), NOW)
        assert {check.reason for check in found.checks} - {""} <= set(REASONS)
