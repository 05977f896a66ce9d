"""The caller's side: what may be taken into use, and that what it signs is what the other end accepts."""

import pytest

from ctlog import issuance
from ctlog.client import activation
from ctlog.client.activation import activate
from ctlog.client.credential import CallPolicy
from ctlog.client.passport import verify_passport
from ctlog.client.sct_policy import SctPolicy
from ctlog.errors import MalformedError, RefusedError
from ctlog.issuance import Key
from ctlog.tn.claim_constraints import ClaimConstraints
from ctlog.wire.passport import parse_passport
from tests.call_values import (
    CA,
    CERTIFICATE,
    CHAIN,
    LEAF_KEY,
    LOGS,
    NOW,
    NUMBER,
    SHAKEN,
    X5U,
    claims,
    constrained,
    log_list,
    logged,
    number_tbs,
    sct,
    subject,
    trust,
)

TRUST = trust()
SAID = {"orig": {"tn": NUMBER}, "dest": {"tn": ["13035550199"]}}


def activated(chain=CHAIN, whom=TRUST, sign=LEAF_KEY.sign, **options):
    return activate(chain, sign, whom, NOW, **options)


def refused(active, said=SAID, now_ms=NOW, ppt="") -> str:
    with pytest.raises(RefusedError) as caught:
        active.passport(said, now_ms, ppt)
    return caught.value.reason


# What may be used ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ppt", ["", "shaken", "rcd", "div"])
def test_what_it_signs_the_other_end_accepts(ppt):
    active = activated((CERTIFICATE, *CA.chain))
    assert (active.outcome, active.reasons) == ("passed", ())
    assert [active.row(row) for row in ("A1", "A2", "A3")] == ["passed"] * 3
    more = {"shaken": SHAKEN, "rcd": {"rcd": {"nam": "Example"}}, "div": {"div": {"tn": NUMBER}}}.get(ppt, {})
    token = active.passport(SAID | more, NOW + 2500, ppt)
    verdict = verify_passport(token, TRUST, NOW + 3000)
    assert verdict.outcome == "passed"
    assert (verdict.passport.iat_s, verdict.passport.header.x5c) == (NOW // 1000 + 2, CHAIN)
    assert parse_passport(active.passport(claims(iat_s=5), NOW)).iat_s == 5


def test_conveyed_by_url():
    active = activated(x5u=X5U)
    header = parse_passport(active.passport(SAID, NOW)).header
    assert (header.x5u, header.x5c) == (X5U, ())
    wrong = activated(x5u="http://cert.example/")
    assert (wrong.reasons, wrong.row("A2"), wrong.row("A1")) == (("x5u-not-https",), "failed", "passed")


def test_a_certificate_by_reference_with_its_list():
    tbs = CA.leaf(subject(), (issuance.END_ENTITY, issuance.tn_auth_list_by_reference(X5U)))
    chain = (logged(tbs), CA.certificate)
    assert refused(activated(chain)) == "number-list-needed"
    active = activated(chain, fetched={X5U: issuance.one(NUMBER)})
    assert active.passport(SAID, NOW)


# What may not -------------------------------------------------------------------------------------------------------


def test_no_sct_no_signature():
    tbs = number_tbs()
    plain = activated((CA.certificate_for(tbs), CA.certificate))
    assert (plain.outcome, plain.reasons) == ("failed", ("no-sct",))
    assert (plain.row("A1"), plain.row("A2")) == ("failed", "failed")
    assert refused(plain) == "no-sct"
    beside = [sct(log, tbs) for log in (LOGS[0], LOGS[2])]
    assert activated((CA.certificate_for(tbs), CA.certificate), detached=beside).passport(SAID, NOW)
    lenient = trust(CallPolicy(scts=None))
    active = activated((CA.certificate_for(tbs), CA.certificate), lenient)
    assert active.passport(SAID, NOW)
    assert [active.row(row) for row in ("A1", "A2", "A3")] == ["not-checked"] * 3


def test_an_sct_from_the_future():
    tbs = number_tbs()
    ahead = sct(LOGS[2], tbs, timestamp_ms=NOW + 1)
    active = activated((CA.final(tbs, [sct(LOGS[0], tbs), ahead]), CA.certificate))
    assert (active.row("A1"), active.row("A3")) == ("failed", "failed")
    assert refused(active) == "sct-from-the-future"
    enough = activated((CA.final(tbs, [sct(LOGS[0], tbs), ahead]), CA.certificate), trust(CallPolicy(SctPolicy(1, 1))))
    assert (enough.row("A1"), enough.row("A3")) == ("passed", "passed")
    assert enough.until_ms == NOW + 1


def test_a_stale_list_of_logs():
    active = activated(whom=trust(found=log_list(timestamp_ms=0)))
    assert (active.outcome, active.reasons, active.row("A1")) == ("cannot-tell", ("log-list-stale",), "cannot-tell")
    assert refused(active) == "log-list-stale"


def test_another_key():
    assert activated(sign=Key.from_number(3).sign).reasons == ("wrong-key",)
    assert activated(sign=lambda data: b"no signature").reasons == ("wrong-key",)


def test_a_certificate_that_is_none():
    active = activated((b"no certificate",))
    assert active.reasons == ("malformed-certificate",)
    assert refused(active) == "malformed-certificate"
    assert refused(activated(CHAIN[:1])) == "unknown-root"


# What it does not sign ----------------------------------------------------------------------------------------------


def test_what_the_certificate_does_not_allow():
    active = activated()
    assert refused(active, claims("12025550124")) == "scope-does-not-cover"
    assert refused(active, claims(div={"tn": "12025550124"}), ppt="div") == "scope-does-not-cover"
    assert refused(active, SAID, ppt="new") == "unknown-ppt"
    bound = activated((logged(number_tbs(constrained(ClaimConstraints((), (), ("attest",))))), CA.certificate))
    assert refused(bound, SAID | SHAKEN, ppt="shaken") == "claim-forbidden"
    unreadable = number_tbs(issuance.extension("1.3.6.1.5.5.7.1.27", b""))
    assert refused(activated((logged(unreadable), CA.certificate))) == "unreadable-constraints"
    for wrong in ({}, SAID | {"orig": {"tn": "+1202"}}, SAID | {"dest": []}):
        with pytest.raises(MalformedError):
            active.passport(wrong, NOW)


def test_nothing_before_or_after_its_time():
    active = activated((logged(number_tbs(whose=subject(days=(-1, 1)))), CA.certificate))
    assert refused(active, now_ms=active.until_ms) == "certificate-expired"
    assert refused(active, now_ms=NOW - 2 * 86_400_000) == "certificate-not-yet-valid"
    tbs = number_tbs()
    ahead = CA.final(tbs, [sct(log, tbs, timestamp_ms=at) for log, at in
                           ((LOGS[0], NOW), (LOGS[2], NOW), (LOGS[1], NOW + 60_000))])  # fmt: skip
    active = activated((ahead, CA.certificate))
    assert active.passport(SAID, NOW + 59_999)
    assert refused(active, now_ms=NOW + 60_000) == "over"


def test_each_call_costs_one_signature(monkeypatch):
    active = activated()
    monkeypatch.setattr(activation, "open_credential", None)
    counted = []
    object.__setattr__(active, "_sign", lambda data: counted.append(data) or LEAF_KEY.sign(data))
    active.passport(SAID, NOW)
    assert len(counted) == 1
