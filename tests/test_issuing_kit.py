"""tests.issuing_kit: its logs have no limits, in truth."""

from __future__ import annotations

import base64
from pathlib import Path

from ctlog.cli import run
from ctlog.config import load
from tests.issued import AUTHORITY
from tests.issuing_kit import without_limits


def test_a_limit_that_is_a_comment_in_a_new_log_is_lifted_all_the_same(tmp_path: Path) -> None:
    """Once only lines that were no comments were changed, of which a new log has none."""
    root = base64.encodebytes(AUTHORITY.chain[-1]).decode()
    roots = tmp_path / "roots.pem"
    roots.write_text(f"-----BEGIN CERTIFICATE-----\n{root}-----END CERTIFICATE-----\n")
    assert run(["create", str(tmp_path / "log"), "--origin", "a.localhost/2027", "--roots", str(roots),
                "--domain", "test"]) == 0  # fmt: skip
    settings = tmp_path / "log" / "log.toml"
    settings.write_text(without_limits(settings.read_text()))
    limits = load(settings).limits
    assert (limits.source_rate, limits.issuer_rate, limits.root_rate) == (0, 0, 0)
