"""A log that lies: the evidence file, and the loudest alert, at once and once for each lie.

In scope: checking the evidence with our own code before anybody is told, writing it to a file that others can check
(`ctlog verify-evidence FILE`), and the alert that carries it too, in case the disk is full. Out of scope: noticing
(`monitor.follow.heads`, `watch`, `audit`) and making evidence (`ctlog.client.evidence`).

A log that lies once lies with every head: its heads are one alert for each kind and day, which counts how often, while
each pair of heads has a file of its own. A broken SCT is an alert of its own; a record is one alert until it is over.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from ctlog.client.evidence import Verdict, verify_evidence
from ctlog.errors import CtlogError, Misbehaviour
from monitor.follow.followed import Followed
from monitor.history_files import replace_file
from monitor.state import State
from monitor.state.rows import MISBEHAVIOUR, OPERATOR, S1, NewAlert

MAX_FILES = 10_000
"""Evidence files that are kept; alerts carry their evidence besides."""
DAY_MS = 86_400_000

# What happened, in a few words, by kind of evidence; and the rule of the catalogue that it answers to.
_KINDS = {
    "fork": ("signed two different trees of one size", "T-28"),
    "rewrite": ("rewrote its past", "T-28"),
    "rollback": ("went back to a smaller tree", "T-28"),
    "empty-root": ("signed a root for nothing that is not that of nothing", "T-28"),
    "broken-sct": ("broke the promise of an SCT", "T-20"),
    "bad-tile": ("serves tiles that do not belong to its signed tree", "T-28"),
    "bad-entries": ("serves entries that do not belong to its signed tree", "T-28"),
    "missing-data": ("withholds what its signed tree must have", "T-28"),
    "no-consistency": ("does not show that its trees continue each other", "T-28"),
    "late-merge": ("merged an entry too late, or dated it back", "T-20"),
    "late-entry": ("merged an entry too late, or dated it back", "T-20"),
    "sct-not-found": ("does not hold the entry of an SCT", "T-20"),
}
_PROOF_NEXT = (
    "Nothing that this log says can be relied on any more. Keep the file: anybody who knows the log's key can check it "
    "with `ctlog verify-evidence FILE`. Send it to the log's operator, to those who accept its SCTs, and to other "
    "monitors."
)
_RECORD_NEXT = (
    "This is what was seen here; it proves nothing to others. Ask the log's operator, and see whether other monitors, "
    "or this one from another network, see the same. It goes on trying, and says when it is over."
)
_LATE_NEXT = (
    "Ask the log's operator whether it was overloaded at that time. If not, its dates are false: judge certificates "
    "from it by the day on which they were first seen, as is done here. "
)
_LATE_KINDS = ("late-merge", "late-entry")


class Accuser:
    """Writes evidence into `folder` and raises alerts. `channels` names those that operators are told by."""

    def __init__(self, state: State, folder: Path, channels: Callable[[], tuple[str, ...]]) -> None:
        self._state = state
        self._folder = folder
        self._channels = channels

    async def accuse(self, log: Followed, error: Misbehaviour, now_ms: int, key: str = "") -> str:
        """Tell what the evidence shows; the id of the alert. `key` tells records of one kind apart (which entries)."""
        verdict, doubt = _check(log, error)
        identity = _identity(log, error, verdict, now_ms, key)
        written = await asyncio.to_thread(self._write, log, error, now_ms)
        alert = _alert(log, error, verdict, doubt, identity, written, self._channels(), now_ms)
        await self._state.logs.accuse(log.log_id, written, [alert], now_ms)
        return alert.id

    async def over(self, log: Followed, alert_id: str, now_ms: int) -> None:
        """What a record told of is over: it is marked so. Proofs are never over."""
        await self._state.alerts.resolve(alert_id, now_ms)

    def _write(self, log: Followed, error: Misbehaviour, now_ms: int) -> str:
        """The name of the file; that of an earlier one about the same; "" where the disk does not take it."""
        mark = _mark(log, error.evidence)
        name = _file_name(log, error.reason, now_ms, mark)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            known = sorted(self._folder.glob(f"EVIDENCE-*-{mark}.txt"))
            if not known and len(list(self._folder.glob("EVIDENCE-*.txt"))) < MAX_FILES:
                replace_file(self._folder / name, error.evidence.encode())
            return known[0].name if known else name
        except OSError:
            return ""


def record_id(log: Followed, kind: str, key: str) -> str:
    """The id of the alert that a record of this kind about `key` has."""
    return _id(log.log_id.hex(), kind, key)


def _check(log: Followed, error: Misbehaviour) -> tuple[Verdict | None, str]:
    """The verdict of our own verifier, or why it has none: that would be a fault of ours, and is said as such."""
    try:
        return verify_evidence(error.evidence, log.policy.key), ""
    except CtlogError as doubt:
        return None, str(doubt)


def _identity(log: Followed, error: Misbehaviour, verdict: Verdict | None, now_ms: int, key: str) -> str:
    """What makes two pieces of evidence one alert: for records, `key`; for proofs, the SCT, or the day."""
    if verdict is None or not verdict.is_proof:
        return record_id(log, error.reason, key)
    day = str(now_ms // DAY_MS)
    return _id(log.log_id.hex(), verdict.evidence.kind, *(verdict.evidence.values("sct") or [day]))


def _mark(log: Followed, evidence: str) -> str:
    """What tells evidence files apart: all but the time when it was noticed."""
    lines = [line for line in evidence.split("\n") if not line.startswith("seen ")]
    return _id(log.log_id.hex(), *lines)[:12]


def _id(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _file_name(log: Followed, kind: str, now_ms: int, mark: str) -> str:
    place = re.sub(r"[^a-z0-9]+", "-", log.policy.origin.lower())[:60].strip("-")
    time = datetime.fromtimestamp(now_ms / 1000, UTC).strftime("%Y%m%dT%H%M%SZ")
    return f"EVIDENCE-{place}-{time}-{kind}-{mark}.txt"


def _next(kind: str, is_proof: bool) -> str:
    """What to do about a lie of this kind."""
    if kind not in _LATE_KINDS:
        return _PROOF_NEXT if is_proof else _RECORD_NEXT
    if not is_proof:
        return f"{_LATE_NEXT}This is what was seen here; it proves nothing to others."
    return f"{_LATE_NEXT}Keep the file: anybody who knows the log's key can check it with `ctlog verify-evidence FILE`."


def _alert(
    log: Followed, error: Misbehaviour, verdict: Verdict | None, doubt: str, identity: str, file: str,
    channels: tuple[str, ...], now_ms: int,
) -> NewAlert:  # fmt: skip
    what, rule = _KINDS.get(error.reason, ("contradicts itself", "T-28"))
    is_proof = verdict is not None and verdict.is_proof
    body = {
        "kind": MISBEHAVIOUR,
        "log": {"name": log.name, "url": log.url, "id": log.log_id.hex(), "origin": log.policy.origin},
        "class": "proof" if is_proof else "record",
        "evidence_kind": error.reason,
        "reason": verdict.sentence if is_proof and verdict is not None else str(error),
        "doubt": f"Our own verifier does not accept the evidence: {doubt}." if doubt else "",
        "next": _next(error.reason, is_proof),
        "file": file,
        "evidence": error.evidence,
        "seen_ms": now_ms,
    }
    return NewAlert(
        id=identity,
        kind=MISBEHAVIOUR,
        severity=S1,
        rule=f"log-{error.reason}",
        rules=(f"log-{error.reason}", rule),
        addressee=OPERATOR,
        summary=f"The log {log.name} {what} ({body['class']})",
        body=json.dumps(body).encode(),
        channels=channels,
        thread=f"log-{log.log_id.hex()[:16]}",
        log_id=log.log_id,
    )
