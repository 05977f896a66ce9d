"""Several logs at once: a chain goes to all of them, and enough SCTs come back, or one knows why not.

RFC 6962 section 3 ("a certificate may be submitted to several logs"), draft-ietf-stir-certificate-transparency section
5.2. In scope: the policy (at least so many SCTs of so many operators, in so much time) and the pure decision whether
SCTs suffice; asking any number of logs for any number of certificates at once. A log that is down, slow, full or lies
is no failure while the others are enough: whoever is slower than the rest gets `grace_s` more, and once it has let that
pass nobody waits for it for `LATE_S`, or until it answers in time.
Out of scope: one log (`ctlog.client.log_client`); what is done with the SCTs (`ctlog.issuance.issue`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import NamedTuple

from ctlog.client.log_client import GaveUp, LogClient, Promise
from ctlog.client.sct import CLOCK_SKEW_MS, VerifiedSct
from ctlog.client.submission import Submission, check_promise
from ctlog.errors import CtlogError, MalformedError, RefusedError, TransportError, UsageError

LATE_S = 10.0
"""For so long a log that let a grace pass gets none."""

ENOUGH, TOO_FEW_SCTS, TOO_FEW_OPERATORS = "enough", "too-few-scts", "too-few-operators"


_REFUSALS = (RefusedError, MalformedError)  # of this submission, whenever it is made


class SubmissionPolicy(NamedTuple):
    """How many SCTs are enough: `scts` of as many logs, of at least `operators` operators, within `limit_s` seconds.

    grace_s: how long logs that have not answered are waited for once the others are enough. Whatever came by then is
    used: more SCTs than are needed outlive a log that is retired later.
    """

    scts: int = 2
    operators: int = 2
    limit_s: float = 60.0
    grace_s: float = 0.5


def judge(policy: SubmissionPolicy, operators: Collection[str]) -> str:
    """Do SCTs of different logs, each given as the operator of its log, suffice? "enough", or the word of why not."""
    if len(operators) < policy.scts:
        return TOO_FEW_SCTS
    return ENOUGH if len(set(operators)) >= policy.operators else TOO_FEW_OPERATORS


def check_policy(policy: SubmissionPolicy, operators: Collection[str]) -> None:
    """Can logs of these operators ever satisfy it? Raises UsageError "bad-policy"."""
    if not 1 <= policy.operators <= policy.scts or policy.limit_s <= 0 or policy.grace_s < 0:
        sentence = "a submission policy asks for at least one SCT of one operator, and for no more operators than SCTs"
        raise UsageError(sentence, reason="bad-policy")
    if judge(policy, operators) != ENOUGH:
        there = f"{len(operators)} logs of {len(set(operators))} operators"
        sentence = f"{there} can never give {policy.scts} SCTs of {policy.operators} operators"
        raise UsageError(sentence, reason="bad-policy")


class Gathered(NamedTuple):
    """What came of one submission. `reason`: "enough", "too-few-scts" or "too-few-operators".

    scts: verified, of different logs, in the order of the logs. operators: whose logs these are. errors: by the
    address of a log that gave none, why not; if there are enough, a log that was not waited for is not among them.
    refused: so many logs refuse this very submission that trying again is of no use.
    """

    reason: str
    scts: tuple[VerifiedSct, ...]
    operators: tuple[str, ...]
    errors: Mapping[str, CtlogError] = MappingProxyType({})
    refused: bool = False

    @property
    def is_enough(self) -> bool:
        return self.reason == ENOUGH

    @property
    def sentence(self) -> str:
        """For people."""
        text = f"{_so_many(len(self.scts), 'SCT')} of {_so_many(len(set(self.operators)), 'operator')}"
        if self.is_enough:
            return text
        return "; ".join([f"only {text}", *(f"{url}: {error}" for url, error in self.errors.items())])

    def require(self) -> tuple[VerifiedSct, ...]:
        """The SCTs, if they are enough.

        Raises RefusedError with the first refusal's reason, if it is `refused`; else TransportError with `reason`: try
        again.
        """
        if self.is_enough:
            return self.scts
        if self.refused:
            first = next(each for each in self.errors.values() if isinstance(each, _REFUSALS))
            raise RefusedError(self.sentence, reason=first.reason)
        raise TransportError(self.sentence, reason=self.reason)


class Destination(NamedTuple):
    """A log to submit to, and who runs it."""

    client: LogClient
    operator: str


class Several:
    """Submits to several logs at once. Use it from one event loop, by as many tasks as like."""

    def __init__(
        self, logs: Sequence[Destination], policy: SubmissionPolicy, clock: Callable[[], int],
        tolerance_ms: int = CLOCK_SKEW_MS,
    ) -> None:  # fmt: skip
        """`clock` gives milliseconds since 1970; an SCT's time may be ahead of it by `tolerance_ms`.

        Raises UsageError "bad-policy", "same-log".
        """
        check_policy(policy, [log.operator for log in logs])
        if len({log.client.key.log_id for log in logs}) < len(logs):
            raise UsageError("the same log is named twice, and its SCT would count once", reason="same-log")
        self.logs = tuple(logs)
        self.policy = policy
        self.clock = clock
        self.tolerance_ms = tolerance_ms
        self._late: dict[int, float] = {}  # logs that let a grace pass, and until when (event loop time) they get none

    def is_awaited(self, at: int) -> bool:
        """Whether a log gets its grace."""
        until = self._late.get(at)
        if until is not None and asyncio.get_running_loop().time() < until:
            return False
        return not self.logs[at].client.failing

    def answered(self, at: int, *, in_time: bool) -> None:
        """Remember whether a log keeps up with the others."""
        if in_time:
            self._late.pop(at, None)
        else:
            self._late[at] = asyncio.get_running_loop().time() + LATE_S

    async def gather(self, submission: Submission) -> Gathered:
        """Submit one. Raises nothing: what did not come is said in the answer."""
        found: list[Gathered] = []
        await self.gather_many([submission], lambda _, gathered: found.append(gathered))
        return found[0]

    async def gather_many(self, submissions: Sequence[Submission], tell: Callable[[int, Gathered], None]) -> None:
        """Submit all; `tell(place, gathered)` is called once for each, in order of completion.

        They are all of one kind, certificates or precertificates. Raises what `tell` raises.
        """
        await _Gathering(self, submissions, tell).run()


class _Gathering:
    """One call of `gather_many`. Each place is open until it is told, once."""

    def __init__(
        self, logs: Several, submissions: Sequence[Submission], tell: Callable[[int, Gathered], None]
    ) -> None:
        self._logs = logs
        self._submissions = submissions
        self._tell = tell
        self._open: dict[int, dict[int, VerifiedSct | CtlogError]] = {place: {} for place in range(len(submissions))}
        self._graces: dict[int, asyncio.TimerHandle] = {}
        self._told: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        if not self._open:
            return
        asking = [asyncio.create_task(self._ask(at)) for at in range(len(self._logs.logs))]
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._logs.policy.limit_s):
                    await _until(self._told, asking)
            for place in list(self._open):
                self._end(place)
            if self._told.done():
                self._told.result()
        finally:
            for grace in self._graces.values():
                grace.cancel()
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)

    async def _ask(self, at: int) -> None:
        """Ask one log for all."""
        error: CtlogError = TransportError("it left this one unanswered")
        try:
            await self._logs.logs[at].client.add_many(
                self._submissions, lambda place, promise: self._take(at, place, promise)
            )
        except GaveUp as gave_up:
            error = gave_up.error
        for place, answers in list(self._open.items()):
            if at not in answers:
                self._put(at, place, error)

    def _take(self, at: int, place: int, promise: Promise) -> None:
        """One answer of one log."""
        if place not in self._open:
            return
        self._logs.answered(at, in_time=True)
        answer: VerifiedSct | CtlogError
        if isinstance(promise, CtlogError):
            answer = promise
        else:
            entry = self._submissions[place].entry
            try:
                answer = check_promise(promise, entry, self._logs.clock(), self._logs.tolerance_ms)
            except CtlogError as error:
                answer = error
        self._put(at, place, answer)

    def _put(self, at: int, place: int, answer: VerifiedSct | CtlogError) -> None:
        answers = self._open[place]
        answers[at] = answer
        logs, policy = self._logs.logs, self._logs.policy
        if len(answers) == len(logs):
            self._end(place)
            return
        silent = [each for each in range(len(logs)) if each not in answers]
        given = [logs[each].operator for each, one in answers.items() if isinstance(one, VerifiedSct)]
        at_best = judge(policy, given + [logs[each].operator for each in silent])
        if judge(policy, given) == ENOUGH:
            if not any(map(self._logs.is_awaited, silent)) or not policy.grace_s:
                self._end(place)
            elif place not in self._graces:
                loop = asyncio.get_running_loop()
                self._graces[place] = loop.call_later(policy.grace_s, self._out_of_grace, place)
        elif at_best != ENOUGH:  # whatever the silent ones say
            self._end(place, at_best)

    def _out_of_grace(self, place: int) -> None:
        for at in range(len(self._logs.logs)):
            if at not in self._open[place]:
                self._logs.answered(at, in_time=False)
        self._end(place)

    def _end(self, place: int, hopeless: str = "") -> None:
        answers = self._open.pop(place)
        if (grace := self._graces.pop(place, None)) is not None:
            grace.cancel()
        try:
            self._tell(place, self._gathered(answers, hopeless))
        except Exception as error:
            if not self._told.done():
                self._told.set_exception(error)
        if not self._open and not self._told.done():
            self._told.set_result(None)

    def _gathered(self, answers: Mapping[int, VerifiedSct | CtlogError], hopeless: str) -> Gathered:
        logs, policy = self._logs.logs, self._logs.policy
        scts = {at: one for at, one in sorted(answers.items()) if isinstance(one, VerifiedSct)}
        operators = tuple([logs[at].operator for at in scts])
        reason = hopeless or judge(policy, operators)
        if reason == ENOUGH and len(scts) == len(answers):
            return Gathered(ENOUGH, tuple(scts.values()), operators)
        errors = {logs[at].client.url: one for at, one in sorted(answers.items()) if isinstance(one, CtlogError)}
        willing = [log.operator for at, log in enumerate(logs) if not isinstance(answers.get(at), _REFUSALS)]
        if reason != ENOUGH:
            for at, log in enumerate(logs):
                if at not in answers:
                    late = "was not waited for" if hopeless else f"gave no answer in {policy.limit_s:g} s"
                    errors[log.client.url] = TransportError(late)
        return Gathered(reason, tuple(scts.values()), operators, MappingProxyType(errors),
                        judge(policy, willing) != ENOUGH)  # fmt: skip


async def _until(told: asyncio.Future[None], asking: Sequence[asyncio.Task[None]]) -> None:
    """Wait until all is told. Raises what a task raises that was not expected to."""
    waiting: set[asyncio.Future[None]] = {told, *asking}
    while not told.done():
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for each in done:
            each.result()


def _so_many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
