"""Are this certificate's SCTs enough? All of them against the log list, and the verdict: draft-ietf-stir-certificate-
transparency section 7.2, rows A1, A3, V1 and V2 of docs/conformance.md; no network, no clock of its own.

In scope: SCTs embedded in a certificate (RFC 6962 section 3.3) and detached ones, which log gave each, who runs it, the
states of logs, and a policy: at least so many SCTs, from so many operators. What cannot be known is passed over: an SCT
of an unknown version or an unknown log is no SCT, and spoils none beside it. Of one log one SCT counts. A result holds
until the certificate or the list ends or a log changes its state, whichever comes first: `until_ms`.
Out of scope: whether the certificate is good otherwise (`ctlog.client.credential`).

What is said of each SCT, besides "good":

    unknown-version, unknown-log, malformed-sct, log-not-accepted   passed over
    same-log            not looked at: a good one of the same log counts already
    too-many            not looked at: `MAX_SCTS` of listed logs come before it
    from-the-future, retired-log, bad-signature, wrong-certificate, bad-extensions   not good

and of all together (`SctVerdict.reason`), if it is not "enough": one of the last line when that is why, else

    no-sct, unreadable-scts, too-few-scts, too-few-operators, only-retired-logs, log-list-stale
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ctlog.client.log_list import ACCEPTED, MAX_AGE_MS, ListedLog, LogList
from ctlog.client.lru import LruCache
from ctlog.client.sct import Candidate, VerifiedSct, check_time, read_sct
from ctlog.errors import MalformedError, SctError, UsageError
from ctlog.wire.rfc6962 import parse_sct_list
from ctlog.x509.der import Certificate, parse_certificate
from ctlog.x509.precert import sct_list_extension

MAX_SCTS = 16
"""SCTs of known logs that are verified for one certificate: each costs a signature check or two."""

GOOD = "good"
ENOUGH = "enough"
_FOREVER_MS = 1 << 63
_PASSED_OVER = frozenset(
    ("unknown-version", "unknown-log", "malformed-sct", "log-not-accepted", "same-log", "too-many")
)


class SctPolicy(NamedTuple):
    """How many SCTs are enough: `scts` of as many logs, of at least `operators` operators, `current` of them of logs
    that are not retired now. A retired log's SCT counts if it was given before, which its key's thief can write too.

    tolerance_ms: by how much an SCT's time may be ahead. max_list_age_ms: after that a list is stale.
    """

    scts: int = 2
    operators: int = 2
    current: int = 1
    tolerance_ms: int = 0
    max_list_age_ms: int = MAX_AGE_MS


class CheckedSct(NamedTuple):
    """One SCT: `reason` is "good" or why not. `log` is None for a log that is not listed; `operator` ran it then.

    `verified` is there when the signature holds, `log_id` and `timestamp_ms` when it could be read.
    """

    reason: str
    sentence: str
    embedded: bool
    log_id: bytes = b""
    timestamp_ms: int = 0
    log: ListedLog | None = None
    operator: str = ""
    verified: VerifiedSct | None = None


class SctVerdict(NamedTuple):
    """All SCTs of a certificate. `outcome` is "met", "not-met" or "stale": of a stale list nothing follows.

    `reason` is "enough" or the first word of why not; `until_ms`: how long this holds, half-open.
    """

    outcome: str
    reason: str
    sentence: str
    scts: tuple[CheckedSct, ...]
    until_ms: int

    @property
    def is_met(self) -> bool:
        return self.outcome == "met"

    @property
    def good(self) -> list[CheckedSct]:
        """Those that count: one of each log."""
        return [one for one in self.scts if one.reason == GOOD]

    @property
    def operators(self) -> list[str]:
        """Whose logs these are, each once."""
        return sorted({one.operator for one in self.good})


class SctCache:
    """Verdicts that still hold, by certificate: found in constant time, bounded. It belongs to the caller.

    One cache serves one list and one policy at a time: with another it starts anew.
    """

    def __init__(self, entries: int = 4096, octets: int = 32 << 20) -> None:
        self._verdicts: LruCache[tuple[bytes, ...], tuple[SctVerdict, int]] = LruCache(entries, octets)
        self._for: tuple[LogList, SctPolicy] | None = None

    def __len__(self) -> int:
        return len(self._verdicts)

    def get(self, key: tuple[bytes, ...], log_list: LogList, policy: SctPolicy, now_ms: int) -> SctVerdict | None:
        """What was found for these bytes, if it was found with this list and policy and still holds."""
        mine = self._for
        if mine is None or mine[0] is not log_list or mine[1] != policy:
            self._verdicts.clear()
            self._for = (log_list, policy)
            return None
        found = self._verdicts.get(key)
        return found[0] if found is not None and found[1] <= now_ms < found[0].until_ms else None

    def put(self, key: tuple[bytes, ...], verdict: SctVerdict, now_ms: int) -> None:
        """Keep what was found at `now_ms`."""
        self._verdicts.put(key, (verdict, now_ms), 2 * sum(map(len, key)) + 2048)


def verify_scts(
    certificate: bytes | Certificate,
    issuers: Sequence[bytes | Certificate],
    log_list: LogList,
    now_ms: int,
    policy: SctPolicy | None = None,
    *,
    detached: Sequence[bytes] = (),
    cache: SctCache | None = None,
) -> SctVerdict:
    """Hold every SCT of a certificate against the list, and the good ones against the policy.

    certificate: final, DER or parsed. issuers: what stands above it, its own issuer first; an SCT over the
    precertificate, as embedded ones are, needs that one. detached: serialised SCTs that travel beside the certificate.

    Raises MalformedError for certificates that cannot be read, UsageError for a policy that makes no sense; nothing for
    SCTs, whatever they are.
    """
    policy = policy or SctPolicy()
    if min(policy.scts, policy.operators) < 1 or not 0 <= policy.current <= policy.scts or policy.tolerance_ms < 0:
        raise UsageError("an SCT policy asks for at least one SCT of one operator", reason="bad-policy")
    key = (_der(certificate), *map(_der, issuers), b"", *detached)
    if cache is not None and (found := cache.get(key, log_list, policy, now_ms)) is not None:
        return found
    parsed = certificate if isinstance(certificate, Certificate) else parse_certificate(certificate)
    above = tuple(i if isinstance(i, Certificate) else parse_certificate(i, "issuer") for i in issuers)
    verdict = _judge(Candidate(parsed, above), log_list, now_ms, policy, detached)
    if cache is not None:
        cache.put(key, verdict, now_ms)
    return verdict


def _der(certificate: bytes | Certificate) -> bytes:
    return certificate.der if isinstance(certificate, Certificate) else certificate


def _judge(
    candidate: Candidate, log_list: LogList, now_ms: int, policy: SctPolicy, detached: Sequence[bytes]
) -> SctVerdict:
    if log_list.is_stale(now_ms, policy.max_list_age_ms):
        days = (now_ms - log_list.timestamp_ms) // 86_400_000
        sentence = f"the log list is {days} days old, too old to be acted upon"
        return SctVerdict("stale", "log-list-stale", sentence, (), _FOREVER_MS)
    try:
        data = sct_list_extension(candidate.certificate)
        serialised = [(sct, True) for sct in ([] if data is None else parse_sct_list(data))]
        unreadable = ""
    except MalformedError as error:
        serialised, unreadable = [], str(error)
    serialised += [(sct, False) for sct in detached]
    checked: list[CheckedSct] = []
    for sct, embedded in serialised:
        checked.append(_check(sct, embedded, candidate, log_list, now_ms, policy, checked))
    until_ms = _until(candidate.certificate, checked, log_list, now_ms, policy)
    reason, sentence = _count(checked, unreadable, now_ms, policy)
    return SctVerdict("met" if reason == ENOUGH else "not-met", reason, sentence, tuple(checked), until_ms)


def _check(
    data: bytes,
    embedded: bool,
    candidate: Candidate,
    log_list: LogList,
    now_ms: int,
    policy: SctPolicy,
    before: Sequence[CheckedSct],
) -> CheckedSct:
    """One SCT; `before` are those that stand before it."""
    try:
        sct = read_sct(data)
    except SctError as error:
        return CheckedSct(error.reason, str(error), embedded)
    except MalformedError as error:
        return CheckedSct("malformed-sct", str(error), embedded)
    log = log_list.by_id(sct.log_id)
    if log is None:
        return CheckedSct("unknown-log", "its log is not listed", embedded, sct.log_id, sct.timestamp_ms)
    said = CheckedSct(GOOD, "", embedded, sct.log_id, sct.timestamp_ms, log, log.operator_at(sct.timestamp_ms))
    if sum(one.log is not None for one in before) >= MAX_SCTS:
        return said._replace(reason="too-many", sentence=f"{MAX_SCTS} SCTs come before it")
    if any(one.log is log and one.reason == GOOD for one in before):
        return said._replace(reason="same-log", sentence="another SCT of its log counts already")
    retired_ms = log.retired_at(now_ms)
    if retired_ms is None and log.state_at(now_ms) not in ACCEPTED:
        return said._replace(reason="log-not-accepted", sentence=f"its log is {log.state_at(now_ms)}")
    try:
        check_time(sct, now_ms, policy.tolerance_ms)
        if retired_ms is not None and sct.timestamp_ms >= retired_ms:
            raise SctError("it was given after its log was retired", reason="retired-log")
        verified = candidate.verify(sct, log.key)
    except SctError as error:
        return said._replace(reason=error.reason, sentence=str(error))
    except MalformedError as error:  # of the certificate: two SCT lists
        return said._replace(reason="wrong-certificate", sentence=str(error))
    return said._replace(sentence=f"given by {log.description or log.operator}", verified=verified)


def _count(checked: Sequence[CheckedSct], unreadable: str, now_ms: int, policy: SctPolicy) -> tuple[str, str]:
    """The reason and the sentence."""
    good = [one for one in checked if one.reason == GOOD]
    operators = {one.operator for one in good}
    current = sum(one.log is not None and one.log.state_at(now_ms) in ACCEPTED for one in good)
    said = f"{_so_many(len(good), 'good SCT')} of {_so_many(len(operators), 'operator')}"
    wanted = f"{said}, where {policy.scts} of {policy.operators} are wanted"
    if len(good) >= policy.scts and len(operators) >= policy.operators:
        return (ENOUGH, said) if current >= policy.current else ("only-retired-logs", f"{said}, all logs retired since")
    bad = next((one for one in checked if one.reason != GOOD and one.reason not in _PASSED_OVER), None)
    if bad is not None:
        return bad.reason, f"{wanted}; one is not good: {bad.sentence}"
    if unreadable:
        return "unreadable-scts", f"{wanted}; the certificate's SCT list cannot be read: {unreadable}"
    if not checked:
        return "no-sct", "there is no SCT"
    if len(good) < policy.scts:
        over = len(checked) - len(good)
        return "too-few-scts", wanted + (f"; {_so_many(over, 'further SCT')} passed over" if over else "")
    return "too-few-operators", wanted


def _until(
    certificate: Certificate, checked: Sequence[CheckedSct], log_list: LogList, now_ms: int, policy: SctPolicy
) -> int:
    """When, at the earliest, this could be found otherwise."""
    times = [log_list.timestamp_ms + policy.max_list_age_ms + 1]
    if certificate.not_after_ms is not None and certificate.not_after_ms >= now_ms:
        times.append(certificate.not_after_ms + 1000)
    for one in checked:
        if one.log is not None and (change_ms := one.log.next_change(now_ms)) is not None:
            times.append(change_ms)
        if one.reason == "from-the-future":
            times.append(one.timestamp_ms - policy.tolerance_ms)
    return max(min(times), now_ms + 1)


def _so_many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
