"""A call that was diverted on its way: the PASSporT of the caller, and one `div` PASSporT for each diversion (RFC 8946
sections 3 and 5), put together.

In scope: whether they tell one story: each diversion is of the same caller, and begins where the call was going; and
where the call is going in the end. Out of scope: whether each of them is good (`ctlog.client.passport`), nested ones
(`div-o`), and the times of diversions.
"""

from __future__ import annotations

from collections.abc import Sequence

from ctlog.errors import VerificationError
from ctlog.wire.passport import Party, Passport


def follow_diversions(first: Passport, diversions: Sequence[Passport]) -> tuple[Party, ...]:
    """Whom the call is for after all diversions, which may come in any order.

    Raises VerificationError: "orig-mismatch" for a diversion of another caller, "diversion-broken" for one that begins
    where the call was not going.
    """
    going = first.dest
    left = list(diversions)
    for one in left:
        if one.orig != first.orig:
            raise VerificationError("a diversion is of another caller", reason="orig-mismatch")
    while left:
        following = next((one for one in left if one.div in going), None)
        if following is None:
            raise VerificationError("a diversion begins where the call was not going", reason="diversion-broken")
        left.remove(following)
        going = following.dest
    return going
