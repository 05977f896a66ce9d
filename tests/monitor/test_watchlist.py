"""Whom an entry concerns: exactly, by every plausible reading, and everybody where nothing can be read."""

import random
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctlog import issuance
from ctlog.errors import UsageError
from ctlog.issuance.write import items, sequence, tlv
from ctlog.tn.labels import Label
from ctlog.tn.numbers import NumberRange, ServiceProviderCode, TelephoneNumber
from ctlog.x509.der import format_tlv
from monitor.entry import look, read_entry
from monitor.glance import Glancer
from monitor.items import CODE, HOLDER, ISSUER, KEY, NUMBER, PREFIX, RANGE, Group, Item
from monitor.watchlist import MANY, Watchlist
from tests.floor_plan import ROOT
from tests.monitor_certificates import (
    DOMAIN,
    GOOD,
    PLACE,
    code_leaf,
    leaf_of,
    logged,
    number_leaf,
    rcs_leaf,
    subject,
    trust,
)
from tests.number_certificates import block, claims, code, number

MINE = Group("mine", ("mail",), DOMAIN)
OTHER = Group("other", ("hook",), DOMAIN)
N = "12025550123"


def watching(*items, group=MINE):
    kinds = {TelephoneNumber: NUMBER, NumberRange: RANGE, ServiceProviderCode: CODE}
    return Watchlist(each if isinstance(each, Item) else Item(kinds[type(each)], each, group) for each in items)


def hits(watchlist, entry):
    """(item, reading) of each hit; checks that a batch would have selected the entry."""
    found = watchlist.match(entry)
    selected = watchlist.select([look(Glancer(), entry.leaf)])
    assert selected or not found
    by_labels = watchlist.match_labels([entry.labels])
    assert by_labels or not any(hit.claim for hit in found)
    return [(hit.item.id, hit.reading) for hit in found]


# Exactly ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("item", "claim"),
    [
        (number(N), number(N)),
        (number(N), block("12025550100", 100)),
        (block("12025550100", 100), number(N)),
        (block("12025550100", 100), block("12025550190", 100)),
        (Item(PREFIX, "1202", MINE), number(N)),
        (Item(PREFIX, "1202", MINE), block("12020000000", 10_000_000)),
        (code("709J"), code("709J")),
        (code("709J"), code("709j")),
        (number("1202555"), number("1202555")),
    ],
)
def test_what_a_certificate_says(item, claim):
    watchlist = watching(item)
    (hit,) = watchlist.match(logged(number_leaf([code("1234"), claim])))
    assert (hit.reading, hit.claim) == ("exact", claim)
    assert hit.covers == (claim.count - 1 if isinstance(claim, NumberRange) else 0)
    assert hits(watchlist, logged(number_leaf([claim])))


@pytest.mark.parametrize(
    ("item", "claim"),
    [
        (number(N), number("12025550124")),
        (number(N), number("4" + N)),
        (number(N), block("12025550124", 100)),
        (block("12025550100", 100), number("12025550200")),
        (Item(PREFIX, "1202", MINE), number("13025550123")),
        (code("709J"), code("709K")),
        (code("709J"), number(N)),
    ],
)
def test_what_it_does_not_say(item, claim):
    assert hits(watching(item), logged(number_leaf([claim]))) == []


def test_tel_names():
    assert hits(watching(number(N)), logged(rcs_leaf(N))) == [(f"mine/number:+{N}", "exact")]


def test_each_item_once_by_the_narrowest_claim():
    watchlist = watching(number(N), number("12025550124"))
    entry = logged(number_leaf([block("12025550100", 100), number(N)]))
    by_item = {hit.item.value.digits: hit.claim for hit in watchlist.match(entry)}
    assert by_item == {N: number(N), "12025550124": block("12025550100", 100)}


def test_two_owners_of_one_number():
    watchlist = Watchlist([Item(NUMBER, number(N), MINE, 5), Item(NUMBER, number(N), OTHER, 6)])
    found = watchlist.match(logged(number_leaf([number(N)])))
    assert {(hit.item.id, hit.item.added_ms, hit.item.tell) for hit in found} == {
        (f"mine/number:+{N}", 5, ("mail",)), (f"other/number:+{N}", 6, ("hook",)),
    }  # fmt: skip


def test_codes_of_another_trust_domain_are_other_codes():
    watchlist = watching(code("709J"), number(N))
    entry = logged(code_leaf("709J"), trusting=trust(domain="ca-shaken"))
    assert hits(watchlist, entry) == []
    number_elsewhere = logged(number_leaf([number(N)]), trusting=trust(domain="ca-shaken"))
    assert hits(watchlist, number_elsewhere) == [(f"mine/number:+{N}", "exact")]  # a number is the same everywhere
    unknown = logged(code_leaf("709J"), trusting=trust(GOOD, domain=""))
    assert hits(watchlist, unknown) == [("mine/spc:709J@us-shaken", "exact")]


def test_exclusions():
    group = Group("mine", ("mail",), exclude=(block("12025550150", 10), number(N)))
    watchlist = Watchlist([Item(RANGE, block("12025550100", 100), group), Item(NUMBER, number(N), group)])
    assert hits(watchlist, logged(number_leaf([block("12025550152", 5)]))) == []
    assert hits(watchlist, logged(number_leaf([number(N)]))) == []
    assert hits(watchlist, logged(number_leaf([block("12025550155", 10)])))
    group = Group("codes", ("mail",), DOMAIN, exclude=(code("709J"),))
    assert hits(Watchlist([Item(CODE, code("709J"), group)]), logged(code_leaf("709J"))) == []


def test_holders_issuers_and_keys():
    entry = logged(code_leaf("709J", "Example Telephone Cooperative, Inc."))
    items = [
        Item(HOLDER, "Example Telephone", MINE),
        Item(ISSUER, "RIGHTFUL CA, LLC", MINE),
        Item(KEY, entry.key_hash, MINE),
    ]
    for item in items:
        assert hits(Watchlist([item]), entry) == [(item.id, "exact")]
    others = [Item(HOLDER, "Exemplary", MINE), Item(ISSUER, "Rogue CA", MINE), Item(KEY, bytes(32), MINE)]
    for item in others:
        assert hits(Watchlist([item]), entry) == []
    assert hits(Watchlist(others), entry) == []


def test_claims_that_touch_many_items_are_one_hit_for_the_group():
    items = [Item(NUMBER, number(str(12025550000 + at)), MINE) for at in range(MANY + 1)]
    items += [Item(NUMBER, number(str(12025550000 + at)), OTHER) for at in range(3)]
    found = Watchlist(items).match(logged(number_leaf([block("12025550000", 1000)])))
    assert [(hit.item.id, hit.items) for hit in found if hit.item.group is MINE] == [("mine/group", MANY + 1)]
    assert len([hit for hit in found if hit.item.group is OTHER]) == 3
    found = Watchlist(items).match(logged(number_leaf([block("12025550000", MANY)])))
    assert len(found) == MANY + 3


def test_a_group_is_watched_since_its_first_item_is():
    items = [Item(NUMBER, number(str(12025550000 + at)), MINE, 500 + at) for at in range(MANY + 1)]
    watchlist = Watchlist([*items, Item(NUMBER, number("12025559999"), OTHER, 7)])
    (hit,) = watchlist.match(logged(number_leaf([block("12025550000", 1000)])))
    assert hit.item.added_ms == 500
    assert watchlist.since(MINE) == (500, 500 + MANY)
    watchlist.set_added(range(900, 900 - MANY - 2, -1))
    (hit,) = watchlist.match(logged(number_leaf([block("12025550000", 1000)])))
    assert hit.item.added_ms == 900 - MANY
    unreadable = watchlist.match(read_entry(PLACE, b"\x30\x82junk"))
    assert [(hit.item.id, hit.item.added_ms) for hit in unreadable] == [
        ("mine/anything", 900 - MANY), ("other/anything", 899 - MANY)]  # fmt: skip


def test_many_ranges_too():
    items = [Item(RANGE, block(str(12025550000 + 10 * at), 10), MINE) for at in range(MANY + 1)]
    (hit,) = Watchlist(items).match(logged(number_leaf([block("12025550000", 10000)])))
    assert (hit.item.id, hit.items) == ("mine/group", MANY + 1)


# By other readings --------------------------------------------------------------------------------------------------


def test_a_national_number_concerns_both_owners():
    """5715551212 in a trust domain of the United States: probably +1 571 555 1212, to others the Colombian +57 1 ..."""
    intended, accidental = number("15715551212"), number("5715551212")
    entry = logged(number_leaf([number("5715551212")]))
    assert hits(watching(intended), entry) == [("mine/number:+15715551212", "intended")]
    assert hits(watching(accidental), entry) == [("mine/number:+5715551212", "exact")]


def test_national_numbers_of_a_country_that_no_group_named():
    """A French number in French form, from a French CA: known by the country code of what is watched."""
    watchlist = Watchlist([Item(NUMBER, number("33612345678"), Group("x", ("mail",), DOMAIN))])
    entry = logged(number_leaf([number("0612345678")]), trusting=trust(domain="fr"))
    assert hits(watchlist, entry) == [("x/number:+33612345678", "intended")]


def test_a_block_in_national_form():
    entry = logged(number_leaf([block("5715551200", 100)]))
    assert hits(watching(number("15715551212")), entry) == [("mine/number:+15715551212", "intended")]


def test_with_the_dialling_prefix_for_abroad():
    entry = logged(number_leaf([number("01115715551212")]))
    assert hits(watching(number("15715551212")), entry) == [("mine/number:+15715551212", "intended")]


def test_an_e164_number_is_nobody_elses():
    entry = logged(number_leaf([number("12025550123")]))
    assert hits(watching(number("112025550123"), number("2025550123")), entry) == []


def test_a_code_with_a_blank():
    entry = logged(number_leaf(issuance.spc("70 9J"), GOOD, subject(cn="SHAKEN 709J")))
    assert hits(watching(code("709J")), entry) == [("mine/spc:709J@us-shaken", "intended")]
    entry = logged(number_leaf(issuance.spc("70 9J"), GOOD, subject(cn="Example")))
    assert hits(watching(code("709J")), entry) == [("mine/spc:709J@us-shaken", "accidental")]


def test_a_list_without_tags():
    bare = format_tlv(0x30, format_tlv(0x13, b"755J"))
    entry = logged(number_leaf(bare, GOOD, subject(cn="SHAKEN 755J")))
    assert hits(watching(code("755J")), entry) == [("mine/spc:755J@us-shaken", "intended")]


def test_the_code_in_a_common_name():
    entry = logged(number_leaf(issuance.spc("683G"), GOOD, subject(cn="SHAKEN 709J")))
    assert hits(watching(code("709J")), entry) == [("mine/spc:709J@us-shaken", "intended")]


def test_signs_as_a_pattern():
    entry = logged(number_leaf([number("1202*")]))
    assert hits(watching(number(N)), entry) == [(f"mine/number:+{N}", "intended")]


# Unreadable ---------------------------------------------------------------------------------------------------------


def unreadable_entries():
    yield logged(number_leaf(b"\x30\x02\x05\x00"))  # a list without anything in it
    yield logged(GOOD.leaf(subject(), [issuance.tn_auth_list_by_reference("https://tn.example/l")]))
    yield logged(number_leaf([number("*67#")]))


@pytest.mark.parametrize("entry", list(unreadable_entries()))
def test_what_cannot_be_read_concerns_everyone_once(entry):
    groups = MINE, OTHER, Group("same", ("mail",), DOMAIN)
    codes = Group("codes", ("post",), "ca-shaken")  # which nothing in the trust domain of the entry concerns
    items = [Item(NUMBER, number(str(12025550000 + at)), group) for at in range(5) for group in groups]
    items.append(Item(CODE, code("709J"), codes))
    found = hits(Watchlist(items), entry)
    assert found == [("mine/anything", "unreadable"), ("other/anything", "unreadable")]


DECOY = "13035550001"


def with_extensions(tbs, *more):
    """A TBSCertificate with these extensions behind its own."""
    fields = items(tbs)
    return sequence(*fields[:-1], tlv(0xA3, sequence(*items(items(fields[-1])[0]), *more)))


def implicit(*digits):
    """A list with [2] IMPLICIT IA5String, as careless readers take it."""
    return format_tlv(0x30, b"".join(format_tlv(0x82, each.encode()) for each in digits))


def decoyed_entries():
    """Readable decoys beside what cannot be read, or is too much to be read."""
    ext = issuance.extension
    beside = {
        "a second list": ext("1.3.6.1.5.5.7.1.26", b"\x30\x85\xff\xff\xff\xff\xff\x01"),
        "a list of another tag": ext("1.3.6.1.5.5.7.1.26", format_tlv(0x30, format_tlv(0x42, b"??"))),
        "a name": ext("2.5.29.17", b"\x30\x10\x86\x30tel:+"),
        "names that run together": ext("2.5.29.17", b"\x30\x0a" + f"tel:+{DECOY} or {N}".encode()),
        "a reference": ext("1.3.6.1.5.5.7.1.1", b"\x30\x0c\x30\x30\x06\x08\x2b\x06\x01\x05\x05\x07\x30\x0e"),
    }
    for how, extension in beside.items():
        yield pytest.param(logged(with_extensions(number_leaf([number(DECOY)]), extension)), id=how)
    decoys = [f"1303555{at:04d}" for at in range(1100)]
    yield pytest.param(logged(number_leaf(implicit(*decoys, N))), id="more readings than are kept")
    yield pytest.param(logged(number_leaf(implicit(DECOY + N))), id="two numbers in one text")
    yield pytest.param(logged(number_leaf(implicit(DECOY) + b"\0")), id="bytes behind the list")
    der = GOOD.certificate_for(number_leaf([number(DECOY)]))
    spoilt = read_entry(PLACE, leaf_of(b"\x30\x83\0" + der[2:]), chain=GOOD.chain, trust=trust())
    assert spoilt.parsed is None
    assert number(DECOY) in spoilt.identity.readings
    yield pytest.param(spoilt, id="what no parser accepts")


@pytest.mark.parametrize("entry", list(decoyed_entries()))
def test_attack_decoys_do_not_hide_what_cannot_be_read(entry):
    """Whoever puts a number that can be read beside one that cannot does not spare its owner the sight of it."""
    assert hits(watching(number("12025550999")), entry) == [("mine/anything", "unreadable")]


def test_a_reading_that_names_somebody_spares_the_others():
    bare = format_tlv(0x30, format_tlv(0x13, b"755J"))
    entry = logged(number_leaf(bare, GOOD, subject(cn="SHAKEN 755J")))
    assert hits(watching(code("709J")), entry) == []


def test_a_reference_that_was_resolved_concerns_whom_it_names():
    entry = logged(GOOD.leaf(subject(), [issuance.tn_auth_list_by_reference("https://tn.example/l")]))
    resolved = entry.with_scope([number(N)])
    assert [hit.item.id for hit in watching(number(N)).match(resolved)] == [f"mine/number:+{N}"]
    assert watching(number("12025550124")).match(resolved) == []


def test_ten_thousand_numbers_are_compared_with_the_claims():
    """Above 1,024 labels an entry has only the public one, but its claims can be read."""
    entry = logged(number_leaf([number(str(12025550000 + 2 * at)) for at in range(10_000)]))
    assert hits(watching(number("12025550124")), entry) == [("mine/number:+12025550124", "exact")]
    assert hits(watching(number("12025550123")), entry) == []


def test_ordinary_certificates_without_numbers_concern_nobody():
    assert hits(watching(number(N)), logged(GOOD.leaf(subject(), []))) == []


# As a whole ---------------------------------------------------------------------------------------------------------


def test_ids_must_differ():
    with pytest.raises(UsageError, match="two groups"):
        Watchlist([Item(NUMBER, number(N), Group("a")), Item(NUMBER, number(N), Group("a"))])
    with pytest.raises(UsageError, match="twice"):
        watching(code("709J"), code("709j"))


def test_it_gives_its_items_back():
    items = [Item(NUMBER, number(N), MINE, 7), Item(CODE, code("709J"), MINE), Item(RANGE, block("1202555", 2), OTHER)]
    watchlist = Watchlist(items)
    assert set(watchlist.items()) == set(items)
    assert len(watchlist) == 3
    assert watchlist.groups == (MINE, OTHER)


def test_since_when_each_is_watched():
    given = [number(N), number("12025550124"), code("709J"), block("1202555", 2), Item(PREFIX, "1303", MINE)]
    watchlist = watching(*given)
    order = [item.id for item in watchlist.items()]
    watchlist.set_added(range(100, 105))
    assert [(item.id, item.added_ms) for item in watchlist.items()] == list(zip(order, range(100, 105), strict=True))
    for claim in (number(N), code("709J"), number("1202556"), number("13035550000")):
        (hit,) = watchlist.match(logged(number_leaf([claim])))
        assert hit.item.added_ms == 100 + order.index(hit.item.id)
    with pytest.raises(ValueError):
        watchlist.set_added(range(4))


@settings(max_examples=150)
@given(st.lists(claims, min_size=1, max_size=4), st.lists(claims, min_size=1, max_size=6))
def test_against_the_plain_comparison(watched, claimed):
    """Every item that a claim touches is found, by batches too."""
    watched = [each for each in dict.fromkeys(watched) if not isinstance(each, TelephoneNumber) or each.is_numeric]
    watched = [each for each in watched if not isinstance(each, ServiceProviderCode) or each.code.isalnum()]
    seen = set()
    watched = [each for each in watched if not (str(each).upper() in seen or seen.add(str(each).upper()))]
    watchlist = watching(*watched)
    claimed = [each for each in claimed if str(each).isascii()]
    if not claimed:
        return
    entry = logged(number_leaf(claimed))
    exact = {item for item, reading in hits(watchlist, entry) if reading == "exact"}
    expected = {item.id for item in watchlist.items() if any(item.is_touched_by(claim) for claim in claimed)}
    assert exact == expected


def test_labels_of_random_blocks_against_the_plain_comparison():
    dice = random.Random(3)
    items = [Item(NUMBER, number(f"{dice.randrange(10**5):05}"), MINE) for _ in range(300)]
    watchlist = Watchlist(dict.fromkeys(items))
    numbers = sorted(int(item.value.digits) for item in items)
    for _ in range(500):
        free = dice.randrange(1, 5)
        fixed = f"{dice.randrange(10 ** (5 - free)):0{5 - free}}"
        inside = any(str(each).zfill(5).startswith(fixed) for each in numbers)
        assert bool(watchlist.match_labels([(Label("prefix", fixed + "x" * free),)])) is inside


def test_a_million_numbers_in_a_few_hundred_megabytes():
    """In a process of its own, so that its peak is its own; a tenth of the real size, measured against a tenth."""
    code_text = """
import resource
from ctlog.tn.numbers import NumberRange, TelephoneNumber
from monitor.items import NUMBER, RANGE, Group, Item
from monitor.watchlist import Watchlist
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
group = Group("x")
numbers = (Item(NUMBER, TelephoneNumber(str(12000000000 + 17 * at)), group) for at in range(100_000))
ranges = (Item(RANGE, NumberRange(str(13000000000 + 100 * at), 100), group) for at in range(20_000))
found = Watchlist(item for kind in (numbers, ranges) for item in kind)
assert len(found) == 120_000
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    ran = subprocess.run([sys.executable, "-c", code_text], capture_output=True, text=True, check=True, cwd=ROOT)
    assert int(ran.stdout) < 50_000  # KB
