"""ctlog.client.get_entries: RFC 6962 logs with their quirks; nothing is lost, and nothing passes for proven."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctlog.client.evidence import verify_evidence
from ctlog.client.follow import advance
from ctlog.client.get_entries import EntriesFollower
from ctlog.client.patient import PatientFetcher
from ctlog.client.trusted import TrustedLog
from ctlog.errors import CtlogError, MalformedError, Misbehaviour, SignatureError, TransportError, UsageError
from ctlog.merkle.tree import Frontier, merge_ranges
from ctlog.wire.rfc6962 import parse_extra_data_x509
from tests.simulator import ISSUER, FakeTime, Simulator, busy

LATER = 10**13


def follower(log: Simulator, **kwargs) -> EntriesFollower:
    time = FakeTime()
    patient = PatientFetcher(log, sleep=time.sleep, clock=time.clock)
    return EntriesFollower(log.policy, patient, now_ms=lambda: LATER, sleep=time.sleep, **kwargs)


async def read(log: Simulator, head, lo: int, hi: int, **kwargs):
    return [batch async for batch in follower(log, **kwargs).entries(head, lo, hi)]


async def prove(log: Simulator, mine: TrustedLog, **kwargs) -> TrustedLog:
    """Offer, see, accept: as the module's docstring shows it."""
    source = follower(log, **kwargs)
    step = mine.offer(await source.head(), LATER)
    seen = [batch.as_range() async for batch in source.entries(step.new, step.old_size, step.new.size)]
    return mine.accept(step, merge_ranges(seen))


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_run_comes_whole_and_in_order_whatever_the_page(data):
    size = data.draw(st.integers(0, 500))
    lo = data.draw(st.integers(0, size))
    hi = data.draw(st.integers(lo, size))
    log = Simulator()
    head = log.grow(size)
    log.page, log.aligned = data.draw(st.integers(1, 300)), data.draw(st.booleans())
    page = data.draw(st.integers(1, 300))
    batches = asyncio.run(read(log, head, lo, hi, page=page, window=3))
    assert [leaf for batch in batches for leaf in batch.leaves] == log.tree.inputs[lo:hi]
    assert [batch.lo for batch in batches] == sorted({batch.lo for batch in batches})
    for batch in batches:
        assert all(parse_extra_data_x509(extra) == (ISSUER,) for extra in batch.extra_data)
        assert len(batch.extra_data) == len(batch.leaves) == len(batch.leaf_hashes) // 32


async def test_seen_entries_are_proven_when_a_head_is_met():
    log = Simulator()
    mine = TrustedLog(log.policy)
    for count in (3, 300, 1, 2000):
        log.grow(count)
        mine = await prove(log, mine)
        assert mine.head == log.head
        assert mine.frontier == Frontier().append(log.tree.levels[0])


async def test_swapped_entry_is_found_when_the_head_is_met():
    log = Simulator()
    log.grow(100)
    mine = await prove(log, TrustedLog(log.policy))
    log.grow(50)
    log.tree.inputs[120] = log.tree.inputs[119]
    with pytest.raises(Misbehaviour, match=r"entries \[100, 150\)") as error:
        await prove(log, mine)
    verdict = verify_evidence(error.value.evidence, log.policy.key)
    assert (verdict.evidence.kind, verdict.is_proof) == ("bad-entries", False)


async def test_heads_are_shown_consistent_without_entries():
    log = Simulator()
    mine = TrustedLog(log.policy)
    for count in (0, 3, 0, 300):
        log.grow(count)
        mine = await advance(follower(log), mine, LATER)
        assert mine.head == log.head
    log.rewrite(5, 10)
    with pytest.raises(Misbehaviour) as error:
        await advance(follower(log), mine, LATER)
    assert verify_evidence(error.value.evidence).evidence.kind == "rewrite"


async def test_truncate_keeps_the_head_and_serves_nothing_behind():
    log = Simulator()
    head = log.grow(100)
    log.truncate(60)
    with pytest.raises(Misbehaviour, match="lacks") as error:
        await read(log, head, 50, 100)
    assert verify_evidence(error.value.evidence).evidence.kind == "missing-data"


async def test_what_comes_before_the_end_of_the_answers_is_handed_over():
    """A page of which the log gives only a part: the part is seen, and then it is misbehaviour."""
    log = Simulator()
    head = log.grow(100)
    log.truncate(70)
    seen = []

    async def see():
        async for batch in follower(log, page=64).entries(head, 0, 100):
            seen.extend(range(batch.lo, batch.hi))

    with pytest.raises(Misbehaviour, match="lacks"):
        await see()
    assert seen == list(range(70))


async def test_an_empty_answer_inside_the_tree_is_missing_data_after_asking_again():
    log = Simulator()
    head = log.grow(100)
    log.rotten["ct/v1/get-entries?start=0&end=99"] = b'{"entries":[]}'
    with pytest.raises(Misbehaviour, match="no entries") as error:
        await read(log, head, 0, 100)
    assert error.value.reason == "missing-data"
    assert len(log.requests) == 4


async def test_no_consistency_proof_given():
    log = Simulator()
    log.grow(3)
    mine = await advance(follower(log), TrustedLog(log.policy), LATER)
    log.grow(3)
    log.withhold("ct/v1/get-sth-consistency?first=3&second=6")
    with pytest.raises(Misbehaviour) as error:
        await advance(follower(log), mine, LATER)
    assert error.value.reason == "no-consistency"


async def test_429_and_retry_after_lose_nothing():
    log = Simulator()
    head = log.grow(3000)
    log.fail("*", busy(5), TransportError("no route"), busy(2), TransportError("no route"))
    assert sum(len(batch.leaves) for batch in await read(log, head, 0, 3000)) == 3000


async def test_a_longer_answer_than_asked_for_is_cut():
    log = Simulator()
    head = log.grow(100)
    log.rotten["ct/v1/get-entries?start=0&end=9"] = await log.get("ct/v1/get-entries?start=0&end=99")
    batches = await read(log, head, 0, 10)
    assert [leaf for batch in batches for leaf in batch.leaves] == log.tree.inputs[:10]


@pytest.mark.parametrize(
    "answer",
    [
        b"", b"{", b"[]", b"null", b'{"entries":null}', b'{"entries":[{}]}', b'{"entries":[{"leaf_input":"!"}]}',
        b'{"entries":[{"leaf_input":"AA==","extra_data":5}]}', b"[" * 100_000, b'{"entries":{}}', b"\xff",
    ],
)
async def test_garbage_is_asked_for_again_and_is_then_trouble_not_a_lie(answer):
    log = Simulator()
    head = log.grow(10)
    path = "ct/v1/get-entries?start=0&end=9"
    good = await log.get(path)
    log.rotten[path] = answer or b" "
    with pytest.raises(TransportError, match="is not what RFC 6962"):
        await read(log, head, 0, 10)

    async def sleep(seconds):
        log.rotten[path] = good

    log.rotten[path] = answer or b" "
    source = EntriesFollower(log.policy, log, sleep=sleep)
    assert [len(batch.leaves) async for batch in source.entries(head, 0, 10)] == [10]


@pytest.mark.parametrize(
    "answer", [b" ", b"{", b"null", b"[]", b"{}", b'{"consistency":null}', b'{"consistency":["AA=="]}']
)
async def test_garbage_in_place_of_a_head_or_a_proof(answer):
    log = Simulator()
    log.grow(3)
    mine = await advance(follower(log), TrustedLog(log.policy), LATER)
    log.rotten["ct/v1/get-sth"] = answer
    with pytest.raises((TransportError, MalformedError)):
        await follower(log).head()
    log.rotten.clear()
    log.grow(3)
    log.rotten["ct/v1/get-sth-consistency?first=3&second=6"] = answer
    with pytest.raises(TransportError):
        await advance(follower(log), mine, LATER)


async def test_a_head_by_another_key():
    log = Simulator()
    log.rotten["ct/v1/get-sth"] = await Simulator(secret=8).get("ct/v1/get-sth")
    with pytest.raises(SignatureError):
        await follower(log).head()


async def test_entries_that_the_tree_does_not_have():
    log = Simulator()
    with pytest.raises(UsageError):
        await read(log, log.grow(5), 0, 6)


NAMES = st.sampled_from(["tree_size", "timestamp", "sha256_root_hash", "entries", "tree_head_signature", "leaf_input"])
scalars = st.none() | st.integers() | st.text(max_size=8)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner))


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60) | values.map(lambda value: json.dumps(value).encode()))
def test_no_answer_makes_it_raise_anything_else(answer):
    log = Simulator()
    head = log.grow(4)
    for path in ("ct/v1/get-sth", "ct/v1/get-entries?start=0&end=3"):
        log.rotten[path] = answer or b" "

    async def all_of_it():
        for job in (follower(log).head(), read(log, head, 0, 4)):
            with pytest.raises(CtlogError):
                await job

    asyncio.run(all_of_it())
