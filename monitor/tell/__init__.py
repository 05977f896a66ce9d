"""Telling: what is in the outbox reaches whoever must know, over every channel, or that is said over another one.

    check_channel(name, table)                                  for `monitor.config`: does this table make a channel?
    channels = make_channels(config.channels, folder)           name -> Channel
    await Teller(state, lambda: channels, now_ms, says).run()   for ever
    await try_channels(list(channels.values()), now_ms())      `ctlog-monitor test`

In scope: delivery (`teller`, `courier`), the pure decisions (`plan`, `backoff`), what is said (`letter`, `words`), and
the channels, one module each. Out of scope: storing messages (`monitor.state.outbox`), what alerts say
(`monitor.alert`), which channels an alert has (`monitor.writing`). docs/channels.md tells of every key.
"""

from __future__ import annotations

from monitor.tell.channel import Channel, DeliveryError
from monitor.tell.heartbeat import Heartbeat
from monitor.tell.kinds import check_channel, make_channels
from monitor.tell.teller import Teller
from monitor.tell.trial import Outcome, try_channels

__all__ = [
    "Channel", "DeliveryError", "Heartbeat", "Outcome", "Teller", "check_channel", "make_channels", "try_channels",
]  # fmt: skip
