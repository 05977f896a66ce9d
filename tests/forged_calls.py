"""More than twenty kinds of forged call against a certificate that was issued and logged, each with its own word."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ctlog import issuance
from ctlog.client.passport import Call
from ctlog.client.sct import embedded_scts
from ctlog.issuance import DAY_MS, Authority, Key, Subject
from ctlog.tn.claim_constraints import ClaimConstraints
from ctlog.wire.passport import format_header, format_passport
from ctlog.wire.rfc6962 import EntryType, SignedEntry, format_sct
from tests.call_values import referring
from tests.wire_values import TestLog


class World(NamedTuple):
    """What a forger holds: a caller's certificate with its CAs, nearest first, and its key; and, worse than in life,
    the keys of the delegate CA and of the carrier's CA above it. future, retired: listed logs whose keys are theirs;
    stranger: an unlisted one."""

    chain: tuple[bytes, ...]
    key: Key
    number: str
    authority: Authority
    carrier: Authority
    future: TestLog
    retired: TestLog
    stranger: TestLog
    now_ms: int


class Forgery(NamedTuple):
    """A token, what is known of the call, and the word for which it must be refused."""

    token: str
    word: str
    call: Call | None = None


CALLED = "13035550199"
MANY = tuple(f"https://numbers.example/{at}" for at in range(400))


def claims(world: World, **others: Any) -> dict[str, Any]:
    said = {"iat": world.now_ms // 1000, "orig": {"tn": world.number}, "dest": {"tn": [CALLED]}}
    return said | others


def token(world: World, said: Mapping[str, Any] | None = None, *, chain: Sequence[bytes] = (), key: Key | None = None,
          ppt: str = "", x5u: str = "") -> str:  # fmt: skip
    """A PASSporT; a good one unless something else is said."""
    header = format_header(ppt, x5u, () if x5u else tuple(chain or world.chain)[:3])
    return format_passport(header, said or claims(world), (key or world.key).sign)


def changed(text: str, part: int, change: Callable[[dict[str, Any]], Any]) -> str:
    """One part's JSON changed, the signature as it was."""
    parts = text.split(".")
    value = change(json.loads(base64.urlsafe_b64decode(parts[part] + "==")))
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    parts[part] = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    return ".".join(parts)


def forgeries(world: World) -> list[Forgery]:
    """All of them, each of another kind."""
    return [*_of_the_token(world), *_of_the_certificate(world), *_of_its_scts(world)]


def _of_the_token(world: World) -> list[Forgery]:
    good, late_s = token(world), world.now_ms // 1000
    elsewhere = Call(orig="12025550000")
    return [
        Forgery(changed(good, 0, lambda head: head | {"alg": "none"}).rpartition(".")[0] + ".", "alg-none"),
        Forgery(changed(good, 0, lambda head: head | {"alg": "HS256"}), "unsupported-alg"),
        Forgery(changed(good, 0, lambda head: head | {"typ": "JWT"}), "wrong-typ"),
        Forgery(changed(good, 0, lambda head: head | {"crit": ["exp"]}), "unknown-critical-header"),
        Forgery(changed(good, 1, lambda said: said | {"dest": {"tn": ["19005550100"]}}), "bad-signature"),
        Forgery(changed(good, 1, lambda said: json.dumps(said).encode()[:-1] + b',"iat":1}'), "duplicate-name"),
        Forgery(token(world, claims(world, orig={"tn": "+" + world.number})), "number-not-canonical"),
        Forgery(token(world, claims(world, attest="A"), ppt="shaken"), "missing-claim"),
        Forgery(token(world, claims(world, iat=late_s - 61)), "iat-stale"),
        Forgery(token(world, claims(world, iat=late_s + 61)), "iat-from-the-future"),
        Forgery(good, "orig-mismatch", elsewhere),
        Forgery(good, "dest-mismatch", Call(dest="19005550100")),
        Forgery(token(world, x5u="http://cert.example/a.pem"), "x5u-not-https"),
        Forgery(token(world, claims(world, orig={"tn": "19005550100"})), "scope-does-not-cover"),
    ]


def _leaf(world: World, *, authority: Authority | None = None, number: str = "", spki: bytes = b"",
          days: tuple[float, float] = (-1, 1), constraints: ClaimConstraints | None = None) -> bytes:  # fmt: skip
    start, end = (world.now_ms + int(day * DAY_MS) for day in days)
    who = Subject(issuance.name(O="Forger", CN="Forger"), spki or world.key.spki, start, end)
    scope = issuance.one(number or world.number)
    return issuance.delegate_leaf(authority or world.authority, who, scope, constraints=constraints)


def _plain(world: World, *extensions: bytes) -> bytes:
    """What the carrier's CA signs for the forger, with these extensions."""
    life = (world.now_ms - DAY_MS, world.now_ms + DAY_MS)
    who = Subject(issuance.name(O="Forger", CN="Forger"), world.key.spki, *life)
    return world.carrier.leaf(who, (issuance.END_ENTITY, issuance.DIGITAL_SIGNATURE, *extensions))


def _promised(world: World, tbs: bytes, *, log: TestLog | None = None, authority: Authority | None = None,
              after_ms: int = -1000) -> tuple[bytes, ...]:  # fmt: skip
    """A chain whose certificate has an SCT of a log of the forger's."""
    by = authority or world.authority
    entry = SignedEntry(EntryType.PRECERT, tbs, hashlib.sha256(by.signer.spki).digest())
    sct = (log or world.future).sct(entry, world.now_ms + after_ms, 1)
    return by.final(tbs, [format_sct(sct)]), *by.chain


def _of_the_certificate(world: World) -> list[Forgery]:
    own = issuance.example_authority(world.now_ms, label="Forger", root_key=Key.from_number(5), key=Key.from_number(6))
    imitated = Authority(world.authority.certificate, Key.from_number(7), world.authority.name, world.authority.above)
    other_curve = ec.derive_private_key(5, ec.SECP384R1()).public_key()
    p384 = other_curve.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    forbidden = ClaimConstraints(must_exclude=("rcd",))
    outside = _leaf(world, number="19005550100")
    key = Key.from_number(8)
    half = Subject(issuance.name(O="Forger", CN="Half a CA"), key.spki, world.now_ms - DAY_MS, world.now_ms + DAY_MS)
    precert_signer = issuance.precertificate_signer(world.carrier, key, half)
    below_it = _leaf(world, authority=precert_signer)
    message = _plain(world, issuance.tel_names(world.number))
    responder = issuance.extension("2.5.29.37", bytes.fromhex("300a06082b06010505070309"), critical=True)
    ocsp = _plain(world, issuance.tn_auth_list(issuance.one(world.number)), responder)
    own_leaf, fake = _leaf(world, authority=own), _leaf(world, authority=imitated)
    precertificate = (world.authority.precertificate(_leaf(world)), *world.authority.chain)

    def call(chain: Sequence[bytes], **others: Any) -> str:
        return token(world, claims(world, **others), chain=chain)

    return [
        Forgery(call(_promised(world, own_leaf, authority=own)), "unknown-root"),
        Forgery(call(_promised(world, fake, authority=imitated)), "chain-bad-signature"),
        Forgery(call(_promised(world, _leaf(world, days=(-3, -1)))), "certificate-expired"),
        Forgery(call(precertificate), "precertificate"),
        Forgery(call(_promised(world, below_it, authority=precert_signer)), "issued-by-precert-signer"),
        Forgery(call(_promised(world, message, authority=world.carrier)), "no-scope"),
        Forgery(call(_promised(world, _plain(world, referring(*MANY)), authority=world.carrier)), "too-many-lists"),
        Forgery(call(_promised(world, ocsp, authority=world.carrier)), "extended-key-usage"),
        Forgery(call(world.authority.chain), "not-an-end-entity"),
        Forgery(call(_promised(world, outside), orig={"tn": "19005550100"}), "scope-exceeds-issuer"),
        Forgery(call(_promised(world, _leaf(world, spki=p384))), "wrong-curve"),
        Forgery(call(_promised(world, _leaf(world, constraints=forbidden)), rcd={"nam": "Bank"}), "claim-forbidden"),
    ]


def _of_its_scts(world: World) -> list[Forgery]:
    tbs, by = _leaf(world), world.authority
    stolen = embedded_scts(world.chain[0])
    chains = {
        "no-sct": (by.certificate_for(tbs), *by.chain),
        "sct-bad-signature": (by.final(tbs, stolen), *by.chain),
        "sct-from-the-future": _promised(world, tbs, after_ms=60_000),
        "sct-retired-log": _promised(world, tbs, log=world.retired),
        "too-few-scts": _promised(world, tbs, log=world.stranger),
    }
    return [Forgery(token(world, chain=chain), word) for word, chain in chains.items()]
