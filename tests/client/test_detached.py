"""ctlog.client.detached: an SCT asked for again, and a list in a file."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator

import pytest

from ctlog.client.detached import fetch_sct, read_sct_list
from ctlog.client.log_client import LogClient, session
from ctlog.errors import CtlogError, MalformedError
from ctlog.issuance.issue import certificate_submission, precertificate
from ctlog.wire.rfc6962 import format_sct_list
from tests.issued import AUTHORITY, sct, shaken
from tests.several_logs import SocketLog

LATER = 4_000_000_000_000


@pytest.fixture
async def log() -> AsyncIterator[SocketLog]:
    log = SocketLog(5)
    await log.server.start_server()
    yield log
    await log.server.close()


async def test_the_log_tells_again_what_it_promised(log: SocketLog) -> None:
    certificate = AUTHORITY.certificate_for(shaken())
    pre = precertificate(AUTHORITY, shaken())
    async with session() as http:
        client = LogClient(log.url, log.log.key, http)
        first = await client.add(certificate_submission(certificate, AUTHORITY))
        second = await client.add(pre)
        again = await fetch_sct(http, log.url, log.log.key, certificate, [], LATER)
        assert (again.sct, again.leaf_index) == (first, 0)
        assert (await fetch_sct(http, log.url, log.log.key, pre.chain[0], pre.chain[1:], LATER)).sct == second


@pytest.mark.parametrize("fault", ["unknown-certificate", "bad-signature", "bad-sct", "from-the-future", "transport"])
async def test_what_is_not_good_is_not_taken(log: SocketLog, fault: str) -> None:
    certificate, url, now_ms = AUTHORITY.certificate_for(shaken()), log.url, LATER
    async with session() as http:
        if fault != "unknown-certificate":
            await LogClient(url, log.log.key, http).add(certificate_submission(certificate, AUTHORITY))
        for answer in log.given.values():
            if fault == "bad-signature":
                answer["timestamp"] -= 1
            if fault == "bad-sct":
                answer.clear()
        if fault == "transport":
            await log.server.close()
        if fault == "from-the-future":
            now_ms = 0
        with pytest.raises(CtlogError) as caught:
            await fetch_sct(http, url, log.log.key, certificate, AUTHORITY.chain, now_ms)
    assert caught.value.reason == fault


def test_a_list_is_read_as_bytes_or_base64() -> None:
    scts = [sct(1), sct(2)]
    data = format_sct_list(scts)
    assert read_sct_list(data) == read_sct_list(base64.b64encode(data) + b"\n") == scts
    for bad in (b"", b"\x00", data[:-1], data + b"x", b"A" * (1 << 18), scts[0]):
        with pytest.raises(MalformedError):
            read_sct_list(bad)
