"""What vouches for a messaging client, as it comes with a request: looked at before a CA signs it into a certificate.

Spec: GSMA RCC.16 Annex A. In scope: ParticipantInformation, which the participant's durable key signed for just this
client, number, key and vendor; the carrier's proof, as far as anybody but the carrier can tell: its form, and its end.
The CA has neither private key. `StandIns` are for a hierarchy for tests, where nobody else is there to vouch.
Out of scope: writing both (`ctlog.issuance.rcs`); the carrier's signature, whose key no certificate holds.

The reasons of what is refused: bad-participant, wrong-vendor, bad-proof, expired-proof; and not-a-vendor, of a CA.
"""

from __future__ import annotations

from typing import NamedTuple

from ctlog.errors import MalformedError, RefusedError, UsageError
from ctlog.issuance.authority import Authority, Subject
from ctlog.issuance.extensions import tel_names_value
from ctlog.issuance.keys import Signer
from ctlog.issuance.rcs import VENDOR_ID, Participant, carrier_proof, vouched_for
from ctlog.issuance.write import integer, items, sequence
from ctlog.x509.der import BIT_STRING, INTEGER, SEQUENCE, children, oid, only_child, parse_certificate, read_time
from ctlog.x509.signatures import load_key, read_scheme, verify

_MAX_PROOF = 8 + 2 + (1 << 14) - 1  # octets: the longest signature whose length takes two


class StandIns(NamedTuple):
    """Keys that vouch for everybody, for tests: a participant's and a carrier's; None: nobody vouches in its place."""

    participant: Signer | None = None
    carrier: Signer | None = None

    def vouch(self, vendor_id: int, subject: Subject) -> Participant | None:
        """The participant, for as long as the certificate lives."""
        if self.participant is None:
            return None
        return Participant(vendor_id, self.participant, subject.not_before_ms, subject.not_after_ms)

    def prove(self, subject: Subject, *numbers: str) -> bytes:
        """A carrier's proof that ends with the certificate; b"" without a carrier.

        What a real carrier signs is between it and the vendor. This one signs the client's key and numbers.
        """
        if self.carrier is None:
            return b""
        signature = self.carrier.sign(sequence(subject.spki, tel_names_value(*numbers)))
        return carrier_proof(subject.not_after_ms, signature)


NOBODY = StandIns()


def vendor_of(authority: Authority) -> int:
    """Which vendor a CA says it is. Raises UsageError "not-a-vendor"."""
    found = parse_certificate(authority.certificate, "the CA's certificate").extension(oid(VENDOR_ID))
    try:
        if found is not None:
            lo, hi = only_child(found.value, INTEGER, "vendorId")
            return int.from_bytes(found.value[lo:hi], "big", signed=True)
    except MalformedError:
        pass
    sentence = "the CA's certificate names no messaging vendor, so nobody can vouch for clients below it"
    raise UsageError(sentence, reason="not-a-vendor")


def check_participant(value: bytes, vendor_id: int, subject: Subject, *numbers: str) -> None:
    """Does ParticipantInformation vouch for a client of this subject, key, vendor and these numbers, now?

    Raises RefusedError "bad-participant", "wrong-vendor".
    """
    try:
        vendor, during, algorithm, signature, spki = items(value)
        lo, hi = only_child(signature, BIT_STRING, "signature")
        times = [read_time(tag, during[start:end]) for tag, start, end in
                 children(during, *only_child(during, SEQUENCE, "validity"), "validity")]  # fmt: skip
        scheme, key = read_scheme(algorithm, "the participant"), load_key(spki, "the participant")
        whole = sequence(vendor, during, algorithm, signature, spki) == value
    except (MalformedError, RefusedError, ValueError):
        whole, times = False, []
    if not whole or len(times) != 2 or times[0] is None or times[1] is None:
        raise RefusedError("its participant information cannot be read", reason="bad-participant")
    if vendor != integer(vendor_id):
        raise RefusedError(f"its participant vouches for another vendor than {vendor_id}", reason="wrong-vendor")
    if times[1] < subject.not_before_ms:
        raise RefusedError("its participant does not vouch for it any more", reason="bad-participant")
    said = vouched_for(subject.name, vendor, during, subject.spki, tel_names_value(*numbers))
    if signature[lo : lo + 1] != b"\x00" or not verify(key, scheme, signature[lo + 1 : hi], said):
        sentence = "its participant did not sign for this holder, key, vendor and these numbers"
        raise RefusedError(sentence, reason="bad-participant")


def check_proof(value: bytes, now_ms: int) -> None:
    """Has a carrier's proof its form, and has it not ended? Raises RefusedError "bad-proof", "expired-proof"."""
    expires_ms = int.from_bytes(value[:8], "big") * 1000
    octets = 1 << (value[8] >> 6) if 9 < len(value) <= _MAX_PROOF else len(value)
    signature = value[8 + octets :]
    if not signature or carrier_proof(expires_ms, signature) != value:
        raise RefusedError("its carrier's proof is no expiry, length and signature", reason="bad-proof")
    if expires_ms <= now_ms:
        raise RefusedError("its carrier's proof has ended", reason="expired-proof")
