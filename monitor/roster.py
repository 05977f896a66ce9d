"""The logs that are followed now: as the configuration, each log.v3.json and the log list say, read again, remembered.

In scope: when these are read, what stays in force when one of them cannot be, what the state remembers of them over
restarts, and which of them fail, were lost from their list, or have ended by what it says: these are read for a while
more. What a log.v3.json said the first time stays in force, so that whoever takes over its URL does not become the log.
Out of scope: their forms (`monitor.catalogue`), when an end is over (`monitor.ending`), following.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ctlog.client.log_list import MAX_AGE_MS, LogList
from ctlog.errors import CtlogError, TransportError
from monitor.catalogue import (
    LISTED,
    Get,
    LogSpec,
    listed_logs,
    merge,
    read_list,
    read_log,
    spec_from_json,
    spec_to_json,
)
from monitor.config import Config, LogConfig, LogListConfig
from monitor.ending import GIVEN_UP, first_word, is_over, last_word
from monitor.follow.followed import Clock, Says
from monitor.health import Failure
from monitor.rules.values import DAY_MS, say_day
from monitor.state import State
from monitor.state.rows import SCT_GIVEN_UP

KEY = "roster"
DISMISSED = "roster-dismissed"
"""Logs that their list lost, and that are followed no longer because somebody said so."""
RETRY_MS = 60_000
"""After a description could not be read it is read again after so long."""
_ALL = 1_000_000
CHECK_MS = 86_400_000
"""A log.v3.json that is known is read again once a day, to notice that it names another key."""


class Roster:
    """Which logs are followed. specs: by log id. lost: those whose list names them no more. failures: by source."""

    def __init__(
        self, state: State, get: Get, now_ms: Clock, says: Says, operators: Callable[[], Sequence[str]] = tuple,
        told: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        """`operators`: the channels that are told of logs that end; `told` is called when alerts wait to be sent."""
        self._state = state
        self._operators = operators
        self._told = told
        self._get = get
        self._now_ms = now_ms
        self._says = says
        self._described: dict[str, LogSpec] = {}
        self._listed: dict[bytes, LogSpec] = {}
        self._list: LogList | None = None
        self._ending: dict[bytes, int] = {}  # since when the list was seen to say that this log has ended
        self._due_ms: dict[str, int] = {}
        self.specs: dict[bytes, LogSpec] = {}
        self.lost: tuple[LogSpec, ...] = ()
        self.failures: dict[str, Failure] = {}

    async def load(self) -> None:
        """Remember what was in force. Raises StoreError."""
        data = await self._state.answers.get_meta(KEY)
        if data is None:
            return
        value = json.loads(data)
        self._described = {source: spec_from_json(spec) for source, spec in value["described"].items()}
        self._listed = _by_id(map(spec_from_json, value["listed"]))
        self.specs = _by_id(map(spec_from_json, value["specs"]))
        self._ending = {bytes.fromhex(log_id): since_ms for log_id, since_ms in value.get("ending", {}).items()}
        if value["list_ms"] is not None:  # enough to know an older list by
            self._list = LogList("", value["list_ms"], ())

    async def refresh(self, config: Config, folder: Path) -> bool:
        """Read what is due; true where other logs are to be followed now, or otherwise. Raises StoreError."""
        configured: dict[bytes, LogSpec] = {}
        for log in config.logs:
            spec = await self._configured(log, folder)
            if spec is not None:
                configured[spec.log_id] = spec
        if config.log_list is None:
            self._listed, self._list = {}, None
        else:
            await self._read_list(config.log_list, folder)
        before = {each: spec for each, spec in self.specs.items() if spec.source == LISTED} if config.log_list else {}
        await self._note_ends(before)
        gone = await self._dismissed() | await self._over(before)
        specs, lost = merge(configured, self._listed, {each: before[each] for each in before.keys() - gone})
        self.lost = tuple(spec for spec in lost if spec.log_id not in self._ending)
        self._note_age(config)
        sources = {log.log_v3 for log in config.logs} | ({config.log_list.source} if config.log_list else set())
        self.failures = {source: failure for source, failure in self.failures.items() if source in sources}
        if specs == self.specs:
            return False
        self.specs = specs
        await self._remember()
        return True

    async def _configured(self, log: LogConfig, folder: Path) -> LogSpec | None:
        source, known = log.log_v3, self._described.get(log.log_v3)
        if source and self._is_due(source):
            try:
                read = await read_log(log, folder, self._get, known.key if known else None)
            except CtlogError as error:
                self._failed(source, error)
            else:
                self._succeeded(source, CHECK_MS)
                if known is None:
                    self._described[source] = known = read
                    await self._remember()
        if not source:
            return await read_log(log, folder, self._get, None)  # it says all that there is to know
        return known._replace(begin=log.begin, name=log.name or known.name) if known else None

    async def _read_list(self, config: LogListConfig, folder: Path) -> None:
        if not self._is_due(config.source):
            return
        now_ms = self._now_ms()
        try:
            new = await read_list(config, folder, self._get, self._list, now_ms)
        except CtlogError as error:
            self._failed(config.source, error)
            return
        self._succeeded(config.source, config.every_s * 1000)
        self._list, self._listed = new, _by_id(listed_logs(config, new, now_ms))
        await self._remember()

    async def _dismissed(self) -> set[bytes]:
        """Those of a word that holds still: a list that names its log again takes it back."""
        said = await read_dismissed(self._state)
        if said & self._listed.keys():
            await _put_dismissed(self._state, said := said - self._listed.keys())
        return said

    async def _note_ends(self, before: Mapping[bytes, LogSpec]) -> None:
        """Logs of which the list itself says now that they are to be followed no longer. Operators are told."""
        ending = {each: ms for each, ms in self._ending.items() if each in before and each not in self._listed}
        words = []
        for log_id, spec in before.items():
            listed = self._list.by_id(log_id) if self._list is not None else None
            if listed is not None and log_id not in self._listed and log_id not in ending:
                ending[log_id] = now_ms = self._now_ms()
                words.append(first_word(spec, listed.state_at(now_ms), now_ms, tuple(self._operators())))
        if words:
            await self._state.alerts.raise_all(words, self._now_ms())
            self._told()
        if ending != self._ending:
            self._ending = ending
            await self._remember()

    async def _over(self, before: Mapping[bytes, LogSpec]) -> set[bytes]:
        """Those that ended, and are read no longer from now on. What they still owe is given up, and said."""
        over = set()
        for log_id, noticed_ms in self._ending.items():
            spec, row, now_ms = before[log_id], await self._state.logs.get(log_id), self._now_ms()
            if is_over(spec, noticed_ms, row, now_ms):
                owed = await self._state.audits.waiting(log_id, limit=_ALL)
                word = last_word(spec, noticed_ms, row, len(owed), now_ms, tuple(self._operators()))
                results = [(each.id, SCT_GIVEN_UP, GIVEN_UP) for each in owed]
                await self._state.audits.settle(results, now_ms, [word])
                self._told()
                over.add(log_id)
        return over

    def _note_age(self, config: Config) -> None:
        """A list that is read and never made anew: logs that began since then are missing on it."""
        if config.log_list is None or self._list is None or config.log_list.source in self.failures:
            return
        if self._list.is_stale(self._now_ms()):
            made_ms, days = self._list.timestamp_ms, MAX_AGE_MS // DAY_MS
            sentence = f"it was made on {say_day(made_ms)}, more than {days} days ago: newer logs are not on it"
            self.failures[config.log_list.source] = Failure(sentence, made_ms + MAX_AGE_MS, is_grave=True)

    def _is_due(self, source: str) -> bool:
        return self._now_ms() >= self._due_ms.get(source, 0)

    def _succeeded(self, source: str, again_ms: int) -> None:
        self._due_ms[source] = self._now_ms() + again_ms
        self.failures.pop(source, None)

    def _failed(self, source: str, error: CtlogError) -> None:
        """What was not to be had is tried again soon; what is wrong is told at once."""
        now_ms = self._now_ms()
        self._due_ms[source] = now_ms + RETRY_MS
        since_ms = self.failures[source].since_ms if source in self.failures else now_ms
        self.failures[source] = Failure(str(error), since_ms, is_grave=not isinstance(error, TransportError))
        self._says("warning", source, str(error))

    async def _remember(self) -> None:
        value: dict[str, Any] = {
            "described": {source: spec_to_json(spec) for source, spec in self._described.items()},
            "listed": [spec_to_json(spec) for spec in self._listed.values()],
            "specs": [spec_to_json(spec) for spec in self.specs.values()],
            "ending": {log_id.hex(): since_ms for log_id, since_ms in self._ending.items()},
            "list_ms": self._list.timestamp_ms if self._list is not None else None,
        }
        await self._state.answers.put_meta(KEY, json.dumps(value).encode())


class Known(NamedTuple):
    """For commands. specs: the logs that are followed, by id; listed: those of them that the log list names."""

    specs: dict[bytes, LogSpec]
    listed: frozenset[bytes]


async def read_known(state: State, config: Config) -> Known:
    """As the daemon remembered them last, and as the configuration has it now: what it names by key no more, and what
    was dismissed, is followed no longer."""
    data = await state.answers.get_meta(KEY)
    value = json.loads(data) if data is not None else {"specs": [], "listed": []}
    listed = frozenset(_by_id(map(spec_from_json, value["listed"]))) if config.log_list is not None else frozenset()
    gone = await read_dismissed(state) - listed
    found = {
        log_id: spec for log_id, spec in _by_id(map(spec_from_json, value["specs"])).items()
        if _is_named(spec, config) and log_id not in gone
    }  # fmt: skip
    for log in config.logs:
        if log.key is not None:
            where = log.name, log.url, log.key, log.form, log.origin
            found[log.key.log_id] = LogSpec(*where, log.mmd_ms, log.begin, "configuration")
    return Known(found, listed)


async def dismiss(state: State, log_id: bytes) -> None:
    """Follow a log that its list lost no longer."""
    await _put_dismissed(state, await read_dismissed(state) | {log_id})


async def read_dismissed(state: State) -> set[bytes]:
    """Those that were dismissed."""
    data = await state.answers.get_meta(DISMISSED)
    return set() if data is None else set(map(bytes.fromhex, json.loads(data)))


async def _put_dismissed(state: State, log_ids: Iterable[bytes]) -> None:
    await state.answers.put_meta(DISMISSED, json.dumps(sorted(each.hex() for each in log_ids)).encode())


def _is_named(spec: LogSpec, config: Config) -> bool:
    """Whether what named this log is in the configuration still."""
    if spec.source == LISTED:
        return config.log_list is not None
    return any(log.log_v3 == spec.source if log.key is None else log.key == spec.key for log in config.logs)


def _by_id(specs: Iterable[LogSpec]) -> dict[bytes, LogSpec]:
    return {spec.log_id: spec for spec in specs}
