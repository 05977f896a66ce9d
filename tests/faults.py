"""Stores for tests: in memory, with opinions, and wrappers that fail before or after an act took effect.

The memory stores keep what they were given when a `Log` on top of them is thrown away, so throwing it away is a crash.
They fail the test (AssertionError) for what a good caller never does: an immutable key that changes, an empty object, a
discarded key that comes back with other bytes, a head that goes back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TypeVar

from ctlog.errors import ConfigError, FatalError, StoreError, UsageError
from ctlog.store import Candidate, Collectable, LookupRow, Prepared, Shelves, Space, StoredHead

T = TypeVar("T")

ROOMY = Space(1 << 40, 1 << 41, 1 << 20, 1 << 21)


class MemoryObjectStore:
    """An ObjectStore in a dict. `written` is the list of all keys ever stored, in order."""

    def __init__(self, collectable: Collectable) -> None:
        self.collectable = collectable
        self.objects: dict[str, bytes] = {}
        self.times_ms: dict[str, int] = {}
        self.written: list[str] = []
        self.discarded: dict[str, bytes] = {}
        self.prepared: dict[str, bytes] = {}
        self.room: Space | None = ROOMY
        self.now_ms = 0

    async def put_many(self, objects: Sequence[tuple[str, bytes]], *, immutable: bool = True) -> None:
        await asyncio.sleep(0)
        for key, data in objects:
            self.put(key, data, immutable)

    def put(self, key: str, data: bytes, immutable: bool = True) -> None:
        assert data, f"{key} was to be stored empty"
        assert self.discarded.get(key, data) == data, f"{key} was discarded and came back with other bytes"
        if immutable and self.objects.get(key, data) != data:
            raise FatalError(f"{key} was to change", promise="P5")
        self.objects[key] = bytes(data)
        self.times_ms[key] = self.now_ms
        self.written.append(key)

    async def prepare(self, objects: Sequence[tuple[str, bytes | memoryview]]) -> Prepared:
        await asyncio.sleep(0)
        names = [f"{len(self.prepared)}-{key}" for key, _ in objects]
        self.prepared |= {name: bytes(data) for name, (_, data) in zip(names, objects, strict=True)}
        return Prepared(tuple(key for key, _ in objects), tuple(names))

    async def put_prepared(self, prepared: Prepared) -> None:
        await asyncio.sleep(0)
        for key, name in zip(prepared.keys, prepared.names, strict=True):
            self.put(key, self.prepared.pop(name))

    async def drop_prepared(self, prepared: Prepared) -> None:
        for name in prepared.names:
            del self.prepared[name]

    async def put_stream(self, key: str, chunks: AsyncIterable[bytes]) -> None:
        self.put(key, b"".join([chunk async for chunk in chunks]))

    async def get(self, key: str) -> bytes | None:
        await asyncio.sleep(0)
        return self.objects.get(key)

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        await asyncio.sleep(0)
        return [self.objects.get(key) for key in keys]

    async def get_range(self, key: str, lo: int, hi: int) -> bytes | None:
        if not 0 <= lo <= hi:
            raise UsageError("no range")
        data = self.objects.get(key)
        return None if data is None else data[lo:hi]

    async def list_keys(self, prefix: str) -> list[str]:
        if prefix and not prefix.endswith("/"):
            raise UsageError("no prefix")
        return sorted(key for key in self.objects if key.startswith(prefix))

    async def delete_many(self, keys: Sequence[str]) -> None:
        await asyncio.sleep(0)
        for key in keys:
            if not self.collectable.covers(key):
                raise FatalError(f"{key} is not collectable", promise="P5")
            if key in self.objects:
                self.discarded[key] = self.objects.pop(key)

    async def modified_ms(self, key: str) -> int | None:
        return self.times_ms[key] if key in self.objects else None

    async def space(self) -> Space | None:
        return self.room

    async def close(self) -> None:
        pass


class MemoryHeadStore:
    """A HeadStore in a dict. `history` has every head that was ever in force, in order."""

    def __init__(self) -> None:
        self.heads: dict[bytes, StoredHead] = {}
        self.seeds: dict[bytes, str] = {}
        self.history: list[bytes] = []
        self.room: Space | None = ROOMY

    async def fetch(self, log_id: bytes) -> StoredHead | None:
        await asyncio.sleep(0)
        return self.heads.get(log_id)

    async def create(self, log_id: bytes, origin: str, seed_id: bytes, head: bytes) -> None:
        if log_id in self.heads or seed_id in self.seeds:
            raise ConfigError("known already", reason="log-exists")
        self.heads[log_id] = StoredHead(origin, head, False)
        self.seeds[seed_id] = origin
        self.history.append(head)

    async def replace(self, log_id: bytes, old: bytes, new: bytes, *, final: bool = False) -> None:
        await asyncio.sleep(0)
        stored = self.heads.get(log_id)
        if stored is None or stored.head != old or stored.frozen:
            raise FatalError("not the head that is stored", promise="P1", reason="head-moved")
        self.heads[log_id] = stored._replace(head=new, frozen=final)
        self.history.append(new)

    async def space(self) -> Space | None:
        return self.room

    async def close(self) -> None:
        pass


class MemoryLookupStore:
    """A LookupStore in a list. It gives a wrong candidate with the right ones now and then, since it may."""

    def __init__(self) -> None:
        self.rows: list[LookupRow] = []

    async def size(self) -> int:
        return len(self.rows)

    async def add(self, lo: int, rows: Sequence[LookupRow]) -> None:
        await asyncio.sleep(0)
        if lo > len(self.rows):
            raise UsageError("a gap")
        for at, row in enumerate(rows, lo):
            if at < len(self.rows):
                assert self.rows[at] == row, f"entry {at} changed"
            else:
                self.rows.append(row)

    async def settle(self) -> bool:
        return False

    async def by_entry_keys(self, keys: Sequence[bytes]) -> list[list[Candidate]]:
        await asyncio.sleep(0)
        wanted = set(keys)
        found: dict[bytes, list[Candidate]] = {key: [] for key in keys}
        for at, row in enumerate(self.rows):
            if row.entry_key in wanted:
                found[row.entry_key].append(Candidate(at, row.timestamp_ms))
        return [self._answer(key, found[key]) for key in keys]

    async def by_leaf_hash(self, leaf_hash: bytes) -> list[Candidate]:
        places = [at for at, row in enumerate(self.rows) if row.leaf_hash == leaf_hash]
        return self._answer(leaf_hash, [Candidate(at, self.rows[at].timestamp_ms) for at in places])

    async def by_certificate_hash(self, certificate_hash: bytes) -> list[Candidate]:
        places = [at for at, row in enumerate(self.rows) if row.certificate_hash == certificate_hash]
        return self._answer(certificate_hash, [Candidate(at, self.rows[at].timestamp_ms) for at in places])

    def _answer(self, asked: bytes, right: list[Candidate]) -> list[Candidate]:
        wrong = [Candidate(0, self.rows[0].timestamp_ms)] if self.rows and asked[0] < 3 else []
        return sorted({*wrong, *right})

    async def close(self) -> None:
        pass


# Faults -------------------------------------------------------------------------------------------------------------


class When(Enum):
    """Relative to its effect, when an act fails. Of several objects those before the one that is meant took effect."""

    BEFORE = "before"
    AFTER = "after"


class Crash(BaseException):
    """The process dies here."""


@dataclass
class Fault:
    """Fails `times` calls of `act` for which one of the keys begins with `key`; `error` makes what is raised."""

    act: str
    key: str = ""
    when: When = When.BEFORE
    times: int = 1
    error: Callable[[], BaseException] = lambda: StoreError("the test lets this fail")
    spoil: Callable[[bytes], bytes] | None = None
    """For acts that return bytes: do not fail, but hand over these instead."""
    hits: int = 0

    def meets(self, act: str, keys: Sequence[str]) -> bool:
        return self.act == act and self.hits < self.times and any(key.startswith(self.key) for key in keys)


@dataclass
class Faults:
    """What is to fail. Shared by the wrappers of one set of shelves; every act is noted in `acts`."""

    armed: list[Fault] = field(default_factory=list)
    acts: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)

    def arm(self, fault: Fault) -> Fault:
        self.armed.append(fault)
        return fault

    def find(self, act: str, keys: Sequence[str]) -> Fault | None:
        self.acts.append((act, tuple(keys)))
        for fault in self.armed:
            if fault.meets(act, keys):
                fault.hits += 1
                return fault
        return None


class _Faulty:
    """A store behind which another does the work. Acts are named `<shelf>.<method>`, such as "public.put_many"."""

    def __init__(self, store: object, shelf: str, faults: Faults) -> None:
        self.store = store
        self._shelf = shelf
        self._faults = faults

    def __getattr__(self, name: str) -> object:
        method = getattr(self.store, name)
        if name.startswith("_") or not asyncio.iscoroutinefunction(method):
            return method

        async def act(*args: object, **options: object) -> object:
            keys = _keys(args)
            fault = self._faults.find(f"{self._shelf}.{name}", keys)
            if fault is None:
                return await method(*args, **options)
            if fault.spoil is not None:
                data = await method(*args, **options)
                return data if data is None else fault.spoil(data)
            after = fault.when is When.AFTER
            if len(keys) > 1:
                met = next(at for at, key in enumerate(keys) if key.startswith(fault.key))
                await method(_first(args[0], met + after), *args[1:], **options)
            elif after:
                await method(*args, **options)
            raise fault.error()

        return act


def _keys(args: tuple[object, ...]) -> list[str]:
    """The keys of objects that a call is about."""
    if not args or isinstance(args[0], bytes | int):
        return [""]
    if isinstance(args[0], Prepared):
        return list(args[0].keys)
    if isinstance(args[0], str):
        return [args[0]]
    found = [item[0] if isinstance(item, tuple) else item for item in args[0]]  # type: ignore[attr-defined]
    return [item if isinstance(item, str) else "" for item in found]


def _first(objects: object, count: int) -> object:
    if isinstance(objects, Prepared):
        return Prepared(objects.keys[:count], objects.names[:count])
    return objects[:count]  # type: ignore[index]


def faulty(shelves: Shelves, faults: Faults) -> Shelves:
    """The same shelves, failing as told."""
    wrapped = {name: _Faulty(getattr(shelves, name), name, faults) for name in ("public", "staging", "heads", "lookup")}
    return replace(shelves, **wrapped)  # type: ignore[arg-type]


def memory_shelves() -> Shelves:
    """A set of shelves in memory, empty."""
    return Shelves(
        MemoryObjectStore(Collectable(partial_tiles=True)),
        MemoryObjectStore(Collectable(prefixes=("",))),
        MemoryHeadStore(),
        MemoryLookupStore(),
    )
