"""Reading some entries again: for items that are newly watched, and where something about old entries changed.

In scope: "enrol" (what history has about new items is looked up, and what it cannot say of whom it concerns; the
entries are fetched and proven again, and judged for these items), "rejudge" (entries whose key was revoked, whose scope
by reference changed, whose issuer's root came to be accepted, or whose number was ported just before, as was heard
later), and going on after a restart where it stopped. Out of scope: what is judged (`monitor.judge`), and finding out
that keys or scopes changed.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import islice

from ctlog.errors import CtlogError, StoreError
from ctlog.tn.numbers import TelephoneNumber
from monitor.context import Past, Place
from monitor.entry import NO_TRUST, Trust
from monitor.follow.followed import Clock, Says
from monitor.follow.watch import Found
from monitor.following import Following
from monitor.items import HOLDER, ISSUER, KEY, Item
from monitor.rules.times import is_soon_after
from monitor.state import State
from monitor.state.audits import TaskRow
from monitor.state.rows import HEALTH, OPERATOR, S3, NewAlert
from monitor.watchlist import Watchlist

ENROL, REJUDGE = "enrol", "rejudge"
MAX_PLACES = 512
"""Entries that are read again for one item, whether they are valid still or not: the newest."""
MAX_VALID = 16_384
"""The same of those that are valid: where there are more, it is told."""
STEP = 64
"""Entries after which it is stored how far a task is."""
MAX_UNVOUCHED = 16_384
"""Entries that are judged again when roots come to be accepted: those of the newest alerts."""
ROOTS = "roots"
"""Under which name the state keeps the roots that were accepted when this was done last."""
MAX_ITEMS = 4096
"""Items of one task."""

Work = tuple[str, int, tuple[str, ...] | None]
"""(log id in hexadecimal, index, items; None: all)."""
EVENTS = "events:judged"
"""Under which name the state keeps the id of the last event of which everything from before it was handed in is, or
will be, judged again."""
OF_TASK = "*"
"""In the place of items: all those of the task."""


class Tasks:
    """Does tasks, one after another. `told` is called when alerts wait to be sent."""

    def __init__(
        self, state: State, following: Following, past: Past, watchlist: Callable[[], Watchlist],
        refresh: Callable[[], Awaitable[None]], now_ms: Clock, says: Says, told: Callable[[], None],
        operators: Callable[[], tuple[str, ...]] = tuple, is_settled: Callable[[], bool] = lambda: True,
        trust: Callable[[], Trust] = lambda: NO_TRUST,
    ) -> None:  # fmt: skip
        """refresh: lets the judge read again what was handed in. is_settled: whether all items that were enrolled are
        in the watch list. A task is stored with their enrolment, a moment before they are watched. trust: the roots
        that are accepted now."""
        self._state = state
        self._following = following
        self._past = past
        self._watchlist = watchlist
        self._refresh = refresh
        self._now_ms = now_ms
        self._says = says
        self._told = told
        self._operators = operators
        self._is_settled = is_settled
        self._trust = trust
        self._why = ""
        self._waited: set[int] = set()

    async def add_rejudge(self, places: Iterable[tuple[bytes, int]]) -> None:
        """Judge these entries again."""
        for kind, spec in plan_rejudge(places):
            await self._state.audits.add_task(kind, spec, self._now_ms())

    async def _look_at_roots(self) -> None:
        """Where roots came to be accepted, judge again what was told of issuers that no signature tied to any: for the
        same items, as what was there. What is no graver changes the alert, and is not told again."""
        now = sorted(root.fingerprint.hex() for root in self._trust().roots)
        stored = await self._state.answers.get_meta(ROOTS)
        before = json.loads(stored) if stored is not None else now
        if stored is not None and now == before:
            return
        if not set(now) <= set(before):
            places: dict[tuple[str, int], list[str]] = {}
            for log_id, index, item in await self._state.alerts.unvouched(limit=MAX_UNVOUCHED):
                places.setdefault((log_id.hex(), index), []).append(item)
            work = [(*place, sorted(items)) for place, items in sorted(places.items())]
            if work:
                await self._state.audits.add_task(REJUDGE, json.dumps({"places": work}).encode(), self._now_ms())
        await self._state.answers.put_meta(ROOTS, json.dumps(now).encode())

    async def round(self) -> None:
        """Find out what else there is to be done, and do it."""
        await self._refresh()  # first: an entry that was judged without an event must be there when it is looked for
        await self.note_events()
        await self.work()

    async def note_events(self) -> None:
        """Judge again what came soon after events that were handed in since the last time: a thief's certificate is
        mostly there before the word about the number reaches us."""
        mark = await self._state.answers.get_meta(EVENTS)
        events = await self._state.answers.events_after(int(mark or b"0"))
        if not events:
            return
        places: set[Place] = set()
        watched = [event for event in events if self._watchlist().watches(event.number)]
        for event in watched:
            for piece in self._past.touching(TelephoneNumber(event.number)):
                places.update(place for place in piece if _is_soon(place, event.at_ms))
                await asyncio.sleep(0)
        vague: set[Place] = set()
        for piece in self._past.unindexable() if watched else ():
            vague.update(place for place in piece if any(_is_soon(place, event.at_ms) for event in watched))
            vague = set(_latest(vague, MAX_PLACES))
            await asyncio.sleep(0)
        await self.add_rejudge((place.log_id, place.log_index) for place in places | vague)
        await self._state.answers.put_meta(EVENTS, str(events[-1].id).encode())

    async def work(self) -> bool:
        """Do what there is to be done; true where something is left for later."""
        left = False
        await self._look_at_roots()
        for task in await self._state.audits.tasks():
            if task.kind not in (ENROL, REJUDGE):
                continue  # another part of the monitor does it
            try:
                left |= await self._do(task)
            except StoreError:
                raise
            except CtlogError as error:
                self._says("warning", task.kind, str(error))
                left = True
        return left

    async def _do(self, task: TaskRow) -> bool:
        if not task.progress and not self._is_settled():
            return True
        work = await self._planned(task)
        every = json.loads(task.spec).get("items", [])
        later: list[Work] = []
        self._why = ""
        for at in range(0, len(work), STEP):
            for each in work[at : at + STEP]:
                log_id, index, items = each
                if not await self._one(log_id, index, every if items == (OF_TASK,) else items):
                    later.append(each)
            rest = [*later, *work[at + STEP :]]
            await self._state.audits.note_task(task.id, json.dumps(rest).encode(), self._now_ms(), done=not rest)
        if not work:
            await self._state.audits.note_task(task.id, b"[]", self._now_ms(), done=True)
        if later and not self._why and task.id not in self._waited:
            self._waited.add(task.id)  # at a start the logs are begun with a moment later: that is no trouble
        elif later:
            why = f": {self._why}" if self._why else ""
            self._says("warning", task.kind, f"{_entries(len(later))} cannot be read again at present{why}")
        return bool(later)

    async def _one(self, log_id: str, index: int, items: Sequence[str] | None) -> bool:
        """Read one entry again and store what it raises; false where that is not possible now."""
        found = Found()
        try:
            only = None if items is None else frozenset(items)
            if not await self._following.again(bytes.fromhex(log_id), index, only, found):
                return False
            fresh = await self._state.audits.store_found(
                found.alerts, self._now_ms(), baselines=found.baselines, issuers=found.issuers,
                certificates=found.certificates, scts=found.scts,
            )  # fmt: skip
            self._following.stored(bytes.fromhex(log_id), found)
        except StoreError:
            raise
        except CtlogError as error:
            self._why = str(error)
            return False
        finally:
            found.end()
        if fresh:
            self._told()
        return True

    async def _planned(self, task: TaskRow) -> list[Work]:
        """What is left of a task."""
        if task.progress:
            return [_work(each) for each in json.loads(task.progress)]
        spec = json.loads(task.spec)
        if task.kind == REJUDGE:
            return [_work(each) for each in spec["places"]]
        wanted = set(spec["items"])
        places: dict[tuple[str, int], list[str]] = {}
        logged: dict[tuple[str, int], int] = {}
        items = [each for each in self._watchlist().items() if each.id in wanted]
        for item in items:
            for place in await self._chosen(self._past.places(item), item):
                places.setdefault((place.log_id.hex(), place.log_index), []).append(item.id)
                logged[place.log_id.hex(), place.log_index] = place.logged_ms
        claimed = next((item for item in items if item.kind not in (HOLDER, ISSUER, KEY)), None)
        if claimed is not None:
            for place in await self._chosen(self._past.unindexable(), claimed):
                places[place.log_id.hex(), place.log_index] = [OF_TASK]
                logged[place.log_id.hex(), place.log_index] = place.logged_ms
        work: list[Work] = [(*place, tuple(places[place])) for place in sorted(places, key=lambda place: logged[place])]
        await self._state.audits.note_task(task.id, json.dumps(work).encode(), self._now_ms())
        return work

    async def _chosen(self, pieces: Iterable[list[Place]], item: Item) -> list[Place]:
        """Of the places where claims about an item stand, or may stand, the oldest first, so that profiles learn in
        order: all that are valid, and the newest of the others."""
        valid: set[Place] = set()
        others: set[Place] = set()
        now_ms, more = self._now_ms(), False
        for piece in pieces:
            valid.update(place for place in piece if place.not_after_ms >= now_ms)
            others.update(place for place in piece if place.not_after_ms < now_ms)
            if len(valid) > 2 * MAX_VALID:
                valid, more = set(_latest(valid, MAX_VALID)), True
            if len(others) > 4 * MAX_PLACES:
                others = set(_latest(others, MAX_PLACES))
            await asyncio.sleep(0)
        if more or len(valid) > MAX_VALID:
            await self._tell_of_many(item)
        return _latest([*_latest(valid, MAX_VALID), *_latest(others, MAX_PLACES)], MAX_VALID + MAX_PLACES)

    async def _tell_of_many(self, item: Item) -> None:
        """Some of what was there at enrolment is not looked at: that is said, never passed over."""
        sentence = f"More than {MAX_VALID:,} certificates for {item.text} are valid; the newest of them are looked at."
        self._says("warning", ENROL, sentence)
        body = {"kind": HEALTH, "reason": sentence, "next": "Watch it in smaller parts, such as ranges.", "log": None}
        alert = NewAlert(
            id=f"enrolled-{hashlib.sha256(item.id.encode()).hexdigest()[:32]}", kind=HEALTH, severity=S3, rule=ENROL,
            rules=(ENROL,), addressee=OPERATOR, summary=f"Not every certificate for {item.text} is looked at",
            body=json.dumps(body).encode(), channels=item.tell or self._operators(), item=item.id,
            group=item.group.name,
        )  # fmt: skip
        await self._state.alerts.raise_all([alert], self._now_ms())
        self._told()


def plan_rejudge(places: Iterable[tuple[bytes, int]]) -> list[tuple[str, bytes]]:
    """The task (kind, specification) that judges these entries again, if there are any."""
    work = sorted({(log_id.hex(), index) for log_id, index in places})
    return [(REJUDGE, json.dumps({"places": [(*place, None) for place in work]}).encode())] if work else []


def plan_enrol(items: Iterable[str]) -> list[tuple[str, bytes]]:
    """The tasks (kind, specification) that look up what is known of newly watched items."""
    left = iter(items)
    found: list[tuple[str, bytes]] = []
    while some := list(islice(left, MAX_ITEMS)):
        found.append((ENROL, json.dumps({"items": some}).encode()))
    return found


def _latest(places: Iterable[Place], limit: int) -> list[Place]:
    return sorted(places, key=lambda place: (place.logged_ms, place.log_index))[-limit:]


def _is_soon(place: Place, event_ms: int) -> bool:
    """Whether an entry was logged, or its certificate begins, soon after an event. Places say whole seconds."""
    at_ms = event_ms // 1000 * 1000
    return is_soon_after(place.logged_ms, at_ms) or is_soon_after(place.not_before_ms, at_ms)


def _entries(count: int) -> str:
    return f"{count:,} {'entry' if count == 1 else 'entries'}"


def _work(value: Sequence[object]) -> Work:
    log_id, index, items = value
    assert isinstance(log_id, str)
    assert isinstance(index, int)
    return log_id, index, tuple(map(str, items)) if isinstance(items, list) else None
