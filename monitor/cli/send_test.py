"""`ctlog-monitor test`: a test through each channel, before anything depends on it."""

from __future__ import annotations

import asyncio
import difflib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ctlog.cli.output import json_option, say, say_json
from ctlog.errors import ConfigError, StoreError, UsageError
from monitor.cli.place import find_place, folder_option, now_ms, with_state

if TYPE_CHECKING:
    from monitor.tell.trial import Outcome


@click.command()
@folder_option
@click.argument("channels", nargs=-1, metavar="[CHANNEL]...")
@json_option
def test(folder: Path, channels: tuple[str, ...], as_json: bool) -> int:
    """Send a test through every channel, or through those that are named, and say what became of it.

    It goes the whole way that an alert goes. Look whether it reaches you, too: that it was taken by the other side is
    all that can be known here.

    Exit code 0: each was taken; 1: one was not.
    """
    from monitor.config import parse_config
    from monitor.tell import check_channel, make_channels
    from monitor.tell.trial import try_channels

    place = find_place(folder)
    parse_config(place.text, str(place.path), check_channel)  # names the line of a mistake in a channel
    known = make_channels(place.config.channels, place.folder)
    if not known:
        raise ConfigError(f"{place.path} has no channel: write one, such as [channels.mail]")
    for name in channels:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1, 0.0)[0]
            raise UsageError(f"there is no channel {name!r}; the nearest is {near!r}")
    wanted = [known[name] for name in channels or known]
    outcomes = asyncio.run(try_channels(wanted, now_ms()))
    taken = [each.channel for each in outcomes if not each.error]
    with suppress(StoreError):  # a test tells what it tells, also where there is no state
        with_state(folder, lambda _, state: state.outbox.tested(taken, now_ms()))
    for outcome in outcomes:
        _say(outcome, as_json)
    return 1 if any(outcome.error for outcome in outcomes) else 0


def _say(outcome: Outcome, as_json: bool) -> None:
    if as_json:
        say_json({**outcome._asdict(), "took_s": round(outcome.took_s, 3)})
    elif outcome.error:
        say(f"FAILED  {outcome.channel} ({outcome.where}): {outcome.error}")
    else:
        say(f"taken   {outcome.channel} ({outcome.where}), in {outcome.took_s:.1f} s")
