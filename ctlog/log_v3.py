"""`/log.v3.json`: the log's description for log lists and programs.

Spec: the members of a tiled log in version 3 of the log list (`description`, `log_id`, `key`, `submission_url`,
`monitoring_url`, `mmd`, `temporal_interval`), and those that operators publish about themselves (`log_spec`, `status`,
`final_tree_head`, `log_software`); `bulk_submission_path` is ours (docs/bulk-submission.md). In scope: these members.
Out of scope: serving them.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson

from ctlog import __version__
from ctlog.config import Config
from ctlog.wire.b64 import format_base64
from ctlog.wire.checkpoint import SignedHead
from ctlog.wire.rfc6962 import LogKey

BULK_PATH = "bulk/v1/"
"""Below the submission prefix."""


def log_v3_json(config: Config, key: LogKey, final: SignedHead | None) -> bytes:
    """The description. `final` is the last head of a log that has ended."""
    value: dict[str, Any] = {
        "description": config.description or config.origin,
        "log_id": format_base64(key.log_id),
        "key": format_base64(key.spki),
        "submission_url": config.public_submission_url,
        "bulk_submission_path": BULK_PATH,
        "monitoring_url": config.public_monitoring_url,
        "mmd": config.mmd_s,
        "log_spec": "static-ct-api",
        "status": "active" if final is None else "readonly",
        "log_software": {"name": "ctlog", "version": __version__},
    }
    start, end = config.window_start, config.window_end
    if start is not None and end is not None:
        value["temporal_interval"] = {"start_inclusive": _time(start), "end_exclusive": _time(end)}
    if final is not None:
        value["final_tree_head"] = {"sha256_root_hash": format_base64(final.root), "tree_size": final.size}
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
