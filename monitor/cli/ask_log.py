"""A log is asked once when it is named: whoever mistyped its URL, key or origin learns it at once, not hours later.

In scope: one head, its signature checked. Out of scope: refusing anything, for a log may be down just now.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ctlog.cli.output import say_error
from ctlog.errors import CtlogError, TransportError

if TYPE_CHECKING:
    from monitor.config import LogConfig

ASK_S = 5.0


def note_unanswered(log: LogConfig, contact: str) -> None:
    """Say on stderr what is wrong with a log's answer, or that none came. Raises nothing for it.

    A log that is named by its log.v3.json is left to the monitor, which takes the key from there.
    """
    if log.key is None:
        return
    try:
        asyncio.run(_head(log, contact))
    except TimeoutError:
        say_error(f"Note: {log.url} did not answer within {ASK_S:g} s. It is asked again when the monitor runs.")
    except TransportError as error:
        say_error(f"Note: {log.url} does not answer: {error}. Compare the URL; the monitor asks it again.")
    except CtlogError as error:
        say_error(f"Note: {log.url} answers, but not as this log: {error}. Compare its key and its origin.")


async def _head(log: LogConfig, contact: str) -> None:
    from ctlog.client.follow import TileFollower
    from ctlog.client.get_entries import EntriesFollower
    from ctlog.client.http_fetcher import HttpFetcher
    from ctlog.client.patient import PatientFetcher
    from monitor.catalogue import LogSpec
    from monitor.cli.place import now_ms
    from monitor.follow.followed import TILES

    assert log.key is not None, "the caller looked"
    spec = LogSpec(log.name, log.url, log.key, log.form, log.origin, log.mmd_ms, log.begin, "configuration")
    make = TileFollower if log.form == TILES else EntriesFollower
    async with asyncio.timeout(ASK_S), HttpFetcher(log.url, contact=contact) as fetcher:
        await make(spec.policy, PatientFetcher(fetcher, attempts=1), now_ms=now_ms).head()
