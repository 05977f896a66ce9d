"""Misissuances by what: the wrong scope, form or time, and what logs did. See `benchmarks/planted.py`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from benchmarks.stories import Case, Kind, Maker, Step, bad, case, messaging_case, number_case, real_item, register
from ctlog import issuance
from ctlog.issuance import DAY_MS, Authority, Key, Subject
from ctlog.tn.claim_constraints import ClaimConstraints, format_claim_constraints
from ctlog.tn.numbers import Claim, NumberRange, ServiceProviderCode, TelephoneNumber
from ctlog.tn.tnauthlist import format_tnauthlist
from ctlog.x509.der import oid
from monitor.rules.values import HOUR_MS, CodeTable, Event, LogEvent, Snapshot
from tests.monitor_certificates import GOOD, ROGUE

KINDS: dict[str, Kind] = {}
kind = partial(register, KINDS)

# --- scopes ----------------------------------------------------------------------------------------------------------


@kind("T-04 a range that is too wide")
def _(maker: Maker) -> Case:
    number, at = maker.wide(), maker.time()
    claims = [NumberRange(number[:-5] + "00000", 100_000)]
    usual = maker.usual([TelephoneNumber(number)], at)
    item = maker.item(TelephoneNumber(number))
    return case("T-04 a range that is too wide", 2, item, *usual, bad(maker.entry(claims, at)))


@kind("T-04 a range that stands askew")
def _(maker: Maker) -> Case:
    number, at = maker.number(), maker.time()
    claims = [NumberRange(str(int(number) - 37), 100)]
    if int(claims[0].start) % 100 == 0:
        claims = [NumberRange(str(int(number) - 36), 100)]
    item = maker.item(TelephoneNumber(number))
    return case("T-04 a range that stands askew", 2, item, bad(maker.entry(claims, at)))


@kind("T-05 a code that somebody else holds")
def _(maker: Maker) -> Case:
    code, at = maker.code(), maker.time()
    table = CodeTable({code: ["Rightful Holder Inc"]})
    entry = maker.entry(issuance.spc(code), at, cn=f"SHAKEN {code}")
    item = maker.item(ServiceProviderCode(code))
    return case("T-05 a code that somebody else holds", 3, item, bad(entry, codes=table))


def _delegate(held: Sequence[Claim], at: int, above: Authority = GOOD) -> Authority:
    key = Key.generate()
    who = Subject(issuance.name(O="Delegate Inc", CN="Delegate CA"), key.spki, at - DAY_MS, at + 900 * DAY_MS)
    return issuance.intermediate(above, key, who, tn_value=format_tnauthlist(list(held)) if held else b"")


@kind("T-06 a delegate that claims too much")
def _(maker: Maker) -> Case:
    at = maker.time()
    ca = _delegate([NumberRange("18005550000", 100)], at)
    return number_case(maker, "T-06 a delegate that claims too much", 1, ca=ca)


@kind("T-06 a delegate CA without a list")
def _(maker: Maker) -> Case:
    at = maker.time()
    below = _delegate([], at, _delegate([NumberRange("12000000000", 700_000_000)], at))
    return number_case(maker, "T-06 a delegate CA without a list", 1, ca=below)


@kind("T-06 below a certificate that is no CA's")
def _(maker: Maker) -> Case:
    at, key = maker.time(), Key.generate()
    value = format_tnauthlist([NumberRange("12000000000", 700_000_000)])
    who = Subject(issuance.name(O="Delegate Inc"), key.spki, at - DAY_MS, at + 900 * DAY_MS)
    leaf = GOOD.certificate_for(issuance.delegate_leaf(GOOD, who, value))
    ca = issuance.Authority(leaf, key, who.name, GOOD.chain)
    return number_case(maker, "T-06 below a certificate that is no CA's", 1, ca=ca)


@kind("T-07 a number under a code")
def _(maker: Maker) -> Case:
    ca = _delegate([ServiceProviderCode("709J")], maker.time())
    return number_case(maker, "T-07 a number under a code", 3, ca=ca)


@kind("T-07 a number under the wrong code")
def _(maker: Maker) -> Case:
    number, at = TelephoneNumber(maker.number()), maker.time()
    entry = maker.entry([number], at, _delegate([ServiceProviderCode("709J")], at))
    return case("T-07 a number under the wrong code", 1, maker.item(number, codes=("683G",)), bad(entry))


@kind("T-17 a scope that was changed")
def _(maker: Maker) -> Case:
    number, at = TelephoneNumber(maker.number()), maker.time()
    url = "https://tn.example/list"
    entry = maker.entry(b"", at, extra=[issuance.tn_auth_list_by_reference(url)]).with_scope([number])
    before, now = Snapshot(url, at, (TelephoneNumber("12025550000"),)), Snapshot(url, at + 1, (number,))
    return case("T-17 a scope that was changed", 2, maker.item(number), bad(entry, snapshots=(before, now)))


# --- form ------------------------------------------------------------------------------------------------------------


@kind("T-08 an end entity that is a CA")
def _(maker: Maker) -> Case:
    usual = (issuance.authority_constraints(), issuance.DIGITAL_SIGNATURE)
    return number_case(maker, "T-08 an end entity that is a CA", 2, usual=usual)


@kind("T-08 a path that is too long")
def _(maker: Maker) -> Case:
    at, ca = maker.time(), GOOD
    for length in (0, None):
        key = Key.generate()
        name = issuance.name(O="Rightful CA", CN=f"Sub CA {length}")  # self-issued ones would not count
        who = Subject(name, key.spki, at - DAY_MS, at + 900 * DAY_MS)
        ca = ca.authority(key, who, (issuance.authority_constraints(length), issuance.CERT_SIGN))
    return number_case(maker, "T-08 a path that is too long", 2, ca=ca)


@kind("T-14 may sign without being a CA")
def _(maker: Maker) -> Case:
    usage = issuance.extension("2.5.29.15", b"\x03\x02\x02\x84", critical=True)
    return number_case(maker, "T-14 may sign without being a CA", 1, usual=(issuance.END_ENTITY, usage))


@kind("T-21 by accident")
def _(maker: Maker) -> Case:
    """Ten digits of North America, which are a number of another country to whoever reads E.164."""
    number, at = maker.number(), maker.time()
    item = maker.item(TelephoneNumber(number[1:]))
    return case("T-21 by accident", 2, item, bad(maker.entry([TelephoneNumber(number[1:])], at)))


@kind("T-21 as was meant")
def _(maker: Maker) -> Case:
    number, at = maker.number(), maker.time()
    entry = maker.entry([TelephoneNumber(number[1:])], at)
    return case("T-21 as was meant", 3, maker.item(TelephoneNumber(number)), bad(entry))


def _malformed(maker: Maker, name: str, form: Callable[[bytes], bytes]) -> Case:
    number, at = maker.number(), maker.time()
    entry = maker.entry(form(number.encode()), at)
    return case(name, 2, maker.item(TelephoneNumber(number)), bad(entry))


@kind("T-22 an implicit tag")
def _(maker: Maker) -> Case:
    return _malformed(maker, "T-22 an implicit tag", lambda digits: b"\x30\x0d\x82\x0b" + digits)


@kind("T-22 a length of BER")
def _(maker: Maker) -> Case:
    return _malformed(maker, "T-22 a length of BER", lambda digits: b"\x30\x80\xa2\x0d\x16\x0b" + digits + b"\0\0")


@kind("T-22 no tag")
def _(maker: Maker) -> Case:
    return _malformed(maker, "T-22 no tag", lambda digits: b"\x30\x0d\x16\x0b" + digits)


@kind("T-22 trailing bytes")
def _(maker: Maker) -> Case:
    return _malformed(maker, "T-22 trailing bytes", lambda digits: b"\x30\x0f\xa2\x0d\x16\x0b" + digits + b"\x05\0")


@kind("T-22 two lists")
def _(maker: Maker) -> Case:
    number, at = maker.number(), maker.time()
    second = issuance.tn_auth_list(issuance.one(number))
    entry = maker.entry(issuance.one(maker.number()), at, extra=[second])
    return case("T-22 two lists", 2, maker.item(TelephoneNumber(number)), bad(entry))


@kind("T-22 a real code without its tag")
def _(maker: Maker) -> Case:
    code, at = maker.real()
    value = bytes((0x30, len(code) + 2, 0x13, len(code))) + code.encode()
    entry = maker.entry(value, at, holder="Mallory LLC")
    return Case("T-22 a real code without its tag", "T-22", 2, (), (bad(entry),), real_item(code))


@kind("T-23 signs")
def _(maker: Maker) -> Case:
    number, at = maker.number(), maker.time()
    entry = maker.entry([TelephoneNumber(number[:9] + "*")], at)
    return case("T-23 signs", 3, maker.item(TelephoneNumber(number)), bad(entry))


@kind("T-24 constraints are gone")
def _(maker: Maker) -> Case:
    number, at = TelephoneNumber(maker.number()), maker.time()
    constraints = format_claim_constraints(ClaimConstraints(("rcd",), (("orig", ("x",)),)))
    usual = maker.usual([number], at, extra=[issuance.extension("1.3.6.1.5.5.7.1.33", constraints)])
    return case("T-24 constraints are gone", 2, maker.item(number), *usual, bad(maker.entry([number], at)))


@kind("T-24 constraints are gone behind many numbers")
def _(maker: Maker) -> Case:
    number, at = maker.number(), maker.time()
    claims = [TelephoneNumber(f"{number[:-2]}{digits:02}") for digits in range(100)]
    constraints = format_claim_constraints(ClaimConstraints(("rcd",), (("orig", ("x",)),)))
    usual = maker.usual(claims, at, extra=[issuance.extension("1.3.6.1.5.5.7.1.33", constraints)])
    item, name = maker.item(claims[-1]), "T-24 constraints are gone behind many numbers"
    return case(name, 2, item, *usual, bad(maker.entry(claims[50:], at)))


@kind("T-25 a place for calls that is not the owner's")
def _(maker: Maker) -> Case:
    number, at = TelephoneNumber(maker.number()), maker.time()
    attribute = issuance.extension("1.3.6.1.4.1.99999.1", b"\x16\x14https://evil.example")
    entry = maker.entry([number], at, extra=[attribute])
    known = {oid("1.3.6.1.4.1.99999.1"): "a CPS URI"}
    item = maker.item(number, uris=("https://cps.example/",))
    return case("T-25 a place for calls that is not the owner's", 2, item, bad(entry, attributes=known))


@kind("T-27 a name that says a real code")
def _(maker: Maker) -> Case:
    code, at = maker.unnamed()
    entry = maker.entry(issuance.spc(maker.code()), at, holder="Mallory LLC", cn=f"SHAKEN {code}")
    return Case("T-27 a name that says a real code", "T-27", 2, (), (bad(entry),), real_item(code))


@kind("T-27 a name that says another code")
def _(maker: Maker) -> Case:
    code, at = maker.code(), maker.time()
    entry = maker.entry(issuance.spc(code), at, cn="SHAKEN 9Z9Z")
    return case("T-27 a name that says another code", 2, maker.item(ServiceProviderCode(code)), bad(entry))


# --- times, and what logs did ----------------------------------------------------------------------------------------


def _after(maker: Maker, name: str, event: str) -> Case:
    number, at = TelephoneNumber(maker.number()), maker.time()
    happened = Event(event, number.digits, at - maker._dice.randrange(72 * HOUR_MS))
    item = maker.item(number)
    return case(name, 1, item, *maker.usual([number], at), bad(maker.entry([number], at), events=(happened,)))


@kind("T-10 after the number was ported")
def _(maker: Maker) -> Case:
    return _after(maker, "T-10 after the number was ported", "port")


@kind("T-10 after a SIM change")
def _(maker: Maker) -> Case:
    return _after(maker, "T-10 after a SIM change", "sim")


@kind("T-10 issuer and key both new")
def _(maker: Maker) -> Case:
    number, at = TelephoneNumber(maker.number()), maker.time()
    renewal = Step(maker.entry([number], at - maker._dice.randrange(72 * HOUR_MS)))
    item = maker.item(number)
    return case("T-10 issuer and key both new", 1, item, renewal, bad(maker.entry([number], at, ROGUE)))


@kind("T-12 a former owner's certificate")
def _(maker: Maker) -> Case:
    number, at = TelephoneNumber(maker.number()), maker.time()
    item = maker.item(number, added_ms=at + 10 * DAY_MS)
    return case("T-12 a former owner's certificate", 2, item, bad(maker.entry([number], at)))


@kind("T-12 an issuer that a code had at enrolment")
def _(maker: Maker) -> Case:
    code, at = maker.code(), maker.time()
    claims, name = [ServiceProviderCode(code)], f"SHAKEN {code}"
    item = maker.item(claims[0], added_ms=at + 10 * DAY_MS)
    usual = maker.usual(claims, at, cn=name)
    entry = maker.entry(claims, at, ROGUE, cn=name)
    return case("T-12 an issuer that a code had at enrolment", 2, item, *usual, bad(entry))


@kind("T-13 valid for years")
def _(maker: Maker) -> Case:
    return number_case(maker, "T-13 valid for years", 3, days=1095)


@kind("T-13 messaging for too long")
def _(maker: Maker) -> Case:
    return messaging_case(maker, "T-13 messaging for too long", 3, days=90)


@kind("T-20 a promise that was not kept")
def _(maker: Maker) -> Case:
    number, at = TelephoneNumber(maker.number()), maker.time()
    event = LogEvent("T-20", "an SCT for it has no entry after the promised delay")
    entry = maker.entry([number], at)
    return case("T-20 a promise that was not kept", 1, maker.item(number), bad(entry, log_events=(event,)))


@kind("T-26 logged late")
def _(maker: Maker) -> Case:
    return number_case(maker, "T-26 logged late", 3, late_days=31)


@kind("T-26 many in an hour")
def _(maker: Maker) -> Case:
    number, at = TelephoneNumber(maker.number()), maker.time()
    steps = [Step(maker.entry([number], at - HOUR_MS // 2 + step * 1000)) for step in range(5)]
    return case("T-26 many in an hour", 3, maker.item(number), *steps, bad(maker.entry([number], at)))


@kind("T-26 many in an hour that look like one")
def _(maker: Maker) -> Case:
    """A CA that rounds notBefore, and a key that stays: only where they stand tells them apart."""
    number, at, key = TelephoneNumber(maker.number()), maker.time(), Key.generate()
    steps = [Step(replace(maker.entry([number], at, spki=key.spki), timestamp_ms=at + step)) for step in range(5)]
    entry = replace(maker.entry([number], at, spki=key.spki), timestamp_ms=at + 5)
    return case("T-26 many in an hour that look like one", 3, maker.item(number), *steps, bad(entry))


@kind("T-28 a view that differs")
def _(maker: Maker) -> Case:
    number, at = TelephoneNumber(maker.number()), maker.time()
    event = LogEvent("T-28", "two heads of one size show different entries here")
    entry = maker.entry([number], at)
    return case("T-28 a view that differs", 1, maker.item(number), bad(entry, log_events=(event,)))
