"""T-08, T-14, T-21, T-22, T-23, T-24, T-25, T-27: built wrong, read in two ways, or allowed too much."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctlog import issuance
from ctlog.issuance import DAY_MS, Subject
from ctlog.tn.claim_constraints import ClaimConstraints, format_claim_constraints
from ctlog.tn.numbers import NumberRange, ServiceProviderCode, TelephoneNumber
from ctlog.tn.tnauthlist import format_tnauthlist
from ctlog.x509.der import format_tlv, oid
from monitor.entry import Place, read_entry
from monitor.rules import judge, next_profile, verdicts
from monitor.rules.baseline import EMPTY_PROFILE
from monitor.rules.values import OPERATOR, OWNER, Context
from monitor.watchlist import Watchlist
from tests.corpus import lints, need_corpus
from tests.monitor_certificates import (
    GOOD,
    NOW_MS,
    PLACE,
    ROGUE,
    TRUST,
    VENDOR,
    code_leaf,
    key,
    leaf_of,
    logged,
    number_leaf,
    rcs_leaf,
    subject,
    trust,
)
from tests.monitor_rules import N, code_entry, findings, hit_of, item, learned, number_entry, severities, verdict

MINE, CODE = item(), item("709J")
LIST = issuance.tn_auth_list(format_tnauthlist([TelephoneNumber(N)]))


def with_extensions(*extensions, ca=GOOD, who=None):
    return logged(ca.leaf(who or subject(), [*extensions, LIST]), ca)


def usage(bits):
    return issuance.extension("2.5.29.15", b"\x03\x02\x00" + bytes([bits]), critical=True)


CA = issuance.authority_constraints()


# T-08 --------------------------------------------------------------------------------------------------------------


def test_t08_an_end_entity_that_is_a_ca():
    assert severities(with_extensions(CA, usage(0x80)), MINE)["T-08"] == 2
    shaken = with_extensions(CA, usage(0x04), who=subject(cn="SHAKEN 709J"))
    assert severities(shaken, MINE)["T-08"] == 2
    assert findings(with_extensions(CA, usage(0x80)))["T-08"].to == OPERATOR


def test_t08_near_miss_a_delegate_ca():
    assert "T-08" not in severities(with_extensions(CA, usage(0x04)), MINE)
    assert "T-08" not in severities(number_entry(), MINE)


def test_t08_path_length():
    def below(length, depth):
        who = Subject(issuance.name(O="Sub"), key(70).spki, NOW_MS, NOW_MS + DAY_MS)
        usual = (issuance.authority_constraints(length), issuance.CERT_SIGN)
        ca = GOOD.authority(key(70), who, usual)
        for at in range(depth):
            who = Subject(issuance.name(O=f"Sub {at}"), key(71 + at).spki, NOW_MS, NOW_MS + DAY_MS)
            ca = ca.authority(key(71 + at), who, (CA, issuance.CERT_SIGN))
        return number_entry(ca=ca)

    assert severities(below(0, 1), MINE)["T-08"] == 2
    assert "T-08" not in severities(below(0, 0), MINE)
    assert "T-08" not in severities(below(1, 1), MINE)


def test_t08_a_list_on_a_root():
    listed = issuance.tn_auth_list(issuance.spc("709J"))
    who = subject("Root Inc", key_number=75, days=3000)
    bare = issuance.root(key(75), who)
    top = dataclasses.replace(bare, certificate=bare.certificate_for(bare.leaf(who, (CA, issuance.CERT_SIGN, listed))))
    entry = logged(number_leaf([TelephoneNumber(N)], top), top, trusting=trust(top))
    assert severities(entry, MINE)["T-08"] == 2
    entry = logged(number_leaf([TelephoneNumber(N)], bare), bare, trusting=trust(bare))
    assert "T-08" not in severities(entry, MINE)


def test_t08_an_issuer_that_is_no_ca():
    who = subject("Somebody", key_number=76)
    leaf = GOOD.certificate_for(GOOD.leaf(who, [issuance.END_ENTITY]))
    ca = issuance.Authority(leaf, key(76), who.name, GOOD.chain)
    assert severities(number_entry(ca=ca), MINE)["T-08"] == 2


# T-14 --------------------------------------------------------------------------------------------------------------


def test_t14_key_cert_sign_without_ca_is_s1():
    entry = with_extensions(issuance.END_ENTITY, usage(0x04))
    assert severities(entry, MINE)["T-14"] == 1
    assert findings(entry, MINE)["T-14"].to == OWNER
    assert severities(with_extensions(usage(0x84)), MINE)["T-14"] == 1
    assert findings(entry)["T-14"].to == OPERATOR


def test_t14_other_lints_never_reach_an_owner():
    odd = with_extensions(issuance.END_ENTITY, usage(0xC0))
    found = findings(odd, MINE)["T-14"]
    assert (found.severity, found.to) == (4, OPERATOR)
    assert "key-usage" in found.reason
    eku = issuance.extended_key_usage("1.3.6.1.5.5.7.3.1")
    assert "extended-key-usage" in findings(with_extensions(usage(0x80), eku), MINE)["T-14"].reason


def test_t14_a_precertificate_with_scts():
    """The leaf has no poison, by which it would be known; a final certificate is meant to have them."""
    scts = issuance.extension("1.3.6.1.4.1.11129.2.4.2", format_tlv(0x04, b"\0\3\0\1a"))
    entry = dataclasses.replace(with_extensions(issuance.END_ENTITY, issuance.DIGITAL_SIGNATURE, scts), precert=True)
    found = findings(entry, MINE)["T-14"]
    assert (found.severity, found.to) == (4, OPERATOR)
    assert "precertificate-with-scts" in found.reason
    assert "T-14" not in severities(dataclasses.replace(entry, precert=False), MINE)


def test_t14_near_miss_the_profile_as_it_should_be():
    assert "T-14" not in severities(number_entry(), MINE)
    assert "T-14" not in severities(logged(rcs_leaf(), VENDOR), MINE)


@need_corpus
def test_t14_certificates_made_with_one_defect():
    """Of these 75 certificates four are grave; what is wrong with the others is for operators to read."""
    grave = set()
    for name, der in lints().items():
        found = judge(read_entry(PLACE, leaf_of(der), trust=TRUST), None, Context(NOW_MS, has_roots=False))
        assert all(finding.to == OPERATOR for finding in found), name
        grave |= {(name, each.rule) for each in found if each.severity < 3}
    assert grave == {
        ("shakenBasicConstNo", "T-14"),
        ("shakenBasicConstNotCritical", "T-14"),
        ("shakenTNAuthEmpty", "T-22"),
        ("shakenTNAuthEmptyString", "T-22"),
    }


# T-21 --------------------------------------------------------------------------------------------------------------


def test_t21_a_national_number_by_reading():
    """S3 for the owner of the number that was probably meant, S2 for the one of the number that it is in E.164."""
    entry = number_entry([TelephoneNumber("5715551212")])
    assert severities(entry, item("15715551212"))["T-21"] == 3
    assert severities(entry, item("5715551212"))["T-21"] == 2


def test_t21_a_block_and_a_leading_zero():
    entry = number_entry([NumberRange("5715551200", 100)])
    assert severities(entry, item("15715551212"))["T-21"] == 3
    assert severities(entry, item("5715551212"))["T-21"] == 2
    entry = number_entry([TelephoneNumber("01112025550123")])
    assert severities(entry, MINE)["T-21"] == 3
    assert severities(number_entry([TelephoneNumber("0123456789")]), item("0123456789"))["T-21"] == 2


def test_t21_a_code_that_is_a_number():
    entry = number_entry([ServiceProviderCode("1-202-555-0123")])
    assert severities(entry, MINE)["T-21"] == 3


def test_t21_tel_names_with_extension_and_local_ones():
    for uri, digits, severity in (
        (b"tel:+12025550123;ext=45", "1202555012345", 2),
        (b"tel:5550123;phone-context=+1202", "12025550123", 3),
        (b"tel:5550123;phone-context=+1202", "5550123", 2),
    ):
        san = issuance.extension("2.5.29.17", format_tlv(0x30, format_tlv(0x86, uri)))
        assert severities(logged(GOOD.leaf(subject(), [san])), item(digits))["T-21"] == severity


def test_t21_near_misses():
    """An E.164 number; foreign ones in E.164; a number beside one that is odd."""
    assert "T-21" not in severities(number_entry(), MINE)
    assert "T-21" not in severities(number_entry([TelephoneNumber("4915112345678")]), item("4915112345678"))
    both = number_entry([TelephoneNumber(N), TelephoneNumber("0123456789")])
    assert "T-21" not in severities(both, MINE)


# T-22 --------------------------------------------------------------------------------------------------------------

ENTRY = b"\xa2\x0d\x16\x0b" + N.encode()


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (b"\x30\x0d\x82\x0b" + N.encode(), "implicit tag"),
        (b"\x30\x80" + ENTRY + b"\0\0", "BER length"),
        (b"\x30\x81\x0f" + ENTRY, "length not minimal"),
        (b"\x30\x0d\x16\x0b" + N.encode(), "no tag"),
        (b"\x30\x0f" + ENTRY + b"\x05\x00", "trailing data"),
        (b"\x30\x0f\xa2\x0d\x13\x0b" + N.encode(), "other string type"),
        (b"\x30\x1e" + ENTRY + ENTRY[:-1], "cut short"),
    ],
)
def test_t22_lists_that_readers_take_differently(value, what):
    entry = number_entry_of(value)
    assert severities(entry, MINE)["T-22"] == 2, what


def number_entry_of(value):
    return logged(number_leaf(value))


def test_t22_two_lists_and_a_name_that_disagrees():
    twice = logged(GOOD.leaf(subject(), [LIST, issuance.tn_auth_list(issuance.one("12025550124"))]))
    for mine in (MINE, item("12025550124")):
        assert severities(twice, mine)["T-22"] == 2
    names = issuance.tel_names("12025550124")
    assert severities(logged(GOOD.leaf(subject(), [LIST, names])), item("12025550124"))["T-22"] == 2


def test_t22_a_code_with_a_blank_depends_on_the_reading():
    entry = logged(number_leaf(issuance.spc("70 9J"), GOOD, subject(cn="SHAKEN 709J")))
    assert severities(entry, CODE)["T-22"] == 3
    entry = logged(number_leaf(issuance.spc("70 9J")))
    assert severities(entry, CODE)["T-22"] == 2


def test_t22_what_no_parser_takes():
    broken = bytearray(GOOD.certificate_for(number_leaf([TelephoneNumber(N)])))
    broken[4] ^= 0xFF
    entry = read_entry(Place(b"\1" * 32, "log", 3), leaf_of(bytes(broken)), trust=TRUST)
    assert severities(entry, MINE)["T-22"] == 2
    assert findings(entry)["T-22"].to == OPERATOR


def test_t22_what_some_readers_refuse_or_cut_off():
    """A range to the last number of its length, which the letter of RFC 8226 forbids; a code that is too long for a
    reader's buffer; a clean list below a CA whose own cannot be read, so that nobody can say whether it may."""
    last = NumberRange("12025559990", 10)
    edge = NumberRange("9999999990", 10)
    assert severities(number_entry([edge]), item("9999999999"))["T-22"] == 2
    assert "T-22" not in severities(number_entry([last]), item("12025559999"))
    long = number_entry([ServiceProviderCode("A" * 256), TelephoneNumber(N)])
    assert severities(long, MINE)["T-22"] == 2
    key_below = key(701)
    who = dataclasses.replace(subject("Delegate Inc", key_number=701, days=1000))
    broken = issuance.intermediate(GOOD, key_below, who, tn_value=b"\x30\x0d\x82\x0b" + N.encode())
    assert severities(number_entry(ca=broken), MINE)["T-22"] == 2


def test_t22_near_misses_are_recorded_and_no_alarm():
    """Lower case, a critical list, an entry twice, NULL parameters: all readers read them alike."""
    assert severities(code_entry("709j"), CODE)["T-22"] == 4
    critical = issuance.extension("1.3.6.1.5.5.7.1.26", issuance.one(N), critical=True)
    assert severities(logged(GOOD.leaf(subject(), [critical])), MINE)["T-22"] == 4
    assert severities(number_entry([TelephoneNumber(N)] * 2), MINE)["T-22"] == 4
    null = bytes.fromhex("300c06082a8648ce3d0403020500")
    parsed = code_entry().parsed._replace(algorithm=null, inner_algorithm=null)
    entry = dataclasses.replace(code_entry(), parsed=parsed)
    assert severities(entry, CODE)["T-22"] == 4
    assert "T-22" not in severities(number_entry(), MINE)


# T-23 --------------------------------------------------------------------------------------------------------------


def test_t23_signs():
    assert severities(number_entry([TelephoneNumber("1202*")]), MINE)["T-23"] == 3
    assert severities(number_entry([TelephoneNumber("*67"), TelephoneNumber(N)]), MINE)["T-23"] == 3


def test_t23_near_miss_digits_only():
    assert "T-23" not in severities(number_entry(), MINE)


# T-24 --------------------------------------------------------------------------------------------------------------

STRICT = ClaimConstraints(("rcd",), (("orig", ("x", "y")),), ("crn",))


def constrained(constraints, day=0, number=N):
    extra = [issuance.extension("1.3.6.1.5.5.7.1.33", format_claim_constraints(constraints))] if constraints else []
    listed = issuance.tn_auth_list(issuance.one(number))
    who = subject(start_ms=NOW_MS + day * DAY_MS)
    return logged(GOOD.leaf(who, [*extra, listed]), timestamp_ms=NOW_MS + day * DAY_MS)


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (None, "they are gone"),
        (STRICT._replace(must_include=()), "need not be there any more (rcd)"),
        (STRICT._replace(must_exclude=()), "not excluded any more (crn)"),
        (STRICT._replace(permitted=(("orig", ("x", "y", "z")),)), "orig may also be z"),
        (STRICT._replace(permitted=()), "orig may have any value now"),
    ],
)
def test_t24_constraints_that_were_dropped_or_widened(now, words):
    profile = learned(MINE, constrained(STRICT))
    found = findings(constrained(now, 5), MINE, profile=profile)["T-24"]
    assert found.severity == 2
    assert words in found.reason


@pytest.mark.parametrize(
    "now", [STRICT, STRICT._replace(permitted=(("orig", ("x",)),)), STRICT._replace(must_include=("rcd", "div"))]
)
def test_t24_near_miss_the_same_or_narrower(now):
    assert "T-24" not in severities(constrained(now, 5), MINE, profile=learned(MINE, constrained(STRICT)))


def test_t24_is_measured_against_the_last_one():
    """Said once: the certificate without constraints is then the last. Another number of a range is another matter."""
    profile = learned(MINE, constrained(STRICT), constrained(None, 5))
    assert "T-24" not in severities(constrained(None, 6), MINE, profile=profile)
    block = item(NumberRange("12025550100", 100))
    profile = learned(block, constrained(STRICT))
    assert "T-24" not in severities(constrained(None, 5, "12025550124"), block, profile=profile)
    assert "T-24" not in severities(constrained(None), MINE)


def delegate_for(numbers, constraints, day=0):
    claims = format_tnauthlist([TelephoneNumber(f"1202555{number:04}") for number in numbers])
    who = subject(start_ms=NOW_MS + day * DAY_MS)
    return logged(issuance.delegate_leaf(GOOD, who, claims, constraints=constraints), GOOD)


@pytest.mark.parametrize("now", [range(100, 200), [*range(50, 66), 199], [199], [*range(1000, 1100), 199]])
def test_t24_behind_many_other_numbers(now):
    """Constraints are dropped for a number that stands far behind others, or with strangers before it."""
    last = item("12025550199")
    profile = learned(last, delegate_for(range(100, 200), STRICT))
    assert severities(delegate_for(now, None, 5), last, profile=profile)["T-24"] == 2
    assert "T-24" not in severities(delegate_for(now, STRICT, 5), last, profile=profile)


def test_t24_any_number_of_a_range():
    """Each number is compared with its own last certificate, in whatever order they are listed."""
    block = item(NumberRange("12025550100", 100))
    profile = learned(block, delegate_for(range(120, 160), STRICT))
    assert severities(delegate_for([110, 159], None, 5), block, profile=profile)["T-24"] == 2
    assert "T-24" not in severities(delegate_for([110, 119, 160], None, 5), block, profile=profile)


def test_t24_a_block_for_a_single_number():
    """The number is the same, whether it is listed or lies in a block."""
    profile = learned(MINE, constrained(STRICT))
    value = issuance.tn_auth_list(format_tnauthlist([NumberRange("12025550100", 100)]))
    entry = logged(GOOD.leaf(subject(), [value]))
    assert severities(entry, MINE, profile=profile)["T-24"] == 2


def test_t24_unreadable_constraints():
    odd = issuance.extension("1.3.6.1.5.5.7.1.33", b"\x05\x00")
    entry = with_extensions(odd)
    profile = learned(MINE, constrained(STRICT))
    assert "cannot be read" in findings(entry, MINE, profile=profile)["T-24"].reason
    assert "T-24" not in severities(constrained(None, 5), MINE, profile=learned(MINE, entry))


# T-25 --------------------------------------------------------------------------------------------------------------

ATTRIBUTES = {oid("1.3.6.1.4.1.99999.1"): "a CPS URI"}


def with_uri(uri):
    return with_extensions(issuance.extension("1.3.6.1.4.1.99999.1", format_tlv(0x16, uri)))


def test_t25_an_attribute_that_diverts_calls():
    found = findings(with_uri(b"https://evil.example/cps"), MINE, attributes=ATTRIBUTES)["T-25"]
    assert found.severity == 2
    assert "https://evil.example/cps" in found.reason
    assert "T-25" in severities(with_uri(b"\1"), MINE, attributes=ATTRIBUTES)


def test_t25_near_misses():
    """Its owner expects it; nobody configured which extensions these are; it is not there."""
    mine = item(uris=("https://cps.example/",))
    assert "T-25" not in severities(with_uri(b"https://cps.example/1"), mine, attributes=ATTRIBUTES)
    assert "T-25" in severities(with_uri(b"https://cps.example.evil/"), mine, attributes=ATTRIBUTES)
    assert "T-25" not in severities(with_uri(b"https://evil.example/"), MINE)
    assert "T-25" not in severities(number_entry(), MINE, attributes=ATTRIBUTES)


def attributed(of, *values):
    """How grave each of these is, one after the other."""
    profile, found = EMPTY_PROFILE, []
    for at, value in enumerate(values):
        extra = issuance.extension("1.3.6.1.4.1.99999.1", value)
        block = issuance.tn_auth_list(format_tnauthlist([NumberRange(N, 7)]))
        entry = logged(GOOD.leaf(subject(), [extra, block]), timestamp_ms=NOW_MS + at * DAY_MS)
        context, hit = Context(NOW_MS, profile=profile, attributes=ATTRIBUTES), hit_of(entry, of)
        said = verdicts(entry, hit, context)[0]
        found += [int(each.severity) for each in said.findings if each.rule == "T-25"]
        profile = next_profile(entry, hit, context, said)
    return found


def test_t25_the_same_is_told_once_of_a_range_and_each_time_of_a_number():
    """A mark that the owner asked for stands in every renewal; another value is another matter. Of a number nothing
    becomes usual by being seen."""
    values = [b"\x01\x01\xff", b"\x01\x01\xff", b"\x01\x01\x00", b"\x01\x01\xff"]
    assert attributed(item(NumberRange(N, 7)), *values) == [2, 4, 2, 4]
    assert attributed(MINE, *values) == [2, 2, 2, 2]


def test_t25_a_place_that_begins_as_the_owners_does():
    """What is expected ends with its host, and so does nobody else's; letters that are no ASCII hide nothing."""
    mine = item(uris=("https://cps.example",))
    for evil in (b"https://cps.example.evil/", b"https://cps.example@evil.example/", "https://cps.exampleé".encode()):
        assert severities(with_uri(evil), mine, attributes=ATTRIBUTES)["T-25"] == 2
    for own in (b"https://cps.example", b"https://cps.example/", b"https://cps.example/1"):
        assert "T-25" not in severities(with_uri(own), mine, attributes=ATTRIBUTES)


@given(st.integers(1, 120), st.sampled_from([(), (0x30,), (0x30, 0x30), (0xA1, 0x30)]))
def test_t25_near_miss_a_length_that_is_a_letter(more, around):
    """The octet before a string is its length, and no part of what it says."""
    value = format_tlv(0x16, b"https://cps.example/" + b"a" * more)
    for tag in around:
        value = format_tlv(tag, value)
    entry = with_extensions(issuance.extension("1.3.6.1.4.1.99999.1", value))
    assert "T-25" not in severities(entry, item(uris=("https://cps.example/",)), attributes=ATTRIBUTES)


def test_t25_what_is_no_der_is_looked_through():
    for value in (b"\x00https://evil.example/", b"\x16\x05https://evil.example/"):
        entry = with_extensions(issuance.extension("1.3.6.1.4.1.99999.1", value))
        assert "https://evil.example/" in findings(entry, MINE, attributes=ATTRIBUTES)["T-25"].reason


# T-27 --------------------------------------------------------------------------------------------------------------

LYING = logged(number_leaf(issuance.spc("683G"), GOOD, subject(cn="SHAKEN 709J")))


def test_t27_both_codes_are_told():
    for code in ("709J", "683G"):
        found = findings(LYING, item(code))["T-27"]
        assert found.severity == 2
        assert "683G" in found.reason
        assert "709J" in found.reason


def test_t27_is_said_aloud_once_for_a_code():
    for code in ("709J", "683G"):
        of = item(code)
        (hit,) = Watchlist([of]).match(LYING)
        context = Context(NOW_MS)
        profile = next_profile(LYING, hit, context, verdicts(LYING, hit, context)[0])
        assert severities(LYING, of, profile=profile)["T-27"] == 3


def test_t27_near_misses():
    """A name that agrees, whatever else is in it; one without a code; the code in lower case."""
    assert "T-27" not in severities(code_entry(), CODE)
    for cn in ("SHAKEN Example Inc 709J", "Example Inc", "shaken 709j"):
        entry = logged(number_leaf(issuance.spc("709J"), GOOD, subject(cn=cn)))
        assert "T-27" not in severities(entry, CODE)


def test_t27_the_same_code_elsewhere_is_another_item():
    entry = logged(code_leaf("709J", "Other", ROGUE), ROGUE, trusting=trust(domain="ca-shaken"))
    assert Watchlist([CODE]).match(entry) == []
    assert "T-27" not in verdict(code_entry(), CODE).rules
