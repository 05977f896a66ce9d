"""A whole monitor in a folder, for tests: its files, its state, a daemon in this process, and logs that lie.

    kit = DaemonKit(tmp_path, CertSim())
    async with kit.running():
        await kit.alerted(...)

Everything is real but the logs and the waiting: loops that work every few seconds work every few milliseconds.
"""

from __future__ import annotations

import asyncio
import json
import os
from base64 import b64encode
from contextlib import asynccontextmanager

import aiohttp
import pytest

from monitor import daemon, following, parts
from monitor.daemon import HISTORY, Daemon
from monitor.follow.watch import Pace
from monitor.history import make_history
from monitor.state import make_state
from tests.cert_sim import CA, ROGUE
from tests.pem import pem

ITEM = "home/number:+12025550123"
WATCH = '[[watch]]\nname = "home"\ntell = ["out"]\nnumbers = ["+12025550123"]\n'
SOON = 20.0
"""Seconds after which a test that waits in vain has failed."""


class Clock:
    """Milliseconds, which stand still until they are moved on."""

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms


class DaemonKit:
    """See above. `get`, `get_guarded`: what stands at URLs; `said`: what the daemon said."""

    def __init__(self, folder, *sims, watch=WATCH, top="", monkeypatch: pytest.MonkeyPatch | None = None):
        self.folder, self.sims = folder, {sim.policy.key.log_id: sim for sim in sims}
        self.clock = Clock(max([sim.now_ms for sim in sims], default=1_760_000_000_000))
        self.said: list[tuple[str, str, str]] = []
        self.web: dict[str, bytes | Exception] = {}
        self.asked: list[str] = []
        self.unreachable: dict[bytes, Exception] = {}
        self.daemon: Daemon | None = None
        (folder / "roots.pem").write_bytes(pem(CA.chain[-1], ROGUE.chain[-1]))
        (folder / "watch.toml").write_text(watch)
        self.configure(top)
        make_state(folder / "state", 0)
        make_history(folder / "state" / HISTORY)
        if monkeypatch is not None:
            hurry(monkeypatch)

    def configure(self, top="", more=""):
        logs = "".join(
            f'[[log]]\nname = "{sim.origin}"\nurl = "https://{sim.origin}/"\norigin = "{sim.origin}"\n'
            f'key = "{b64encode(sim.policy.key.spki).decode()}"\n'
            for sim in self.sims.values()
        )
        channel = '[channels.out]\nkind = "file"\npath = "out.jsonl"\n'
        roots = '[[roots]]\ntrust_domain = "test"\nfiles = ["roots.pem"]\n'
        top = f'contact = "me@example.com"\nlisten = "127.0.0.1:0"\n{top}\n'
        write(self.folder / "monitor.toml", f"{top}{logs}{roots}{channel}{more}")

    def says(self, level, log, sentence):
        self.said.append((level, log, sentence))

    async def reach(self, spec, stack):
        error = self.unreachable.get(spec.log_id)
        if error is not None:
            raise error
        return self.sims[spec.log_id]

    async def get(self, url):
        self.asked.append(url)
        found = self.web[url]
        if isinstance(found, Exception):
            raise found
        return found

    def make(self) -> Daemon:
        return Daemon(
            self.folder / "monitor.toml", now_ms=self.clock, says=self.says, reach=self.reach, get=self.get,
            get_guarded=self.get,
        )  # fmt: skip

    @asynccontextmanager
    async def running(self):
        """The daemon runs; at the end it stops as by SIGTERM. What ends it early is raised."""
        self.daemon = self.make()
        task = asyncio.create_task(self.daemon.run())
        started = asyncio.create_task(self.until(lambda: self.daemon.is_started))
        try:
            await asyncio.wait([task, started], return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                task.result()
            yield self.daemon
        finally:
            started.cancel()
            self.daemon.stop()
            async with asyncio.timeout(SOON):
                await task

    async def until(self, condition):
        """Wait until this holds; it may be a coroutine function."""
        async with asyncio.timeout(SOON):
            while True:
                found = condition()
                if asyncio.iscoroutine(found):
                    found = await found
                if found:
                    return found
                await asyncio.sleep(0.005)

    async def caught_up(self):
        """Every log is read to its newest head."""
        for log_id, sim in self.sims.items():
            if log_id not in self.unreachable:
                await self.until(lambda log_id=log_id, sim=sim: self._is_read(log_id, sim))

    def _is_read(self, log_id, sim):
        progress = self.daemon.following.progress(log_id)
        return progress is not None and progress.position == sim.served.size

    async def alerts(self, **wanted):
        return sorted(await self.daemon.state.alerts.find(limit=10_000, **wanted), key=lambda row: row.created_ms)

    async def rules(self, item=ITEM):
        return [(row.rule, row.severity) for row in await self.alerts(item=item)]

    async def post(self, path, value):
        """(status, answer) of the API, over a socket."""
        async with aiohttp.ClientSession() as session, session.post(self.daemon.url + path, json=value) as answer:
            return answer.status, await answer.json()

    async def all_sent(self):
        """Whether nothing waits in the outbox, and something was sent."""
        return set(await self.daemon.state.outbox.counts()) == {"sent"}

    def told(self):
        """What reached the channel, line by line: the alerts' documents."""
        path = self.folder / "out.jsonl"
        text = path.read_text() if path.exists() else ""
        lines = text[: text.rfind("\n") + 1].splitlines()  # one may be being written
        return [json.loads(line)["data"] for line in lines]


def write(path, text):
    """Write, so that the change is noticed whatever the clock of the disk."""
    path.write_text(text)
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))


def hurry(monkeypatch):
    """Nobody waits for seconds."""
    for name in ("FILES_S", "ANSWERS_S", "LOGS_S", "TASKS_S", "HEALTH_S", "TIDY_S", "PROOFS_S"):
        monkeypatch.setattr(daemon, name, 0.01)
    monkeypatch.setattr(parts, "AGAIN_S", 0.01)
    monkeypatch.setattr(following, "RESTART_S", 0.01)
    monkeypatch.setattr(Daemon, "_pace", lambda self: Pace(poll_s=0.005, trouble_s=0.005))
