"""Which logs are trusted, with which keys, and since when: `log-list.json`, signed apart. The spec is docs/log-list.md.

In scope: the form (version 3 of the log list that browsers use: operators, logs, tiled logs, states with the dates
from which they hold, temporal intervals), its detached signature, and its age. A list is read only after its signature
was verified, so a `LogList` from `open_log_list` means: a key that we trust vouches for every word in it. A list that
is too old is an outcome of its own, for whoever asks; nothing here decides what follows from it.
Out of scope: files and their reloading (`ctlog.client.log_list_file`), and what an SCT is worth
(`ctlog.client.sct_policy`).

Strict: every known member has its type and its form, a log id is the hash of its key and stands once, an operator
stands once. Members that are not known are passed over, since the published schema grows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Literal, TypeAlias

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from ctlog.errors import MalformedError, SignatureError, VerificationError
from ctlog.wire.b64 import parse_base64
from ctlog.wire.rfc6962 import LogKey, log_id

MAX_BYTES = 4 << 20
"""Bytes of the longest list that is read."""
MAX_AGE_MS = 70 * 86_400_000
"""After ten weeks without a new list browsers no longer act upon the one that they have; the same here, by default."""
MAX_AHEAD_MS = 86_400_000
"""A list dated further ahead than this is not loaded: it would stay fresh for longer than it should."""

StateName: TypeAlias = Literal["pending", "qualified", "usable", "readonly", "retired", "rejected"]
ACCEPTED: frozenset[str] = frozenset(("qualified", "usable", "readonly"))
"""States in which a log's SCTs count, also those that it gives now."""

_FIELD = "log-list"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MIN_RSA_BITS = 2048


@dataclass(frozen=True, slots=True)
class ListedLog:
    """One log. `states` ascend: (since when in ms, name). `interval` is half-open, of the NotAfter that it takes.

    `previous` are earlier operators: (until when in ms, name), ascending. `tiled`: it speaks static-ct-api.
    """

    key: LogKey
    operator: str
    description: str
    states: tuple[tuple[int, str], ...]
    mmd_s: int
    submission_url: str
    monitoring_url: str
    interval: tuple[int, int] | None
    previous: tuple[tuple[int, str], ...]
    tiled: bool

    @property
    def log_id(self) -> bytes:
        return self.key.log_id

    def state_at(self, time_ms: int) -> str:
        """The state that holds at a time; "pending" before the first."""
        found = "pending"
        for since_ms, name in self.states:
            if since_ms > time_ms:
                break
            found = name
        return found

    def next_change(self, time_ms: int) -> int | None:
        """When, after `time_ms`, another state begins to hold; None if nothing is announced."""
        return next((since_ms for since_ms, _ in self.states if since_ms > time_ms), None)

    def retired_at(self, time_ms: int) -> int | None:
        """Since when the log is retired, if at `time_ms` it is."""
        held = [state for state in self.states if state[0] <= time_ms]
        return held[-1][0] if held and held[-1][1] == "retired" else None

    def operator_at(self, time_ms: int) -> str:
        """Who ran the log at a time."""
        return next((name for until_ms, name in self.previous if time_ms < until_ms), self.operator)


class LogList:
    """A list of logs, each found by its id. Does not change once made."""

    __slots__ = ("_by_id", "logs", "timestamp_ms", "version")

    def __init__(self, version: str, timestamp_ms: int, logs: Iterable[ListedLog]) -> None:
        self.version = version
        self.timestamp_ms = timestamp_ms
        self.logs = tuple(logs)
        self._by_id = {log.log_id: log for log in self.logs}

    def __len__(self) -> int:
        return len(self.logs)

    def __repr__(self) -> str:
        return f"LogList(version={self.version!r}, timestamp_ms={self.timestamp_ms}, {len(self.logs)} logs)"

    def by_id(self, log_id: bytes) -> ListedLog | None:
        """The log with this id (32 bytes)."""
        return self._by_id.get(log_id)

    def is_stale(self, now_ms: int, max_age_ms: int = MAX_AGE_MS) -> bool:
        """Whether the list is older than `max_age_ms`."""
        return now_ms - self.timestamp_ms > max_age_ms


class ListKey:
    """A key that signs lists: Ed25519, ECDSA on P-256 with SHA-256 (DER), or RSA (PKCS #1 v1.5) with SHA-256."""

    __slots__ = ("_key", "spki")

    def __init__(self, key: ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey) -> None:
        """For `from_pem`, which checks."""
        self._key = key
        self.spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of the SubjectPublicKeyInfo."""
        return log_id(self.spki)

    @classmethod
    def from_pem(cls, data: bytes) -> ListKey:
        """Read `-----BEGIN PUBLIC KEY-----`. Raises MalformedError, `unsupported-key` for one of another kind."""
        try:
            key = serialization.load_pem_public_key(data)
        except (ValueError, UnsupportedAlgorithm):
            raise MalformedError("the key of log lists is no public key in PEM", field="list-key") from None
        if isinstance(key, ed25519.Ed25519PublicKey):
            return cls(key)
        if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
            return cls(key)
        if isinstance(key, rsa.RSAPublicKey) and key.key_size >= _MIN_RSA_BITS:
            return cls(key)
        sentence = "the key of log lists is neither Ed25519, nor on P-256, nor RSA of at least 2048 bits"
        raise MalformedError(sentence, field="list-key", reason="unsupported-key")

    def verify(self, data: bytes, signature: bytes) -> None:
        """Is `signature` this key's over `data`? Raises SignatureError."""
        key = self._key
        try:
            if isinstance(key, ed25519.Ed25519PublicKey):
                key.verify(signature, data)
            elif isinstance(key, ec.EllipticCurvePublicKey):
                key.verify(signature, data, ec.ECDSA(hashes.SHA256()))
            else:
                key.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            raise SignatureError("the log list is not signed by this key", reason="bad-log-list-signature") from None


def open_log_list(data: bytes, signature: bytes, keys: Sequence[ListKey]) -> LogList:
    """Verify that one of `keys` signed these bytes, then read them. More than one key is for changing keys.

    Raises SignatureError, MalformedError.
    """
    if len(data) > MAX_BYTES:
        raise _malformed(f"it is longer than {MAX_BYTES} bytes")
    for key in keys:
        try:
            key.verify(data, signature)
        except SignatureError:
            continue
        return parse_log_list(data)
    raise SignatureError("the log list is not signed by any trusted key", reason="bad-log-list-signature")


def check_successor(new: LogList, old: LogList | None, now_ms: int) -> None:
    """May `new` take the place of `old`? A signature does not say that a list is the newest.

    Raises VerificationError: "log-list-older", "log-list-from-the-future".
    """
    if new.timestamp_ms > now_ms + MAX_AHEAD_MS:
        raise VerificationError("the log list is dated in the future", reason="log-list-from-the-future")
    if old is not None and new.timestamp_ms < old.timestamp_ms:
        raise VerificationError("the log list is older than the one that is in use", reason="log-list-older")


# --- the form ---------------------------------------------------------------------------------------------------------

_Moment = Annotated[datetime, msgspec.Meta(tz=True)]
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]


class _State(msgspec.Struct):
    timestamp: _Moment


class _Interval(msgspec.Struct):
    start_inclusive: _Moment
    end_exclusive: _Moment


class _Previous(msgspec.Struct):
    name: _Name
    end_time: _Moment


class _Log(msgspec.Struct):
    """A log of RFC 6962 or, by its tag in the caller, of static-ct-api: these have two URLs."""

    log_id: str
    key: str
    mmd: Annotated[int, msgspec.Meta(ge=1, le=10**9)]
    state: Annotated[dict[StateName, _State], msgspec.Meta(min_length=1)]
    description: str = ""
    url: str = ""
    submission_url: str = ""
    monitoring_url: str = ""
    temporal_interval: _Interval | None = None
    previous_operators: list[_Previous] = []


class _Operator(msgspec.Struct):
    name: _Name
    email: list[str] = []
    logs: list[_Log] = []
    tiled_logs: list[_Log] = []


class _List(msgspec.Struct):
    version: _Name
    log_list_timestamp: _Moment
    operators: list[_Operator]


_DECODER = msgspec.json.Decoder(_List)


def parse_log_list(data: bytes) -> LogList:
    """Read a list whose signature was verified, or is not needed (a list that one writes oneself).

    Raises MalformedError, its `field` "log-list".
    """
    try:
        read = _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _malformed(str(error)) from None
    logs: dict[bytes, ListedLog] = {}
    names: set[str] = set()
    for operator in read.operators:
        if operator.name in names:
            raise _malformed(f"the operator {operator.name!r} stands twice")
        names.add(operator.name)
        for tiled, group in ((False, operator.logs), (True, operator.tiled_logs)):
            for one in group:
                log = _listed(one, operator.name, tiled)
                if logs.setdefault(log.log_id, log) is not log:
                    raise _malformed(f"the log {one.log_id} stands twice")
    return LogList(read.version, _ms(read.log_list_timestamp), logs.values())


def _listed(one: _Log, operator: str, tiled: bool) -> ListedLog:
    try:
        key = LogKey.from_spki(parse_base64(one.key, "key"))
        claimed = parse_base64(one.log_id, "log_id")
    except MalformedError as error:
        raise _malformed(f"the log {one.log_id!r}: {error}") from None
    if claimed != key.log_id:
        raise _malformed(f"the log {one.log_id!r} has a key with another id")
    submission, monitoring = (one.submission_url, one.monitoring_url) if tiled else (one.url, one.url)
    if not all(url.startswith(("https://", "http://")) for url in (submission, monitoring)):
        wanted = "submission_url and monitoring_url" if tiled else "url"
        raise _malformed(f"the log {one.log_id!r} has no {wanted}, beginning with https:// or http://")
    interval = one.temporal_interval
    span = None if interval is None else (_ms(interval.start_inclusive), _ms(interval.end_exclusive))
    if span is not None and span[0] >= span[1]:
        raise _malformed(f"the log {one.log_id!r} has an empty temporal_interval")
    states = tuple(sorted((_ms(state.timestamp), str(name)) for name, state in one.state.items()))
    if len({since_ms for since_ms, _ in states}) < len(states):
        raise _malformed(f"the log {one.log_id!r} has two states from the same time on")
    previous = tuple(sorted((_ms(each.end_time), each.name) for each in one.previous_operators))
    return ListedLog(key, operator, one.description, states, one.mmd, submission, monitoring, span, previous, tiled)


def _ms(moment: datetime) -> int:
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1000 + delta.microseconds // 1000


def _malformed(problem: str) -> MalformedError:
    return MalformedError(f"log list: {problem}", field=_FIELD, reason="malformed-log-list")
