"""monitor.follow.followed: what a followed log says of itself."""

from monitor.follow.followed import ENTRIES, TILES, silent
from tests.follow_kit import followed
from tests.simulator import Simulator


def test_what_a_log_is():
    sim = Simulator()
    assert followed(sim, TILES).is_proven_at_once
    assert not followed(sim, ENTRIES).is_proven_at_once
    assert followed(sim).log_id == sim.policy.key.log_id
    assert followed(sim).url == "https://sim.example/log/"
    assert silent("error", "log", "nothing") is None
