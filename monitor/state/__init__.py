"""The monitor's memory: one SQLite file in one folder, advanced in transactions.

    make_state(folder, now_ms)                          `init`, once
    async with State.open(folder) as state:             the daemon, of which there can be one
        await state.logs.advance(log_id, position, alerts, now_ms)
        for message in await state.outbox.due(now_ms): ...
    async with State.open(folder, exclusive=False) ...  a command, beside a daemon that runs

In scope: storing. Out of scope: deciding, sending, and history (`monitor.history`), which can be made again from the
logs. Everything here is awaited, and done in one thread of its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from monitor.state.alerts import Alerts
from monitor.state.answers import Answers
from monitor.state.audits import Audits
from monitor.state.database import Database, make_state, open_database
from monitor.state.logs import Logs
from monitor.state.outbox import Outbox

__all__ = ["State", "make_state"]


class State:
    """The open state, by subject."""

    def __init__(self, database: Database) -> None:
        self.logs = Logs(database)
        self.alerts = Alerts(database)
        self.outbox = Outbox(database)
        self.answers = Answers(database)
        self.audits = Audits(database)
        self.folder = database.path.parent
        self.database = database

    @classmethod
    @asynccontextmanager
    async def open(cls, folder: Path, *, exclusive: bool = True) -> AsyncIterator[State]:
        """Open what `make_state` made. Raises StoreError with a reason that begins with "state-"."""
        state = cls(open_database(folder, exclusive=exclusive))
        try:
            yield state
        finally:
            await state.database.close()
