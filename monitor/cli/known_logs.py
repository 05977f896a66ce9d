"""Which logs are read, for commands: as the state remembers them and as monitor.toml names them now; and which of them
somebody means.

Out of scope: reading them, and the daemon's own list (`monitor.roster`).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from ctlog.errors import NotFoundError

if TYPE_CHECKING:
    from monitor.catalogue import LogSpec
    from monitor.cli.place import Place
    from monitor.state import State


async def known_logs(place: Place, state: State) -> Mapping[bytes, LogSpec]:
    """Those that are read, by id."""
    from monitor.roster import read_known

    return (await read_known(state, place.config)).specs


def is_called(spec: LogSpec, wanted: str) -> bool:
    """Whether somebody means this log: by its name, its URL, its origin or its log id in hexadecimal."""
    return wanted in (spec.name, spec.url, spec.url.rstrip("/"), spec.origin, spec.log_id.hex())


def find_log(specs: Iterable[LogSpec], wanted: str) -> LogSpec:
    """The log that is meant. Raises NotFoundError, with the nearest name."""
    specs = list(specs)
    found = next((spec for spec in specs if is_called(spec, wanted)), None)
    if found is None:
        raise not_found(wanted, (spec.name for spec in specs))
    return found


def not_found(wanted: str, names: Iterable[str]) -> NotFoundError:
    """That no log of these is called so."""
    near = difflib.get_close_matches(wanted, list(names), 1, 0.0)
    return NotFoundError(f"no log {wanted!r} is read{f'; the nearest is {near[0]!r}' if near else ': none is read'}")
