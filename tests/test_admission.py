"""Admission: what may be logged is made into an entry whole; what may not is refused for the one reason that it has."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ctlog
from ctlog.admission import LARGE_LEAF, MAX_LEAF, Policy, accept, plan_accept
from ctlog.errors import InputError, MalformedError, RefusedError
from ctlog.issuance import (
    DIGITAL_SIGNATURE,
    POISON,
    Authority,
    Key,
    Subject,
    delegate_leaf,
    example_authority,
    extension,
    intermediate,
    name,
    number_range,
    one,
    precertificate_signer,
    rcs_leaf,
    shaken_leaf,
    spc,
    tn_auth_list,
    tn_auth_list_by_reference,
)
from ctlog.tn.findings import MEANINGS as NUMBER_FINDINGS
from ctlog.tn.labels import LABEL_VERSION
from ctlog.wire.numbers_feed import VERSION, FeedLine, format_feed_line, parse_feed_line
from ctlog.wire.rfc6962 import EntryType, SignedEntry, entry_key
from ctlog.wire.static_ct import PendingEntry
from ctlog.x509.chain import Roots, accepted_root
from ctlog.x509.der import parse_certificate
from ctlog.x509.findings import MEANINGS
from ctlog.x509.names import name_text
from tests import der_tree
from tests.corpus import authorities, leaves, lints, need_corpus, null_parameters, odd

NOW_MS = 1_790_000_000_000
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
X509, PRECERT = EntryType.X509, EntryType.PRECERT
KEY = Key.from_number(63)
CA = example_authority(NOW_MS, root_key=Key.from_number(61), key=Key.from_number(62))
ROOT = CA.above[0]
DOCS = Path(ctlog.__file__).parents[1] / "docs"


def policy(*roots: bytes, **options: Any) -> Policy:
    return Policy(Roots(accepted_root(der, "test") for der in roots or (ROOT,)), **options)


POLICY = policy()


def subject(start: int = NOW_MS, days: int = 30) -> Subject:
    return Subject(name(C="US", O="Example", CN="Example"), KEY.spki, start, start + days * DAY_MS, 77)


def tbs(*extensions: bytes, start: int = NOW_MS) -> bytes:
    return CA.leaf(subject(start), (DIGITAL_SIGNATURE, *extensions))


TBS = shaken_leaf(CA, KEY.spki, "709J", "Example", not_before_ms=NOW_MS, not_after_ms=NOW_MS + 30 * DAY_MS, serial=5)
FINAL, PRE = CA.certificate_for(TBS), CA.precertificate(TBS)


def feed(pending: PendingEntry) -> FeedLine:
    return parse_feed_line(format_feed_line(3, 4, pending.feed))


def admitted(tbs: bytes, authority: Authority = CA, **options: Any) -> FeedLine:
    chain = [authority.certificate_for(tbs), *authority.chain]
    return feed(accept(chain, X509, policy(**options), NOW_MS))


def reason(chain: Sequence[bytes], kind: EntryType = X509, rules: Policy = POLICY) -> str:
    with pytest.raises(InputError) as caught:
        accept(list(chain), kind, rules, NOW_MS)
    assert str(caught.value)
    return caught.value.reason


# --- the entry ---


def test_a_final_certificate() -> None:
    pending = accept([FINAL, *CA.chain], X509, POLICY, NOW_MS)
    assert pending.entry == SignedEntry(X509, FINAL)
    assert pending.pre_certificate == b""
    assert [issuer.der for issuer in pending.issuers] == list(CA.chain)
    assert all(issuer.fingerprint == hashlib.sha256(issuer.der).digest() for issuer in pending.issuers)
    assert pending.certificate_hash == hashlib.sha256(FINAL).digest()
    assert (pending.trust_domain, pending.root) == ("test", hashlib.sha256(ROOT).digest())
    assert pending.key == entry_key(pending.entry)
    assert pending.low is False


def test_a_precertificate() -> None:
    pending = accept([PRE, *CA.chain], PRECERT, POLICY, NOW_MS)
    issuer_key = parse_certificate(CA.certificate).spki
    assert pending.entry == SignedEntry(PRECERT, TBS, hashlib.sha256(issuer_key).digest())
    assert pending.pre_certificate == PRE
    assert pending.certificate_hash == hashlib.sha256(PRE).digest()


def test_the_root_may_be_left_out() -> None:
    for kind, der in ((X509, FINAL), (PRECERT, PRE)):
        whole = accept([der, *CA.chain], kind, policy(), NOW_MS)
        assert accept([der, CA.certificate], kind, policy(), NOW_MS) == whole


def test_a_precertificate_signing_certificate_stands_for_its_ca() -> None:
    key = Key.from_number(64)
    who = Subject(name(CN="precerts"), key.spki, NOW_MS, NOW_MS + 90 * DAY_MS, 9)
    signer = precertificate_signer(CA, key, who)
    direct = accept([PRE, *CA.chain], PRECERT, POLICY, NOW_MS)
    pending = accept([signer.precertificate(TBS), *signer.chain], PRECERT, POLICY, NOW_MS)
    assert pending.entry == direct.entry
    assert pending.key == direct.key
    assert [issuer.der for issuer in pending.issuers] == list(signer.chain)
    assert feed(pending).issuer == feed(direct).issuer
    assert feed(pending).issuer_key == feed(direct).issuer_key
    final = accept([signer.certificate_for(signer.leaf(subject(), (tn_auth_list(spc("709J")),))), *signer.chain],
                   X509, POLICY, NOW_MS)  # fmt: skip
    assert feed(final).issuer == "CN=precerts"
    assert reason([signer.precertificate(TBS)], PRECERT, policy(signer.certificate)) == "issuer-missing"


def test_issuers_are_read_once_and_shared() -> None:
    rules = policy()
    other = CA.certificate_for(tbs(tn_auth_list(spc("1"))))
    first, again = (plan_accept([der, *CA.chain], X509, rules, NOW_MS) for der in (FINAL, other))
    assert first.pending.issuers is again.pending.issuers
    assert (len(rules.paths), len(rules.above)) == (1, 1)


def test_what_is_remembered_belongs_to_its_roots() -> None:
    """A policy with other roots, as after a reload, remembers nothing of the old one's."""
    rules = policy()
    accept([FINAL, *CA.chain], X509, rules, NOW_MS)
    assert reason([FINAL, *CA.chain], X509, replace(rules, roots=Roots())) == "unknown-root"


def test_the_leafs_signature_is_left_to_the_caller_unless_the_leaf_is_large() -> None:
    planned = plan_accept([FINAL, *CA.chain], X509, POLICY, NOW_MS)
    assert len(planned.checks) == 1
    planned.checks[0].run()
    forged = FINAL[:-1] + bytes((FINAL[-1] ^ 1,))
    check = plan_accept([forged, *CA.chain], X509, POLICY, NOW_MS).checks[0]
    with pytest.raises(RefusedError, match="the signature of certificate 1 of the chain is not valid"):
        check.run()
    large = CA.certificate_for(tbs(tn_auth_list(spc("709J")), extension("1.2.3", bytes(LARGE_LEAF))))
    assert plan_accept([large, *CA.chain], X509, POLICY, NOW_MS).checks == ()
    with pytest.raises(RefusedError, match="is not valid"):
        plan_accept([large[:-1] + bytes((large[-1] ^ 1,)), *CA.chain], X509, POLICY, NOW_MS)


@pytest.mark.parametrize(("age_ms", "low"), [(0, False), (48 * HOUR_MS, False), (-DAY_MS, False), (90 * DAY_MS, True)])
def test_what_is_not_fresh_gives_way(age_ms: int, low: bool) -> None:
    chain = [CA.certificate_for(tbs(tn_auth_list(spc("709J")), start=NOW_MS - age_ms)), *CA.chain]
    assert accept(chain, X509, POLICY, NOW_MS).low is low
    assert accept(chain, X509, POLICY, NOW_MS - age_ms + 48 * HOUR_MS + 1).low is True


def test_what_carries_scts_gives_way() -> None:
    assert accept([CA.final(TBS, [b"an SCT"]), *CA.chain], X509, POLICY, NOW_MS).low is True


# --- which call ---


def test_each_certificate_belongs_to_one_call() -> None:
    odd_poisons = (
        extension("1.3.6.1.4.1.11129.2.4.3", b"\x05\0"),
        extension("1.3.6.1.4.1.11129.2.4.3", b"", critical=True),
    )
    assert reason([PRE, *CA.chain], X509) == "wrong-endpoint"
    assert reason([FINAL, *CA.chain], PRECERT) == "wrong-endpoint"
    for poisons in ((odd_poisons[0],), (odd_poisons[1],), (POISON, POISON), (POISON, odd_poisons[0])):
        chain = [CA.certificate_for(tbs(tn_auth_list(spc("709J")), *poisons)), *CA.chain]
        assert reason(chain, PRECERT) == "bad-poison"
        assert "poison-odd" in feed(accept(chain, X509, POLICY, NOW_MS)).findings


# --- who claims a number ---


@pytest.mark.parametrize(("extensions", "family"), [
    ((tn_auth_list(spc("709J")),), "stir"), ((tn_auth_list(one("12025550100")),), "stir"),
    ((tn_auth_list(b"junk"),), "stir"), ((tn_auth_list(b""),), "stir"),
    ((tn_auth_list_by_reference("https://tn.example/list"),), "stir"),
    ((extension("2.5.29.17", b"\x30\x12\x86\x10tel:+12025550123"),), "rcs"),
    ((extension("2.5.29.17", b"\x30\x12\x86\x10tel:+12025550123"), tn_auth_list(one("12025550123"))), "mixed"),
])  # fmt: skip
def test_every_form_claims(extensions: tuple[bytes, ...], family: str) -> None:
    assert admitted(tbs(*extensions)).family == family


def test_what_claims_no_number_is_refused() -> None:
    dns = extension("2.5.29.17", b"\x30\x0d\x82\x0bexample.com")
    for extensions in ((), (dns,), (extension("2.5.29.19", b"\x30\x00"),)):
        chain = [CA.certificate_for(tbs(*extensions)), *CA.chain]
        assert reason(chain) == "no-number"
        assert feed(accept(chain, X509, policy(require_number=False), NOW_MS)).family == ""


def test_a_ca_below_an_accepted_root_is_news() -> None:
    for chain in ([CA.certificate], [CA.certificate, ROOT], [ROOT]):
        line = feed(accept(chain, X509, POLICY, NOW_MS))
        assert (line.ca, line.family, line.labels) == (True, "", [])


# --- limits and the window ---


def test_limits() -> None:
    assert reason([]) == "empty-chain"
    assert reason([FINAL] * 11) == "chain-too-long"
    assert reason([FINAL, *CA.chain], X509, policy(max_chain=2)) == "chain-too-long"
    assert reason([bytes(MAX_LEAF + 1)]) == "certificate-too-large"
    assert reason([bytes(MAX_LEAF)]) == "malformed"
    assert reason([FINAL], X509, policy(max_leaf=len(FINAL) - 1)) == "certificate-too-large"
    accept([FINAL, *CA.chain], X509, policy(max_leaf=len(FINAL), max_chain=3), NOW_MS)


def test_the_window_is_half_open() -> None:
    end = NOW_MS + 30 * DAY_MS
    for window, good in (((None, None), True), ((end, None), True), ((end + 1, None), False), ((None, end), False),
                         ((None, end + 1), True), ((end, end + 1), True), ((end - 1, end), False)):  # fmt: skip
        rules = policy(window=window)
        for kind, der in ((X509, FINAL), (PRECERT, PRE)):
            if good:
                accept([der, *CA.chain], kind, rules, NOW_MS)
            else:
                assert reason([der, *CA.chain], kind, rules) == "outside-window"


def test_an_unreadable_end_is_a_finding_without_a_window_and_a_refusal_with_one() -> None:
    tree = der_tree.read(tbs(tn_auth_list(spc("709J"))))
    tree.child(4, 1).content = b"2402291200Z"
    chain = [CA.certificate_for(tree.write()), *CA.chain]
    line = feed(accept(chain, X509, POLICY, NOW_MS))
    assert line.findings == ["validity-unreadable"]
    assert (line.not_before, line.not_after) == (NOW_MS, None)
    assert reason(chain, X509, policy(window=(None, NOW_MS * 2))) == "unreadable-validity"


# --- refused for no other reason ---


def test_each_reason_and_where() -> None:
    other = example_authority(NOW_MS, label="Other", root_key=Key.from_number(71), key=Key.from_number(72))
    assert reason([FINAL]) == "unknown-root"
    assert reason([FINAL, *other.chain]) == "unknown-root"
    assert reason([FINAL, *other.chain], X509, policy(ROOT, other.above[0])) == "chain-out-of-order"
    assert reason([FINAL, *CA.chain], X509, policy(other.above[0])) == "unknown-root"
    assert reason([FINAL[:-1] + bytes((FINAL[-1] ^ 1,)), *CA.chain]) == "bad-signature"
    for at in range(3):
        chain = [FINAL, *CA.chain]
        chain[at] += b"\0"
        with pytest.raises(MalformedError, match=f"^certificate {at + 1} of the chain: 1 bytes follow its end"):
            accept(chain, X509, POLICY, NOW_MS)


def test_every_flipped_bit_of_a_signature_is_refused() -> None:
    at = len(FINAL) - len(parse_certificate(FINAL).signature)
    for bit in range(at * 8, len(FINAL) * 8):
        bent = bytearray(FINAL)
        bent[bit // 8] ^= 1 << bit % 8
        assert reason([bytes(bent), *CA.chain]) == "bad-signature"


# --- the numbers feed ---


def test_the_line_says_what_the_certificate_claims() -> None:
    line = admitted(TBS)
    assert (line.v, line.kind, line.family) == (VERSION, "x509", "stir")
    assert (line.codes, line.labels) == (["709J"], ["spc:709J"])
    assert (line.numbers, line.ranges, line.by_reference, line.findings) == ([], [], [], [])
    leaf, issuer = parse_certificate(FINAL), parse_certificate(CA.certificate)
    assert (line.subject, line.issuer) == ("CN=SHAKEN 709J,O=Example,C=US", name_text(issuer.subject))
    assert line.key == hashlib.sha256(leaf.spki).hexdigest()
    assert line.issuer_key == hashlib.sha256(issuer.spki).hexdigest()
    assert (line.not_before, line.not_after) == (NOW_MS, NOW_MS + 30 * DAY_MS)
    assert (line.trust_domain, line.root) == ("test", hashlib.sha256(ROOT).hexdigest())
    assert line.certificate == hashlib.sha256(FINAL).hexdigest()
    assert (line.index, line.timestamp, line.ca) == (3, 4, False)


def test_numbers_ranges_and_references() -> None:
    line = admitted(delegate_leaf(CA, subject(), number_range("12025550100", 100)))
    assert (line.ranges, line.labels) == ([("12025550100", 100)], ["prefix:120255501xx"])
    assert admitted(rcs_leaf(CA, subject(), "12025550123")).numbers == ["12025550123"]
    line = admitted(tbs(tn_auth_list_by_reference("https://tn.example/list")))
    assert line.by_reference == ["https://tn.example/list"]
    assert "unindexable" in line.labels


def test_findings_of_every_room_stand_in_the_line() -> None:
    delegate = intermediate(CA, KEY, subject(), tn_value=number_range("12025550100", 10))
    narrow = admitted(delegate_leaf(delegate, subject(), one("12025550105")), delegate)
    assert narrow.findings == []
    wide = admitted(delegate_leaf(delegate, subject(), one("12025550111")), delegate)
    assert wide.findings == ["scope-exceeds-issuer"]
    late = admitted(delegate_leaf(delegate, subject(days=31), one("12025550105")), delegate)
    assert late.findings == ["outlives-issuer"]
    end_entity = CA.authority(KEY, subject(), (DIGITAL_SIGNATURE, extension("2.5.29.19", b"\x30\x00", critical=True)))
    below = end_entity.leaf(subject(), (DIGITAL_SIGNATURE, tn_auth_list(spc("709J"))))
    assert admitted(below, end_entity).findings == ["issuer-not-ca"]
    tree = der_tree.read(TBS)
    tree.children[3] = der_tree.read(name(CN="another name"))
    assert admitted(tree.write()).findings == ["issuer-renamed"]
    assert admitted(tbs(tn_auth_list(b"junk"), start=NOW_MS - 40 * DAY_MS)).findings[-1] == "expired"


def test_names_in_the_line_are_safe_to_print() -> None:
    evil = Subject(name(CN="a\u202e\n\x1b[31m\"},{"), KEY.spki, NOW_MS, NOW_MS + 1000, 7)
    chain = [CA.certificate_for(CA.leaf(evil, (tn_auth_list(spc("709J")),))), *CA.chain]
    pending = accept(chain, X509, POLICY, NOW_MS)
    assert pending.feed.count(b"\n") == 1
    assert feed(pending).subject.isprintable()


def test_the_version_of_the_line_follows_that_of_the_labels() -> None:
    """Whoever raises LABEL_VERSION changes lines too, and raises VERSION."""
    assert (LABEL_VERSION, VERSION) == (1, 1)


# --- anything ---

PARTS = [FINAL, PRE, *CA.chain]


@given(st.lists(st.one_of(st.binary(max_size=60), st.sampled_from(PARTS)), max_size=4), st.sampled_from(EntryType))
def test_any_chain_is_admitted_or_refused(chain: list[bytes], kind: EntryType) -> None:
    try:
        pending = accept(chain, kind, POLICY, NOW_MS)
    except InputError as error:
        outcome = error.reason
    else:
        outcome = feed(pending).kind
    assert outcome in {"x509", "precert", *documented()}


@given(st.integers(0, len(TBS) - 1), st.integers(0, 255), st.integers(0, 3), st.binary(max_size=3))
def test_whatever_a_ca_signs_is_recorded_or_malformed(at: int, octet: int, cut: int, junk: bytes) -> None:
    """A CA that can write what it likes cannot make the log fail, nor be refused for what is inside of a field."""
    for bent in (TBS[:at] + bytes((octet,)) + TBS[at + 1 :], TBS[:at] + junk + TBS[at + cut :]):
        try:
            pending = accept([CA.certificate_for(bent), *CA.chain], X509, POLICY, NOW_MS)
        except InputError as error:
            outcome = error.reason
        else:
            outcome = feed(pending).kind
        assert outcome in {"x509", "malformed", "no-number", "chain-out-of-order"}


# --- the corpus ---


def corpus_policy() -> Policy:
    return policy(*authorities())


def findings_of(ders: Sequence[bytes], rules: Policy) -> Counter[str]:
    found: Counter[str] = Counter()
    for der in ders:
        pending = accept([der], X509, rules, NOW_MS)
        assert pending.entry.certificate == der
        found.update(json.loads(b"{" + pending.feed)["findings"])
    return found


@need_corpus
def test_the_whole_corpus_is_admitted() -> None:
    found = findings_of(leaves(), corpus_policy())
    assert len(leaves()) == 8753
    assert found["expired"] == 8751
    assert set(found) <= {*MEANINGS, *NUMBER_FINDINGS}


@need_corpus
def test_odd_certificates_are_admitted_with_their_findings() -> None:
    rules, results = corpus_policy(), []
    for der in odd():
        try:
            results.append(feed(accept([der], X509, rules, NOW_MS)).findings)
        except RefusedError as error:
            results.append(error.reason)
    assert results[1] == "unknown-root"
    assert all("tnauthlist-no-tag" in results[at] for at in (2, 3))
    assert sum(isinstance(result, list) for result in results) == 6
    assert findings_of([null_parameters()[1]], rules)["algorithm-parameters"] == 1


@need_corpus
def test_certificates_with_one_defect_each_are_refused_for_their_signer_only() -> None:
    rules = corpus_policy()
    for der in lints().values():
        assert reason([der], X509, rules) in {"unknown-root", "bad-signature", "sha1-signature"}


# --- the papers ---


def documented() -> set[str]:
    return set(re.findall(r"^\| `([a-z0-9-]+)` \|", (DOCS / "refusals.md").read_text(), re.MULTILINE))


def test_every_reason_is_documented_and_every_documented_reason_exists() -> None:
    rooms = [Path(ctlog.__file__).parent / "admission.py", *(Path(ctlog.__file__).parent / "x509").glob("*.py")]
    used = {word for path in rooms for word in re.findall(r'reason="([a-z0-9-]+)"', path.read_text())}
    assert used | {MalformedError.reason} == documented()


def test_the_feeds_page_shows_the_line_and_every_key_and_finding() -> None:
    page = (DOCS / "numbers-feed.md").read_text()
    (example,) = re.findall(r"```json\n(.*)```", page, re.DOTALL)
    assert parse_feed_line(example.encode()).v == VERSION
    keys = set(re.findall(r"`([a-z_]+)`", "".join(re.findall(r"^\|([^|]*)\|", page, re.MULTILINE))))
    assert keys >= set(FeedLine.__struct_fields__)
    for kind, (threat, sentence) in MEANINGS.items():
        assert f"| `{kind}` | {threat} | {sentence} |" in page
    assert MEANINGS.keys().isdisjoint(NUMBER_FINDINGS)
