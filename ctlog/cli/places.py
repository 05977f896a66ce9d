"""Where the commands keep what they must remember between runs: the user's state folder (XDG Base Directory)."""

from __future__ import annotations

import os
from pathlib import Path


def state_folder() -> Path:
    """`$XDG_STATE_HOME/ctlog`, or ~/.local/state/ctlog. It need not exist yet."""
    base = os.environ.get("XDG_STATE_HOME", "")
    # "All paths ... must be absolute. If an implementation encounters a relative path it should ... ignore it."
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".local" / "state") / "ctlog"
