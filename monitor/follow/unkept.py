"""Promises that were not kept, told to those whom they concern (T-20): the log's operator is accused elsewhere.

In scope: of an SCT whose entry never came, judging the certificate that it was made for, with what became of the
promise: where the certificate stands, in this log or in another, or, where it stands nowhere, by what was promised. A
promise that was found to be broken is a task, stored together with that, and done when the next round is. Out of scope:
finding it out (`monitor.follow.audit`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Protocol

from ctlog.errors import CtlogError, StoreError
from monitor.entry import NOWHERE, Place, read_entry
from monitor.follow.followed import Clock, Followed
from monitor.follow.watch import Found
from monitor.rules.values import LogEvent
from monitor.state import State
from monitor.state.rows import CertificateRow, SctRow

UNKEPT = "unkept"


class Inspector(Protocol):
    """Whoever judges what a log promised (`monitor.follow.inspect`)."""

    async def promised(self, leaf: bytes, found: Found) -> None: ...


class Reader(Protocol):
    """Whoever reads entries again (`monitor.following`)."""

    async def again(self, log_id: bytes, index: int, only: frozenset[str] | None, found: Found) -> bool: ...

    def stored(self, log_id: bytes, found: Found) -> None: ...


def plan_unkept(row: SctRow) -> tuple[str, bytes]:
    """The task (kind, specification) of a promise that was found to be broken."""
    return UNKEPT, json.dumps({"log": row.log_id.hex(), "sct": row.id}).encode()


class Unkept:
    """Those of one log."""

    def __init__(
        self, log: Followed, state: State, inspector: Inspector, reader: Reader, now_ms: Clock, told: Callable[[], None]
    ) -> None:
        self._log = log
        self._state = state
        self._inspector = inspector
        self._reader = reader
        self._now_ms = now_ms
        self._told = told

    async def work(self) -> None:
        """Tell of those that wait. Raises StoreError; then they are told of the next time."""
        for task in await self._state.audits.tasks(kind=UNKEPT):
            spec = json.loads(task.spec)
            if spec["log"] == self._log.log_id.hex():
                row = await self._state.audits.get(spec["sct"])
                if row is not None:
                    await self._tell(row)
                await self._state.audits.note_task(task.id, b"", self._now_ms(), done=True)

    async def _tell(self, row: SctRow) -> None:
        """All forms of a certificate make one alert, so that one place is enough."""
        event = LogEvent("T-20", f"the log {self._log.name} did not keep its promise to log it: {row.detail}")
        for place in await self._places(row.leaf):
            if await self._again(place, event):
                return
        found = Found(is_aside=True, log_events=(event,))
        try:
            await self._inspector.promised(row.leaf, found)
            fresh = await self._state.alerts.raise_all(found.placeless(), self._now_ms())
        finally:
            found.end()
        if fresh:
            self._told()

    async def _places(self, leaf: bytes) -> list[CertificateRow]:
        """Where the certificate stands, as far as it concerned somebody."""
        entry = read_entry(Place(self._log.log_id, self._log.name, NOWHERE), leaf)
        if entry.parsed is None:
            return []
        return await self._state.answers.certificates(serial=(entry.issuer_name, entry.parsed.serial))

    async def _again(self, place: CertificateRow, event: LogEvent) -> bool:
        """Judge it where it stands; false where that cannot be read now."""
        found = Found(log_events=(event,))
        try:
            if not await self._reader.again(place.log_id, place.log_index, None, found):
                return False
            fresh = await self._state.audits.store_found(
                found.alerts, self._now_ms(), baselines=found.baselines, issuers=found.issuers,
                certificates=found.certificates, scts=found.scts,
            )  # fmt: skip
            self._reader.stored(place.log_id, found)
        except StoreError:
            raise
        except CtlogError:
            return False
        finally:
            found.end()
        if fresh:
            self._told()
        return True
