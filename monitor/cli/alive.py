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


def ask(listen: str, state: Path) -> Alive:
    """Ask. A monitor that listens nowhere runs if its state is locked. Raises nothing."""
    health = _health(listen) if listen else None
    return Alive(health is not None or _is_locked(state), health)


def _health(listen: str) -> dict[str, Any] | None:
    host, _, port = listen.rpartition(":")
    try:
        connection = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=TIMEOUT_S)
        try:
            connection.request("GET", "/health")
            value = json.loads(connection.getresponse().read(MAX_ANSWER))
        finally:
            connection.close()
    except (OSError, ValueError, http.client.HTTPException):
        return None
    return value if isinstance(value, dict) and "ok" in value and "reasons" in value else None


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
