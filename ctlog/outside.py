"""Which heads of this log others have: its own public URL, and its followers (P11).

A log's folder and its head store, restored together from a backup, cannot be seen to be old from inside. So a start
asks everyone it can. In scope: fetching checkpoints and checking that they are this log's. Out of scope: going back or
not, which `ctlog.sequencer` decides; what nobody answers is only said, since a log must start when the network is down.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import aiohttp

from ctlog.errors import CtlogError
from ctlog.sequencer.signer import Signer, open_head
from ctlog.wire.checkpoint import SignedHead

logger = logging.getLogger("ctlog.outside")

TIMEOUT_S = 3.0
MAX_NOTE = 64 << 10


async def heads_outside(urls: Sequence[str], signer: Signer) -> list[SignedHead]:
    """The heads of `signer`'s log at these monitoring prefixes, as far as they answer."""
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout, headers={"User-Agent": "ctlog"}) as session:
        found = await asyncio.gather(*(_head(session, url, signer) for url in dict.fromkeys(urls)))
    return [head for head in found if head is not None]


async def _head(session: aiohttp.ClientSession, url: str, signer: Signer) -> SignedHead | None:
    address = f"{url.rstrip('/')}/checkpoint"
    try:
        async with session.get(address) as response:
            note = await response.content.read(MAX_NOTE)
            if response.status != 200:
                logger.warning("%s answered %d, so its head was not compared with ours", address, response.status)
                return None
        return open_head(signer, note)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        logger.warning("%s did not answer (%s), so its head was not compared with ours", address,
                       str(error) or type(error).__name__)
    except CtlogError as error:
        logger.warning("%s holds no head of this log: %s", address, error)
    return None
