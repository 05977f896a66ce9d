"""The monitor's hot path in C, where it was compiled: `hot.c`; else None, and the Python functions beside it run.

In scope: whether it is there. Each of its functions is specified by a Python one, which says the same more slowly:

    glance(leaves, ...)         monitor.glance.Glancer.glances      cuts leaves into their parts, and reads their labels
    records(log, lo, ...)       monitor.follow.collect.Collector    what history keeps of them
    sort_records(records)       monitor.history_files               records in order, each once
    candidates(glances, ...)    monitor.watchlist.Watchlist.select  leaves out what can concern nobody

CTLOG_NO_KERNEL, when set and not empty, switches it off, as it does the kernel of `ctlog.merkle.hashing`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

try:
    HOT: Any = import_module("monitor._hot")
except ImportError:
    HOT = None
