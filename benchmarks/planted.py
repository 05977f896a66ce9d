"""Misissuances of every kind, made with test CAs: what a monitor has to find among real certificates.

In scope: all kinds together, and as many cases of them as asked for. Each maker is beside its likes, by the id of its
rule; what they are made of is in `benchmarks/stories.py`.
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks import planted_contents, planted_issuers
from benchmarks.stories import Case, Kind, Maker

KINDS: dict[str, Kind] = planted_issuers.KINDS | planted_contents.KINDS


def cases(maker: Maker, count: int) -> Iterator[Case]:
    """As many cases as asked for, of all kinds in turn."""
    names = list(KINDS)
    for at in range(count):
        yield KINDS[names[at % len(names)]](maker)
