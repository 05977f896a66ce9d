"""A glance says what the full reading says, for real certificates, made ones, and every mutation of them."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctlog import issuance
from ctlog.issuance import Subject
from ctlog.tn.identity import read_identity
from ctlog.tn.tnauthlist import OID_TNAUTHLIST, format_tnauthlist
from ctlog.x509.der import oid, parse_certificate
from monitor import glance as module
from monitor.entry import look, look_at, read_entry
from monitor.glance import Glancer, find_shape, says_authority
from tests.corpus import leaves, need_corpus, null_parameters, odd, sample
from tests.monitor_certificates import (
    GOOD,
    NOW_MS,
    PLACE,
    code_leaf,
    key,
    leaf_of,
    number_leaf,
    precert_leaf_of,
    subject,
)
from tests.number_certificates import access, claims, lists, names, number_list


def check(glancer: Glancer, leaf: bytes) -> bool:
    """Compare a glance with the full reading; true if the glance could tell by itself."""
    entry = read_entry(PLACE, leaf)
    seen = look(glancer, leaf)
    assert seen.labels == entry.labels
    found = glancer.glance(leaf)
    if found is None:
        return False
    parsed = entry.parsed
    assert parsed is not None
    assert found == (parsed.issuer, parsed.validity, parsed.subject, parsed.spki, entry.labels) == seen
    look_at(glancer, [leaf])
    says = any(says_authority(each.oid, each.value) for each in parsed.extensions)
    assert glancer.authorities == [0] * says
    return True


@need_corpus
def test_every_real_certificate_is_told_at_a_glance():
    glancer = Glancer()
    for der in leaves():
        leaf = leaf_of(der)
        found = glancer.glance(leaf)
        parsed = parse_certificate(der)
        labels = read_identity(parsed).labels
        assert found == (parsed.issuer, parsed.validity, parsed.subject, parsed.spki, labels)


@need_corpus
def test_odd_ones_too():
    glancer = Glancer()
    for der in [*odd(), null_parameters()[1]]:
        check(glancer, leaf_of(der))


@need_corpus
@pytest.mark.parametrize("seed", range(4))
def test_mutated_real_certificates(seed):
    """One octet changed anywhere, often where the walk looks: the same labels as the full reading, or no answer."""
    dice = random.Random(seed)
    glancer = Glancer()
    plain = [leaf_of(der) for der in sample(60)]
    told = 0
    for leaf in plain:
        check(glancer, leaf)
    for leaf in plain:
        for _ in range(12):
            at = dice.randrange(len(leaf))
            changed = bytearray(leaf)
            changed[at] = dice.choice((changed[at] ^ 1 << dice.randrange(8), dice.randrange(256), 0x30, 0x80, 0))
            told += check(glancer, bytes(changed))
    assert told > 200


@need_corpus
def test_cut_and_spliced_real_certificates():
    dice = random.Random(5)
    glancer = Glancer()
    plain = [leaf_of(der) for der in sample(40)]
    for leaf in plain:
        check(glancer, leaf)
        check(glancer, leaf[: dice.randrange(len(leaf))])
        check(glancer, leaf + b"\0")
        other = dice.choice(plain)
        at = dice.randrange(len(leaf))
        check(glancer, leaf[:at] + other[at:])


@given(lists, st.sampled_from(["Example", "SHAKEN 709J", "shaken example 1234", ""]))
def test_made_certificates(entries, cn):
    glancer = Glancer()
    tbs = number_leaf(issuance_list(entries), GOOD, subject(cn=cn or "x"))
    leaf = leaf_of(GOOD.certificate_for(tbs))
    assert check(glancer, leaf)
    pre = precert_leaf_of(GOOD.precertificate(tbs), GOOD.chain)
    assert check(glancer, pre)


def issuance_list(entries):
    """A list of those claims that can be written."""
    good = [each for each in entries if str(each).isascii()]
    return format_tnauthlist(good or [entries[0]])


numbers = st.from_regex(rb"[0-9*#+]{1,16}", fullmatch=True)


@given(st.lists(numbers, max_size=3), st.lists(st.one_of(claims), max_size=2), st.booleans(), st.booleans())
def test_every_form_together(digits, listed, by_reference, shaken):
    """TNAuthList, tel: names and references side by side, with a common name that says a code or does not."""
    extensions = [names(*(b"tel:+" + each for each in digits))] if digits else []
    extensions += [number_list(issuance_list(listed))] if listed else []
    extensions += [access(b"https://tn.example/list")] if by_reference else []
    who = Subject(issuance.name(CN="SHAKEN 709J" if shaken else "Example"), key(0).spki, NOW_MS, NOW_MS + 1000)
    leaf = leaf_of(GOOD.certificate_for(GOOD.leaf(who, extensions)))
    glancer = Glancer()
    assert check(glancer, leaf)
    assert check(glancer, leaf)


@given(st.binary(max_size=80))
def test_any_bytes(data):
    glancer = Glancer()
    assert not check(glancer, data)
    assert not check(glancer, bytes(15) + data)


def test_what_looks_alike_is_not_taken_for_it():
    """The OID of a TNAuthList inside of a common name, and inside of another extension, claims nothing."""
    hidden = issuance.tn_auth_list(issuance.one("12025550123"))
    who = Subject(issuance.name(CN=hidden.decode("latin-1")), key(0).spki, NOW_MS, NOW_MS + 1000)
    wrapped = issuance.extension("1.2.3.4", hidden)
    assert OID_TNAUTHLIST in wrapped
    leaf = leaf_of(GOOD.certificate_for(GOOD.leaf(who, [wrapped])))
    found = Glancer().glance(leaf)
    assert found is not None
    assert found.labels == ()


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(module, "MAX_SHAPES", 8)
    monkeypatch.setattr(module, "MAX_KNOWN", 8)
    monkeypatch.setattr(module, "MAX_ALIKE", 2)
    glancer = Glancer()
    for size in range(40):
        tbs = code_leaf(f"{1000 + size}", "Holder" * (1 + size % 20))
        assert check(glancer, leaf_of(GOOD.certificate_for(tbs)))
    assert sum(map(len, glancer._shapes.values())) <= 8
    assert len(glancer._known) <= 8


def test_many_extensions_are_left_to_the_full_reading():
    extra = [issuance.extension(f"1.2.3.{at}", b"x") for at in range(45)]
    tbs = GOOD.leaf(subject(), [*extra, issuance.tn_auth_list(issuance.one("12025550123"))])
    leaf = leaf_of(GOOD.certificate_for(tbs))
    assert find_shape(leaf) is None
    assert [label.value for label in look(Glancer(), leaf).labels] == ["12025550123"]


USAGE, CONSTRAINTS = oid("2.5.29.15"), oid("2.5.29.19")


@pytest.mark.parametrize(("kind", "value", "says"), [
    (CONSTRAINTS, "30030101ff", True), (CONSTRAINTS, "30060101ff020100", True), (CONSTRAINTS, "3000", False),
    (CONSTRAINTS, "3003010100", False), (CONSTRAINTS, "3003020105", False), (CONSTRAINTS, "", False),
    (USAGE, "03020106", True), (USAGE, "03020284", True), (USAGE, "03020780", False), (USAGE, "0303070480", True),
    (USAGE, "0302", False), (oid("2.5.29.14"), "30030101ff", False),
])  # fmt: skip
def test_what_says_to_be_a_ca(kind, value, says):
    assert says_authority(kind, bytes.fromhex(value)) is says


@pytest.mark.parametrize("form", [issuance.CERT_SIGN, issuance.authority_constraints(), issuance.DIGITAL_SIGNATURE])
def test_a_number_s_certificate_that_says_to_be_a_ca(form):
    """By C, by shapes, and where only the full reading can tell."""
    scope = issuance.tn_auth_list(issuance.one("12025550123"))
    leaf = leaf_of(GOOD.certificate_for(GOOD.leaf(subject(), [form, scope])))
    glancer = Glancer()
    others = leaf_of(GOOD.certificate_for(number_leaf(issuance.one("12025550124"))))
    look_at(glancer, [others, leaf, others, leaf])
    assert glancer.authorities == ([] if form is issuance.DIGITAL_SIGNATURE else [1, 3])
    assert [glance.labels for glance in look_at(glancer, [leaf])] == [read_entry(PLACE, leaf).labels]
