"""RFC 6962 section 3: precertificates, the TBSCertificate as it is logged, and SCTs inside of certificates.

In scope: the poison; precertificate signing certificates; the logged TBSCertificate, rebuilt byte for byte from a
precertificate or from the final certificate; the SCT list extension. Only the length octets of the wrappers around
what was taken out are written anew; every other byte is a slice of the original.
Out of scope: the TLS structures inside (`ctlog.wire.rfc6962`), chains (`chain`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from ctlog.errors import MalformedError, RefusedError
from ctlog.x509.der import (
    NULL,
    OBJECT_IDENTIFIER,
    OCTET_STRING,
    SEQUENCE,
    Certificate,
    Extension,
    children,
    elements,
    expect,
    format_header,
    format_tlv,
    oid,
    only_child,
)

OID_SCT_LIST = oid("1.3.6.1.4.1.11129.2.4.2")
OID_POISON = oid("1.3.6.1.4.1.11129.2.4.3")
OID_PRECERT_SIGNING = oid("1.3.6.1.4.1.11129.2.4.4")
OID_AUTHORITY_KEY_ID = oid("2.5.29.35")
OID_EXTENDED_KEY_USAGE = oid("2.5.29.37")

_NULL = bytes((NULL, 0))


# --- what a certificate is -------------------------------------------------------------------------------------------


def is_precertificate(certificate: Certificate) -> bool:
    """Whether this is a precertificate: one poison extension, critical, with an ASN.1 NULL inside.

    RFC 6962 section 3.1: "a special critical poison extension (OID 1.3.6.1.4.1.11129.2.4.3, whose extnValue OCTET
    STRING contains ASN.1 NULL data)". Anything else is a final certificate, for a verifier would take it as one; so
    every certificate is exactly one of the two.
    """
    poisons = [extension for extension in certificate.extensions if extension.oid == OID_POISON]
    return len(poisons) == 1 and poisons[0].critical and poisons[0].value == _NULL


def check_poison(certificate: Certificate, field: str = "certificate") -> None:
    """Check that this is a precertificate.

    Raises: RefusedError, "wrong-endpoint" without a poison and "bad-poison" with one that is not as it should be.
    """
    if is_precertificate(certificate):
        return
    poisons = certificate.extensions_of(OID_POISON)
    if not poisons:
        raise RefusedError(
            f"{field} has no poison extension, so it is a final certificate: submit it with add-chain",
            reason="wrong-endpoint",
        )
    if len(poisons) > 1:
        problem = f"is there {len(poisons)} times"
    elif not poisons[0].critical:
        problem = "is not critical, so verifiers take this for a final certificate: submit it with add-chain"
    else:
        problem = "does not hold an ASN.1 NULL"
    raise RefusedError(f"{field}: the poison extension {problem}", reason="bad-poison")


def key_purposes(certificate: Certificate) -> frozenset[bytes] | None:
    """The purposes of the extended key usage (RFC 5280 section 4.2.1.12), as OIDs; None without that extension.

    Total: one that cannot be read has none.
    """
    usage = certificate.extension(OID_EXTENDED_KEY_USAGE)
    if usage is None:
        return None
    value = usage.value
    try:
        lo, hi = only_child(value, SEQUENCE, "extendedKeyUsage")
        return frozenset(value[start:end] for tag, start, end in children(value, lo, hi, "extendedKeyUsage")
                         if tag == OBJECT_IDENTIFIER)  # fmt: skip
    except MalformedError:
        return frozenset()


def is_precert_signer(certificate: Certificate) -> bool:
    """Whether this is a precertificate signing certificate (RFC 6962 section 3.1), by its extended key usage. Total."""
    return OID_PRECERT_SIGNING in (key_purposes(certificate) or ())


# --- the TBSCertificate as logged ------------------------------------------------------------------------------------


def logged_precertificate(precertificate: Certificate, issuers: Sequence[Certificate]) -> tuple[bytes, bytes]:
    """Give what a log records of a precertificate (RFC 6962 section 3.2): (issuer_key_hash, TBSCertificate).

    issuers: the verified chain above the precertificate, its own issuer first, the accepted root last. If that issuer
    is a precertificate signing certificate, the key is that of the certificate above it, which will issue the final
    certificate. `precertificate` must be one (`check_poison`).

    Raises: RefusedError "issuer-missing" if a precertificate signing certificate stands at the end of the chain and
    is not its own issuer, so that the key of the real issuer is unknown.
    """
    signer, real = None, issuers[0]
    if is_precert_signer(real):
        signer = real
        if len(issuers) > 1:
            real = issuers[1]
        elif signer.issuer != signer.subject:
            raise RefusedError(
                "the chain ends with a precertificate signing certificate, so the key of the certificate's issuer is "
                "unknown: add the issuer to the accepted roots or to the chain",
                reason="issuer-missing",
            )
    return hashlib.sha256(real.spki).digest(), tbs_of_precertificate(precertificate, signer)


def tbs_of_precertificate(precertificate: Certificate, signer: Certificate | None = None) -> bytes:
    """Give the TBSCertificate of a precertificate without its poison, in DER.

    signer: the precertificate signing certificate, if one issued it. Then the issuer's name and the AuthorityKeyId
    become those of the final certificate, which the signer names as its own: RFC 6962 section 3.2, "the TBSCertificate
    also has its Authority Key Identifier extension changed to match". The value is replaced as a whole. An extension
    that the signer lacks is taken out and one that only the signer has goes to the end, as existing logs do.
    """
    kept = [extension for extension in precertificate.extensions if extension.oid != OID_POISON]
    if signer is None:
        return _rebuild(precertificate, precertificate.issuer, [extension.der for extension in kept])
    model = signer.extension(OID_AUTHORITY_KEY_ID)
    ders: list[bytes] = []
    replaced = False
    for extension in kept:
        if extension.oid != OID_AUTHORITY_KEY_ID or replaced:
            ders.append(extension.der)
            continue
        replaced = True
        if model is not None:
            ders.append(_with_value(extension, model.value))
    if model is not None and not replaced:
        plain = format_tlv(OBJECT_IDENTIFIER, model.oid) + format_tlv(OCTET_STRING, model.value)
        ders.append(format_tlv(SEQUENCE, plain))
    return _rebuild(precertificate, signer.issuer, ders)


def tbs_of_final(certificate: Certificate) -> bytes:
    """Give the TBSCertificate of a final certificate without its SCT list: what its embedded SCTs are signed over.

    Without an SCT list this is the TBSCertificate unchanged. Raises: MalformedError if there are two.
    """
    kept = [extension.der for extension in certificate.extensions if extension.oid != OID_SCT_LIST]
    removed = len(certificate.extensions) - len(kept)
    if removed == 0:
        return certificate.tbs
    if removed > 1:
        raise MalformedError(f"certificate: {removed} SCT list extensions", field="certificate")
    return _rebuild(certificate, certificate.issuer, kept)


def sct_list_extension(certificate: Certificate) -> bytes | None:
    """Give the TLS bytes of SignedCertificateTimestampList from the extension, or None where there is none.

    RFC 6962 section 3.3: inside of extnValue there is one more OCTET STRING. Raises: MalformedError, its offset
    counted from the start of the extension's value; also if there are two such extensions.
    """
    found = certificate.extensions_of(OID_SCT_LIST)
    if not found:
        return None
    if len(found) > 1:
        raise MalformedError(f"certificate: {len(found)} SCT list extensions", field="certificate")
    value = found[0].value
    lo, hi = only_child(value, OCTET_STRING, "SCT list extension")
    return value[lo:hi]


def insert_extension(tbs: bytes, extension: bytes) -> bytes:
    """Write a TBSCertificate with one more extension (the whole element, DER) behind those that it has.

    Raises: MalformedError.
    """
    only_child(tbs, SEQUENCE, "tbsCertificate")
    fields = elements(tbs, "tbsCertificate")
    if not fields or fields[-1][0] != 0xA3:
        return format_tlv(SEQUENCE, b"".join(fields) + _wrap([extension]))
    before, last = fields[:-1], fields[-1]
    at, stop = only_child(last, 0xA3, "tbsCertificate")
    start, end = expect(last, at, stop, SEQUENCE, "tbsCertificate", "extensions")
    if end != stop:
        offset = len(tbs) - len(last) + end
        raise MalformedError("tbsCertificate: bytes follow the last extension", field="tbsCertificate", offset=offset)
    return format_tlv(SEQUENCE, b"".join(before) + _wrap([last[start:end], extension]))


def _rebuild(certificate: Certificate, issuer: bytes, extensions: Sequence[bytes]) -> bytes:
    """Write the TBSCertificate with this issuer and these extensions in the place of its own.

    The wrapper of extensions stays even when it becomes empty: RFC 6962 takes an extension out, not the field.
    """
    der, at = certificate.der, certificate.issuer_at
    wrapped = _wrap(extensions)
    head, rest = der[certificate.tbs_at : at], der[at + len(certificate.issuer) : certificate.extensions_at]
    size = len(head) + len(issuer) + len(rest) + len(wrapped)
    return b"".join((format_header(SEQUENCE, size), head, issuer, rest, wrapped))


def _wrap(extensions: Iterable[bytes]) -> bytes:
    """Write `[3] EXPLICIT SEQUENCE OF Extension` (RFC 5280 section 4.1)."""
    return format_tlv(0xA3, format_tlv(SEQUENCE, b"".join(extensions)))


def _with_value(extension: Extension, value: bytes) -> bytes:
    """Write an extension with another value; its OID and its critical flag stay as they are."""
    lo, hi = expect(extension.der, 0, len(extension.der), SEQUENCE, "extension")
    before = children(extension.der, lo, hi, "extension")[-2][2]
    return format_tlv(SEQUENCE, extension.der[lo:before] + format_tlv(OCTET_STRING, value))
