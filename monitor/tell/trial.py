"""A test letter through each channel, at once, and what became of each: the whole way, before anything depends on it.

In scope: sending, and the outcomes as values. Out of scope: the outbox (a test that fails is not tried again), and how
outcomes are shown (`ctlog-monitor test`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import NamedTuple

from monitor.state.rows import NewAlert
from monitor.tell.channel import Channel, DeliveryError
from monitor.tell.letter import Letter, trial_letter, unstored_letter


class Outcome(NamedTuple):
    """How a test went. error: a sentence, "" where the other side took the letter. took_s: seconds."""

    channel: str
    where: str
    error: str
    took_s: float


async def try_channels(channels: Iterable[Channel], now_ms: int) -> list[Outcome]:
    """Send a test through each of these, and wait for all; each has as long as it has for an alert."""
    return list(await asyncio.gather(*(_try(channel, now_ms) for channel in channels)))


async def say_unstored(channels: Iterable[Channel], alert: NewAlert, now_ms: int) -> list[Outcome]:
    """Tell of an alert that cannot be stored, through each of these, once; the state knows nothing of it."""
    return list(await asyncio.gather(*(_try(channel, now_ms, unstored_letter(alert, now_ms)) for channel in channels)))


async def _try(channel: Channel, now_ms: int, letter: Letter | None = None) -> Outcome:
    began, error = time.monotonic(), ""
    try:
        async with asyncio.timeout(channel.limit_s):
            await channel.send(letter or trial_letter(channel.name, now_ms))
    except DeliveryError as failed:
        error = str(failed)
    except TimeoutError:
        error = f"it did not take the letter within {channel.limit_s:g} s"
    return Outcome(channel.name, channel.where, error, time.monotonic() - began)
