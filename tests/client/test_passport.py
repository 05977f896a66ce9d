"""Calls: what passes, each attack by its name and its word, what is fetched and what is not, and what is remembered."""

import base64
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from ctlog import issuance
from ctlog.client import passport as passport_module
from ctlog.client.credential import CallPolicy
from ctlog.client.passport import Call, CallCache, Trust, verify_identity, verify_passport
from ctlog.client.sct_policy import SctPolicy
from ctlog.client.verdict import REASONS
from ctlog.errors import TransportError, UsageError, VerificationError
from ctlog.issuance import Key
from ctlog.tn.claim_constraints import ClaimConstraints
from ctlog.wire.identity_header import parse_identity_header
from ctlog.wire.passport import format_header, format_passport
from tests.call_values import (
    CA,
    CALLED,
    CERTIFICATE,
    CHAIN,
    DAY_MS,
    LEAF_KEY,
    LOGS,
    NOW,
    NUMBER,
    OTHER_CA,
    ROOT,
    SHAKEN,
    X5U,
    claims,
    constrained,
    log_list,
    logged,
    moment,
    number_tbs,
    operator_entry,
    sct,
    signed,
    subject,
    trust,
)

TRUST = trust()
OTHER_KEY = Key.from_number(99)


def judged(token, now_ms=NOW, whom=TRUST, **options):
    return verify_passport(token, whom, now_ms, **options)


def why(*args, **options) -> tuple[str, tuple[str, ...]]:
    verdict = judged(*args, **options)
    assert set(verdict.reasons) <= set(REASONS)
    return verdict.outcome, verdict.reasons


def only(reason: str, outcome: str = "failed"):
    return outcome, (reason,)


def with_certificate(tbs: bytes, logs=(LOGS[0], LOGS[2]), authority=CA, **options) -> str:
    return signed(x5c=(logged(tbs, authority, logs), authority.certificate), **options)


def swapped(token: str, part: int, change) -> str:
    """The token with one part's JSON changed, and the signature as it was."""
    parts = token.split(".")
    data = json.loads(base64.urlsafe_b64decode(parts[part] + "=="))
    parts[part] = base64.urlsafe_b64encode(json.dumps(change(data)).encode()).rstrip(b"=").decode()
    return ".".join(parts)


# What passes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ppt", "more"), [
    ("", {}), ("shaken", SHAKEN), ("rcd", {"rcd": {"nam": "Example"}, "crn": "Your delivery"}),
])  # fmt: skip
def test_a_good_call_passes(ppt, more):
    verdict = judged(signed(claims(**more), ppt))
    assert (verdict.outcome, verdict.reasons, verdict.coverage, verdict.needs) == ("passed", (), "number", ())
    assert {row: verdict.row(row) for row in ("V1", "V2", "V3", "V4", "V5")} == dict.fromkeys(
        ("V1", "V2", "V3", "V4", "V5"), "passed"
    )
    assert verdict.passport.orig.value == NUMBER
    assert verdict.certificate.der == CERTIFICATE
    assert verdict.scts.operators == ["One", "Two"]
    assert verdict.sentence == "every check passed"
    verdict.require()
    assert judged(signed(claims(**more), ppt).encode()) == verdict


def test_the_root_may_be_in_the_token_or_not():
    for chain in ((CERTIFICATE, CA.certificate), (CERTIFICATE, *CA.chain)):
        assert judged(signed(x5c=chain)).outcome == "passed"
    assert why(signed(x5c=(CERTIFICATE,))) == only("unknown-root")


def test_a_diverted_call_is_covered_by_the_number_that_diverts():
    diverted = claims(orig="442079460000", div={"tn": NUMBER})
    assert judged(signed(diverted, "div")).coverage == "number"
    assert why(signed(claims(div={"tn": "442079460000"}), "div")) == only("scope-does-not-cover")
    assert why(signed(claims(orig="442079460000", div={"tn": NUMBER}))) == only("scope-does-not-cover")


def test_a_service_provider_covers_by_code():
    token = with_certificate(number_tbs(tn=issuance.spc("709J")), said=claims("442079460000", **SHAKEN), ppt="shaken")
    verdict = judged(token)
    assert (verdict.outcome, verdict.coverage, verdict.check("scope").reason) == ("passed", "by-code", "by-code")
    strict = trust(CallPolicy(by_code=False))
    verdict = judged(token, whom=strict)
    assert (verdict.outcome, verdict.reasons, verdict.coverage) == ("cannot-tell", ("by-code",), "by-code")


def test_detached_scts():
    plain = CA.certificate_for(number_tbs())
    token = signed(x5c=(plain, CA.certificate))
    assert why(token) == only("no-sct")
    beside = [sct(log, number_tbs()) for log in (LOGS[0], LOGS[2])]
    assert judged(token, detached=beside).outcome == "passed"
    cache = CallCache()
    assert judged(token, cache=cache).outcome == "failed"
    assert judged(token, detached=beside, cache=cache).outcome == "passed"
    assert judged(token, cache=cache).outcome == "failed"


def test_scts_may_not_be_asked_for():
    token = signed(x5c=(CA.certificate_for(number_tbs()), CA.certificate))
    verdict = judged(token, whom=trust(CallPolicy(scts=None)))
    assert verdict.outcome == "passed"
    assert verdict.row("V2") == "not-checked"


# The token ----------------------------------------------------------------------------------------------------------


def test_attack_a_token_that_is_not_signed():
    token = swapped(signed(), 0, lambda header: header | {"alg": "none"}).rpartition(".")[0] + "."
    assert why(token) == only("alg-none")


def test_attack_a_token_signed_with_the_public_key_as_a_secret():
    assert why(swapped(signed(), 0, lambda header: header | {"alg": "HS256"})) == only("unsupported-alg")


def test_attack_another_curve():
    """alg says ES256, and the certificate's key is on P-384."""
    private = ec.derive_private_key(5, ec.SECP384R1())
    spki = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    who = subject()
    tbs = number_tbs(whose=issuance.Subject(who.name, spki, who.not_before_ms, who.not_after_ms, 5))
    assert why(with_certificate(tbs)) == only("wrong-curve")
    assert why(swapped(with_certificate(tbs), 0, lambda header: header | {"alg": "ES384"})) == only("unsupported-alg")


def test_attack_a_changed_number():
    changed = swapped(signed(), 1, lambda said: said | {"dest": {"tn": ["13035550100"]}})
    assert why(changed) == only("bad-signature")


def test_attack_anothers_certificate():
    assert why(signed(key=OTHER_KEY)) == only("bad-signature")


def test_attack_a_signature_of_zeros():
    head = signed().rpartition(".")[0]
    for raw in (bytes(64), b"\xff" * 64):
        assert why(head + "." + base64.urlsafe_b64encode(raw).rstrip(b"=").decode()) == only("bad-signature")


def test_attack_a_token_from_before():
    token = signed()
    assert judged(token, NOW + 60_000).outcome == "passed"
    assert why(token, NOW + 60_001) == only("iat-stale")
    assert judged(token, NOW - 60_000).outcome == "passed"
    assert why(token, NOW - 60_001) == only("iat-from-the-future")
    assert why(token, NOW + 10_001, trust(CallPolicy(freshness_s=10))) == only("iat-stale")


def test_attack_a_token_of_another_call():
    same = Call(NUMBER, CALLED, NOW // 1000)
    assert judged(signed(), call=same).check("call").outcome == "passed"
    assert judged(signed()).check("call").outcome == "not-checked"
    assert why(signed(), call=same._replace(orig="12025550124")) == only("orig-mismatch")
    assert why(signed(), call=same._replace(dest="12025550124")) == only("dest-mismatch")
    assert why(signed(), call=same._replace(time_s=NOW // 1000 - 61)) == only("date-mismatch")


def test_attack_a_token_made_for_something_else():
    assert why(swapped(signed(), 0, lambda header: header | {"typ": "JWT"})) == only("wrong-typ")


def test_an_extension_that_nobody_knows():
    verdict = judged(signed(ppt="new"))
    assert (verdict.outcome, verdict.reasons) == ("cannot-tell", ("unknown-ppt",))
    assert verdict.check("signature").outcome == "passed"


def test_shaken_by_a_delegate():
    token = signed(claims(**SHAKEN), "shaken")
    assert judged(token).outcome == "passed"
    strict = trust(CallPolicy(shaken_needs_code=True))
    assert why(token, whom=strict) == only("shaken-without-code")
    assert judged(signed(), whom=strict).outcome == "passed"


# The certificate ----------------------------------------------------------------------------------------------------


def test_attack_a_scope_that_does_not_cover():
    assert why(signed(claims("12025550124"))) == only("scope-does-not-cover")


def test_attack_a_chain_that_ends_elsewhere():
    tbs = number_tbs(authority=OTHER_CA)
    assert why(with_certificate(tbs, authority=OTHER_CA)) == only("unknown-root")
    own_root = issuance.example_authority(NOW, root_key=OTHER_KEY, key=OTHER_KEY)
    imitated = number_tbs(authority=own_root)
    for chain in (own_root.chain, own_root.chain[:1]):
        token = signed(x5c=(logged(imitated, own_root), *chain))
        assert judged(token).reasons[0] in ("chain-bad-signature", "unknown-root")


def test_attack_an_expired_certificate():
    token = with_certificate(number_tbs(whose=subject(days=(-2, 0))))
    assert judged(token, NOW + 999).outcome == "passed"
    assert why(token, NOW + 1000) == only("certificate-expired")
    early = with_certificate(number_tbs(whose=subject(days=(0.001, 2))))
    assert why(early) == only("certificate-not-yet-valid")


def test_attack_a_certificate_that_was_not_valid_when_the_token_was_made():
    born = with_certificate(number_tbs(whose=subject(days=(0, 2))), said=claims(iat_s=NOW // 1000 - 5))
    assert why(born) == only("certificate-not-yet-valid")


def test_attack_a_precertificate():
    tbs = number_tbs()
    assert why(signed(x5c=(CA.precertificate(tbs), CA.certificate))) == only("precertificate")


@pytest.mark.parametrize(("constraints", "said", "reason"), [
    (ClaimConstraints(must_exclude=("attest",)), claims(**SHAKEN), "claim-forbidden"),
    (ClaimConstraints(must_include=("rcd",)), claims(), "claim-missing"),
    (ClaimConstraints(permitted=(("attest", ("B", "C")),)), claims(**SHAKEN), "claim-value-forbidden"),
    (ClaimConstraints(permitted=(("rcd", ('{"nam":"A"}',)),)), claims(rcd={"nam": "Bank"}), "claim-value-forbidden"),
])  # fmt: skip
def test_attack_a_claim_that_the_certificate_forbids(constraints, said, reason):
    tbs = number_tbs(constrained(constraints))
    assert why(with_certificate(tbs, said=said)) == only(reason)


def test_claims_within_the_constraints():
    tbs = number_tbs(constrained(ClaimConstraints(("rcd",), (("rcd", ('{"nam":"Example"}',)),), ("attest",))))
    assert judged(with_certificate(tbs, said=claims(rcd={"nam": "Example"}), ppt="rcd")).outcome == "passed"


def test_attack_constraints_that_cannot_be_read():
    tbs = number_tbs(issuance.extension("1.3.6.1.5.5.7.1.27", b"\x30\x00"))
    assert why(with_certificate(tbs)) == only("unreadable-constraints")


# The logs -----------------------------------------------------------------------------------------------------------


def with_scts(*scts: bytes) -> str:
    return signed(x5c=(CA.final(number_tbs(), scts), CA.certificate))


ONE, TWO = (sct(log, number_tbs()) for log in (LOGS[0], LOGS[2]))


def test_attack_no_scts():
    assert why(signed(x5c=(CA.certificate_for(number_tbs()), CA.certificate))) == only("no-sct")
    assert why(with_scts(ONE)) == only("too-few-scts")


def test_attack_an_sct_for_another_certificate():
    foreign = sct(LOGS[0], number_tbs(whose=subject("other")))
    assert why(with_scts(foreign, TWO)) == only("sct-bad-signature")


def test_attack_an_sct_from_the_future():
    assert why(with_scts(ONE, sct(LOGS[2], number_tbs(), timestamp_ms=NOW + 1))) == only("sct-from-the-future")


def test_attack_an_sct_of_a_retired_log():
    found = log_list(
        operator_entry("One", LOGS[0], states={"retired": NOW - 2 * DAY_MS}), operator_entry("Two", LOGS[2])
    )
    assert why(with_scts(ONE, TWO), whom=trust(found=found)) == only("sct-retired-log")


def test_attack_the_same_sct_twice():
    assert why(with_scts(ONE, ONE)) == only("too-few-scts")


def test_a_stale_list_is_an_outcome_of_its_own():
    old = log_list(timestamp_ms=NOW - 71 * DAY_MS)
    verdict = judged(signed(), whom=trust(found=old))
    assert (verdict.outcome, verdict.reasons) == ("cannot-tell", ("log-list-stale",))
    assert verdict.check("scts").outcome == "not-checked"
    assert verdict.check("signature").outcome == "passed"
    assert (verdict.row("V4"), verdict.row("V5")) == ("cannot-tell", "cannot-tell")


def test_no_list_at_all():
    verdict = judged(signed(), whom=Trust(TRUST.roots, None))
    assert (verdict.outcome, verdict.reasons) == ("cannot-tell", ("no-log-list",))


# What is fetched ----------------------------------------------------------------------------------------------------

PEM = b"".join(
    b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(der) + b"-----END CERTIFICATE-----\n" for der in CHAIN
)


def test_the_core_says_what_it_needs():
    token = signed(x5u=X5U)
    verdict = judged(token)
    assert (verdict.outcome, verdict.reasons) == ("cannot-tell", ("certificate-needed",))
    assert verdict.needs == (("certificate", X5U),)
    assert judged(token, fetched={X5U: PEM}).outcome == "passed"
    assert judged(token, fetched={X5U: b"text before\n" + PEM + b"text after"}).outcome == "passed"
    assert why(token, fetched={X5U: CERTIFICATE}) == only("unknown-root")
    assert judged(token, fetched={X5U: CERTIFICATE}, whom=trust(roots=(ROOT, CA.certificate))).outcome == "passed"


def test_a_certificate_in_the_token_wins():
    header = format_header("", X5U, CHAIN)
    token = passport_of(header)
    assert judged(token, fetched={X5U: b"something else"}).outcome == "passed"
    broken = swapped(token, 0, lambda members: members | {"x5c": ["AAAA"]})
    verdict = judged(broken, fetched={X5U: PEM})
    assert (verdict.outcome, verdict.reasons, verdict.needs) == ("failed", ("malformed-certificate",), ())


def passport_of(header: bytes) -> str:
    return format_passport(header, claims(), LEAF_KEY.sign)


@pytest.mark.parametrize(("reason", "outcome"), [
    ("inward-address", "failed"), ("redirect", "failed"), ("too-large", "failed"), ("bad-url", "failed"),
    ("not-https", "failed"), ("too-slow", "cannot-tell"), ("http-status", "cannot-tell"),
    ("unreachable", "cannot-tell"),
])  # fmt: skip
def test_attack_an_x5u_that_leads_astray(reason, outcome):
    verdict = judged(signed(x5u=X5U), fetched={X5U: TransportError("a sentence", reason=reason)})
    assert (verdict.outcome, verdict.reasons, verdict.sentence) == (outcome, (f"x5u-{reason}",), "a sentence")


def test_an_x5u_that_fails_in_a_way_that_nobody_knew():
    assert why(signed(x5u=X5U), fetched={X5U: TransportError("?")}) == only("x5u-unreachable")


def test_attack_an_x5u_that_is_not_https():
    for url in ("http://cert.example/a.pem", "file:///etc/passwd", "cert.example", "ftp://x"):
        verdict = judged(signed(x5u=url), fetched={url: PEM})
        assert (verdict.reasons, verdict.needs) == (("x5u-not-https",), ())


def test_a_token_without_any_certificate():
    assert why(passport_of(format_header())) == only("no-certificate")


@pytest.mark.parametrize("came", [
    b"", b"<html>", b"\x30", b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----", PEM * 9, b" " * 70_000 + PEM,
    b"-----BEGIN CERTIFICATE-----\nAAA\n-----END CERTIFICATE-----", PEM.replace(b"CERTIFICATE", b"PRIVATE KEY"),
])  # fmt: skip
def test_attack_an_x5u_that_gives_something_else(came):
    assert judged(signed(x5u=X5U), fetched={X5U: came}).reasons[0] in ("x5u-no-certificate", "malformed-certificate")


# The header field ---------------------------------------------------------------------------------------------------


def test_a_whole_header_field():
    token = signed(claims(**SHAKEN), "shaken", x5u=X5U)
    field = f"{token};info=<{X5U}>;alg=ES256;ppt=shaken"
    verdict = verify_identity(f"Identity: {field}", TRUST, NOW, fetched={X5U: PEM})
    assert (verdict.outcome, verdict.check("header-field").outcome) == ("passed", "passed")
    assert verify_identity(signed(), TRUST, NOW).outcome == "passed"
    assert verify_identity(f"{token};info=<{X5U}>", TRUST, NOW, fetched={X5U: PEM}).outcome == "passed"
    for wrong, reason in (
        (field.replace(f"<{X5U}>", "<https://other.example/>"), "info-mismatch"),
        (token, "info-mismatch"),
        (field.replace("ES256", "ES384"), "alg-mismatch"),
        (field.replace("ppt=shaken", "ppt=div"), "ppt-mismatch"),
        (f"{signed()};ppt=shaken", "ppt-mismatch"),
        (f"{signed()};info=<{X5U}>", "info-mismatch"),
        (field.replace("<", ""), "malformed-header-field"),
        ("", "malformed-header-field"),
    ):
        verdict = verify_identity(wrong, TRUST, NOW, fetched={X5U: PEM})
        assert (verdict.outcome, verdict.reasons) == only(reason), wrong[-60:]
    call = Call(orig="12025550199", header=parse_identity_header(field))
    assert verify_passport(token, TRUST, NOW, call=call, fetched={X5U: PEM}).reasons == ("orig-mismatch",)


# What it costs ------------------------------------------------------------------------------------------------------


def test_nothing_that_costs_is_asked_once_something_failed(monkeypatch):
    monkeypatch.setattr(passport_module, "open_credential", None)
    assert why(signed(), NOW + 90_000) == only("iat-stale")
    monkeypatch.undo()
    monkeypatch.setattr(passport_module, "der_signature", None)
    assert why(signed(claims("12025550124"))) == only("scope-does-not-cover")
    assert why(with_scts(ONE)) == only("too-few-scts")


def test_all_reasons_are_given_that_can_be_had_for_nothing():
    tbs = number_tbs(constrained(ClaimConstraints(("rcd",))), whose=subject(days=(-3, -1)))
    verdict = judged(with_certificate(tbs, said=claims("12025550124")))
    assert verdict.reasons == ("certificate-expired", "scope-does-not-cover", "claim-missing")


def test_a_certificate_is_looked_at_once(monkeypatch):
    opened = []
    original = passport_module.open_credential

    def counting(*args):
        opened.append(args)
        return original(*args)

    monkeypatch.setattr(passport_module, "open_credential", counting)
    cache = CallCache()
    for second in range(5):
        token = signed(claims(iat_s=NOW // 1000 + second))
        assert judged(token, NOW + 1000 * second, cache=cache).outcome == "passed"
    assert len(opened) == len(cache) == 1
    assert judged(signed(x5u=X5U), fetched={X5U: PEM}, cache=cache).outcome == "passed"
    assert len(opened) == 1  # the same certificate, fetched
    assert why(signed(key=OTHER_KEY), cache=cache) == only("bad-signature")
    assert why(signed(claims("12025550124")), cache=cache) == only("scope-does-not-cover")
    assert len(opened) == 1


def test_what_nobody_vouches_for_is_not_remembered():
    cache = CallCache()
    for name in "abc":
        tbs = number_tbs(authority=OTHER_CA, whose=subject(name))
        assert judged(with_certificate(tbs, authority=OTHER_CA), cache=cache).outcome == "failed"
    assert (len(cache), len(cache.headers)) == (0, 0)
    assert why(with_scts(ONE), cache=cache) == only("too-few-scts")
    assert len(cache) == 1  # the CA vouches for it, so there cannot be many


def test_a_remembered_certificate_still_expires():
    cache = CallCache()
    token = with_certificate(number_tbs(whose=subject(days=(-1, 0.0001))))
    assert judged(token, cache=cache).outcome == "passed"
    assert why(token, NOW + 20_000, cache=cache) == only("certificate-expired")
    assert judged(token, cache=cache).outcome == "passed"


def test_another_trust_is_another_world():
    cache = CallCache()
    assert judged(signed(), cache=cache).outcome == "passed"
    without = trust(roots=(OTHER_CA.chain[-1],))
    assert why(signed(), whom=without, cache=cache) == only("unknown-root")
    assert len(cache) == 0
    rejected = log_list(operator_entry("One", LOGS[0], states={"rejected": 0}), operator_entry("Two", LOGS[2]))
    assert why(signed(), whom=trust(found=rejected), cache=cache) == only("too-few-scts")
    assert judged(signed(), cache=cache).outcome == "passed"


def test_a_verdict_is_no_boolean():
    verdict = judged(signed(claims("12025550124")))
    with pytest.raises(TypeError):
        bool(verdict)
    with pytest.raises(VerificationError) as caught:
        verdict.require()
    assert caught.value.reason == "scope-does-not-cover"


# Bytes --------------------------------------------------------------------------------------------------------------

GOOD = signed(claims(**SHAKEN), "shaken")


@given(st.integers(0, len(GOOD) - 1), st.sampled_from("ABYZaz019-_.=+/ \n\x00é"), st.integers(0, 2))
def test_no_change_of_a_token_passes_or_raises(at, character, taken):
    changed = GOOD[:at] + character + GOOD[at + taken :]
    verdict = judged(changed)
    assert set(verdict.reasons) <= set(REASONS)
    assert verdict.outcome == "failed" or changed == GOOD


@given(st.text(max_size=60) | st.binary(max_size=60), st.binary(max_size=60))
def test_no_bytes_raise_anything(data, came):
    cache = CallCache()
    assert judged(data, cache=cache).outcome == "failed"
    if isinstance(data, str):
        assert verify_identity(data, TRUST, NOW, cache=cache).outcome == "failed"
    verdict = judged(signed(x5u=X5U), fetched={X5U: came}, cache=cache)
    assert verdict.outcome == "failed"
    assert set(verdict.reasons) <= set(REASONS)


@given(st.integers(0, len(CERTIFICATE) - 1), st.integers(0, 7))
def test_no_flipped_bit_of_the_certificate_passes(at, bit):
    wrong = bytearray(CERTIFICATE)
    wrong[at] ^= 1 << bit
    verdict = judged(signed(x5c=(bytes(wrong), CA.certificate)))
    assert verdict.outcome == "failed"
    assert set(verdict.reasons) <= set(REASONS)


def test_a_policy_that_makes_no_sense():
    with pytest.raises(UsageError):
        judged(signed(), whom=trust(CallPolicy(scts=SctPolicy(0, 0))))


# The page -----------------------------------------------------------------------------------------------------------


def test_the_example_of_the_page_runs():
    page = (Path(__file__).parents[2] / "docs" / "verify-calls.md").read_text("utf-8")
    example = page.partition("```python\n")[2].partition("```")[0]
    assert len(example.splitlines()) <= 12
    signer = ed25519.Ed25519PrivateKey.from_private_bytes(b"p" * 32)
    public = signer.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    operators = [operator_entry("One", LOGS[0]), operator_entry("Two", LOGS[2])]
    data = json.dumps({"version": "1", "log_list_timestamp": moment(NOW), "operators": operators}).encode()
    printed = []
    exec(example, {
        "list_bytes": data, "signature": signer.sign(data), "list_key": public, "roots": [ROOT], "now_ms": NOW,
        "token": signed(x5u=X5U), "fetch": {X5U: PEM}.get, "print": lambda *words: printed.append(words),
    })  # fmt: skip
    assert printed == [("passed", (), "number", "passed")]
