"""What every channel is: something with a name that a letter can be sent to, and that says why when it cannot.

In scope: the protocol, the error, reading the keys that a channel's table has. Out of scope: each way of sending (one
module each), when to send and how often to try (`monitor.tell.courier`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from ctlog.errors import TransportError, UsageError
from monitor.config import Key, read_keys
from monitor.tell.letter import Letter

KIND = Key("kind", str, None, "By which way it tells: `email`, `webhook`, `command`, `file`, `stdout` or `apprise`.")
Table = Mapping[str, Any]


class DeliveryError(TransportError):
    """A letter did not get through, or it is not known whether it did. The sentence names no secret.

    retry_after_s: the other side said when to come back. gone: it said never to come back.
    """

    reason = "undelivered"

    def __init__(self, sentence: str, *, retry_after_s: float | None = None, gone: bool = False) -> None:
        super().__init__(sentence)
        self.retry_after_s = retry_after_s
        self.gone = gone


class Channel(Protocol):
    """One way to tell somebody. `table` is what the configuration says; two of the same table are the same.

    limit_s: a letter that is not sent within so many seconds has failed. for_people: floods are gathered into digests,
    what is only for review waits for the daily one, and unanswered alerts are brought to mind again.
    """

    name: str
    table: Table
    limit_s: float
    for_people: bool

    @property
    def where(self) -> str:
        """Where it leads, for people, without any secret."""

    async def send(self, letter: Letter) -> None:
        """Return once the other side has taken it. Raises DeliveryError; may be cancelled at any time."""


class TableError(UsageError):
    """A table that makes no channel. `path`: the key within it."""

    def __init__(self, sentence: str, *path: str) -> None:
        super().__init__(sentence)
        self.path = path


def read_table(table: Table, keys: tuple[Key, ...], *needed: str) -> dict[str, Any]:
    """The values of a channel's keys. Raises UsageError with `path`."""
    values = read_keys(table, (KIND, *keys))
    for name in needed:
        if not values[name]:
            raise TableError(f"a channel of kind `{values['kind']}` needs `{name}`")
    return values


def read_secret(path: Path) -> str:
    """A secret from its file, without the line end. It is read for every letter, so that it can be changed at any time.

    Raises DeliveryError.
    """
    try:
        secret = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise DeliveryError(f"the secret in {path} cannot be read: {why}") from None
    if not secret:
        raise DeliveryError(f"{path} is empty, and should hold a secret")
    return secret
