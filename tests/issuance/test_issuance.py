"""The public names of ctlog.issuance."""

from __future__ import annotations

import subprocess
import sys

from ctlog import issuance


def test_every_public_name_is_there_and_documented() -> None:
    assert len(issuance.__all__) == len(set(issuance.__all__))
    assert set(issuance.__all__) <= set(dir(issuance))
    for name in issuance.__all__:
        value = getattr(issuance, name)
        if callable(value):
            assert value.__doc__, name


def test_making_certificates_needs_no_network() -> None:
    code = "import sys, ctlog.issuance; print(*(n for n in sys.argv[1:] if n in sys.modules))"
    ran = subprocess.run(
        [sys.executable, "-c", code, "aiohttp", "asyncio", "sqlite3"], capture_output=True, text=True, check=True
    )
    assert ran.stdout.split() == []
