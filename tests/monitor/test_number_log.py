"""benchmarks.number_log: the log that is followed in benchmarks is one, in both forms, and says what it is said to."""

from __future__ import annotations

import gzip

import pytest

from benchmarks.number_log import EVERY, KINDS, LOG_KEY, ORIGIN, SIGNED, NumberLog, concerned
from ctlog.client.follow import TileFollower, advance
from ctlog.client.get_entries import EntriesFollower
from ctlog.client.trusted import LogPolicy, TrustedLog
from ctlog.errors import NotFoundError
from ctlog.wire.rfc6962 import format_merkle_tree_leaf
from ctlog.wire.static_ct import parse_data_tile
from ctlog.x509.chain import Roots, accepted_root
from monitor.entry import Place, Trust, look_at, read_entry
from monitor.glance import Glancer

SIZE = 700


class Served:
    """A Fetcher over what the log answers."""

    def __init__(self, log: NumberLog) -> None:
        self.log = log

    async def get(self, path: str, *, limit: int = 1 << 26) -> bytes:
        found = self.log.answer(path)
        if found is None:
            raise NotFoundError(path)
        return gzip.decompress(found[0]) if found[1] else found[0]


@pytest.mark.parametrize("make", [TileFollower, EntriesFollower])
async def test_it_is_a_log_in_both_forms(make):
    log = NumberLog(SIZE, page=100)
    policy = LogPolicy(ORIGIN, LOG_KEY)
    follower = make(policy, Served(log))
    trusted = TrustedLog(policy)
    if make is TileFollower:
        trusted = await advance(follower, trusted, 1 << 60)
    head = await follower.head()
    leaves = [leaf async for batch in follower.entries(head, 0, SIZE) for leaf in batch.leaves]
    assert len(leaves) == SIZE == head.size
    kinds = [glance.labels[0].kind for glance in look_at(Glancer(), leaves)]
    assert {kind: kinds.count(kind) > SIZE / 20 for kind in ("one", "prefix", "spc")} == dict.fromkeys(
        ("one", "prefix", "spc"), True
    )
    assert len(KINDS) == 10


def test_the_first_signatures_are_real():
    log = NumberLog(3)
    (tile,) = [data for path, data in log.files.items() if path.startswith("tile/data")]

    trust = Trust(Roots([accepted_root(log.authority.chain[-1], "bench")]))
    for at, leaf in enumerate(parse_data_tile(tile)):
        entry = read_entry(
            Place(LOG_KEY.log_id, "bench", at), format_merkle_tree_leaf(leaf.timestamped),
            pre_certificate=leaf.pre_certificate, chain=log.authority.chain, trust=trust,
        )  # fmt: skip
        assert entry.issuers, entry.chain_problem
    assert SIZE < SIGNED


def test_one_entry_of_many_is_for_a_number_of_its_own():
    assert concerned(EVERY - 1) + 1 == concerned(2 * EVERY - 1)
