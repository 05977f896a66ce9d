"""For tests of bulk issuance: logs in memory that remember what they saw, and a world that can end at any moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ctlog.client.log_client import GaveUp, Promise
from ctlog.client.several import Destination, Several, SubmissionPolicy
from ctlog.client.submission import Submission
from ctlog.errors import TransportError
from ctlog.issuance.bulk import BulkIssuer, Issued, NotIssued, Outcome, open_journal
from ctlog.issuance.journal import Begun, Entry, Finished, Journal
from ctlog.issuance.ordered import Build, Terms, delegate_orders
from ctlog.issuance.orders import BadOrder, Order
from ctlog.tn.numbers import TelephoneNumber
from ctlog.wire.rfc6962 import SignedCertificateTimestamp
from tests.issued import AUTHORITY, KEY, NOW
from tests.wire_values import TestLog

TERMS = Terms(7, lambda: NOW)


def order(n: int, **more: Any) -> Order:
    return Order(n, KEY.spki, "Example", (TelephoneNumber(f"1202555{n:04d}"),))._replace(**more)


class World:
    """What may happen, counted; at the moment `end` it ends: nothing that comes after it has any effect."""

    def __init__(self, end: int = 1 << 30) -> None:
        self.moments = 0
        self.end = end

    def pass_by(self) -> None:
        self.moments += 1
        if self.moments > self.end:
            raise TransportError("the world has ended")


class WatchedJournal(Journal):
    """The world may end before each of its writes, and behind it."""

    def __init__(self, path: Path, about: Mapping[str, str], world: World) -> None:
        super().__init__(path, about)
        self.world = world

    def find(self, key: bytes) -> Entry | None:
        self.world.pass_by()
        return super().find(key)

    def write(
        self, begun: Sequence[Begun] = (), finished: Iterable[Finished] = (), logged: Iterable[int] = ()
    ) -> list[int]:
        self.world.pass_by()
        places = super().write(begun, finished, logged)
        self.world.pass_by()
        return places


class WatchedLog:
    """In the place of a LogClient. Gives the same SCT for the same entry, and remembers what it saw by entry."""

    def __init__(self, seed: int) -> None:
        self.log = TestLog(seed)
        self.key = self.log.key
        self.url = f"https://log{seed}.example"
        self.failing = False
        self.world = World()
        self.answer: Callable[[Submission], Any] = lambda submission: None
        self.given: dict[Any, SignedCertificateTimestamp] = {}
        self.seen: list[bytes] = []

    async def add_many(self, submissions: Sequence[Submission], tell: Callable[[int, Promise], None]) -> None:
        for place, one in enumerate(submissions):
            self.world.pass_by()
            answer = self.answer(one)
            if isinstance(answer, GaveUp):
                raise answer
            if answer is not None:
                tell(place, answer)
                continue
            self.seen.append(one.chain[0])
            if one.entry not in self.given:
                self.given[one.entry] = self.log.sct(one.entry, NOW, len(self.given))
            await asyncio.sleep(0)
            self.world.pass_by()
            tell(place, self.given[one.entry])


class Ca:
    """A CA with two logs and a journal, that can be run again and again."""

    def __init__(
        self, path: Path, count: int = 2, *, detached: bool = False, submit_final: bool = False, **policy: Any
    ) -> None:
        self.path = path
        self.detached = detached
        self.submit_final = submit_final
        self.logs = [WatchedLog(seed) for seed in range(1, count + 1)]
        self.policy = SubmissionPolicy(**({"grace_s": 0.0} | policy))
        self.now = NOW
        self.build: Build = delegate_orders(AUTHORITY, TERMS)
        self.certificates: dict[int, set[bytes]] = {}
        """By line, all that were ever handed out."""
        self.outcomes: list[Outcome] = []
        """Of the last run."""

    async def run(self, orders: Iterable[Order | BadOrder], world: World | None = None) -> list[Outcome]:
        """One run; what was reported."""
        world = world or World()
        outcomes = self.outcomes = []

        def report(outcome: Outcome) -> None:
            world.pass_by()
            outcomes.append(outcome)
            if isinstance(outcome, Issued):
                self.certificates.setdefault(outcome.line, set()).add(outcome.certificate)

        for log in self.logs:
            log.world = world
        open_journal(self.path, AUTHORITY, detached=self.detached).close()
        journal = WatchedJournal(self.path, {}, world)
        destinations: Any = [Destination(log, f"operator {at}") for at, log in enumerate(self.logs)]  # type: ignore[arg-type]
        several = Several(destinations, self.policy, lambda: self.now)
        issuer = BulkIssuer(AUTHORITY, several, journal, self.build, detached=self.detached,
                            submit_final=self.submit_final)  # fmt: skip
        try:
            await issuer.run(orders, report)
        finally:
            journal.close()
        return outcomes

    def issued(self, outcomes: Iterable[Outcome]) -> dict[int, Issued]:
        return {one.line: one for one in outcomes if isinstance(one, Issued)}

    def refused(self, outcomes: Iterable[Outcome]) -> dict[int, str]:
        return {one.line: one.reason for one in outcomes if isinstance(one, NotIssued)}
