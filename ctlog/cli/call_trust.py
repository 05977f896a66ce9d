"""Whom a verifier of calls trusts, as it is typed: roots, a signed list of logs, and what a call must be like.

In scope: the options that `ctlog verify-service` and `ctlog verify-call` share, and what becomes of them. Out of scope:
following files that change (`ctlog.cli.verify_service`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from ctlog.cli.options import FILE, options_as
from ctlog.errors import UsageError

if TYPE_CHECKING:
    from ctlog.client.credential import CallPolicy
    from ctlog.client.log_list_file import LogListFile

MAX_LIST_AGE_DAYS = 70

F = TypeVar("F", bound=Callable[..., Any])


class TrustOptions(NamedTuple):
    """What was said: see `trust_options`."""

    roots: tuple[Path, ...]
    log_list: Path | None
    list_keys: tuple[Path, ...]
    scts: int
    operators: int
    freshness: int
    by_code: bool
    shaken_needs_code: bool = False
    sct_tolerance: int = 0
    max_list_age: int = MAX_LIST_AGE_DAYS

    def check(self) -> None:
        """Raises UsageError."""
        from ctlog.client.sct_policy import MAX_SCTS

        if self.scts and (self.log_list is None or not self.list_keys):
            raise UsageError("give --log-list and --log-list-key; --scts 0 asks for no SCTs, and needs neither")
        if self.scts < 0 or (self.scts and not 1 <= self.operators <= self.scts) or self.freshness < 1:
            raise UsageError("--operators must be 1 to --scts, and --freshness at least 1")
        if self.scts > MAX_SCTS:
            raise UsageError(f"--scts {self.scts} could never be met: of one certificate {MAX_SCTS} SCTs are looked at")
        if self.sct_tolerance < 0 or self.max_list_age < 1:
            raise UsageError("--sct-tolerance must be 0 or more milliseconds, and --max-list-age at least 1 day")

    def policy(self) -> CallPolicy:
        """What a call must be like."""
        from ctlog.client.credential import CallPolicy
        from ctlog.client.sct_policy import SctPolicy

        self.check()
        scts = SctPolicy(self.scts, self.operators, tolerance_ms=self.sct_tolerance,
                         max_list_age_ms=self.max_list_age * 86_400_000)  # fmt: skip
        return CallPolicy(scts if self.scts else None, self.freshness, self.by_code, self.shaken_needs_code)

    def logs(self, memory: Path | None = None) -> LogListFile | None:
        """The list, not read yet; None where no SCTs are asked for. `memory`: where its time is kept."""
        from ctlog.client.log_list import ListKey
        from ctlog.client.log_list_file import LogListFile

        if self.log_list is None or not self.scts:
            return None
        keys = [ListKey.from_pem(path.read_bytes()) for path in self.list_keys]
        return LogListFile(self.log_list, keys, memory=memory)


def trust_options(command: F) -> F:
    """The options of `TrustOptions`; the command gets one argument `trusted` of that type."""
    return options_as(command, "trusted", TrustOptions, (
        click.option("--roots", multiple=True, required=True, type=FILE, metavar="PEM ...", help="CA certificates "
                     "that may anchor a caller's certificate."),
        click.option("--log-list", type=FILE, metavar="FILE", help="The list of logs; its signature is FILE.sig."),
        click.option("--log-list-key", "list_keys", multiple=True, type=FILE, metavar="PEM ...", help="The public "
                     "key that signs the list; two while it is changed."),
        click.option("--scts", default=2, show_default=True, help="SCTs that a certificate needs, of as many logs; 0: "
                     "none."),
        click.option("--operators", default=2, show_default=True, help="Operators that these logs must have."),
        click.option("--freshness", default=60, show_default=True, metavar="SECONDS", help="How old a token may be."),
        click.option("--by-code/--no-by-code", default=True, show_default=True, help="Whether a service provider code "
                     "covers a number, which no certificate can show. --no-by-code: such calls are neither passed nor "
                     "failed."),
        click.option("--shaken-needs-code", is_flag=True, help="Refuse a shaken PASSporT by a certificate without a "
                     "service provider code: delegates do not sign these (ATIS-1000092)."),
        click.option("--sct-tolerance", default=0, show_default=True, metavar="MS", help="By how many milliseconds an "
                     "SCT may be ahead of this machine's clock."),
        click.option("--max-list-age", default=MAX_LIST_AGE_DAYS, show_default=True, metavar="DAYS", help="A log list "
                     "older than this is stale: such calls are neither passed nor failed."),
    ))  # fmt: skip
