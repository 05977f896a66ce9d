"""What tests of the call path share: logs of several operators, a signed list of them, hierarchies, certificates with
SCTs of any kind, and PASSporTs signed with them, rightly or not."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ctlog import issuance
from ctlog.client.credential import CallPolicy, Trust
from ctlog.client.log_list import LogList, parse_log_list
from ctlog.issuance import DAY_MS, Authority, Key, Subject
from ctlog.tn.claim_constraints import ClaimConstraints, format_claim_constraints
from ctlog.wire.b64 import format_base64
from ctlog.wire.passport import format_header, format_passport
from ctlog.wire.rfc6962 import EntryType, SignedEntry, format_sct
from ctlog.x509.chain import Roots, accepted_root
from ctlog.x509.der import format_tlv, oid
from tests.wire_values import TestLog

NOW = 1_795_000_000_000  # 2026-11-18
LOGS = [TestLog(31, "log1.example"), TestLog(32, "log2.example"), TestLog(33, "log3.example")]


ROOT_KEY, CA_KEY, OTHER_ROOT_KEY, OTHER_CA_KEY, LEAF_KEY = (Key.from_number(number) for number in range(41, 46))
CA = issuance.example_authority(NOW, root_key=ROOT_KEY, key=CA_KEY)
OTHER_CA = issuance.example_authority(NOW, label="Other", root_key=OTHER_ROOT_KEY, key=OTHER_CA_KEY)
ROOT = CA.chain[-1]
NUMBER = "12025550123"
CALLED = "13035550199"


def moment(time_ms: int) -> str:
    """RFC 3339."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat().replace("+00:00", "Z")


def operator_entry(name: str, *logs: Any, states: Mapping[str, int] | None = None) -> dict[str, Any]:
    """An operator with these tiled logs, usable since a day before NOW."""
    held = {state: {"timestamp": moment(at)} for state, at in (states or {"usable": NOW - DAY_MS}).items()}
    return {
        "name": name,
        "tiled_logs": [
            {
                "description": "a log", "key": format_base64(log.spki), "mmd": 86400, "state": held,
                "log_id": format_base64(hashlib.sha256(log.spki).digest()),
                "submission_url": "https://submit.example/", "monitoring_url": "https://monitor.example/",
            }
            for log in logs
        ],
    }  # fmt: skip


def log_list(*operators: dict[str, Any], timestamp_ms: int = NOW - DAY_MS) -> LogList:
    """A list of these operators; without any, the first two logs are One's and the third is Two's."""
    entries = operators or (operator_entry("One", LOGS[0], LOGS[1]), operator_entry("Two", LOGS[2]))
    value = {"version": "1", "log_list_timestamp": moment(timestamp_ms), "operators": list(entries)}
    return parse_log_list(json.dumps(value).encode())


def subject(name: str = "leaf", key: Key = LEAF_KEY, days: tuple[float, float] = (-1, 30)) -> Subject:
    """Someone, from so many days after NOW until so many days after NOW."""
    times = (NOW + int(day * DAY_MS) for day in days)
    return Subject(issuance.name(CN=name), key.spki, *times, serial=int.from_bytes(name.encode(), "big") + 1)


def entry_of(tbs: bytes, authority: Authority = CA) -> SignedEntry:
    """What the log signs for a precertificate."""
    return SignedEntry(EntryType.PRECERT, tbs, hashlib.sha256(authority.signer.spki).digest())


def sct(log: TestLog, tbs: bytes, authority: Authority = CA, timestamp_ms: int = NOW - DAY_MS, index: int = 7) -> bytes:
    """A serialised SCT over the precertificate."""
    return format_sct(log.sct(entry_of(tbs, authority), timestamp_ms, index))


def logged(tbs: bytes, authority: Authority = CA, logs: Sequence[TestLog] = (LOGS[0], LOGS[2])) -> bytes:
    """The final certificate, with an SCT of each of these logs."""
    return authority.final(tbs, [sct(log, tbs, authority) for log in logs])


def constrained(constraints: ClaimConstraints) -> bytes:
    """The extension, in its enhanced form where that is needed."""
    number = 33 if constraints.must_exclude else 27
    return issuance.extension(f"1.3.6.1.5.5.7.1.{number}", format_claim_constraints(constraints))


def number_tbs(
    *extensions: bytes, tn: bytes = b"", authority: Authority = CA, whose: Subject | None = None, usage: bytes = b""
) -> bytes:
    """A TBSCertificate that may sign calls for NUMBER, or for what `tn` (a TNAuthorizationList) says."""
    who = whose or subject()
    return authority.leaf(who, (
        issuance.END_ENTITY, usage or issuance.DIGITAL_SIGNATURE, issuance.subject_key_id(who.spki),
        issuance.authority_key_id(authority.key_id), issuance.tn_auth_list(tn or issuance.one(NUMBER)), *extensions,
    ))  # fmt: skip


def referring(*urls: str) -> bytes:
    """The extension of a scope by reference (RFC 8226 section 10.1), to these lists."""
    method = format_tlv(0x06, oid("1.3.6.1.5.5.7.48.14"))
    places = (format_tlv(0x30, method + format_tlv(0x86, url.encode())) for url in urls)
    return issuance.extension("1.3.6.1.5.5.7.1.1", format_tlv(0x30, b"".join(places)))


def trust(policy: CallPolicy | None = None, found: LogList | None = None, roots: Sequence[bytes] = (ROOT,)) -> Trust:
    """The usual roots and logs."""
    return Trust(Roots(accepted_root(der, "test") for der in roots), found or log_list(), policy or CallPolicy())


def claims(orig: str = NUMBER, dest: str = CALLED, iat_s: int = NOW // 1000, **others: Any) -> dict[str, Any]:
    """A call from `orig` to `dest`."""
    return {"iat": iat_s, "orig": {"tn": orig}, "dest": {"tn": [dest]}} | others


SHAKEN = {"attest": "A", "origid": "123e4567-e89b-12d3-a456-426655440000"}
CERTIFICATE = logged(number_tbs())
CHAIN = (CERTIFICATE, CA.certificate)
X5U = "https://cert.example/chain.pem"


def signed(
    said: dict[str, Any] | None = None,
    ppt: str = "",
    x5c: Sequence[bytes] = CHAIN,
    x5u: str = "",
    key: Key = LEAF_KEY,
) -> str:
    """A PASSporT, by default a good one."""
    header = format_header(ppt, x5u, () if x5u else tuple(x5c))
    return format_passport(header, said or claims(), key.sign)
