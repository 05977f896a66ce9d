"""kill -9 on a monitor while a log grows: each matching certificate is told afterwards, over a file and by mail.

Two real processes, `ctlog serve` and `ctlog-monitor run`, a real mail server, certificates submitted all the while; the
monitor is killed at random moments, at times the log with it. Nothing but the disk remembers.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from ctlog import issuance
from ctlog.folder import open_folder
from ctlog.issuance import DAY_MS, Key, Subject
from ctlog.wire.b64 import format_base64
from monitor.daemon import HISTORY
from monitor.history import make_history
from monitor.state import State, make_state
from tests.journeys.test_kill import AUTHORITY, NOW, Client, free_port, wait_until
from tests.pem import pem
from tests.serving import MONITOR, Serving, command, environment
from tests.smtp_peer import Postbox, post_office

EVERY = 10
"""Every tenth certificate is for a watched number, a number of its own."""


def certificates(count: int) -> list[bytes]:
    made = []
    for serial in range(1, count + 1):
        area = "202" if serial % EVERY == 0 else "303"
        who = Subject(issuance.name(O="Owner Inc"), Key.from_number(4242).spki, NOW, NOW + DAY_MS, serial)
        tbs = issuance.delegate_leaf(AUTHORITY, who, issuance.one(f"1{area}555{serial:04d}"))
        made.append(AUTHORITY.precertificate(tbs))
    return made


class Watching:
    """`ctlog-monitor run` as a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.process = subprocess.Popen(
            [*MONITOR, "run", "-d", str(folder)], stderr=subprocess.PIPE, text=True, env=environment()
        )
        self.said: list[str] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append(line.rstrip())

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(60)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


class Mail(threading.Thread):
    """A mail server that takes everything."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.box, self.port, self._up, self._loop = Postbox(), 0, threading.Event(), asyncio.new_event_loop()
        self.start()
        self._up.wait(10)

    def run(self) -> None:
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        async with post_office(self.box) as self.port:
            self._done = asyncio.Event()
            self._up.set()
            await self._done.wait()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._done.set)
        self.join(10)

    def text(self) -> str:
        """All that was mailed, attachments too."""
        parts = [part for mail in list(self.box.mails) for part in mail.walk() if not part.is_multipart()]
        return "\n".join(part.get_content() for part in parts if isinstance(part.get_content(), str))


def make_monitor(folder: Path, url: str, key: bytes, watched: list[str], port: int) -> None:
    folder.mkdir()
    (folder / "root.pem").write_bytes(pem(AUTHORITY.above[0]))
    (folder / "watch.toml").write_text(
        f'[[watch]]\nname = "home"\ntell = ["file", "mail"]\nnumbers = {json.dumps(watched)}\n'
    )
    (folder / "monitor.toml").write_text(
        f'contact = "test@example.com"\nlisten = ""\npoll_s = 1\n[[log]]\nname = "log"\nurl = "{url}"\n'
        f'key = "{format_base64(key)}"\norigin = "log.example/killed"\n[[roots]]\ntrust_domain = "test"\n'
        'files = ["root.pem"]\n[channels.file]\nkind = "file"\npath = "out.jsonl"\n[channels.mail]\nkind = "email"\n'
        f'to = ["owner@example.com"]\nfrom = "monitor@example.com"\nserver = "127.0.0.1"\nport = {port}\n'
        'security = "none"\n'
    )
    make_state(folder / "state", NOW)
    make_history(folder / "state" / HISTORY)


def told(folder: Path) -> dict[str, set[str]]:
    """The ids of the alerts in the file, by the number that they are about."""
    path, found = folder / "out.jsonl", {}
    for line in path.read_text().splitlines() if path.exists() else ():
        data = json.loads(line)["data"]
        for alert in data.get("alerts", [data]):
            item = alert.get("item") or ""
            text = item if isinstance(item, str) else item["id"]
            found.setdefault(text.rpartition(":")[2], set()).add(alert["id"])
    return found


@pytest.mark.parametrize(
    ("count", "kills"), [(150, 1), pytest.param(4000, 25, marks=pytest.mark.trial)], ids=["one kill", "many kills"]
)
def test_a_monitor_that_is_killed_misses_nothing(tmp_path: Path, count: int, kills: int) -> None:
    (tmp_path / "root.pem").write_bytes(pem(AUTHORITY.above[0]))
    command("create", tmp_path / "log", "--origin", "log.example/killed", "--roots", tmp_path / "root.pem")
    folder = open_folder(tmp_path / "log")
    url = f"http://127.0.0.1:{free_port()}/"
    listen = ("--listen", url.removeprefix("http://").rstrip("/"))
    watched = [f"+1202555{serial:04d}" for serial in range(EVERY, count + 1, EVERY)]
    mail = Mail()
    monitor = tmp_path / "monitor"
    make_monitor(monitor, url, folder.signer().key.spki, watched, mail.port)
    dice = random.Random(count)
    log = Serving(folder.path, listen)
    client = Client(url, folder, certificates(count))
    watching = Watching(monitor)
    client.start()
    try:
        for kill in range(kills):
            goal = count * (kill + 1) // (kills + 2)
            wait_until(lambda goal=goal: len(client.held) >= goal or not client.is_alive(), 120)
            time.sleep(dice.random() * 1.5)
            watching.kill()
            if kill % 5 == 4:
                log.kill()
                log = Serving(folder.path, listen)
            watching = Watching(monitor)
        client.join(120)
        assert client.failed is None
        wait_until(lambda: set(watched) <= set(told(monitor)), 60)
        found = told(monitor)
        assert set(watched) - set(found) == set()
        assert {number for number in watched if len(found[number]) != 1} == set()  # duplicates collapse by id
        wait_until(lambda: bool(mail.box.mails) and any(" watches " in line for line in watching.said), 60)
        assert watching.stop() == 0, watching.said
        assert log.stop() == 0
    except BaseException:
        watching.kill()
        log.kill()
        raise
    finally:
        client.join(70)
        mail.stop()
    asyncio.run(check_state(monitor, count, len(watched), mail.text()))


async def check_state(monitor: Path, size: int, alerts: int, mailed: str) -> None:
    """The state is whole, at the log's end, every entry proven, nothing is called a lie; what is noted as mailed was
    mailed, and the rest waits for the next digest."""
    async with State.open(monitor / "state") as state:
        (log,) = await state.logs.all()
        assert (log.position.frontier.size, log.position.proven.size, log.accused) == (size, size, "")
        rows = await state.alerts.find(kind="certificate", limit=100_000)
        owners = [row for row in rows if row.addressee == "owner"]
        assert (len(owners), {row.proven is None for row in owners}) == (alerts, {False})
        assert await state.alerts.find(kind="misbehaviour") == []
        mails = [mail for row in owners for mail in await state.outbox.of_alert(row.id) if mail.channel == "mail"]
        assert len(mails) == alerts
        assert {mail.status for mail in mails} <= {"sent", "waiting"}
        assert [mail.alert.id for mail in mails if mail.status == "sent" and mail.alert.id not in mailed] == []
        assert any(mail.status == "sent" for mail in mails)
