"""Does the monitor run, and what does it say of itself? Asked over its own /health, and by the lock on its state.

Out of scope: what is stored (`monitor.state`), which commands read for themselves.
"""

from __future__ import annotations

import fcntl
import http.client
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

TIMEOUT_S = 5.0
MAX_ANSWER = 4 << 20


class Alive(NamedTuple):
    """runs: whether a process holds the state. health: what it answered, None if it did not, or not in time."""

    runs: bool
    health: dict[str, Any] | None
    error: str = ""
    """What it answered instead of its health."""


def ask(listen: str, state: Path, identity: str = "") -> Alive:
    """Ask. A monitor that listens nowhere runs if its state is locked. `identity` is that of the state: what another
    monitor answers at this address says nothing of this one. Raises nothing."""
    health, error = _health(listen) if listen else (None, "")
    if health is not None and health.get("monitor", identity) != identity:
        sentence = f"Another monitor answers at {listen}: give one of them another `listen`."
        return Alive(_is_locked(state), None, sentence)
    return Alive(health is not None or bool(error) or _is_locked(state), health, error)


def _health(listen: str) -> tuple[dict[str, Any] | None, str]:
    host, _, port = listen.rpartition(":")
    try:
        connection = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=TIMEOUT_S)
        try:
            connection.request("GET", "/health")
            value = json.loads(connection.getresponse().read(MAX_ANSWER))
        finally:
            connection.close()
    except (OSError, ValueError, http.client.HTTPException):
        return None, ""
    if not isinstance(value, dict) or "reasons" not in value or "ok" not in value:
        sentence = value.get("sentence") if isinstance(value, dict) and "error" in value else None
        return None, sentence if isinstance(sentence, str) else ""
    return value, ""


def _is_locked(state: Path) -> bool:
    from monitor.state.database import LOCK_NAME

    try:
        handle = os.open(state / LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)  # let go of at once: a start that comes just now waits
        return False
    except OSError:
        return True
    finally:
        os.close(handle)
