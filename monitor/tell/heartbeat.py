"""The heartbeat: a URL that is fetched every minute while all is well, and only then.

Whoever answers at that URL raises the alarm when it stays away: a monitor that is dead cannot say so itself. In scope:
fetching it, and never more than that; a heartbeat that fails harms nothing. Out of scope: what is well
(`monitor.health` decides).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import aiohttp

EVERY_S = 60.0
LIMIT_S = 20.0


class Heartbeat:
    """Beats. url: what is configured now, "" for none. is_well: asked before every beat; where it fails, nothing is."""

    def __init__(
        self, url: Callable[[], str], is_well: Callable[[], Awaitable[bool]], says: Callable[[str, str, str], None], *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep, limit_s: float = LIMIT_S,
    ) -> None:  # fmt: skip
        self._url = url
        self._is_well = is_well
        self._says = says
        self._sleep = sleep
        self._limit_s = limit_s
        self.error = ""
        """Why the last beat did not arrive; "" if it did, or if there was none."""

    async def run(self) -> None:
        """Beat for ever."""
        while True:
            await self.beat()
            await self._sleep(EVERY_S)

    async def beat(self) -> bool:
        """Fetch it once, if all is well. True if it answered in the two hundreds. Raises nothing."""
        url = self._url()
        try:
            if not url or not await self._is_well():
                return False
            async with asyncio.timeout(self._limit_s):
                status = await _fetch(url)
            error = "" if 200 <= status < 300 else f"it answered {status}"
        except TimeoutError:
            error = f"no answer within {self._limit_s:g} s"
        except Exception as failed:  # a heartbeat that fails harms nothing, whatever the reason
            error = type(failed).__name__
        if error and not self.error:
            self._says("warning", f"heartbeat {urlsplit(url).hostname}", error)
        self.error = error
        return not error


async def _fetch(url: str) -> int:
    """The status; the body is not read."""
    async with (
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), trust_env=True) as session,
        session.get(url, headers={"User-Agent": "ctlog-monitor (heartbeat)"}) as answer,
    ):
        return answer.status
