"""A call that was diverted on its way: the PASSporT of the caller, and one `div` PASSporT for each diversion (RFC 8946
sections 3 and 5), put together.

In scope: whether they tell one story, in whatever order they come: each diversion is of the same caller, and begins
where the call was going; and where the call is going in the end. Out of scope: whether each of them is good
(`ctlog.client.passport`), nested ones (`div-o`), and the times of diversions.
"""

from __future__ import annotations

from collections.abc import Sequence

from ctlog.errors import VerificationError
from ctlog.wire.passport import Party, Passport

_MAX_STEPS = 4096
"""Orders are looked for in no more steps than this: fifteen diversions in a circle need some dozens, and a caller who
signs a maze for us gets no more of our time."""


def follow_diversions(first: Passport, diversions: Sequence[Passport]) -> tuple[Party, ...]:
    """Whom the call is for after all diversions, which may come in any order.

    Raises VerificationError: "orig-mismatch" for a diversion of another caller, "diversion-broken" for one that begins
    where the call was not going.
    """
    for one in diversions:
        if one.orig != first.orig:
            raise VerificationError("a diversion is of another caller", reason="orig-mismatch")
    going = _ordered(first.dest, diversions)
    if going is None:
        raise VerificationError("a diversion begins where the call was not going", reason="diversion-broken")
    return going


def _ordered(start: tuple[Party, ...], diversions: Sequence[Passport]) -> tuple[Party, ...] | None:
    """Where the call is going after all of them, in an order in which each begins where the call was going.

    None if there is no such order, or none in `_MAX_STEPS`. A place with the same ones left is not tried twice.
    """
    everything = (1 << len(diversions)) - 1
    seen: set[tuple[int, tuple[Party, ...]]] = set()
    waiting = [(0, start)]
    while waiting and len(seen) < _MAX_STEPS:
        used, going = waiting.pop()
        if used == everything:
            return going
        if (used, going) in seen:
            continue
        seen.add((used, going))
        free = [(at, one) for at, one in enumerate(diversions) if not used >> at & 1 and one.div in going]
        following = {(one.div, one.dest): at for at, one in free}  # of those that are alike one is enough
        waiting += [(used | 1 << at, dest) for (_, dest), at in following.items()]
    return None
