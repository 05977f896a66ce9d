"""add-chain and add-pre-chain (RFC 6962 sections 4.1, 4.2; the same under /stict/v1/): from a body to an SCT.

In scope: the order in which a submission costs something. Whether it is welcome at all (the allow-list, a frozen log,
a full pool, its source's rate) is decided before its body is read; the body's size before it is read whole; its form
before its signatures; these before it takes a place. Out of scope: what is admitted (`ctlog.admission`), where it goes
(`ctlog.sequencer`), errors as HTTP (`ctlog.http.problems`).

The issuer's and the root's buckets are charged once the signatures hold, so that nobody can empty another's by naming
it, and what turns out to be a resubmission is given back.
"""

from __future__ import annotations

import asyncio
import binascii
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import msgspec

from ctlog.errors import CtlogError, MalformedError, PoolFullError
from ctlog.http.answers import Answer
from ctlog.http.limits import AllowList, Buckets
from ctlog.http.metrics import Metrics
from ctlog.http.monitoring import PREFIXES
from ctlog.http.site import Call, Route
from ctlog.http.verifier import BATCH_IN_LOOP, Check, Verifier
from ctlog.sequencer.log import Log
from ctlog.sequencer.places import Sequenced
from ctlog.wire.rfc6962 import DigitallySigned, EntryType, format_digitally_signed
from ctlog.wire.static_ct import PendingEntry, format_leaf_index


class Planned(Protocol):
    """What `ctlog.admission.plan_accept` gives: the entry, good if `checks` hold."""

    @property
    def pending(self) -> PendingEntry: ...

    @property
    def checks(self) -> Sequence[Check]: ...


Admit = Callable[[Sequence[bytes], EntryType, int], Planned]
"""(chain as DER, kind, now in ms) -> what may be logged. Raises MalformedError, RefusedError."""


Tell = Callable[[int, bytes | Exception, bool], None]
"""(which submission, its SCT as JSON or why there is none, whether that is a new entry of the log)."""


@dataclass(frozen=True, slots=True)
class Gate:
    """Who may submit, and how much. Buckets by source address, by issuing CA's certificate, by accepted root."""

    allowed: AllowList
    sources: Buckets
    issuers: Buckets
    roots: Buckets


class _Chain(msgspec.Struct):
    chain: list[bytes]


_decoder = msgspec.json.Decoder(_Chain)
_CALLS = {"add-chain": EntryType.X509, "add-pre-chain": EntryType.PRECERT}


class Submissions:
    """The handlers. `clock` gives Unix time in ms."""

    def __init__(self, log: Log[PendingEntry], admit: Callable[[], Admit], gate: Gate, verifier: Verifier,
                 metrics: Metrics, clock: Callable[[], int]) -> None:
        self._log = log
        self._admit = admit
        self._gate = gate
        self._verifier = verifier
        self._metrics = metrics
        self._clock = clock
        self._unpooled = 0
        """Submissions that are being checked: they have no place yet."""
        self._unsigned: list[tuple[bytes, asyncio.Future[DigitallySigned]]] = []
        # sct_to_json as a template: the answer is made 5,000 times a second.
        self._sct = (b'{"sct_version":0,"id":"%s","timestamp":%%d,"extensions":"%%s","signature":"%%s"}'
                     % _base64(log.signer.key.log_id))

    def routes(self) -> dict[str, Route]:
        """Both calls under both prefixes."""
        routes = {name: Route(name, {"POST": partial(self._add, name=name, kind=kind)})
                  for name, kind in _CALLS.items()}
        return {prefix + name: routes[name] for prefix in PREFIXES for name in _CALLS}

    async def _add(self, call: Call, *, name: str, kind: EntryType) -> Answer:
        gate, log = self._gate, self._log
        try:
            if not gate.allowed.open:
                gate.allowed.check(call.source, call.header("Authorization"))
            self._check_room()
            gate.sources.take(call.source, time.monotonic())
            body = await call.body()
            self._check_room()  # a body may have taken its time
            pending = await self._admitted(body, kind)
            place, new = await self._sequence(pending)
        except Exception as error:
            self._refused(name, error)
            raise
        signed = await self._sign(log.form.leaf(pending, place.index, place.timestamp_ms))
        self._metrics.accepted(name, new)
        return Answer(200, self._answer(place, signed))

    def check_welcome(self, call: Call) -> None:
        """May this submitter submit, and would the log take anything now? Raises RefusedError, FrozenError,
        BusyError."""
        if not self._gate.allowed.open:
            self._gate.allowed.check(call.source, call.header("Authorization"))
        self._log.check_accepting()

    @property
    def pool_size(self) -> int:
        """How many submissions may wait."""
        return self._log.settings.pool_size

    @property
    def places(self) -> int:
        """How many submissions more would find a place in the pool now."""
        return self._log.settings.pool_size - self._log.waiting - self._unpooled

    def plan(self, source: str, body: bytes, name: str) -> Planned:
        """The steps of one of many up to its signatures. Raises why not. From here on it counts as one that will want a
        place, until `finish_all` ends."""
        try:
            self._check_room()
            self._gate.sources.take(source, time.monotonic())
            planned = self._admit()(decode_chain(body), _CALLS[name], self._clock())
        except Exception as error:
            self._refused(name, error)
            raise
        self._unpooled += 1
        return planned

    async def finish_all(self, planned: Sequence[Planned], name: str, tell: Tell) -> None:
        """The other steps, each taken for all before the next; `tell` is called once for each, with its place in
        `planned`, as soon as its outcome is known."""
        unpooled, waiting = len(planned), 0
        through: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def sequenced(at: int, paid: _Paid, done: asyncio.Future[Sequenced]) -> None:
            nonlocal waiting
            pending = planned[at].pending
            try:
                place = done.result()
                new = paid.settle(place)
                leaf = self._log.form.leaf(pending, place.index, place.timestamp_ms)
                answer = self._answer(place, self._log.signer.digitally_sign(leaf))
            except Exception as error:
                paid.give_back()
                self._refused(name, error)
                tell(at, error, False)
            else:
                self._metrics.accepted(name, new)
                tell(at, answer, new)
            waiting -= 1
            if not waiting and not through.done():
                through.set_result(None)

        try:
            for at, bad in enumerate(await self._verifier.verify_each([each.checks for each in planned])):
                unpooled -= 1
                self._unpooled -= 1
                try:
                    if bad is not None:
                        raise bad
                    paid, place = await self._enter(planned[at].pending)
                except Exception as error:
                    self._refused(name, error)
                    tell(at, error, False)
                else:  # no task for each: what remains to be done takes no waiting
                    waiting += 1
                    place.add_done_callback(partial(sequenced, at, paid))
            if waiting:
                await through
        finally:
            self._unpooled -= unpooled

    def _refused(self, name: str, error: Exception) -> None:
        self._metrics.refused(name, error.reason if isinstance(error, CtlogError) else "internal")

    def _answer(self, place: Sequenced, signed: DigitallySigned) -> bytes:
        return self._sct % (place.timestamp_ms, _base64(format_leaf_index(place.index)),
                            _base64(format_digitally_signed(signed)))

    def _check_room(self) -> None:
        """Would the log take it? Raises FrozenError, PoolFullError or another BusyError.

        What is being checked will want a place too: let in more than there are places for, and under overload most of
        the time goes into submissions that are then refused. While low entries can still give way, a few are let in.
        """
        log = self._log
        log.check_accepting()
        size = log.settings.pool_size
        if self._unpooled >= max(size - log.waiting, size // 8, 1):
            raise PoolFullError("the log has more submissions waiting than it can take; try again",
                                retry_after_s=log.settings.retry_after_s)

    async def _admitted(self, body: bytes, kind: EntryType) -> PendingEntry:
        """Decoded, admitted, every signature checked."""
        self._unpooled += 1
        try:
            planned = self._admit()(decode_chain(body), kind, self._clock())
            await self._verifier.verify(planned.checks)
        finally:
            self._unpooled -= 1
        return planned.pending

    async def _sign(self, leaf: bytes) -> DigitallySigned:
        """The SCT's signature. A batch wakes all of its submitters at once: their signatures are made one after the
        other, before any of them answers, for the same reason as in `ctlog.http.verifier`."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[DigitallySigned] = loop.create_future()
        self._unsigned.append((leaf, done))
        if len(self._unsigned) == 1:
            loop.call_soon(self._sign_all, loop)
        return await done

    def _sign_all(self, loop: asyncio.AbstractEventLoop) -> None:
        batch, self._unsigned = self._unsigned[:BATCH_IN_LOOP], self._unsigned[BATCH_IN_LOOP:]
        for leaf, done in batch:
            if not done.done():  # its request was cancelled
                try:
                    done.set_result(self._log.signer.digitally_sign(leaf))
                except Exception as error:  # a token that was pulled out
                    done.set_exception(error)
        if self._unsigned:
            loop.call_soon(self._sign_all, loop)

    async def _sequence(self, pending: PendingEntry) -> tuple[Sequenced, bool]:
        """A place in the log; and whether it is a new one, which its issuer and root pay for."""
        paid, entered = await self._enter(pending)
        try:
            place = await entered
            return place, paid.settle(place)
        finally:
            paid.give_back()

    async def _enter(self, pending: PendingEntry) -> tuple[_Paid, asyncio.Future[Sequenced]]:
        """Pay for a place, and ask for it."""
        costs = (self._gate.issuers, pending.issuers[0].fingerprint), (self._gate.roots, pending.root)
        paid = _Paid(costs, self._log.head.size)
        try:
            await self._log.keep(pending)
            return paid, self._log.enter(pending)
        except BaseException:
            paid.give_back()
            raise


class _Paid:
    """What issuer and root have paid for a place. It is given back unless the place turns out to be a new one."""

    __slots__ = ("_now_s", "_paid", "_size")

    def __init__(self, costs: Sequence[tuple[Buckets, bytes]], size: int) -> None:
        """Pay. `size`: of the log before. Raises RateLimitedError; then nothing is paid."""
        self._size = size
        self._now_s = time.monotonic()
        self._paid: list[tuple[Buckets, bytes]] = []
        try:
            for buckets, key in costs:
                buckets.take(key, self._now_s)
                self._paid.append((buckets, key))
        except BaseException:
            self.give_back()
            raise

    def settle(self, place: Sequenced) -> bool:
        """Whether the place is a new one, for which the price is kept."""
        new = place.index >= self._size
        if new:
            self._paid.clear()
        return new

    def give_back(self) -> None:
        """Give back what was not kept."""
        for buckets, key in self._paid:
            buckets.give_back(key, self._now_s)
        self._paid.clear()


def decode_chain(body: bytes) -> list[bytes]:
    """The `chain` of a submission's body. Raises MalformedError, which names the member or the offset."""
    try:
        return _decoder.decode(body).chain
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
        field = where.rstrip("`").lstrip(".") or "body"
        raise MalformedError(_explain(what, field), field=field, reason="bad-json") from None
    except msgspec.DecodeError as error:
        offset = re.search(r"\(byte (\d+)\)", str(error))
        what = str(error).partition(" (byte")[0].removeprefix("JSON is malformed: ")
        raise MalformedError(f"the body is not JSON: {what}" + (f" at byte {offset[1]}" if offset else ""),
                             field="body", offset=int(offset[1]) if offset else None, reason="bad-json") from None
    except (UnicodeDecodeError, RecursionError):
        raise MalformedError("the body is not JSON", field="body", reason="bad-json") from None


def _explain(what: str, field: str) -> str:
    if "base64" in what:
        return f"`{field}` is not standard base64"
    if missing := re.search(r"missing required field `(\w+)`", what):
        return f"the body has no member `{missing[1]}`"
    expected = re.search(r"Expected `(\w+)`, got `(\w+)`", what)
    words = {"bytes": "a base64 string", "array": "a list", "object": "an object", "str": "a string"}
    if expected:
        subject = "the body" if field == "body" else f"`{field}`"
        return f"{subject} must be {words.get(expected[1], expected[1])}, not {words.get(expected[2], expected[2])}"
    return f"`{field}`: {what[:1].lower()}{what[1:]}"


def _base64(data: bytes) -> bytes:
    return binascii.b2a_base64(data, newline=False)
