"""ctlog.cli.call_trust: what is asked of a call, and what makes no sense."""

from __future__ import annotations

from pathlib import Path

import pytest

from ctlog.cli.call_trust import TrustOptions
from ctlog.client.credential import CallPolicy
from ctlog.client.sct_policy import MAX_SCTS
from ctlog.errors import UsageError

PLAIN = TrustOptions((Path("roots"),), Path("list"), (Path("key"),), 2, 2, 60, True)


def test_a_policy_is_what_was_said() -> None:
    found = PLAIN._replace(scts=3, operators=1, freshness=10, by_code=False).policy()
    assert found.scts is not None
    assert (found.scts.scts, found.scts.operators, found.freshness_s, found.by_code) == (3, 1, 10, False)


def test_all_of_the_policy_can_be_said() -> None:
    found = PLAIN._replace(scts=MAX_SCTS, shaken_needs_code=True, sct_tolerance=250, max_list_age=7).policy()
    assert found.scts is not None
    assert (found.scts.scts, found.scts.tolerance_ms, found.scts.max_list_age_ms) == (MAX_SCTS, 250, 7 * 86_400_000)
    assert found.shaken_needs_code
    assert PLAIN.policy() == CallPolicy()  # the library's own


def test_without_scts_no_list_is_needed() -> None:
    options = PLAIN._replace(scts=0, log_list=None, list_keys=())
    assert options.policy().scts is None
    assert options.logs() is None


@pytest.mark.parametrize("change", [
    {"log_list": None}, {"list_keys": ()}, {"scts": -1}, {"operators": 0}, {"operators": 3}, {"freshness": 0},
    {"scts": 40}, {"scts": MAX_SCTS + 1}, {"sct_tolerance": -1}, {"max_list_age": 0},
])  # fmt: skip
def test_what_makes_no_sense(change: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        PLAIN._replace(**change).policy()  # type: ignore[arg-type]
