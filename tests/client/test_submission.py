"""ctlog.client.submission: an SCT whose signature holds is asked once more before it is used."""

from __future__ import annotations

import pytest

from ctlog.client.sct import CLOCK_SKEW_MS
from ctlog.client.submission import Submission, check_promise
from ctlog.errors import SctError
from ctlog.wire.rfc6962 import EntryType, SignedEntry
from tests.wire_values import TestLog

NOW = 1_790_000_000_000
ENTRY = SignedEntry(EntryType.X509, b"certificate")
LOG = TestLog(7)


def test_a_promise_says_what_it_is_over_and_where_it_lies() -> None:
    found = check_promise(LOG.sct(ENTRY, NOW, 41), ENTRY, NOW)
    assert (found.entry, found.leaf_index) == (ENTRY, 41)
    assert Submission((b"leaf", b"ca"), ENTRY).entry is ENTRY


@pytest.mark.parametrize("tolerance_ms", [0, CLOCK_SKEW_MS])
def test_a_logs_clock_may_be_ahead_by_so_much_and_no_millisecond_more(tolerance_ms: int) -> None:
    check_promise(LOG.sct(ENTRY, NOW + tolerance_ms, 1), ENTRY, NOW, tolerance_ms)
    with pytest.raises(SctError) as caught:
        check_promise(LOG.sct(ENTRY, NOW + tolerance_ms + 1, 1), ENTRY, NOW, tolerance_ms)
    assert caught.value.reason == "from-the-future"


def test_extensions_that_are_none_make_it_useless() -> None:
    with pytest.raises(SctError) as caught:
        check_promise(LOG.sct(ENTRY, NOW, 1)._replace(extensions=b"\x00\x00"), ENTRY, NOW)
    assert caught.value.reason == "bad-extensions"
