"""ctlog.fsck.alike: what is told of an entry is what admission makes of it, to the byte, or nothing is told.

Certificates of the corpus, certificates of every kind that we issue, and mutations of both: of the parts that may
differ within a shape, and of any octet.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctlog import issuance
from ctlog.admission import Policy, plan_accept
from ctlog.errors import CtlogError
from ctlog.fsck import alike as module
from ctlog.fsck.alike import Alike
from ctlog.issuance import DAY_MS, Authority, Key, Subject
from ctlog.wire.numbers_feed import format_feed_line
from ctlog.wire.rfc6962 import EntryType, SignedEntry
from ctlog.wire.static_ct import DataTile, PendingEntry, TileLeaf, format_leaf_index, format_tile_leaf
from ctlog.x509.chain import Roots, accepted_root
from ctlog.x509.der import SEQUENCE, format_tlv, parse_certificate
from ctlog.x509.precert import insert_extension
from tests.corpus import intermediates, leaves, lints, need_corpus, roots

NOW = 1_790_000_000_000
DOMAIN = "us-shaken"
CA = issuance.example_authority(NOW, root_key=Key.from_number(31), key=Key.from_number(32))
KEYS = [Key.from_number(number) for number in (33, 34, 35)]


def subject(name: str = "Example Inc", *, start: int = NOW, days: float = 90, serial: int = 1 << 100) -> Subject:
    who = issuance.name(C="US", O="Example Inc", CN=name)
    return Subject(who, KEYS[0].spki, start, start + int(days * DAY_MS) - 1000, serial)


RANGED = issuance.delegate_authority(
    CA, KEYS[1], subject("Ranged", days=3000), issuance.number_range("12025550100", 100)
)
SIGNER = issuance.precertificate_signer(CA, KEYS[2], subject("Signer"))


class Stored(NamedTuple):
    """An entry as a log may have stored it; `chain` in DER."""

    leaf: TileLeaf
    chain: tuple[bytes, ...]

    @property
    def submitted(self) -> bytes:
        return self.leaf.pre_certificate or self.leaf.entry.certificate


class Judge:
    """Asks admission, and compares."""

    def __init__(self, *ders: bytes) -> None:
        self.policy = Policy(Roots([accepted_root(der, DOMAIN) for der in ders]), require_number=False, max_chain=100)
        self.alike = Alike()

    def admit(self, der: bytes, chain: Sequence[bytes], kind: EntryType, time_ms: int) -> PendingEntry | None:
        try:
            return plan_accept([der, *chain], kind, self.policy, time_ms).pending
        except CtlogError:
            return None

    def told(self, stored: Stored, index: int = 5) -> bytes | None:
        """What is told, after it was compared with what admission says."""
        tile = DataTile(format_tile_leaf(stored.leaf))
        (line,), _ = self.alike.expect(index, [stored.leaf.timestamp_ms], tile)
        pending = self.asked(stored)
        if line is not None:
            assert pending is not None
            assert pending.entry == stored.leaf.entry
            assert line + b"\n" == format_feed_line(index, stored.leaf.timestamp_ms, pending.feed)
        return line

    def asked(self, stored: Stored) -> PendingEntry | None:
        return self.admit(stored.submitted, stored.chain, stored.leaf.entry.type, stored.leaf.timestamp_ms)

    def learn(self, stored: Stored, index: int = 5) -> None:
        """As `entries` does: only what is stored as admission makes it."""
        pending = self.asked(stored)
        if pending is not None and pending.entry == stored.leaf.entry:
            tile = DataTile(format_tile_leaf(stored.leaf))
            self.alike.learn(index, tile.leaves[0], tile.submitted[0], tile.chains[0], pending)

    def stored(self, der: bytes, chain: Sequence[bytes], kind: EntryType, time_ms: int = NOW) -> Stored | None:
        """An entry as the log should store it; None where it would refuse it."""
        pending = self.admit(der, chain, kind, time_ms)
        if pending is None:
            return None
        fingerprints = tuple(issuer.fingerprint for issuer in pending.issuers)
        leaf = TileLeaf(time_ms, pending.entry, format_leaf_index(5), pending.pre_certificate, fingerprints)
        return Stored(leaf, tuple(issuer.der for issuer in pending.issuers))


def made(ca: Authority, tbs: bytes, kind: EntryType) -> tuple[bytes, Sequence[bytes], EntryType]:
    der = ca.precertificate(tbs) if kind is EntryType.PRECERT else ca.certificate_for(tbs)
    return signed(der), ca.chain, kind


def signed(der: bytes, tbs: bytes = b"") -> bytes:
    """A certificate with another signature, always of one length, and perhaps around something else: neither admission,
    which leaves the leaf's to its caller, nor fsck looks at it."""
    certificate = parse_certificate(der)
    noise = hashlib.shake_256(der).digest(71)
    return format_tlv(SEQUENCE, (tbs or certificate.tbs) + certificate.algorithm + format_tlv(3, b"\0" + noise))


def number(ca: Authority, digits: str, kind: EntryType = EntryType.PRECERT, **who: object):
    return made(ca, issuance.delegate_leaf(ca, subject(**who), issuance.one(digits)), kind)  # type: ignore[arg-type]


def code(name: str, kind: EntryType = EntryType.PRECERT, code: str = "709J", **who: object):
    return made(CA, issuance.delegate_leaf(CA, subject(name, **who), issuance.spc(code)), kind)  # type: ignore[arg-type]


def precertificate_of(der: bytes) -> bytes:
    """A certificate with a poison."""
    return signed(der, insert_extension(parse_certificate(der).tbs, issuance.POISON))


# --- what is to be told -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", EntryType)
@pytest.mark.parametrize("ca", [CA, RANGED], ids=["", "below a CA with a list"])
def test_entries_that_differ_in_what_may_differ_are_told(ca: Authority, kind: EntryType) -> None:
    judge = Judge(CA.above[0])
    first = judge.stored(*number(ca, "12025550123", kind))
    assert first is not None
    assert judge.told(first) is None
    judge.learn(first)
    for digits, who in [
        ("12025550123", {}), ("12025550124", {}), ("12025550124", {"name": "Another Inc"}),
        ("12025550123", {"serial": (1 << 100) + 1}), ("12025550123", {"start": NOW + 1000}),
        ("12025550123", {"start": NOW - 1000, "days": 80}),
    ]:  # fmt: skip
        stored = judge.stored(*number(ca, digits, kind, **who))
        assert stored is not None
        assert judge.told(stored), (digits, who)
        assert judge.told(stored, index=1 << 33)


def test_findings_come_and_go_with_times_and_numbers() -> None:
    """Each judgement of the times is learnt from admission once, findings about numbers are read each time."""
    judge = Judge(CA.above[0])
    cases = [({"days": 300}, NOW, "12025550123"), ({"days": 300}, NOW + 400 * DAY_MS, "12025550123"),
             ({"days": 399}, NOW, "12025550123"), ({"days": -5}, NOW - 9 * DAY_MS, "12025550123"),
             ({"days": 5000}, NOW, "12025550123"), ({"days": 300}, NOW, "12025550999")]  # fmt: skip
    lines = []
    for who, time_ms, digits in cases:
        stored = judge.stored(*number(RANGED, digits, **who), time_ms)
        assert stored is not None
        if "999" not in digits:
            assert judge.told(stored) is None
            judge.learn(stored)
        lines.append(judge.told(stored) or b"")
    words = (b'"findings":[]', b'"expired"', b'"validity-long"', b'"validity-reversed"', b'"outlives-issuer"',
             b'"scope-exceeds-issuer"')  # fmt: skip
    assert [word in line for word, line in zip(words, lines, strict=True)] == [True] * len(words)


def test_a_subject_counts_where_a_code_may_stand_in_it() -> None:
    judge = Judge(CA.above[0])
    for name in ("SHAKEN 709J", "Ordinary 11"):
        stored = judge.stored(*code(name))
        assert stored is not None
        judge.learn(stored)
    for name, finding in (("SHAKEN 709J", False), ("SHAKEN 708J", True), ("shaKen 708J", True), ("Ordinary 22", False)):
        stored = judge.stored(*code(name))
        assert stored is not None
        line = judge.told(stored)
        assert line is not None
        assert (b"cn-code-differs" in line) is finding


def test_what_has_no_shape_is_left_to_admission() -> None:
    judge = Judge(CA.above[0])
    tbs = issuance.delegate_leaf(CA, subject("x"), issuance.one("12025550123"))
    late = issuance.delegate_leaf(CA, subject("x", start=2_600_000_000_000), issuance.one("12025550123"))
    large = issuance.delegate_leaf(CA, subject("x"), issuance.one(*(f"1202{at:07d}" for at in range(700))))
    negative = issuance.delegate_leaf(CA, subject("x"), issuance.one("12025550123"))
    negative = negative.replace(parse_certificate(CA.certificate_for(negative)).serial, b"\xff" * 13, 1)
    cases = [made(CA, late, EntryType.PRECERT), made(CA, negative, EntryType.X509),
             (CA.certificate_for(large), CA.chain, EntryType.X509),
             (SIGNER.precertificate(tbs), SIGNER.chain, EntryType.PRECERT)]  # fmt: skip
    for case in cases:
        stored = judge.stored(*case)
        assert stored is not None
        judge.learn(stored)
        assert judge.told(stored) is None
    final = judge.stored(SIGNER.certificate_for(issuance.delegate_leaf(SIGNER, subject("x"), issuance.one("1202555"))),
                         SIGNER.chain, EntryType.X509)  # fmt: skip
    assert final is not None
    judge.learn(final)
    assert judge.told(final)


def test_memory_is_bounded_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SHAPES", 4)
    monkeypatch.setattr(module, "MAX_ALIKE", 2)
    monkeypatch.setattr(module, "MAX_KNOWN", 3)
    monkeypatch.setattr(module, "MAX_FAMILIES", 1)
    judge = Judge(CA.above[0])
    for round in range(3):
        for at in range(12):
            stored = judge.stored(*number((CA, RANGED)[round % 2], "1202555012"[: 7 + at % 4], name="x" * at))
            assert stored is not None
            judge.told(stored)
            judge.learn(stored)
            judge.learn(stored)
            assert judge.told(stored) or judge.alike._count == 0
    assert judge.alike._count <= 4


# --- whatever may be stored -------------------------------------------------------------------------------------------

KNOWN = [
    number(CA, "12025550123"), number(CA, "12025550123", EntryType.X509), number(RANGED, "12025550123"),
    code("SHAKEN 709J"), code("Nobody", EntryType.X509), code("SHAKEN 709J", serial=(1 << 103) - 1),
    made(CA, issuance.rcs_leaf(CA, subject("x"), "12025550123"), EntryType.PRECERT),
    made(CA, issuance.delegate_leaf(CA, subject("x"), b"", reference="https://tn.example/list"), EntryType.X509),
    (CA.final(issuance.delegate_leaf(CA, subject("x"), issuance.one("12025550123")), [b"\1" * 60]), CA.chain,
     EntryType.X509),
]  # fmt: skip
TAUGHT = Judge(CA.above[0])
BASES = [stored for case in KNOWN if (stored := TAUGHT.stored(*case))]
for base in BASES:
    TAUGHT.learn(base)


def test_all_that_was_learnt_is_told() -> None:
    assert len(BASES) == len(KNOWN)
    assert all(map(TAUGHT.told, BASES))


def bent(data: st.DataObject, der: bytes) -> bytes:
    """One part, of those that may differ, with other octets in it; or any octets."""
    certificate = parse_certificate(der)
    parts = [certificate.serial, certificate.validity, certificate.subject, certificate.spki, certificate.signature]
    parts += [extension.der for extension in certificate.extensions] + [der]
    part = data.draw(st.sampled_from(parts))
    at = der.index(part) + data.draw(st.integers(0, len(part) - 1))
    new = data.draw(st.one_of(st.binary(min_size=1, max_size=3), st.sampled_from([b"0", b"9", b"shaken", b"Z", b'"'])))
    return der[:at] + new + der[at + len(new) :]


@given(st.sampled_from(range(len(BASES))), st.integers(1, 3), st.booleans(), st.integers(-400, 400), st.data())
def test_bent_certificates_are_told_as_admission_reads_them(
    which: int, times: int, consistent: bool, days: int, data: st.DataObject
) -> None:
    base = BASES[which]
    der = base.submitted
    for _ in range(times):
        der = bent(data, der)
        try:
            parse_certificate(der)
        except CtlogError:
            break
    leaf = base.leaf._replace(timestamp_ms=NOW + days * DAY_MS)
    if base.leaf.entry.type is EntryType.X509:
        leaf = leaf._replace(entry=SignedEntry(EntryType.X509, der))
    else:
        pending = TAUGHT.admit(der, base.chain, EntryType.PRECERT, leaf.timestamp_ms)
        entry = pending.entry if pending is not None and consistent else leaf.entry
        leaf = leaf._replace(pre_certificate=der, entry=entry)
    TAUGHT.told(Stored(leaf, base.chain))


@given(st.sampled_from([base for base in BASES if base.leaf.pre_certificate]), st.data())
def test_a_bent_leaf_is_never_told(base: Stored, data: st.DataObject) -> None:
    entry = base.leaf.entry
    at = data.draw(st.integers(0, len(entry.certificate) - 1))
    mask = data.draw(st.integers(1, 255))
    wrong = entry.certificate[:at] + bytes([entry.certificate[at] ^ mask]) + entry.certificate[at + 1 :]
    for other in (entry._replace(certificate=wrong), entry._replace(issuer_key_hash=b"\1" * 32)):
        assert TAUGHT.told(base._replace(leaf=base.leaf._replace(entry=other))) is None


# --- real certificates ------------------------------------------------------------------------------------------------


def certified() -> list[tuple[bytes, list[bytes]]]:
    """Every leaf of the corpus, and each of the odd ones, with a chain: its own, or else another's."""
    above = {parse_certificate(der).subject: der for der in intermediates()}
    tops = {parse_certificate(der).subject: der for der in roots()}
    found = []
    for der in [*leaves(), *lints().values()]:
        issuer = above.get(parse_certificate(der).issuer) or intermediates()[0]
        found.append((der, [issuer, tops[parse_certificate(issuer).issuer]]))
    return found


@need_corpus
@pytest.mark.parametrize("kind", EntryType)
def test_the_whole_corpus(kind: EntryType) -> None:
    """Most are told, all of these rightly; and bent copies of some are."""
    judge, dice = Judge(*roots()), random.Random(5)
    told = count = 0
    for at, (final, chain) in enumerate(certified()):
        try:
            der = precertificate_of(final) if kind is EntryType.PRECERT else final
        except CtlogError:
            continue
        stored = judge.stored(der, chain, kind, (1_650_000_000_000, NOW)[at % 2])
        if stored is None:
            continue
        count += 1
        if judge.told(stored):
            told += 1
        else:
            judge.learn(stored)
        if at % 8 == 0:
            where = dice.randrange(len(der))
            harmed = der[:where] + bytes([dice.randrange(256)]) + der[where + 1 :]
            again = judge.stored(harmed, chain, kind, stored.leaf.timestamp_ms)
            if again is not None:
                judge.told(again)
    assert count > 8700
    assert told > count * 3 // 4
