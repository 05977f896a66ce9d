"""ctlog.cli.call_trust: what is asked of a call, and what makes no sense."""

from __future__ import annotations

from pathlib import Path

import pytest

from ctlog.cli.call_trust import TrustOptions
from ctlog.errors import UsageError

PLAIN = TrustOptions((Path("roots"),), Path("list"), (Path("key"),), 2, 2, 60, True)


def test_a_policy_is_what_was_said() -> None:
    found = PLAIN._replace(scts=3, operators=1, freshness=10, by_code=False).policy()
    assert found.scts is not None
    assert (found.scts.scts, found.scts.operators, found.freshness_s, found.by_code) == (3, 1, 10, False)


def test_without_scts_no_list_is_needed() -> None:
    options = PLAIN._replace(scts=0, log_list=None, list_keys=())
    assert options.policy().scts is None
    assert options.logs() is None


@pytest.mark.parametrize("change", [
    {"log_list": None}, {"list_keys": ()}, {"scts": -1}, {"operators": 0}, {"operators": 3}, {"freshness": 0},
])  # fmt: skip
def test_what_makes_no_sense(change: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        PLAIN._replace(**change).policy()  # type: ignore[arg-type]
