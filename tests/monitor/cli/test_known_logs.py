"""Which log somebody means, by whatever it is called."""

from __future__ import annotations

import pytest

from ctlog.errors import NotFoundError
from monitor.catalogue import LogSpec
from monitor.cli.known_logs import find_log, is_called, known_logs
from monitor.cli.place import find_place
from tests.monitor_place import Monitor
from tests.wire_values import TestLog

LOG = TestLog()
SPEC = LogSpec("A log", "https://log.example/27/", LOG.key, "tiles", "log.example/27", 1, "first", "configuration")


@pytest.mark.parametrize(
    "wanted", ["A log", "https://log.example/27/", "https://log.example/27", "log.example/27", LOG.key.log_id.hex()]
)
def test_it_is_found(wanted: str) -> None:
    assert is_called(SPEC, wanted)
    assert find_log([SPEC], wanted) is SPEC


@pytest.mark.parametrize(("wanted", "hint"), [("A lgo", "the nearest is 'A log'"), ("", "'A log'")])
def test_it_is_not_there(wanted: str, hint: str) -> None:
    with pytest.raises(NotFoundError, match=hint):
        find_log([SPEC], wanted)
    with pytest.raises(NotFoundError, match="none is read"):
        find_log([], wanted)


def test_those_of_a_folder(monitor: Monitor) -> None:
    from base64 import b64encode

    monitor.here("logs", "add", "https://log.example/", "--key", b64encode(LOG.spki).decode())
    place = find_place(monitor.folder)
    assert list(monitor.state(lambda state: known_logs(place, state))) == [LOG.key.log_id]
