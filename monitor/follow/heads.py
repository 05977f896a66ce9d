"""Every head that one log ever signed: stored before it is used, and compared with all the others.

In scope: larger, equal and smaller heads, from the log or from whoever hands one in; what is trusted, and moving it
forward. A head waits as "unverified" until it was shown that it continues what is trusted (or that this continues it);
trouble with the network leaves it waiting, and so does one from elsewhere that is larger than what the log shows us,
for as long as that may be a cache's delay. Two heads that contradict each other by themselves are noticed even when
neither was ever verified, and whether the log answers or not. Out of scope: fetching entries (`monitor.follow.watch`),
and what a contradiction is (`ctlog.client.trusted`).
"""

from __future__ import annotations

from ctlog.client.trusted import Step, StepKind, TrustedLog
from ctlog.errors import BusyError, InputError, Misbehaviour, TransportError, VerificationError
from ctlog.wire.checkpoint import SignedHead
from monitor.follow.convict import convicted
from monitor.follow.followed import Followed
from monitor.follow.misbehaviour import Accuser, record_id
from monitor.state import State
from monitor.state.rows import CONSISTENT, CONTRADICTS, MET, UNVERIFIED, HeadRow

AT_ONCE = 16
"""Unverified heads that are tried again in one round."""
KEEP_MS = 3_600_000
"""Heads that are a part of the rebuilt tree are kept for an hour, so that others may be compared with them."""


class Heads:
    """The heads of one log. `trusted` is a TrustedLog and only ever moves forward."""

    def __init__(self, log: Followed, state: State, accuser: Accuser, trusted: TrustedLog) -> None:
        self._log = log
        self._state = state
        self._accuser = accuser
        self.trusted = trusted
        self.liars: list[SignedHead] = []
        """Heads that were found to contradict the others since this list was last emptied."""
        self.problem = ""
        """Why the newest head could not be verified, while the network or a clock is to blame; else ""."""
        self._reached = trusted.head.size if trusted.head is not None else 0
        self._met: set[HeadRow] = set()  # unverified ones that were compared with all others

    @classmethod
    async def resume(cls, log: Followed, state: State, accuser: Accuser) -> Heads:
        """As the state has it. Raises SignatureError where the stored head is not by the log's key."""
        row = await state.logs.get(log.log_id)
        note = row.position.trusted if row is not None else None
        trusted = TrustedLog(log.policy) if note is None else TrustedLog.resume(log.policy, note)
        return cls(log, state, accuser, trusted)

    async def meet(self, now_ms: int) -> None:
        """Compare heads that somebody handed in since the last call with all others, by themselves alone."""
        rows = [row for row in await self._state.logs.heads(self._log.log_id) if row.state != CONTRADICTS]
        fresh = [row for row in rows if row.state == UNVERIFIED and row not in self._met]
        self._met = {row for row in rows if row.state == UNVERIFIED}
        trusted = [] if self.trusted.head is None else [self.trusted.head]
        others = [*trusted, *(self._log.policy.open(row.note) for row in rows if row not in fresh)] if fresh else []
        for row in sorted(fresh, key=lambda row: row.first_seen_ms):
            head = self._log.policy.open(row.note)
            for other in others:
                if await self._compare(other, head, now_ms):
                    break  # one pair of heads is proof enough
            others.append(head)

    async def known(self) -> list[SignedHead]:
        """What is trusted, and the heads of before that are stored still, as parts of it."""
        rows = await self._state.logs.heads(self._log.log_id, CONSISTENT, MET)
        stored = [self._log.policy.open(row.note) for row in rows]
        return stored if self.trusted.head is None else [*stored, self.trusted.head]

    async def liars_since(self, since_ms: int) -> list[SignedHead]:
        """Heads that were found to contradict the others, as stored, seen since then."""
        rows = await self._state.logs.heads(self._log.log_id, CONTRADICTS)
        return [self._log.policy.open(row.note) for row in rows if row.first_seen_ms >= since_ms]

    async def take(self, head: SignedHead, source: str, now_ms: int) -> None:
        """Remember this head, which the log serves now, and compare it with every other one that is not a part of what
        is trusted."""
        self._reached = max(self._reached, head.size)
        row = await self._state.logs.see(self._log.log_id, head, source, now_ms)
        if row.state != UNVERIFIED:
            return
        for other in await self._state.logs.heads(self._log.log_id, UNVERIFIED, CONTRADICTS):
            if _is_conflict(other, row):
                await self._compare(self._log.policy.open(other.note), head, now_ms)
        await self._verify(head, now_ms)
        await self._state.logs.forget_heads(self._log.log_id, now_ms - KEEP_MS)

    async def settle(self, now_ms: int) -> None:
        """Try those again that could not be verified before, the smallest first."""
        self.problem = ""
        rows = await self._state.logs.heads(self._log.log_id, UNVERIFIED)
        for row in [row for row in rows if self._is_due(row, now_ms)][:AT_ONCE]:
            await self._verify(self._log.policy.open(row.note), now_ms)

    async def waiting(self, now_ms: int) -> list[SignedHead]:
        """Heads that nothing contradicts and that no rebuilt tree has met, the smallest first."""
        rows = await self._state.logs.heads(self._log.log_id, UNVERIFIED, CONSISTENT)
        return [self._log.policy.open(row.note) for row in rows if self._is_due(row, now_ms)]

    def _is_due(self, row: HeadRow, now_ms: int) -> bool:
        """Whether the log must be able to show this tree: it served one as large, or had its merge delay for it."""
        return row.size <= self._reached or now_ms >= row.timestamp_ms + self._log.policy.mmd_ms

    async def _compare(self, one: SignedHead, other: SignedHead, now_ms: int) -> bool:
        """Two heads against each other alone: a fork or a rollback shows without any tree. Whether it did."""
        try:
            TrustedLog(self._log.policy, one).offer(other, now_ms)
        except Misbehaviour as error:
            await self._accuse(other, error, now_ms)
            return True
        except VerificationError:
            pass  # a date in the future, which `_verify` says
        return False

    async def _verify(self, head: SignedHead, now_ms: int) -> None:
        step: Step | None = None
        try:
            step = self.trusted.offer(head, now_ms)
            came = await self._log.follower.show(step)
            self.trusted = self.trusted.accept(step, came)
        except Misbehaviour as error:
            await self._accuse(head, error if step is None else await convicted(self._log, step, error), now_ms)
            return
        except (TransportError, BusyError, InputError, VerificationError) as error:
            self.problem = str(error)  # nothing is known about the log; it stays unverified
            return
        moved = self.trusted.head is head and step.kind is not StepKind.OLDER
        await self._state.logs.judge(self._log.log_id, head, CONSISTENT, head.note if moved else None)
        if step.kind is StepKind.GROWN:
            await self._accuser.over(self._log, record_id(self._log, "no-consistency", ""), now_ms)

    async def _accuse(self, head: SignedHead, error: Misbehaviour, now_ms: int) -> None:
        """A proof settles it for ever. A record may be a cache's fault, so the head stays, and is tried again."""
        if error.reason in ("fork", "rewrite", "rollback", "empty-root"):
            await self._state.logs.judge(self._log.log_id, head, CONTRADICTS)
        else:
            self.problem = str(error)
        self.liars.append(head)
        await self._accuser.accuse(self._log, error, now_ms)


def _is_conflict(one: HeadRow, other: HeadRow) -> bool:
    """Whether two heads contradict each other by themselves: one size and two roots, or the newer is the smaller."""
    if one.size == other.size:
        return one.root != other.root
    return (one.size < other.size) != (one.timestamp_ms < other.timestamp_ms) and one.timestamp_ms != other.timestamp_ms
