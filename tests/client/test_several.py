"""ctlog.client.several: enough SCTs of several logs, whatever becomes of the others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctlog.client.log_client import GaveUp, LogClient, Promise, session
from ctlog.client.sct import CLOCK_SKEW_MS
from ctlog.client.several import Destination, Gathered, Several, SubmissionPolicy, check_policy, judge
from ctlog.client.submission import Submission
from ctlog.errors import CtlogError, FrozenError, RefusedError, SctError, TransportError, UsageError
from ctlog.issuance.issue import certificate_submission
from tests.issued import AUTHORITY, NOW, shaken
from tests.several_logs import Scripted, SocketLog, submission
from tests.wire_values import TestLog

REFUSAL = RefusedError("no", reason="unknown-root")


def several(clients: Sequence[Any], *policy: float, operators: str = "abcdefgh", **more: Any) -> Several:
    logs = [Destination(client, operator) for client, operator in zip(clients, operators, strict=False)]
    return Several(logs, SubmissionPolicy(*policy, **more), lambda: NOW)  # type: ignore[arg-type]


def reasons(gathered: Gathered) -> list[str]:
    return [error.reason for error in gathered.errors.values()]


# The decision ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "operators", "expected"),
    [
        ((1, 1), "a", "enough"), ((1, 1), "", "too-few-scts"), ((2, 2), "a", "too-few-scts"),
        ((2, 2), "aa", "too-few-operators"), ((2, 1), "aa", "enough"), ((2, 2), "aab", "enough"),
        ((3, 2), "ab", "too-few-scts"), ((3, 3), "aabb", "too-few-operators"),
    ],
)  # fmt: skip
def test_what_suffices(wanted: tuple[int, int], operators: str, expected: str) -> None:
    assert judge(SubmissionPolicy(*wanted), operators) == expected


@pytest.mark.parametrize(
    ("policy", "operators"),
    [
        ((2, 2), "a"), ((2, 2), "aa"), ((0, 0), "a"), ((1, 0), "a"), ((1, 2), "ab"), ((1, 1, 0), "a"),
        ((1, 1, 1, -1), "a"),
    ],
)  # fmt: skip
def test_a_policy_that_can_never_be_met_is_refused_at_the_start(policy: tuple[int, ...], operators: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_policy(SubmissionPolicy(*policy), operators)
    assert caught.value.reason == "bad-policy"
    check_policy(SubmissionPolicy(2, 2), "ab")


def test_the_same_log_twice_is_one_log() -> None:
    with pytest.raises(UsageError) as caught:
        several([Scripted(1), Scripted(1)], 1, 1)
    assert caught.value.reason == "same-log"


# Gathering ------------------------------------------------------------------------------------------------------------


async def test_all_logs_are_asked_at_once_and_all_that_answer_count() -> None:
    logs = [Scripted(seed) for seed in (1, 2, 3)]
    gathered = await several(logs, 2, 2).gather(submission(0))
    assert (gathered.reason, gathered.operators, dict(gathered.errors)) == ("enough", ("a", "b", "c"), {})
    assert [one.sct.log_id for one in gathered.require()] == [log.key.log_id for log in logs]
    assert [log.asked for log in logs] == [1, 1, 1]
    assert gathered.sentence == "3 SCTs of 3 operators"


DOWN = GaveUp(TransportError("https://log2.example/ cannot be reached"))


@pytest.mark.parametrize(
    "fault",
    [DOWN, GaveUp(FrozenError("ended")), REFUSAL, SctError("a lie", reason="bad-signature"), "silent"],
    ids=["down", "ended", "refuses", "lies", "silent"],
)
async def test_one_log_down_is_no_failure(fault: Any) -> None:
    bad = Scripted(2, lambda place: fault)
    gathered = await several([Scripted(1), bad, Scripted(3)], 2, 2, grace_s=0.01).gather(submission(0))
    assert (gathered.reason, gathered.operators) == ("enough", ("a", "c"))
    assert set(gathered.errors) <= {"https://log2.example/"}


async def test_an_sct_from_the_future_is_not_used() -> None:
    ahead = Scripted(2)
    ahead.promise = lambda one, place=0: ahead.log.sct(one.entry, NOW + CLOCK_SKEW_MS + 1, 0)  # type: ignore[method-assign]
    gathered = await several([Scripted(1), ahead], 2, 2).gather(submission(0))
    assert (gathered.reason, reasons(gathered)) == ("too-few-scts", ["from-the-future"])


async def test_the_time_limit_ends_it_and_names_who_did_not_answer() -> None:
    silent = Scripted(2, lambda place: "silent")
    gathered = await several([Scripted(1), silent], 2, 2, limit_s=0.02).gather(submission(0))
    assert (gathered.reason, len(gathered.scts), silent.cancelled) == ("too-few-scts", 1, 1)
    assert asyncio.all_tasks() == {asyncio.current_task()}  # nobody is left waiting
    with pytest.raises(TransportError, match=r"only 1 SCT of 1 operator; https://log2.+: gave no answer") as caught:
        gathered.require()
    assert caught.value.reason == "too-few-scts"


async def test_what_is_hopeless_ends_at_once() -> None:
    """The third log never answers, and could not help."""
    logs = [Scripted(1, lambda place: REFUSAL), Scripted(2, lambda place: REFUSAL), Scripted(3, lambda place: "silent")]
    gathered = await several(logs, 2, 2, limit_s=60).gather(submission(0))
    assert reasons(gathered) == ["unknown-root", "unknown-root", "transport"]


async def test_what_too_many_logs_refuse_is_refused() -> None:
    logs = [Scripted(seed, lambda place: REFUSAL) for seed in (1, 2)]
    for others in ([], [Scripted(3, lambda place: "silent")]):  # whatever the third says, two of three refuse
        gathered = await several(logs + others, 2, 2).gather(submission(0))
        with pytest.raises(RefusedError) as caught:
            gathered.require()
        assert caught.value.reason == "unknown-root"
    logs[1].does = lambda place: DOWN
    gathered = await several(logs, 1, 1).gather(submission(0))
    with pytest.raises(TransportError):  # the other might take it tomorrow
        gathered.require()


async def test_two_logs_of_one_operator_are_not_two_operators() -> None:
    logs = [Scripted(1), Scripted(2), Scripted(3, lambda place: DOWN)]
    gathered = await several(logs, 2, 2, operators="aab").gather(submission(0))
    assert gathered.reason == "too-few-operators"


async def test_whoever_is_late_is_waited_for_once_and_then_not(monkeypatch: pytest.MonkeyPatch) -> None:
    held = asyncio.Event()
    slow = Scripted(2, lambda place: held)
    group = several([Scripted(1), slow], 1, 1, grace_s=0.03)
    loop = asyncio.get_running_loop()
    started = loop.time()
    assert (await group.gather(submission(0))).operators == ("a",)
    assert loop.time() - started >= 0.03
    assert not group.is_awaited(1)
    group.policy = group.policy._replace(grace_s=60)
    assert (await group.gather(submission(1))).operators == ("a",)  # or else this test would take a minute
    monkeypatch.setattr("ctlog.client.several.LATE_S", -1.0)
    group.answered(1, in_time=False)
    assert group.is_awaited(1)
    held.set()
    assert (await group.gather(submission(2))).operators == ("a", "b")


async def test_a_log_that_fails_gets_no_grace() -> None:
    failing = Scripted(2, lambda place: asyncio.Event())
    failing.failing = True
    group = several([Scripted(1), failing], 1, 1, grace_s=60)
    assert (await group.gather(submission(0))).operators == ("a",)
    assert failing.cancelled == 1


async def test_many_are_told_once_each_as_they_complete() -> None:
    odd = Scripted(2, lambda place: REFUSAL if place % 2 else None)
    told: dict[int, Gathered] = {}
    await several([Scripted(1), odd], 2, 2).gather_many([submission(at) for at in range(20)], told.setdefault)
    assert {place: one.is_enough for place, one in told.items()} == {place: not place % 2 for place in range(20)}
    await several([Scripted(1), odd], 2, 2).gather_many([], told.__setitem__)


async def test_what_the_caller_raises_comes_out() -> None:
    def tell(place: int, gathered: Gathered) -> None:
        raise ValueError(place)

    logs = [Scripted(1), Scripted(2, lambda place: "silent")]
    with pytest.raises(ValueError, match="0"):
        await several(logs, 1, 1, grace_s=0).gather_many([submission(0), submission(1)], tell)
    assert logs[1].cancelled == 1


async def test_a_fault_in_a_client_is_not_swallowed() -> None:
    class Broken(Scripted):
        async def add_many(self, submissions: Sequence[Submission], tell: Callable[[int, Promise], None]) -> None:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await several([Broken(1), Scripted(2, lambda place: "silent")], 1, 1).gather(submission(0))


FAULTS = st.sampled_from([None, None, None, "silent", REFUSAL, DOWN, SctError("a lie")])


@settings(max_examples=60, deadline=None)
@given(
    faults=st.lists(st.lists(FAULTS, min_size=3, max_size=3), min_size=2, max_size=4),
    operators=st.text("ab", min_size=4), scts=st.integers(1, 3), of=st.integers(1, 2),
)  # fmt: skip
def test_the_answer_is_the_decision_over_what_came(
    faults: list[list[Any]], operators: str, scts: int, of: int
) -> None:
    policy = SubmissionPolicy(scts, min(of, scts), 0.05, 0.002)
    if judge(policy, operators[: len(faults)]) != "enough":
        return
    logs = [Scripted(seed, row.__getitem__) for seed, row in enumerate(faults, 1)]
    told: list[tuple[int, Gathered]] = []

    async def run() -> None:
        group = several(logs, *policy, operators=operators)
        await group.gather_many([submission(at) for at in range(3)], lambda *one: told.append(one))

    asyncio.run(run())
    assert sorted(place for place, _ in told) == [0, 1, 2]
    for place, gathered in told:
        assert gathered.is_enough == (judge(policy, gathered.operators) == "enough")
        assert len(gathered.scts) == len(gathered.operators)
        good = [o for o, row in zip(operators, faults, strict=False) if all(f is None for f in row)]
        if judge(policy, good) == "enough":  # logs without a fault at all decide it, whatever the others do
            assert gathered.is_enough
        if not gathered.is_enough:
            assert len(gathered.errors) == len(faults) - len(gathered.scts)
        assert all(one.entry == submission(place).entry for one in gathered.scts)


# With real clients and sockets ----------------------------------------------------------------------------------------


async def test_real_logs_one_of_which_lies_and_one_is_gone() -> None:
    honest, second = SocketLog(1), SocketLog(2)
    liar = SocketLog(3, lambda answer: {**answer, "timestamp": answer["timestamp"] + 1})
    for log in (honest, second, liar):
        await log.server.start_server()
    gone = SocketLog(4)
    await gone.server.start_server()
    address = gone.url
    await gone.server.close()
    async with session() as http:
        urls = [log.url for log in (honest, second, liar)] + [address]
        clients = [LogClient(url, TestLog(seed).key, http) for seed, url in enumerate(urls, 1)]
        logs = [Destination(client, f"operator {at}") for at, client in enumerate(clients)]
        group = Several(logs, SubmissionPolicy(2, 2, 20, 0.2), lambda: time.time_ns() // 1_000_000)
        finals = [AUTHORITY.certificate_for(shaken(serial=at)) for at in range(1, 9)]
        found = await asyncio.gather(*(group.gather(certificate_submission(each, AUTHORITY)) for each in finals))
        for client in clients:
            await client.close()
    for log in (honest, second, liar):
        await log.server.close()
    assert {gathered.operators for gathered in found} == {("operator 0", "operator 1")}
    for gathered in found:
        assert isinstance(gathered.errors[urls[2].rstrip("/")], CtlogError)
        assert gathered.errors[urls[2].rstrip("/")].reason == "bad-signature"
