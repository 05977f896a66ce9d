"""What tests of the call path share: logs of several operators, a signed list of them, hierarchies, certificates with
SCTs of any kind, and PASSporTs signed with them, rightly or not."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from ctlog import issuance
from ctlog.issuance import DAY_MS, Authority, Key, Subject
from ctlog.wire.b64 import format_base64
from ctlog.wire.rfc6962 import EntryType, SignedEntry, format_sct
from tests.wire_values import TestLog

__all__ = ["DAY_MS", "LOGS", "NOW", "moment", "operator_entry"]

NOW = 1_795_000_000_000  # 2026-11-18
LOGS = [TestLog(31, "log1.example"), TestLog(32, "log2.example"), TestLog(33, "log3.example")]


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
