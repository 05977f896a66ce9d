"""The order of the steps, what is read back, and the seam for witnesses."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from ctlog.errors import FatalError, SignatureError, StoreError
from ctlog.sequencer.places import Sequenced
from ctlog.sequencer.signer import SeedSigner, open_head
from ctlog.store import Prepared
from ctlog.wire.b64 import format_base64
from ctlog.wire.checkpoint import SignedHead
from ctlog.wire.rfc6962 import DigitallySigned
from ctlog.wire.signed_note import sign_ed25519
from tests.faults import Fault, MemoryHeadStore, MemoryObjectStore
from tests.log_kit import ORIGIN, SEED, Life, with_settings


async def started(life: Life | None = None) -> Life:
    life = life or Life()
    await life.create()
    await life.start()
    return life


async def test_the_steps_are_taken_in_their_order() -> None:
    life = await started()
    await life.submit(0)
    first = f"1-{life.check().head.root.hex()}"
    life.faults.acts.clear()
    await life.submit(1, 2)
    steps = [(act, keys) for act, keys in life.faults.acts if act != "public.get_many"]
    root = life.check().head.root.hex()
    tiles = ("tile/data/000.p/3", "tile/numbers/000.p/3", "tile/0/000.p/3")
    assert steps == [
        ("lookup.by_entry_keys", ("", "")),
        ("public.prepare", tiles),  # these three at the same time
        ("staging.put_many", (f"3-{root}",)),
        ("staging.delete_many", (first,)),
        ("staging.get", (f"3-{root}",)),
        ("heads.replace", ("",)),
        ("public.put_prepared", tiles),
        ("public.put_many", ("checkpoint",)),  # these two as well
        ("lookup.add", ("",)),
    ]
    await life.stop()
    assert life.faults.acts[-1] == ("staging.delete_many", (f"3-{root}",))


@pytest.mark.parametrize("act", ["staging.put_many", "staging.get"])
async def test_what_was_prepared_for_a_batch_that_failed_is_dropped(act: str) -> None:
    life = await started()
    life.faults.arm(Fault(act))
    (refused,) = await life.submit(0)
    assert isinstance(refused, StoreError)
    public = life.shelves.public
    assert isinstance(public, MemoryObjectStore)
    assert public.prepared == {}
    assert "tile/0/000.p/1" not in public.written
    assert isinstance((await life.submit(0))[0], Sequenced)
    assert public.prepared == {}
    await life.stop()


async def test_objects_are_published_from_the_bytes_that_were_read_back() -> None:
    """They are slices of the very bundle with which that is compared, not copies that a bit could flip in."""
    life = await started()
    seen: list[memoryview] = []
    bundles: list[bytes] = []
    assert isinstance(life.shelves.public, MemoryObjectStore)
    assert isinstance(life.shelves.staging, MemoryObjectStore)
    prepare, put_many = life.shelves.public.prepare, life.shelves.staging.put_many

    async def noting(objects: Sequence[tuple[str, bytes | memoryview]]) -> Prepared:
        seen.extend(data for _, data in objects if isinstance(data, memoryview))
        return await prepare(objects)

    async def staging(objects: Sequence[tuple[str, bytes]], *, immutable: bool = True) -> None:
        bundles.append(objects[0][1])
        await put_many(objects, immutable=immutable)

    life.shelves.public.prepare = noting  # type: ignore[method-assign]
    life.shelves.staging.put_many = staging  # type: ignore[method-assign]
    await life.submit(0, 1)
    assert len(seen) == 3
    assert all(view.obj is bundles[0] for view in seen)
    assert b"".join(seen) == bundles[0][-32 - sum(map(len, seen)) : -32]
    await life.stop()


@pytest.mark.parametrize("size", [2, 250])
async def test_any_bit_that_flips_in_the_staged_bundle_stops_the_log_before_it_signs(size: int) -> None:
    life = await started()
    await life.submit(*range(size))
    heads = life.shelves.heads
    assert isinstance(heads, MemoryHeadStore)
    before = list(heads.history)
    for step in range(0, 4000, 97):

        def flip(data: bytes, step: int = step) -> bytes:
            at = step * len(data) // 4000
            return data[:at] + bytes([data[at] ^ 16]) + data[at + 1 :]

        life.faults.arm(Fault("staging.get", spoil=flip))
        answers = await life.submit(size, size + 1)
        assert all(isinstance(answer, FatalError) and answer.promise == "P2" for answer in answers)
        assert heads.history == before
        life.check()
        await life.crash()
        await life.start()
    assert all(isinstance(answer, Sequenced) for answer in await life.submit(*range(size + 9)))
    assert life.check().head.size == size + 9
    await life.stop()


@pytest.mark.parametrize("spoiled", [b"", None, "old"])
async def test_another_bundle_or_none_stops_the_log(spoiled: bytes | str | None) -> None:
    life = await started()
    bundles: list[bytes] = []
    life.faults.arm(Fault("staging.get", spoil=lambda data: bundles.append(data) or data))
    await life.submit(0)
    life.faults.armed.clear()
    answer = bundles[0] if spoiled == "old" else spoiled
    life.faults.arm(Fault("staging.get", spoil=lambda _: answer))  # type: ignore[arg-type, return-value]
    (refused,) = await life.submit(1)
    assert isinstance(refused, FatalError)
    assert (refused.promise, refused.reason) == ("P2", "read-back-differs")
    await life.crash()


async def test_a_bit_that_flips_in_memory_before_the_bundle_is_written_stops_the_log() -> None:
    """In the tiles that the log keeps of its right edge: hashes, and bytes that no hash covers."""
    life = await started()
    await life.submit(*range(5))
    log = life.log
    assert log is not None
    edge = log._standing.edge
    level, (data, feed) = edge.levels[0], edge.tails
    bad_level = (bytes([level[40] ^ 1]) + level[1:],)
    chain_end = bytes([data[-1] ^ 1])
    for bad in (
        replace(edge, levels=bad_level),
        replace(edge, tails=(b"\xff" + data[1:], feed)),
        replace(edge, tails=(data[:-1] + chain_end, feed)),
        replace(edge, tails=(data, feed[:-3] + b"x" + feed[-2:])),
    ):
        assert life.log is not None
        life.log._standing.edge = bad
        (refused,) = await life.submit(7)
        assert isinstance(refused, FatalError)
        assert refused.promise == "P2"
        await life.crash()
        await life.start()
    assert isinstance((await life.submit(7))[0], Sequenced)
    assert life.check().head.size == 6
    await life.stop()


class WrongSigner(SeedSigner):
    """Its signatures go wrong once it is told to."""

    wrong = False

    def digitally_sign(self, message: bytes) -> DigitallySigned:
        return super().digitally_sign(message + b"!" if self.wrong else message)


async def test_a_head_that_was_signed_wrongly_is_never_in_force() -> None:
    signer = WrongSigner(ORIGIN, SEED)
    life = await started(Life(signer=signer))
    await life.submit(0)
    signer.wrong = True
    (refused,) = await life.submit(1)
    assert isinstance(refused, FatalError)
    assert isinstance(refused.__cause__, SignatureError)
    signer.wrong = False
    heads = life.shelves.heads
    assert isinstance(heads, MemoryHeadStore)
    assert len(heads.history) == 2
    await life.crash()


# Witnesses ----------------------------------------------------------------------------------------------------------


def witness_line(note: bytes) -> bytes:
    text = note.decode().split("\n\n")[0] + "\n"
    line = sign_ed25519(text, "witness.example", bytes(32), lambda _: b"s" * 64)
    return f"\N{EM DASH} {line.name} {format_base64(line.key_id + line.signature)}\n".encode()


async def cosigned(life: Life) -> SignedHead:
    await started(life)
    await life.submit(0)
    public = life.shelves.public
    assert isinstance(public, MemoryObjectStore)
    assert life.log is not None
    head = life.log.head
    assert public.objects["checkpoint"] == head.note
    assert open_head(life.signer, head.note) == head
    life.check()
    await life.stop()
    await life.start()
    assert life.log.head == head  # its lines are kept over a start
    await life.submit(0, 1)
    await life.stop()
    return head


async def test_lines_of_witnesses_are_published_with_the_head() -> None:
    async def cosign(note: bytes) -> bytes:
        return witness_line(note)

    life = Life(cosign=cosign)
    head = await cosigned(life)
    assert head.note.endswith(witness_line(head.note))
    heads = life.shelves.heads
    assert isinstance(heads, MemoryHeadStore)
    assert not any(b"witness.example" in note for note in heads.history)


@pytest.mark.parametrize("fault", ["slow", "raises", "garbage", "forged", "no newline", "another head"])
async def test_a_witness_can_do_no_harm(fault: str) -> None:
    async def cosign(note: bytes) -> bytes:
        if fault == "slow":
            await asyncio.sleep(60)
        if fault == "raises":
            raise ZeroDivisionError
        lines = note.split(b"\n\n")[1]
        return {
            "garbage": b"\xff\xfe",
            "forged": lines.replace(b"A", b"B"),
            "no newline": witness_line(note)[:-1],
            "another head": b"\n" + note,
        }[fault]

    life = Life(cosign=cosign, settings=with_settings(cosign_limit_ms=20))
    head = await cosigned(life)
    assert head.note.count(b"\n") == 6
