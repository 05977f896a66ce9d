"""The channel `apprise`: a hundred and more services (chats, pagers, push) by the library of that name, if it is there.

In scope: the page that an alert says to people, sent to the services that a file of URLs names. `main` runs in a
process of its own, because the library waits in threads that nothing could end. Out of scope: knowing why a service
refused, for the library does not say it in a form that is free of secrets.

Install it with `pip install 'ctlog[apprise]'`.
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
from pathlib import Path

from monitor.alert_text import FACTS
from monitor.config import Key
from monitor.tell.channel import Table, read_table
from monitor.tell.command import inherited, run_program
from monitor.tell.letter import Letter

APPRISE_KEYS = (
    Key("urls_file", str, None, "The file with the URLs of the services, one a line, as Apprise writes them. Take one "
        "service for each channel: where one of several fails, all get the message again."),
    Key("timeout_s", int, 60, "Seconds within which the services must have taken it.", 1, 600),
)  # fmt: skip
LONGEST = 3000
"""Characters of a message; services cut what is longer, each at another place."""
REFUSED, EMPTY, ABSENT = 1, 3, 4
_PROGRAM = "import sys; from monitor.tell.apprise import main; sys.exit(main(sys.argv[1]))"
_KINDS = {1: "failure", 2: "warning"}


class AppriseChannel:
    """Sends by Apprise. Relative paths are relative to the folder of the configuration."""

    for_people = True

    def __init__(self, name: str, table: Table, folder: Path) -> None:
        self.name = name
        self.table = table
        values = read_table(table, APPRISE_KEYS, "urls_file")
        self._folder = folder
        self._urls = folder / values["urls_file"]
        self._timeout_s = float(values["timeout_s"])
        self.limit_s = self._timeout_s + 4

    @property
    def where(self) -> str:
        """The file; the URLs in it are secrets."""
        return f"the services in {self._urls}"

    async def send(self, letter: Letter) -> None:
        """Send it to all of the services. Raises DeliveryError if one does not take it."""
        text = letter.text.partition(FACTS)[0].rstrip()[:LONGEST]
        message = {"title": letter.subject, "body": text, "notify_type": _KINDS.get(letter.severity, "info")}
        line = [sys.executable, "-P", "-c", _PROGRAM, str(self._urls.absolute())]
        with tempfile.TemporaryDirectory(prefix="ctlog-alert-") as made:
            given = Path(made) / "message.json"
            given.write_text(json.dumps(message))
            await run_program(line, given, inherited(), self._folder, self._timeout_s, called="apprise")


def main(urls: str) -> int:
    """Send what standard input says to the services in this file; the exit code, and a sentence where it is not 0."""
    logging.disable(logging.CRITICAL)  # what the library logs may hold secrets
    try:
        import apprise  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError:
        print("it is not installed; pip install 'ctlog[apprise]' installs it")
        return ABSENT
    config = apprise.AppriseConfig(paths=[urls])
    services = apprise.Apprise()
    services.add(config)
    if not len(services):
        print(f"{urls} names no service that Apprise knows")
        return EMPTY
    if not services.notify(**json.load(sys.stdin)):
        print("a service did not take it; try the file with the command `apprise -vv`")
        return REFUSED
    return 0
