"""Alerts as rows of the state: what `monitor.alert` says, with the channels that must deliver it.

In scope: which channels, by what is configured now; the alert about an entry on which our own code failed. Out of
scope: what alerts say about entries (`monitor.alert`) and about logs (`monitor.follow.misbehaviour`).
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from collections.abc import Callable

from monitor.alert import make_alert
from monitor.entry import NOWHERE, Entry, Place
from monitor.reload import Setup
from monitor.rules.values import S4, Context
from monitor.rules.verdict import Verdict
from monitor.state.rows import HEALTH, OPERATOR, OWNER, S2, NewAlert
from monitor.watchlist import Hit

MAX_LEAF = 65_536
"""Octets of an entry that an alert carries."""


class Writer:
    """Makes rows. `setup` gives what is configured now."""

    def __init__(self, setup: Callable[[], Setup]) -> None:
        self._setup = setup

    def operators(self) -> tuple[str, ...]:
        """The channels for what concerns operators: those that are named for it, else all."""
        config = self._setup().config
        return config.operators or tuple(config.channels)

    def monitor(self) -> str:
        """The monitor's folder, for commands that find it from anywhere."""
        return str(self._setup().folder.absolute())

    def write(self, entry: Entry, hit: Hit | None, verdict: Verdict, context: Context) -> NewAlert:
        """The alert that a verdict calls for. What is for information only is kept, and nobody is told."""
        setup = self._setup()
        alert = make_alert(
            entry, hit, verdict, context, contacts=setup.trust.contacts, monitor=self.monitor()
        )
        channels = alert.channels if verdict.to == OWNER and alert.channels else self.operators()
        return NewAlert(
            id=alert.id,
            kind=alert.kind,
            severity=alert.severity,
            rule=alert.rule,
            rules=alert.rules,
            addressee=alert.addressee,
            summary=alert.summary,
            body=alert.body,
            channels=() if verdict.severity >= S4 else channels,
            item=alert.item,
            group=alert.group,
            thread=alert.thread,
            log_id=alert.log_id,
            log_index=alert.log_index,
            proven=alert.proven,
            issuer=alert.issuer,
            is_repeat=alert.is_repeat,
        )

    def fault(self, place: Place, leaf: bytes, error: Exception) -> list[NewAlert]:
        """Our own code failed on an entry: whoever runs this must look at it, for it may concern anybody."""
        what = f"Entry {place.index} of {place.log_name}"
        if place.index == NOWHERE:
            what = f"What {place.log_name} promised to log"
        body = {
            "kind": HEALTH,
            "reason": f"{what} could not be judged: {error!r}"[:500],
            "next": "This is a fault of the monitor. Look at the entry yourself: it may concern anybody. Report it.",
            "monitor": self.monitor(),
            "log": {"id": place.log_id.hex(), "name": place.log_name, "index": place.index, "proven_in": place.proven},
            "leaf": b64encode(leaf[:MAX_LEAF]).decode(),
        }
        name = hashlib.sha256(b"ctlog-fault\0" + place.log_id + place.index.to_bytes(8, "big", signed=True)).hexdigest()
        return [
            NewAlert(
                id=name,
                kind=HEALTH,
                severity=S2,
                rule="fault",
                rules=("fault",),
                addressee=OPERATOR,
                summary=f"{what} could not be judged",
                body=json.dumps(body).encode(),
                channels=self.operators(),
                thread=f"fault-{place.log_id.hex()[:16]}",
                log_id=place.log_id,
                log_index=place.index,
                proven=place.proven,
            )
        ]
