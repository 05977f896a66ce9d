"""monitor.state.schema: its version says which tables there are, and every version can be reached."""

import hashlib

from monitor.state.schema import SCHEMA, UPGRADES, VERSION


def test_other_tables_are_another_version():
    """If this fails: raise VERSION, write the step into UPGRADES, and put the new hash here beside its version."""
    known = {1: "8197a0e3edb385cf"}
    assert hashlib.sha256(SCHEMA.encode()).hexdigest()[:16] == known[VERSION]


def test_every_version_leads_to_the_newest():
    assert sorted(UPGRADES) == list(range(1, VERSION))
