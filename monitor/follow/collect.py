"""What history remembers of every entry: a record for each of its labels, and one for its key.

In scope: the records of a whole batch, from glances; what is the same for many entries (holders, times) is remembered.
Out of scope: keeping records (`monitor.history`), and who issued (`monitor.follow.issuers`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from ctlog.errors import MalformedError
from ctlog.merkle.hashing import hash_messages
from ctlog.merkle.tree import HASH_SIZE
from ctlog.tn.labels import ONE
from ctlog.x509.der import SEQUENCE, UTC_TIME, children, expect, read_time
from monitor.claims import MAX_INDEX, hint, label_key, pack_place, pack_rest, seconds, spki_key
from monitor.glance import Glance
from monitor.holder import holder_name, normalise, telling_part
from monitor.hot import HOT

MAX_KNOWN = 1 << 16
"""Times and subjects that are remembered."""

LATE_S = 30 * 86_400
_ORDINARY = b"\x30\x1e\x17\x0d"  # begins a Validity of two UTCTimes (RFC 5280 section 4.1.2.5), 32 octets
_NO_KEY = bytes(HASH_SIZE)
_U32 = 0xFFFFFFFF


_hashed_key = lru_cache(8192)(label_key)
"""Of codes and the like, which come again and again."""


class Collector:
    """Makes records. `name_number` gives a holder's name its number (`History.name_number`). For one thread."""

    def __init__(self, name_number: Callable[[str], int]) -> None:
        self._name_number = name_number
        self._times: dict[bytes, int] = {}
        self._holders: dict[bytes, int] = {}
        self.late = 0
        """How many entries of the last batch were logged more than 30 days after their validity began."""
        self.keys = b""
        """SHA-256 of the SubjectPublicKeyInfo of each of them."""

    def records(
        self, log: int, lo: int, leaves: list[bytes], glances: list[Glance], issuers: list[int]
    ) -> bytes:
        """The records of the entries from `lo` on, one behind the other. `log`, `issuers`: numbers of this history.

        An entry that no parser accepts has a record for each of its labels, without times and key. Raises
        MalformedError for indexes that no record holds: a log that says to have so many entries lies.
        """
        if lo + len(leaves) > MAX_INDEX:
            raise MalformedError(f"a log has no more than {MAX_INDEX:,} entries", field="index")
        self.keys = keys = hash_messages([glance[3] for glance in glances])
        if HOT is not None:
            found: bytes
            found, self.late = HOT.records(
                log, lo, leaves, glances, issuers, keys, self._holders, self._holder, self._period, _hashed_key
            )
            return found
        return self._records(log, lo, leaves, glances, issuers, keys)

    def _records(
        self, log: int, lo: int, leaves: list[bytes], glances: list[Glance], issuers: list[int], keys: bytes
    ) -> bytes:
        late = 0
        times, holders = self._times, self._holders
        found: list[bytes] = []
        for index, (leaf, glance, issuer) in enumerate(zip(leaves, glances, issuers, strict=True), lo):
            _, validity, subject, spki, labels = glance
            before = times.get(validity[4:17])
            after = times.get(validity[19:])
            if before is None or after is None or validity[:4] != _ORDINARY:
                before, after = self._period(validity)
            part = telling_part(subject)
            holder = holders.get(part)
            if holder is None:
                if len(holders) >= MAX_KNOWN:
                    holders.clear()
                holders[part] = holder = self._holder(subject)
            logged = int.from_bytes(leaf[2:10], "big") // 1000 & _U32
            late += logged - before > LATE_S
            at = (index - lo) * HASH_SIZE
            digest = keys[at : at + HASH_SIZE] if spki else _NO_KEY
            where = pack_place(log, leaf[11:12] == b"\1", index)
            rest = pack_rest(before, after, issuer, holder, digest[:6], logged, *where)
            name = 0
            for label in labels:
                kind, value = label
                is_number = kind == ONE and value.isdecimal()
                name = len(value) << 54 | int(value) << 4 if is_number else label_key(label)  # the same, in place
                found.append(name.to_bytes(8, "big") + rest)
            if spki:
                found.append(spki_key(digest) + rest[:16] + hint(name) + rest[22:])
        self.late = late
        return b"".join(found)

    def _period(self, validity: bytes) -> tuple[int, int]:
        """notBefore and notAfter in seconds; those in the usual form are remembered."""
        if len(validity) == 32 and validity[:4] == _ORDINARY and validity[17:19] == _ORDINARY[2:]:
            if len(self._times) > MAX_KNOWN:
                self._times.clear()
            found = []
            for text in (validity[4:17], validity[19:]):
                self._times[text] = seconds(read_time(UTC_TIME, text))
                found.append(self._times[text])
            return found[0], found[1]
        try:
            lo, hi = expect(validity, 0, len(validity), SEQUENCE, "validity")
            (first, *begin), (second, *end) = children(validity, lo, hi, "validity")
        except (MalformedError, ValueError):
            return 0, 0
        return seconds(read_time(first, validity[slice(*begin)])), seconds(read_time(second, validity[slice(*end)]))

    def _holder(self, subject: bytes) -> int:
        return self._name_number(normalise(holder_name(subject)))
