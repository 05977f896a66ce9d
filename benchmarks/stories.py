"""What stories of misissuance are made of: certificates of test CAs among real ones, who watches, what must be found.

Each case is a short story: items that somebody watches, certificates that are all right, then the one that is not, and
what is known from outside when it comes. `found` says whether the monitor said what it should: the right rule at the
right severity, to the right one. Out of scope: the stories themselves (`benchmarks/planted_*.py`). Nothing here is
random but the numbers, codes and times, which the caller's dice choose.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ctlog import issuance
from ctlog.issuance import DAY_MS, Authority, Key, Subject
from ctlog.tn.numbers import Claim, NumberRange, ServiceProviderCode, TelephoneNumber
from ctlog.tn.tnauthlist import format_tnauthlist
from monitor.entry import Entry, Place, Trust, read_entry
from monitor.items import CODE, NUMBER, RANGE, Expect, Group, Item
from monitor.replay import Judged
from monitor.rules.values import HOUR_MS, OPERATOR, OWNER, Context
from tests.monitor_certificates import DOMAIN, GOOD, VENDOR, leaf_of, rcs_leaf

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


def register(kinds: dict[str, Kind], name: str) -> Callable[[Kind], Kind]:
    """Enter a maker of cases; its rule is the beginning of the name."""

    def enter(make: Kind) -> Kind:
        kinds[name] = make
        return make

    return enter


def bad(entry: Entry, **changes: object) -> Step:
    """The misissuance; `changes`: what the context has besides."""
    return Step(entry, lambda context: replace(context, **changes), True)  # type: ignore[arg-type]


def case(name: str, severity: int, item: Item, *steps: Step, to: str = OWNER) -> Case:
    """A case about one item."""
    return Case(name, name[:4], severity, (item,), steps, item.id, to)


def number_case(maker: Maker, name: str, severity: int, *, ca: Authority = GOOD, **options: object) -> Case:
    """A number with usual certificates, then one more; `options` are those of `Maker.entry`."""
    number, at = TelephoneNumber(maker.number()), maker.time()
    entry = maker.entry([number], at, ca, **options)  # type: ignore[arg-type]
    return case(name, severity, maker.item(number), *maker.usual([number], at), bad(entry))


def messaging_case(maker: Maker, name: str, severity: int = 1, **spoilt: object) -> Case:
    """A number and one certificate of a messaging vendor's; `spoilt` are the options of `rcs_leaf`, and `days`."""
    number, at = maker.number(), maker.time()
    who = Subject(
        issuance.name(CN="3f2b7c1e-9f44-4f0a-8e0e-3d6d2f6f8a11"), Key.generate().spki, at,
        at + int(spoilt.pop("days", 76)) * DAY_MS - 1000,  # type: ignore[call-overload]
    )  # fmt: skip
    ca: Authority = spoilt.get("ca", VENDOR)  # type: ignore[assignment]
    tbs = rcs_leaf(number, who=who, **spoilt)  # type: ignore[arg-type]
    entry = maker.logged(ca.certificate_for(tbs), ca, at)
    return case(name, severity, maker.item(TelephoneNumber(number)), bad(entry))


def real_item(code: str) -> str:
    """The id of the item that watches a real code."""
    return f"{code}@{DOMAIN}/spc:{code}@{DOMAIN}"
