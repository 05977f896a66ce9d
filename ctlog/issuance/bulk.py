"""Issuing in bulk: any number of orders, through a crash too, and no order twice.

RFC 6962 section 3.1. In scope: groups of orders on their way through the signer, the journal and the logs; memory that
does not grow with their number; the order of the steps, which is the promise:

    1. look up      an order that is finished is given out again, one that was begun goes on with the same bytes; one
                    whose certificate has ended meanwhile is "expired": nobody is handed what is good for nothing
    2. sign         the precertificate (or the certificate, where SCTs travel beside it)
    3. write down   what will be sent; only then
    4. send         to all logs, until the policy is met
    5. sign         the certificate with its SCTs
    6. write down   what will be handed out; only then
    7. send         the finished certificate too, where that is asked for, and write down which enough logs have
    8. report

Whatever ends the process, whenever: what a log or a caller may have seen is written down, and the next run goes on from
there. Step 7 takes nothing back: a certificate whose finished form too few logs take is issued nevertheless, the reason
beside it, and the next run that is asked to submits it again.

Out of scope: what is remembered (`journal`), what is ordered (`orders`), the TBSCertificate of an order (`ordered`),
how many SCTs are enough (`ctlog.client.several`).

How a run ends early: with the error of the signer, StoreError from the journal, or TransportError when logs that could
be reached are too few for the policy. Until then all that is under way is brought to an end.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, TypeVar

from ctlog.client.sct import VerifiedSct
from ctlog.client.several import ENOUGH, Gathered, Several, judge
from ctlog.client.submission import Submission
from ctlog.errors import CtlogError, InputError, TransportError, VerificationError
from ctlog.issuance.authority import Authority
from ctlog.issuance.clerk import Clerk
from ctlog.issuance.issue import (
    certificate_submission,
    check_scts,
    detached_list,
    final_certificate,
    plain_certificate,
    precertificate,
    precertificate_submission,
)
from ctlog.issuance.journal import Begun, Entry, Finished, Journal
from ctlog.issuance.ordered import Build
from ctlog.issuance.orders import BadOrder, Order
from ctlog.x509.der import parse_certificate

GROUP = 256  # orders that take each step together
GROUPS = 8  # such groups under way at once: what keeps signer, disk and logs busy while others are waited for
_CONCERNS_ALL = frozenset(("submitter-not-allowed",))

T = TypeVar("T")
S = TypeVar("S")


class Final(NamedTuple):
    """What came of submitting a finished certificate. reason: "enough", or the word of why too few logs have it."""

    reason: str = ENOUGH
    sentence: str = ""

    @property
    def is_logged(self) -> bool:
        return self.reason == ENOUGH


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate that may be handed out. `before`: an earlier run had issued it.

    sct_list: a SignedCertificateTimestampList; embedded: it stands in the certificate too. final: what came of
    submitting the certificate as it is here, in this run or before; None where that was not asked for.
    """

    line: int
    id: str
    certificate: bytes
    sct_list: bytes
    embedded: bool
    before: bool
    final: Final | None = None


@dataclass(frozen=True, slots=True)
class NotIssued:
    """An order of which nothing came: a stable word, and a sentence."""

    line: int
    id: str
    reason: str
    sentence: str


Outcome = Issued | NotIssued


class _Mine(NamedTuple):
    """An order that a group works on, and what it is known by."""

    order: Order
    key: bytes
    content: bytes


class _Wanted(NamedTuple):
    """An order on its way to the logs. place: in the journal."""

    mine: _Mine
    submission: Submission
    place: int


class _Ready(NamedTuple):
    """A certificate that is written down, and not reported yet."""

    mine: _Mine
    place: int
    issued: Issued


class _UnderWay(NamedTuple):
    """An order that somebody works on. outcome: None for one that was left open."""

    content: bytes
    outcome: asyncio.Future[Outcome | None]


def open_journal(
    path: Path, authority: Authority, *, detached: bool = False, precertificate_signer: Authority | None = None
) -> Journal:
    """The journal of a CA, for one of the two kinds of certificates. Raises as `Journal`."""
    signer = precertificate_signer or authority
    return Journal(path, {
        "CA": hashlib.sha256(authority.certificate).hexdigest(),
        "precertificate signer": hashlib.sha256(signer.certificate).hexdigest(),
        "kind of certificate": "SCTs beside it" if detached else "SCTs embedded",
    })  # fmt: skip


class BulkIssuer:
    """A CA that issues many certificates. Use it from one event loop, for any number of runs one after the other."""

    def __init__(
        self, authority: Authority, logs: Several, journal: Journal, build: Build, *, detached: bool = False,
        precertificate_signer: Authority | None = None, submit_final: bool = False, executor: Executor | None = None,
    ) -> None:  # fmt: skip
        """`build` makes an order's TBSCertificate (`ctlog.issuance.ordered`, or a vendor's own).

        detached: SCTs travel beside the certificate, for profiles that forbid them inside. precertificate_signer,
        submit_final (of no effect where `detached`: the logs know the finished certificate already) and executor as for
        `ctlog.issuance.issuer.Issuer`. `journal` is one of `open_journal` with the same arguments.
        """
        self._authority = authority
        self._logs = logs
        self._build = build
        self._detached = detached
        self._signer = precertificate_signer
        self._submit_final = submit_final and not detached
        self._executor = executor
        self._journal = journal
        self._under_way: dict[bytes, _UnderWay] = {}
        self._problem: Exception | None = None
        """Why nothing more is begun."""

    async def run(self, orders: Iterable[Order | BadOrder], report: Callable[[Outcome], None]) -> None:
        """Issue all; `report` is called once for each order of which something came, in order of completion.

        `orders` are read as they are needed. Raises what ends a run early, after the last report; run it again with the
        same journal, and it goes on.
        """
        self._problem = None
        self._clerk = Clerk(self._journal)
        waiting = iter(orders)
        workers = [asyncio.create_task(self._work(waiting, report)) for _ in range(GROUPS)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            await self._clerk.close()
        if self._problem is not None:
            raise self._problem

    async def _work(self, waiting: Iterator[Order | BadOrder], report: Callable[[Outcome], None]) -> None:
        while self._problem is None and (group := list(itertools.islice(waiting, GROUP))):
            try:
                await self._issue(group, report)
            except (CtlogError, OSError) as error:
                self._problem = self._problem or error

    async def _issue(self, group: Sequence[Order | BadOrder], report: Callable[[Outcome], None]) -> None:
        """All that is to be done for a group."""
        mine: list[_Mine] = []
        twins: list[tuple[Order, bytes, _UnderWay]] = []
        for order in group:
            if isinstance(order, BadOrder):
                report(NotIssued(order.line, "", order.reason, order.sentence))
                continue
            content = order.content
            key = order.key(content)
            if (other := self._under_way.get(key)) is not None:
                twins.append((order, content, other))
            else:
                mine.append(_Mine(order, key, content))
                self._under_way[key] = _UnderWay(content, asyncio.get_running_loop().create_future())

        def tell(one: _Mine, outcome: Outcome) -> None:
            self._under_way[one.key].outcome.set_result(outcome)
            report(outcome)

        try:
            wanted, ready = await self._begin(mine, tell)
            await self._hand_out(ready, tell)
            if wanted:
                await self._hand_out(await self._finish(wanted, tell), tell)
        finally:
            for one in mine:
                outcome = self._under_way.pop(one.key).outcome
                if not outcome.done():
                    outcome.set_result(None)
        for order, content, other in twins:
            said = _other_content(order) if content != other.content else _twin(order, await other.outcome)
            if said is not None:
                report(said)

    async def _begin(
        self, orders: Sequence[_Mine], tell: Callable[[_Mine, Outcome], None]
    ) -> tuple[list[_Wanted], list[_Ready]]:
        """Steps 1 to 3: what is to be sent, written down; and what was finished before, but for step 7."""
        known = await self._clerk.find([one.key for one in orders])
        again: list[_Wanted] = []
        ready: list[_Ready] = []
        new: list[_Mine] = []
        tbs: list[bytes] = []
        for one, entry in zip(orders, known, strict=True):
            order = one.order
            if entry is None:
                try:
                    tbs.append(self._build(order))
                    new.append(one)
                except InputError as error:
                    tell(one, NotIssued(order.line, order.id, error.reason, str(error)))
            elif entry.content != one.content:
                tell(one, _other_content(order))
            elif (late := _ended(entry, self._logs.clock())) is not None:
                tell(one, NotIssued(order.line, order.id, "expired", late))
            elif entry.is_finished:
                issued = Issued(order.line, order.id, entry.certificate, entry.scts, not self._detached, before=True)
                if self._submit_final and not entry.is_logged:
                    ready.append(_Ready(one, entry.place, issued))
                else:
                    tell(one, replace(issued, final=Final() if self._submit_final else None))
            else:
                again.append(_Wanted(one, self._submission(entry.submitted), entry.place))
        submissions = await self._signing(self._first, tbs)
        begun = [Begun(one.key, one.content, submission.chain[0])
                 for one, submission in zip(new, submissions, strict=True)]  # fmt: skip
        places = await self._clerk.begin(begun) if begun else []
        return again + list(map(_Wanted, new, submissions, places)), ready

    async def _finish(self, wanted: Sequence[_Wanted], tell: Callable[[_Mine, Outcome], None]) -> list[_Ready]:
        """Steps 4 to 6."""
        enough: list[tuple[_Wanted, tuple[VerifiedSct, ...]]] = []

        def gathered(at: int, found: Gathered) -> None:
            if found.is_enough:
                enough.append((wanted[at], found.scts))
            elif (error := self._settled(found)) is not None:
                order = wanted[at].mine.order
                tell(wanted[at].mine, NotIssued(order.line, order.id, error.reason, found.sentence))
            else:
                problem = TransportError(f"an order waits for SCTs: {found.sentence}", reason=found.reason)
                self._problem = self._problem or problem

        await self._logs.gather_many([one.submission for one in wanted], gathered)
        certificates = await self._signing(self._last, enough)
        finished = [Finished(one.place, certificate, detached_list(scts))
                    for (one, scts), certificate in zip(enough, certificates, strict=True)]  # fmt: skip
        if finished:
            await self._clerk.finish(finished)
        ready = []
        for (one, _), (place, certificate, scts) in zip(enough, finished, strict=True):
            issued = Issued(one.mine.order.line, one.mine.order.id, certificate, scts, not self._detached, before=False)
            ready.append(_Ready(one.mine, place, issued))
        return ready

    async def _hand_out(self, ready: Sequence[_Ready], tell: Callable[[_Mine, Outcome], None]) -> None:
        """Steps 7 and 8."""
        finals: list[Final | None] = [None] * len(ready)

        def gathered(at: int, found: Gathered) -> None:
            finals[at] = _final(found)

        if self._submit_final and ready:
            submissions = [certificate_submission(one.issued.certificate, self._authority) for one in ready]
            await self._logs.gather_many(submissions, gathered)
            if logged := [one.place for one, final in zip(ready, finals, strict=True) if final and final.is_logged]:
                await self._clerk.log(logged)
        for one, final in zip(ready, finals, strict=True):
            tell(one.mine, replace(one.issued, final=final))

    def _settled(self, found: Gathered) -> CtlogError | None:
        """Why this one will never have enough SCTs; None if other logs or another time may do.

        It is settled when the logs that refused it, or whose SCTs for it do not hold, are so many that the others
        would not be enough.
        """
        refused = {url: error for url, error in found.errors.items()
                   if isinstance(error, InputError | VerificationError) and error.reason not in _CONCERNS_ALL}
        others = [log.operator for log in self._logs.logs if log.client.url not in refused]
        return None if judge(self._logs.policy, others) == ENOUGH else next(iter(refused.values()))

    def _first(self, tbs: bytes) -> Submission:
        """What goes to the logs for an order that is new."""
        if self._detached:
            return plain_certificate(self._authority, tbs)
        return precertificate(self._authority, tbs, self._signer)

    def _submission(self, submitted: bytes) -> Submission:
        """What goes to the logs for an order that was begun before: the same bytes."""
        if self._detached:
            return certificate_submission(submitted, self._authority)
        return precertificate_submission(submitted, self._authority, self._signer)

    def _last(self, one: tuple[_Wanted, tuple[VerifiedSct, ...]]) -> bytes:
        """The certificate to hand out."""
        wanted, scts = one
        entry = wanted.submission.entry
        if not self._detached:
            return final_certificate(self._authority, entry.certificate, scts)
        check_scts(scts, entry)
        return wanted.submission.chain[0]

    async def _signing(self, make: Callable[[S], T], each: Sequence[S]) -> list[T]:
        if self._executor is None:
            return [make(one) for one in each]
        loop, executor = asyncio.get_running_loop(), self._executor
        return await asyncio.gather(*(loop.run_in_executor(executor, make, one) for one in each))


def _final(found: Gathered) -> Final:
    try:
        found.require()
    except CtlogError as error:
        return Final(error.reason, str(error))
    return Final()


def _twin(order: Order, outcome: Outcome | None) -> Outcome | None:
    """What comes of an order that stands in the same file before: it is one order."""
    if isinstance(outcome, Issued):
        return replace(outcome, line=order.line, before=True)
    return None if outcome is None else replace(outcome, line=order.line)


def _ended(entry: Entry, now_ms: int) -> str | None:
    """What is said of an order whose certificate is of no use any more; None while it is good."""
    until_ms = parse_certificate(entry.certificate or entry.submitted).not_after_ms
    if until_ms is None or now_ms < until_ms + 1000:  # the last second is included (RFC 5280 section 4.1.2.5)
        return None
    what = "its certificate, issued in an earlier run," if entry.is_finished else "what was begun for it"
    day = datetime.fromtimestamp(until_ms / 1000, UTC).date()
    return f"{what} ended on {day}; a new certificate is a new order, with an id of its own"


def _other_content(order: Order) -> NotIssued:
    return NotIssued(order.line, order.id, "id-taken", f"the order {order.id!r} was begun with other words")
