"""An alert for tests of the state, and the time that they take for now."""

from __future__ import annotations

import dataclasses
from typing import Any

from monitor.state.rows import S1, NewAlert

NOW = 1_790_000_000_000
LOG = bytes(32)


def alert(name: str = "a", **changes: Any) -> NewAlert:
    """The alert `<name>-0123`."""
    made = NewAlert(
        id=f"{name}-0123", kind="certificate", severity=S1, rule="T-01", rules=("T-01", "T-03"), addressee="owner",
        summary="a summary", body=b"{}", channels=("mail", "file"), item="home", thread="th", log_id=LOG, log_index=7,
    )  # fmt: skip
    return dataclasses.replace(made, **changes)
