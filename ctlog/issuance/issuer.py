"""A certificate from its TBSCertificate to the hand of its subject: logged by several logs first, then issued.

RFC 6962 section 3.1, draft-ietf-stir-certificate-transparency section 5.2, rows C1 to C5 of docs/conformance.md. In
scope: the two ways. `issue`: precertificate, SCTs, certificate with the SCTs in it. `issue_detached`, for profiles that
forbid that extension (RCC.16; ATIS-1000080 as published): certificate, SCTs, and the list beside it. Nothing leaves
here before the policy is met. Out of scope: what stands in a certificate (`profiles`, `rcs`); each decision by itself
(`ctlog.issuance.issue`); thousands, with a journal (`ctlog.issuance.bulk`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TypeVar

from ctlog.client.sct import VerifiedSct
from ctlog.client.several import Gathered, Several
from ctlog.issuance.authority import Authority
from ctlog.issuance.issue import (
    certificate_submission,
    check_scts,
    detached_list,
    final_certificate,
    plain_certificate,
    precertificate,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate that may be handed out: enough logs have promised to show it.

    chain: the CAs above it, DER, nearest first. scts: in the certificate if `embedded`, else they go beside it.
    precertificate: how the logs came to know it; also what came of each of them. final: what came of submitting the
    finished certificate, where that was asked for.
    """

    certificate: bytes
    chain: tuple[bytes, ...]
    scts: tuple[VerifiedSct, ...]
    embedded: bool
    gathered: Gathered
    final: Gathered | None = None

    @property
    def sct_list(self) -> bytes:
        """The SCTs as a SignedCertificateTimestampList (RFC 6962 section 3.3), TLS bytes."""
        return detached_list(self.scts)


class Issuer:
    """A CA that logs what it issues. Use it from one event loop, by as many tasks as like."""

    def __init__(
        self, authority: Authority, logs: Several, *, precertificate_signer: Authority | None = None,
        submit_final: bool = False, executor: Executor | None = None,
    ) -> None:  # fmt: skip
        """`precertificate_signer` signs precertificates in the CA's place (RFC 6962 section 3.1).

        submit_final: submit the finished certificate too, so that anyone finds it in the logs as it was handed out;
        it is issued whether or not they take it. executor: where the signer is called, such as a ThreadPoolExecutor of
        as many threads as it bears; None: in the event loop, which waits for it: right for a key in memory only.
        """
        self.authority = authority
        self.logs = logs
        self._signer = precertificate_signer
        self._submit_final = submit_final
        self._executor = executor

    async def issue(self, tbs: bytes) -> Issued:
        """Log a precertificate of `tbs` and give the certificate with the SCTs embedded.

        Raises as `ctlog.issuance.issue` and `Gathered.require`: RefusedError, TransportError, UsageError,
        VerificationError; whatever the signer raises. Then nothing was issued, and it may be tried again.
        """
        submission = await self._signing(lambda: precertificate(self.authority, tbs, self._signer))
        gathered = await self.logs.gather(submission)
        scts = gathered.require()
        certificate = await self._signing(lambda: final_certificate(self.authority, tbs, scts))
        final = None
        if self._submit_final:
            final = await self.logs.gather(certificate_submission(certificate, self.authority))
        return Issued(certificate, self.authority.chain, scts, True, gathered, final)

    async def issue_detached(self, tbs: bytes) -> Issued:
        """Sign `tbs` as it is, log the certificate, and give it with the SCTs beside it. Raises as `issue`.

        The certificate exists before it is logged, and is not handed out until it is.
        """
        submission = await self._signing(lambda: plain_certificate(self.authority, tbs))
        gathered = await self.logs.gather(submission)
        scts = gathered.require()
        check_scts(scts, submission.entry)
        return Issued(submission.chain[0], self.authority.chain, scts, False, gathered)

    async def _signing(self, make: Callable[[], T]) -> T:
        if self._executor is None:
            return make()
        return await asyncio.get_running_loop().run_in_executor(self._executor, make)
