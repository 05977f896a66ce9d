"""A plugin of pytest (`-p tests.sanitized`): the C code of the hot paths from the folder CTLOG_TEST_BUILDS, in place of
what is installed. `.ci/sanitize` builds it there with the compiler's sanitizers."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

for name in ("ctlog.wire._static_ct", "ctlog.x509._der", "monitor._hot"):
    path = Path(os.environ["CTLOG_TEST_BUILDS"]) / f"{name.rpartition('.')[2]}.abi3.so"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules[name] = module
