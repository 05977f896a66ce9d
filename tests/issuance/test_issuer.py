"""ctlog.issuance.issuer: nothing leaves before enough logs have promised to show it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ctlog import issuance
from ctlog.client.log_client import LogClient, session
from ctlog.client.sct import embedded_scts, verify_embedded_sct, verify_sct
from ctlog.client.several import Destination, Several, SubmissionPolicy
from ctlog.errors import CtlogError, RefusedError, TransportError
from ctlog.issuance import Key, Subject
from ctlog.issuance.issuer import Issuer
from ctlog.issuance.keys import ECDSA_SHA256
from ctlog.issuance.rcs import subject_name
from ctlog.wire.rfc6962 import parse_sct_list
from ctlog.x509.der import parse_certificate
from ctlog.x509.precert import tbs_of_final
from tests.issued import AUTHORITY, CA_KEY, KEY, NOW, check_chain, shaken
from tests.several_logs import Scripted, SocketLog

LATER = 4_000_000_000_000
SIGNER_KEY = Key.from_number(97)
SIGNER = issuance.precertificate_signer(
    AUTHORITY, SIGNER_KEY, Subject(issuance.name(CN="Precert Signer"), SIGNER_KEY.spki, NOW, NOW + 1)
)


@asynccontextmanager
async def real_logs(count: int = 2, **policy: Any) -> AsyncIterator[tuple[Several, list[SocketLog]]]:
    logs = [SocketLog(seed) for seed in range(1, count + 1)]
    for log in logs:
        await log.server.start_server()
    async with session() as http:
        clients = [LogClient(log.url, log.log.key, http) for log in logs]
        several = [Destination(client, f"operator {at}") for at, client in enumerate(clients)]
        yield Several(several, SubmissionPolicy(**policy), lambda: LATER), logs
    for log in logs:
        await log.server.close()


@pytest.mark.parametrize("signer", [None, SIGNER], ids=["by the CA", "by a precertificate signer"])
async def test_the_whole_way_of_a_precertificate(signer: issuance.Authority | None) -> None:
    tbs = shaken()
    async with real_logs() as (several, logs):
        issued = await Issuer(AUTHORITY, several, precertificate_signer=signer).issue(tbs)
    check_chain(issued.certificate, AUTHORITY)
    assert tbs_of_final(parse_certificate(issued.certificate)) == tbs
    assert parse_sct_list(issued.sct_list) == embedded_scts(issued.certificate)
    assert (len(issued.scts), issued.embedded, issued.final) == (2, True, None)
    for log in logs:
        verify_embedded_sct(issued.certificate, issued.chain, log.log.key, LATER)


async def test_the_finished_certificate_is_submitted_too_if_asked() -> None:
    async with real_logs() as (several, logs):
        issued = await Issuer(AUTHORITY, several, submit_final=True).issue(shaken())
        assert issued.final is not None
        assert issued.final.is_enough
        assert {one.entry.certificate for one in issued.final.scts} == {issued.certificate}
        assert [len(log.given) for log in logs] == [2, 2]


async def test_a_profile_that_forbids_the_extension_gets_its_scts_beside_it() -> None:
    who = Subject(subject_name("7f4df1ad-1a4e-4f26-8a2e-56d6d83c4a43"), KEY.spki, NOW, NOW + 1)
    tbs = issuance.rcs_leaf(AUTHORITY, who, "12025550123")
    async with real_logs() as (several, logs):
        issued = await Issuer(AUTHORITY, several).issue_detached(tbs)
    assert (issued.embedded, embedded_scts(issued.certificate)) == (False, [])
    assert parse_certificate(issued.certificate).tbs == tbs
    for log, sct in zip(logs, parse_sct_list(issued.sct_list), strict=True):
        verify_sct(issued.certificate, [], sct, log.log.key, LATER)


@pytest.mark.parametrize("way", ["issue", "issue_detached"])
async def test_without_enough_scts_nothing_is_issued(way: str) -> None:
    logs = [Scripted(1), Scripted(2, lambda place: RefusedError("no", reason="unknown-root"))]
    several = Several([Destination(each, each.url) for each in logs], SubmissionPolicy(), lambda: NOW)  # type: ignore[arg-type]
    with pytest.raises(RefusedError) as caught:
        await getattr(Issuer(AUTHORITY, several), way)(shaken())
    assert caught.value.reason == "unknown-root"
    logs[1].does = lambda place: "silent"
    several.policy = SubmissionPolicy(limit_s=0.01)
    with pytest.raises(TransportError) as late:
        await getattr(Issuer(AUTHORITY, several), way)(shaken())
    assert late.value.reason == "too-few-scts"


async def test_a_log_that_lies_gives_no_sct_that_is_embedded() -> None:
    async with real_logs(3, scts=2, operators=2, grace_s=0.2) as (several, logs):
        logs[0].wrong = lambda answer: {**answer, "extensions": ""}
        issued = await Issuer(AUTHORITY, several).issue(shaken())
    assert [sct[1:33] for sct in embedded_scts(issued.certificate)] == [log.log.key.log_id for log in logs[1:]]
    assert [error.reason for error in issued.gathered.errors.values()] == ["bad-signature"]


class Elsewhere:
    """A signer that must not be called in the event loop's thread, and breaks after so many signatures."""

    algorithm, spki = ECDSA_SHA256, CA_KEY.spki

    def __init__(self, good: int = 1 << 30) -> None:
        self.threads: set[int] = set()
        self.left = good

    def sign(self, data: bytes) -> bytes:
        self.threads.add(threading.get_ident())
        self.left -= 1
        return CA_KEY.sign(data if self.left >= 0 else data + b"!")


async def test_a_slow_signer_is_called_in_threads_of_its_own() -> None:
    signer = Elsewhere()
    authority = issuance.Authority.of(AUTHORITY.chain, signer)
    with ThreadPoolExecutor(2) as executor:
        async with real_logs() as (several, _):
            issuer = Issuer(authority, several, executor=executor)
            issued = await asyncio.gather(*(issuer.issue(shaken(serial=at)) for at in range(1, 7)))
    assert len({each.certificate for each in issued}) == 6
    assert threading.get_ident() not in signer.threads


@pytest.mark.parametrize("good", [0, 1])
async def test_a_signature_that_does_not_hold_ends_it(good: int) -> None:
    authority = issuance.Authority.of(AUTHORITY.chain, Elsewhere(good))
    async with real_logs() as (several, logs):
        with pytest.raises(CtlogError) as caught:
            await Issuer(authority, several).issue(shaken())
        assert caught.value.reason == "bad-signature"
        assert [len(log.given) for log in logs] == [good, good]
