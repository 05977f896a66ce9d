"""Issuers: durable before the entry (P8), written once, compared when they are there."""

from __future__ import annotations

import asyncio

import pytest

from ctlog.errors import FatalError, StoreError
from ctlog.sequencer import attachments as module
from ctlog.sequencer.attachments import Attachments
from ctlog.store import Collectable
from tests.faults import Fault, Faults, MemoryObjectStore, When, faulty, memory_shelves

A, B = ("issuer/aa", b"A"), ("issuer/bb", b"B")


async def test_each_is_written_once_by_however_many_entries() -> None:
    store = MemoryObjectStore(Collectable())
    attachments = Attachments(store)
    assert not attachments.has([A])
    await asyncio.gather(*(attachments.keep([A, B]) for _ in range(20)))
    assert store.written == ["issuer/aa", "issuer/bb"]
    assert attachments.has([A, B])
    assert not attachments.has([("issuer/aa", b"other")])


async def test_what_another_process_left_is_written_again_once() -> None:
    """It may have died before its file was synced."""
    store = MemoryObjectStore(Collectable())
    await store.put_many([A])
    attachments = Attachments(store)
    await attachments.keep([A])
    await attachments.keep([A])
    assert store.written == ["issuer/aa", "issuer/aa"]


async def test_other_bytes_are_fatal() -> None:
    store = MemoryObjectStore(Collectable())
    await store.put_many([("issuer/aa", b"rotten")])
    with pytest.raises(FatalError, match=r"issuer/aa .*\(P8\)"):
        await Attachments(store).keep([B, A])
    assert store.objects == {"issuer/aa": b"rotten"}


@pytest.mark.parametrize("when", list(When))
async def test_a_failure_is_not_remembered_as_success(when: When) -> None:
    faults = Faults([Fault("public.put_many", "issuer/", when)])
    shelves = faulty(memory_shelves(), faults)
    attachments = Attachments(shelves.public)
    with pytest.raises(StoreError):
        await attachments.keep([A])
    assert not attachments.has([A])
    await attachments.keep([A])
    assert await shelves.public.get("issuer/aa") == b"A"


async def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_REMEMBERED", 3)
    attachments = Attachments(MemoryObjectStore(Collectable()))
    objects = [(f"issuer/{number}", b"x") for number in range(5)]
    await attachments.keep(objects)
    assert [attachments.has([one]) for one in objects] == [False, False, True, True, True]
