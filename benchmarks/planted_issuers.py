"""Misissuances by who: the wrong issuer, holder or key. See `benchmarks/planted.py`."""

from __future__ import annotations

from functools import partial
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from benchmarks.stories import Case, Kind, Maker, Step, bad, case, messaging_case, number_case, real_item, register
from ctlog import issuance
from ctlog.issuance import DAY_MS, Authority, Key, Subject
from ctlog.tn.numbers import NumberRange, ServiceProviderCode, TelephoneNumber
from monitor.rules.values import OPERATOR, Revocations, Revoked
from tests.monitor_certificates import GOOD, ROGUE

KINDS: dict[str, Kind] = {}
kind = partial(register, KINDS)

# --- issuers and holders ---------------------------------------------------------------------------------------------


@kind("T-01 stranger for a number")
def _(maker: Maker) -> Case:
    return number_case(maker, "T-01 stranger for a number", 1, ca=ROGUE)


@kind("T-01 stranger for a block")
def _(maker: Maker) -> Case:
    number, at = maker.number(), maker.time()
    item, block = maker.item(TelephoneNumber(number)), NumberRange(number[:-3] + "000", 1000)
    usual = maker.usual([TelephoneNumber(number)], at)
    return case("T-01 stranger for a block", 2, item, *usual, bad(maker.entry([block], at, ROGUE)))


@kind("T-01 stranger for the next number of a range")
def _(maker: Maker) -> Case:
    number, at = maker.number(), maker.time()
    block = NumberRange(number[:-3] + "000", 1000)
    item, usual = maker.item(block), maker.usual([block], at)
    first, second = (TelephoneNumber(number[:-3] + digits) for digits in ("123", "777"))
    theft = bad(maker.entry([first], at - DAY_MS, ROGUE))
    entry = bad(maker.entry([second], at, ROGUE))
    return case("T-01 stranger for the next number of a range", 1, item, *usual, theft, entry)


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


@kind("T-03 another holder of a number")
def _(maker: Maker) -> Case:
    return number_case(maker, "T-03 another holder of a number", 1, holder="Mallory LLC")


@kind("T-03 another holder of a code")
def _(maker: Maker) -> Case:
    code, at = maker.code(), maker.time()
    claims, item = [ServiceProviderCode(code)], maker.item(ServiceProviderCode(code))
    entry = maker.entry(claims, at, holder="Mallory LLC", cn=f"SHAKEN {code}")
    usual = maker.usual(claims, at, cn=f"SHAKEN {code}")
    return case("T-03 another holder of a code", 3, item, *usual, bad(entry))


@kind("T-09 beside the usual issuer")
def _(maker: Maker) -> Case:
    return number_case(maker, "T-09 beside the usual issuer", 2, ca=ROGUE)


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


@kind("T-11 no provisioning proof")
def _(maker: Maker) -> Case:
    return messaging_case(maker, "T-11 no provisioning proof", leave_out=".5")


@kind("T-11 a proof that has ended")
def _(maker: Maker) -> Case:
    return messaging_case(maker, "T-11 a proof that has ended", expiry_s=1_000_000_000)


@kind("T-11 a participant who did not sign")
def _(maker: Maker) -> Case:
    return messaging_case(maker, "T-11 a participant who did not sign", signer=Key.generate())


_RSA = rsa.generate_private_key(65537, 1024).public_key()
_CURVE = ec.generate_private_key(ec.SECP256K1()).public_key()


@kind("T-11 below a CA that is no vendor")
def _(maker: Maker) -> Case:
    return messaging_case(maker, "T-11 below a CA that is no vendor", ca=ROGUE)


@kind("T-15 a key on a list")
def _(maker: Maker) -> Case:
    number, at = TelephoneNumber(maker.number()), maker.time()
    entry, item = maker.entry([number], at), maker.item(number)
    weak = frozenset([entry.key_hash])
    return case("T-15 a key on a list", 2, item, *maker.usual([number], at), bad(entry, weak_keys=weak))


@kind("T-15 a short RSA key")
def _(maker: Maker) -> Case:
    return number_case(maker, "T-15 a short RSA key", 2, spki=_RSA.public_bytes(*_SPKI))


@kind("T-15 a foreign curve")
def _(maker: Maker) -> Case:
    return number_case(maker, "T-15 a foreign curve", 2, spki=_CURVE.public_bytes(*_SPKI))


@kind("T-15 a point off the curve")
def _(maker: Maker) -> Case:
    spki = bytearray(Key.generate().spki)
    spki[-1] ^= 1
    return number_case(maker, "T-15 a point off the curve", 2, spki=bytes(spki))


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
