"""A log of phone-number certificates, and the library with which anyone checks it.

Here are the verification library's public names; each says what it means and what it raises. `import ctlog` reads
nothing but this file: a name's room is entered when the name is first used.

    from ctlog import LogKey, parse_certificate, read_identity, verify_sct

    verified = verify_sct(certificate, [issuer], sct, LogKey.from_spki(spki), now_ms)   # raises, or holds
    print(read_identity(parse_certificate(certificate)).claims)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ctlog.client.activation import Activation, activate
    from ctlog.client.call_cache import CallCache
    from ctlog.client.credential import CallPolicy, Trust
    from ctlog.client.log_list import ListKey, LogList, open_log_list
    from ctlog.client.passport import Call, verify_identity, verify_passport
    from ctlog.client.sct import VerifiedSct, embedded_scts, verify_embedded_sct, verify_sct
    from ctlog.client.sct_policy import SctCache, SctPolicy, SctVerdict, verify_scts
    from ctlog.client.stapled import Stapled, verify_stapled
    from ctlog.client.trusted import LogPolicy, TrustedLog
    from ctlog.client.verdict import Verdict
    from ctlog.errors import (
        CtlogError,
        InputError,
        MalformedError,
        Misbehaviour,
        ProofError,
        SctError,
        SignatureError,
        VerificationError,
    )
    from ctlog.merkle.hashing import leaf_hash
    from ctlog.merkle.proof import verify_consistency, verify_inclusion
    from ctlog.tn.identity import Identity, read_identity
    from ctlog.tn.numbers import NumberRange, ServiceProviderCode, TelephoneNumber
    from ctlog.wire.checkpoint import SignedHead, open_checkpoint
    from ctlog.wire.rfc6962 import LogKey
    from ctlog.wire.signed_note import Ed25519Verifier
    from ctlog.x509.chain import Roots, accepted_root
    from ctlog.x509.der import Certificate, parse_certificate

__version__ = "0.1.0"

_ROOMS = {
    "client.activation": ("Activation", "activate"),
    "client.call_cache": ("CallCache",),
    "client.credential": ("CallPolicy", "Trust"),
    "client.log_list": ("ListKey", "LogList", "open_log_list"),
    "client.passport": ("Call", "verify_identity", "verify_passport"),
    "client.sct": ("VerifiedSct", "embedded_scts", "verify_embedded_sct", "verify_sct"),
    "client.sct_policy": ("SctCache", "SctPolicy", "SctVerdict", "verify_scts"),
    "client.stapled": ("Stapled", "verify_stapled"),
    "client.trusted": ("LogPolicy", "TrustedLog"),
    "client.verdict": ("Verdict",),
    "errors": (
        *("CtlogError", "InputError", "MalformedError", "Misbehaviour", "ProofError", "SctError", "SignatureError"),
        "VerificationError",
    ),
    "merkle.hashing": ("leaf_hash",),
    "merkle.proof": ("verify_consistency", "verify_inclusion"),
    "tn.identity": ("Identity", "read_identity"),
    "tn.numbers": ("NumberRange", "ServiceProviderCode", "TelephoneNumber"),
    "wire.checkpoint": ("SignedHead", "open_checkpoint"),
    "wire.rfc6962": ("LogKey",),
    "wire.signed_note": ("Ed25519Verifier",),
    "x509.chain": ("Roots", "accepted_root"),
    "x509.der": ("Certificate", "parse_certificate"),
}
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names}

__all__ = [
    "Activation",
    "Call",
    "CallCache",
    "CallPolicy",
    "Certificate",
    "CtlogError",
    "Ed25519Verifier",
    "Identity",
    "InputError",
    "ListKey",
    "LogKey",
    "LogList",
    "LogPolicy",
    "MalformedError",
    "Misbehaviour",
    "NumberRange",
    "ProofError",
    "Roots",
    "SctCache",
    "SctError",
    "SctPolicy",
    "SctVerdict",
    "ServiceProviderCode",
    "SignatureError",
    "SignedHead",
    "Stapled",
    "TelephoneNumber",
    "Trust",
    "TrustedLog",
    "Verdict",
    "VerificationError",
    "VerifiedSct",
    "accepted_root",
    "activate",
    "embedded_scts",
    "leaf_hash",
    "open_checkpoint",
    "open_log_list",
    "parse_certificate",
    "read_identity",
    "verify_consistency",
    "verify_embedded_sct",
    "verify_identity",
    "verify_inclusion",
    "verify_passport",
    "verify_sct",
    "verify_scts",
    "verify_stapled",
]


def __getattr__(name: str) -> Any:
    """A public name, from its room, on first use (PEP 562)."""
    if name not in _ROOM_OF:
        raise AttributeError(f"module 'ctlog' has no attribute {name!r}")
    value = getattr(import_module(f"ctlog.{_ROOM_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
