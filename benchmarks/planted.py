"""Misissuances of every kind, made with test CAs: what a monitor has to find among real certificates.

Each case is a short story: items that somebody watches, certificates that are all right, then the one that is not, and
what is known from outside when it comes. `found` says whether the monitor said what it should: the right rule at the
right severity, to the right one. In scope: one maker for each kind, by the id of its rule. Nothing here is random but
the numbers, codes and times, which the caller's dice choose.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ctlog import issuance
from ctlog.issuance import DAY_MS, Authority, Key, Subject
from ctlog.tn.claim_constraints import ClaimConstraints, format_claim_constraints
from ctlog.tn.numbers import Claim, NumberRange, ServiceProviderCode, TelephoneNumber
from ctlog.tn.tnauthlist import format_tnauthlist
from ctlog.x509.der import oid
from monitor.entry import Entry, Place, Trust, read_entry
from monitor.items import CODE, NUMBER, RANGE, Expect, Group, Item
from monitor.replay import Judged
from monitor.rules.values import (
    HOUR_MS,
    OPERATOR,
    OWNER,
    CodeTable,
    Context,
    Event,
    LogEvent,
    Revocations,
    Revoked,
    Snapshot,
)
from tests.monitor_certificates import DOMAIN, GOOD, ROGUE, VENDOR, leaf_of, rcs_leaf

_AREAS = ("202", "303", "404", "505", "212", "312", "415", "617", "702", "813")
_WIDE_AREAS = ("307", "308", "309", "310", "313", "314", "315", "316")
PLACE = Place(b"\x7f" * 32, "planted.example", 0)
Adapt = Callable[[Context], Context]


def _unchanged(context: Context) -> Context:
    return context


@dataclass(frozen=True, slots=True)
class Step:
    """An entry, when it comes, and what is known from outside then. `bad`: this is the misissuance."""

    entry: Entry
    adapt: Adapt = _unchanged
    bad: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """One story. The last of `steps` is the misissuance, of which `rule` says `severity` to `to` about `item` ("" for
    the operator)."""

    kind: str
    rule: str
    severity: int
    items: tuple[Item, ...]
    steps: tuple[Step, ...]
    item: str
    to: str = OWNER

    def found(self, judged: Sequence[Judged]) -> bool:
        """Whether the verdicts on the misissuance say it, by its own rule at its severity."""
        for _, hit, verdict in judged:
            if verdict.to == self.to and (self.to == OPERATOR or (hit is not None and hit.item.id == self.item)):
                said = {finding.rule: int(finding.severity) for finding in (*verdict.findings, *verdict.folded)}
                if said.get(self.rule) == self.severity and verdict.severity <= self.severity:
                    return True
        return False


class Maker:
    """Makes cases. `codes`: (code, first and last time, keys) of real certificates, among which some are planted."""

    def __init__(self, dice: random.Random, trust: Trust, codes: Sequence[tuple[str, int, int, bytes]]) -> None:
        self._dice = dice
        self._trust = trust
        self._real = codes
        self._span = min(each[1] for each in codes), max(each[2] for each in codes)
        self._count = self._wide = 0
        self._unnamed = list(codes)
        dice.shuffle(self._unnamed)

    # What stories are made of -----------------------------------------------------------------------------------------

    def number(self, area: str = "") -> str:
        """A number in an exchange of its own, so that no block of it holds another story's number."""
        self._count += 1
        code = area or _AREAS[self._count // 800]
        return f"1{code}{200 + self._count % 800}{self._dice.randrange(10_000):04}"

    def wide(self) -> str:
        """A number of which even the block of a million is its own."""
        self._wide += 1
        return f"1{_WIDE_AREAS[self._wide // 8]}{2 + self._wide % 8}{self._dice.randrange(1_000_000):06}"

    def code(self) -> str:
        """A code that is in no real certificate."""
        self._count += 1
        return f"Z{self._count:04X}"

    def time(self) -> int:
        """Some time between the first and the last real certificate."""
        return self._dice.randrange(self._span[0] + 40 * DAY_MS, self._span[1])

    def real(self) -> tuple[str, int]:
        """A real code, and a time between its certificates."""
        code, first, last, _ = self._dice.choice(self._real)
        return code, self._dice.randint(first + HOUR_MS, max(last, first + 2 * HOUR_MS))

    def unnamed(self) -> tuple[str, int]:
        """The same, a code that no story's common name has said: that is only told aloud the first time."""
        code, first, last, _ = self._unnamed.pop()
        return code, self._dice.randint(first + HOUR_MS, max(last, first + 2 * HOUR_MS))

    def item(self, value: Claim, *, added_ms: int = 0, **expect: object) -> Item:
        """A watched thing in a group of its own."""
        self._count += 1
        kinds = {TelephoneNumber: NUMBER, NumberRange: RANGE, ServiceProviderCode: CODE}
        group = Group(f"planted {self._count}", ("mail",), DOMAIN, Expect(**expect))  # type: ignore[arg-type]
        return Item(kinds[type(value)], value, group, added_ms)

    def entry(
        self, claims: Sequence[Claim] | bytes, at_ms: int, ca: Authority = GOOD, holder: str = "Example Inc", *,
        days: float = 90, spki: bytes = b"", cn: str = "", extra: Sequence[bytes] = (), late_days: int = 0,
        usual: Sequence[bytes] | None = None,
    ) -> Entry:  # fmt: skip
        """A logged certificate with these claims."""
        value = claims if isinstance(claims, bytes) else format_tnauthlist(list(claims))
        who = Subject(
            issuance.name(C="US", O=holder, CN=cn or holder), spki or Key.generate().spki, at_ms,
            at_ms + int(days * DAY_MS) - 1000,
        )  # fmt: skip
        if usual is None:
            usual = (issuance.END_ENTITY, issuance.DIGITAL_SIGNATURE, issuance.authority_key_id(ca.key_id))
        tbs = ca.leaf(who, [*usual, *extra, *([issuance.tn_auth_list(value)] if value else [])])
        return self.logged(ca.certificate_for(tbs), ca, at_ms + late_days * DAY_MS)

    def logged(self, der: bytes, ca: Authority, at_ms: int) -> Entry:
        """The entry of a certificate."""
        self._count += 1
        place = replace(PLACE, index=self._count)
        return read_entry(place, leaf_of(der, at_ms), chain=ca.chain, trust=self._trust)

    def usual(self, claims: Sequence[Claim], at_ms: int, **options: object) -> list[Step]:
        """Certificates that are all right, before `at_ms`: one that has ended, and one that has not."""
        return [Step(self.entry(claims, at_ms - days * DAY_MS, **options)) for days in (100, 30)]  # type: ignore[arg-type]


Kind = Callable[[Maker], Case]
KINDS: dict[str, Kind] = {}


def kind(name: str) -> Callable[[Kind], Kind]:
    """Register a maker of cases; its rule is the beginning of the name."""

    def register(make: Kind) -> Kind:
        KINDS[name] = make
        return make

    return register


def bad(entry: Entry, **changes: object) -> Step:
    """The misissuance; `changes`: what the context has besides."""
    return Step(entry, lambda context: replace(context, **changes), True)  # type: ignore[arg-type]


def case(name: str, severity: int, item: Item, *steps: Step, to: str = OWNER) -> Case:
    """A case about one item."""
    return Case(name, name[:4], severity, (item,), steps, item.id, to)


def cases(maker: Maker, count: int) -> Iterator[Case]:
    """As many cases as asked for, of all kinds in turn."""
    names = list(KINDS)
    for at in range(count):
        yield KINDS[names[at % len(names)]](maker)


def _number(maker: Maker, name: str, severity: int, *, ca: Authority = GOOD, **options: object) -> Case:
    """A number with usual certificates, then one more; `options` are those of `Maker.entry`."""
    number, at = TelephoneNumber(maker.number()), maker.time()
    entry = maker.entry([number], at, ca, **options)  # type: ignore[arg-type]
    return case(name, severity, maker.item(number), *maker.usual([number], at), bad(entry))


# --- issuers and holders ---------------------------------------------------------------------------------------------


@kind("T-01 stranger for a number")
def _(maker: Maker) -> Case:
    return _number(maker, "T-01 stranger for a number", 1, ca=ROGUE)


@kind("T-01 stranger for a block")
def _(maker: Maker) -> Case:
    number, at = maker.number(), maker.time()
    item, block = maker.item(TelephoneNumber(number)), NumberRange(number[:-3] + "000", 1000)
    usual = maker.usual([TelephoneNumber(number)], at)
    return case("T-01 stranger for a block", 2, item, *usual, bad(maker.entry([block], at, ROGUE)))


@kind("T-01 stranger for a real code")
def _(maker: Maker) -> Case:
    code, at = maker.real()
    who = maker.code()  # a stranger each time: whoever was told of is not told of as loudly again
    entry = maker.entry(issuance.spc(code), at, _stranger(who), holder=f"{who} Mallory", cn=f"SHAKEN {code}")
    # Issuer and holder are both new to the code, so T-01 has the severity of both.
    return Case("T-01 stranger for a real code", "T-01", 1, (), (bad(entry),), real_item(code))


@kind("T-01 stranger for a code")
def _(maker: Maker) -> Case:
    code, at = maker.code(), maker.time()
    claims, item = [ServiceProviderCode(code)], maker.item(ServiceProviderCode(code))
    usual = maker.usual(claims, at, cn=f"SHAKEN {code}")
    return case("T-01 stranger for a code", 2, item, *usual, bad(maker.entry(claims, at, ROGUE, cn=f"SHAKEN {code}")))


def _stranger(name: str) -> Authority:
    """A CA that never issued before: with a name of its own, below the accepted root of the rogue one."""
    key = Key.generate()
    who = Subject(issuance.name(O=f"{name} Rogue", CN="CA"), key.spki, 1_400_000_000_000, 2_000_000_000_000)
    return issuance.intermediate(ROGUE, key, who)


def real_item(code: str) -> str:
    """The id of the item that watches a real code."""
    return f"{code}@{DOMAIN}/spc:{code}@{DOMAIN}"


@kind("T-03 another holder of a number")
def _(maker: Maker) -> Case:
    return _number(maker, "T-03 another holder of a number", 1, holder="Mallory LLC")


@kind("T-03 another holder of a code")
def _(maker: Maker) -> Case:
    code, at = maker.code(), maker.time()
    claims, item = [ServiceProviderCode(code)], maker.item(ServiceProviderCode(code))
    entry = maker.entry(claims, at, holder="Mallory LLC", cn=f"SHAKEN {code}")
    usual = maker.usual(claims, at, cn=f"SHAKEN {code}")
    return case("T-03 another holder of a code", 3, item, *usual, bad(entry))


@kind("T-09 beside the usual issuer")
def _(maker: Maker) -> Case:
    return _number(maker, "T-09 beside the usual issuer", 2, ca=ROGUE)


@kind("T-09 an unanswered issuer comes back")
def _(maker: Maker) -> Case:
    code, at = maker.code(), maker.time()
    claims, item = [ServiceProviderCode(code)], maker.item(ServiceProviderCode(code))
    name = f"SHAKEN {code}"
    steps = [
        Step(maker.entry(claims, at - 30 * DAY_MS, days=6, cn=name)),
        Step(maker.entry(claims, at - 20 * DAY_MS, ROGUE, days=6, cn=name)),
        Step(maker.entry(claims, at - 2 * DAY_MS, days=6, cn=name)),
    ]
    entry = maker.entry(claims, at, ROGUE, days=6, cn=name)
    return case("T-09 an unanswered issuer comes back", 2, item, *steps, bad(entry))


@kind("T-19 a CA that never issued")
def _(maker: Maker) -> Case:
    number, at, key = TelephoneNumber(maker.number()), maker.time(), Key.generate()
    name = f"Newcomer {maker.code()}"
    ca = issuance.intermediate(GOOD, key, Subject(issuance.name(O=name, CN=name), key.spki, at, at + 900 * DAY_MS))
    return case("T-19 a CA that never issued", 1, maker.item(number), bad(maker.entry([number], at, ca)), to=OPERATOR)


# --- keys ------------------------------------------------------------------------------------------------------------


@kind("T-02 a key that was not registered")
def _(maker: Maker) -> Case:
    number, at, own = TelephoneNumber(maker.number()), maker.time(), Key.generate()
    item = maker.item(number, keys=frozenset([sha256(own.spki).digest()]))
    usual = maker.usual([number], at, spki=own.spki)
    return case("T-02 a key that was not registered", 1, item, *usual, bad(maker.entry([number], at)))


def _messaging(maker: Maker, name: str, severity: int = 1, **spoilt: object) -> Case:
    number, at = maker.number(), maker.time()
    who = Subject(
        issuance.name(CN="3f2b7c1e-9f44-4f0a-8e0e-3d6d2f6f8a11"), Key.generate().spki, at,
        at + int(spoilt.pop("days", 76)) * DAY_MS - 1000,  # type: ignore[call-overload]
    )  # fmt: skip
    tbs = rcs_leaf(number, who=who, **spoilt)  # type: ignore[arg-type]
    entry = maker.logged(VENDOR.certificate_for(tbs), VENDOR, at)
    return case(name, severity, maker.item(TelephoneNumber(number)), bad(entry))


@kind("T-11 no provisioning proof")
def _(maker: Maker) -> Case:
    return _messaging(maker, "T-11 no provisioning proof", leave_out=".5")


@kind("T-11 a proof that has ended")
def _(maker: Maker) -> Case:
    return _messaging(maker, "T-11 a proof that has ended", expiry_s=1_000_000_000)


@kind("T-11 a participant who did not sign")
def _(maker: Maker) -> Case:
    return _messaging(maker, "T-11 a participant who did not sign", signer=Key.generate())


_RSA = rsa.generate_private_key(65537, 1024).public_key()
_CURVE = ec.generate_private_key(ec.SECP256K1()).public_key()


@kind("T-15 a short RSA key")
def _(maker: Maker) -> Case:
    return _number(maker, "T-15 a short RSA key", 2, spki=_RSA.public_bytes(*_SPKI))


@kind("T-15 a foreign curve")
def _(maker: Maker) -> Case:
    return _number(maker, "T-15 a foreign curve", 2, spki=_CURVE.public_bytes(*_SPKI))


@kind("T-15 a point off the curve")
def _(maker: Maker) -> Case:
    spki = bytearray(Key.generate().spki)
    spki[-1] ^= 1
    return _number(maker, "T-15 a point off the curve", 2, spki=bytes(spki))


_SPKI = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@kind("T-16 a real provider's key")
def _(maker: Maker) -> Case:
    _, _, last, spki = maker._dice.choice(maker._real)
    code = maker.code()
    item = maker.item(ServiceProviderCode(code))
    entry = maker.entry(issuance.spc(code), last + DAY_MS, holder="Qxz Mallory", cn=f"SHAKEN {code}", spki=spki)
    return case("T-16 a real provider's key", 1, item, bad(entry))


@kind("T-18 a revoked key")
def _(maker: Maker) -> Case:
    number, at = TelephoneNumber(maker.number()), maker.time()
    entry = maker.entry([number], at)
    crl = Revocations([Revoked(entry.issuer_name, b"\x55", entry.key_hash, at - DAY_MS)])
    return case("T-18 a revoked key", 1, maker.item(number), *maker.usual([number], at), bad(entry, revocations=crl))


@kind("T-18 a revoked serial number")
def _(maker: Maker) -> Case:
    number, at = TelephoneNumber(maker.number()), maker.time()
    entry = maker.entry([number], at)
    assert entry.parsed is not None
    crl = Revocations([Revoked(entry.issuer_name, entry.parsed.serial, b"", at - DAY_MS)])
    return case("T-18 a revoked serial number", 1, maker.item(number), bad(entry, revocations=crl))


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
    return _number(maker, "T-06 a delegate that claims too much", 1, ca=ca)


@kind("T-06 a delegate CA without a list")
def _(maker: Maker) -> Case:
    at = maker.time()
    below = _delegate([], at, _delegate([NumberRange("12000000000", 700_000_000)], at))
    return _number(maker, "T-06 a delegate CA without a list", 1, ca=below)


@kind("T-06 below a certificate that is no CA's")
def _(maker: Maker) -> Case:
    at, key = maker.time(), Key.generate()
    value = format_tnauthlist([NumberRange("12000000000", 700_000_000)])
    who = Subject(issuance.name(O="Delegate Inc"), key.spki, at - DAY_MS, at + 900 * DAY_MS)
    leaf = GOOD.certificate_for(issuance.delegate_leaf(GOOD, who, value))
    ca = issuance.Authority(leaf, key, who.name, GOOD.chain)
    return _number(maker, "T-06 below a certificate that is no CA's", 1, ca=ca)


@kind("T-07 a number under a code")
def _(maker: Maker) -> Case:
    return _number(maker, "T-07 a number under a code", 3, ca=_delegate([ServiceProviderCode("709J")], maker.time()))


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
    return _number(maker, "T-08 an end entity that is a CA", 2, usual=usual)


@kind("T-08 a path that is too long")
def _(maker: Maker) -> Case:
    at, ca = maker.time(), GOOD
    for length in (0, None):
        key = Key.generate()
        name = issuance.name(O="Rightful CA", CN=f"Sub CA {length}")  # self-issued ones would not count
        who = Subject(name, key.spki, at - DAY_MS, at + 900 * DAY_MS)
        ca = ca.authority(key, who, (issuance.authority_constraints(length), issuance.CERT_SIGN))
    return _number(maker, "T-08 a path that is too long", 2, ca=ca)


@kind("T-14 may sign without being a CA")
def _(maker: Maker) -> Case:
    usage = issuance.extension("2.5.29.15", b"\x03\x02\x02\x84", critical=True)
    return _number(maker, "T-14 may sign without being a CA", 1, usual=(issuance.END_ENTITY, usage))


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


@kind("T-13 valid for years")
def _(maker: Maker) -> Case:
    return _number(maker, "T-13 valid for years", 3, days=1095)


@kind("T-13 messaging for too long")
def _(maker: Maker) -> Case:
    return _messaging(maker, "T-13 messaging for too long", 3, days=90)


@kind("T-20 a promise that was not kept")
def _(maker: Maker) -> Case:
    number, at = TelephoneNumber(maker.number()), maker.time()
    event = LogEvent("T-20", "an SCT for it has no entry after the promised delay")
    entry = maker.entry([number], at)
    return case("T-20 a promise that was not kept", 1, maker.item(number), bad(entry, log_events=(event,)))


@kind("T-26 logged late")
def _(maker: Maker) -> Case:
    return _number(maker, "T-26 logged late", 3, late_days=31)


@kind("T-26 many in an hour")
def _(maker: Maker) -> Case:
    number, at = TelephoneNumber(maker.number()), maker.time()
    steps = [Step(maker.entry([number], at - HOUR_MS // 2 + step * 1000)) for step in range(5)]
    return case("T-26 many in an hour", 3, maker.item(number), *steps, bad(maker.entry([number], at)))


@kind("T-28 a view that differs")
def _(maker: Maker) -> Case:
    number, at = TelephoneNumber(maker.number()), maker.time()
    event = LogEvent("T-28", "two heads of one size show different entries here")
    entry = maker.entry([number], at)
    return case("T-28 a view that differs", 1, maker.item(number), bad(entry, log_events=(event,)))


__all__ = ["KINDS", "Case", "Maker", "Step", "cases"]
