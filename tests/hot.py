"""The C code of the hot paths, for tests that compare it with the Python that specifies it.

Where there is no compiler these are skipped; where CI=true they run, and fail if it was not built.
"""

from __future__ import annotations

import os
import shutil

import pytest

from ctlog.wire import static_ct
from ctlog.x509 import der
from monitor.hot import HOT

_IS_BUILT = None not in (HOT, static_ct._cut_fast, der._fast)
_MAY_LACK = shutil.which("cc") is None and shutil.which("gcc") is None and os.environ.get("CI") != "true"

need_hot = pytest.mark.skipif(not _IS_BUILT and _MAY_LACK, reason="there is no C compiler, so there is no C code")
