"""A real log on a loopback socket, with a CA that it accepts: for tests that speak HTTP to it.

    async with running_log(tmp_path) as log:
        answer = await log.post("add-pre-chain", [precertificate, *log.authority.chain])

Everything is real but the address: the folder, every fsync, the sequencer, aiohttp on a socket. `restart` ends it as
SIGTERM does and starts it again in the same folder.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import msgspec

from ctlog import issuance
from ctlog.app import App, opened
from ctlog.config import Config
from ctlog.folder import Folder, clock_ms, create, open_folder
from ctlog.roots import RootsStore
from ctlog.wire.rfc6962 import LogKey

ORIGIN = "log.test/2026"
CLOSED_URL = "http://127.0.0.1:9/"  # nobody listens there, so the comparison of heads at start is over at once
DAY_MS = 86_400_000

_serials = itertools.count(1 << 120)


class Reply(NamedTuple):
    """An answer, whole."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class RunningLog:
    """A log that serves. `authority` issues what it accepts; `key` verifies what it signs."""

    def __init__(self, folder: Folder, authority: issuance.Authority) -> None:
        self.folder = folder
        self.authority = authority
        self.key: LogKey = folder.signer().key
        self.app: App
        self.url = ""
        self.session: aiohttp.ClientSession
        self._stop = asyncio.Event()
        self._running: asyncio.Task[None]
        self._context: Any = None
        self._leaf_key = issuance.Key.generate()

    async def start(self, listen: Sequence[str] = ("127.0.0.1:0",), unix_socket: str = "") -> None:
        """Open the log and serve it."""
        self.folder = open_folder(self.folder.path)
        self._context = opened(self.folder)
        self.app = await self._context.__aenter__()
        where = await self.app.listen(listen, unix_socket)
        self.url = where[0] if where else ""
        self._stop = asyncio.Event()
        self._running = asyncio.create_task(self.app.run(self._stop))
        self.session = aiohttp.ClientSession(auto_decompress=False, headers={"Accept-Encoding": "identity"})

    async def stop(self) -> None:
        """As SIGTERM does. Raises what ended the log."""
        await self.session.close()
        self._stop.set()
        try:
            await self._running
        finally:
            await self._context.__aexit__(None, None, None)

    async def restart(self) -> None:
        """Stop, and start again."""
        await self.stop()
        await self.start()

    async def ask(self, method: str, path: str, **options: Any) -> Reply:
        """Any request; `path` is below the log's URL."""
        async with self.session.request(method, self.url + path, **options) as answer:
            return Reply(answer.status, dict(answer.headers), await answer.read())

    async def get(self, path: str, **query: object) -> Reply:
        """A GET with these parameters."""
        return await self.ask("GET", path, params={name: str(value) for name, value in query.items()})

    async def post(self, call: str, chain: Sequence[bytes], prefix: str = "ct/v1/") -> Reply:
        """Submit a chain of DER."""
        return await self.ask("POST", prefix + call, json={"chain": [base64.b64encode(der).decode() for der in chain]})

    def tbs(self, code: str = "709J", authority: issuance.Authority | None = None, **options: Any) -> bytes:
        """A TBSCertificate that nobody has submitted yet."""
        now = clock_ms()
        times = {"not_before_ms": now - 1000, "not_after_ms": now + 30 * DAY_MS} | options
        return issuance.shaken_leaf(authority or self.authority, self._leaf_key.spki, code, "Example",
                                    serial=next(_serials), **times)

    def certificate(self, code: str = "709J", **options: Any) -> bytes:
        """A fresh certificate, for add-chain."""
        return self.authority.certificate_for(self.tbs(code, **options))

    def precertificate(self, code: str = "709J", **options: Any) -> bytes:
        """A fresh precertificate, for add-pre-chain."""
        return self.authority.precertificate(self.tbs(code, **options))

    async def fill(self, count: int) -> list[Any]:
        """Submit `count` fresh certificates, every second one as a precertificate; the SCTs as JSON."""
        async def one(at: int) -> Any:
            der = self.precertificate() if at % 2 else self.certificate()
            answer = await self.post("add-pre-chain" if at % 2 else "add-chain", [der, *self.authority.chain])
            assert answer.status == 200, answer.body
            return answer.json
        return await asyncio.gather(*(one(at) for at in range(count)))


async def make_log(path: Path, **keys: Any) -> RunningLog:
    """A new log in `path`, not yet serving. `keys` are configuration keys, tables as dicts."""
    table = {"origin": ORIGIN, "monitoring_url": CLOSED_URL, "space": {"min_percent": 0, "min_bytes": 0}} | keys
    folder, _ = await create(path, msgspec.convert(table, Config))
    authority = issuance.example_authority(clock_ms())
    RootsStore(path / "roots").add_certificates([(authority.chain[-1], "test", "test CA")], "test", clock_ms())
    return RunningLog(folder, authority)


@asynccontextmanager
async def running_log(path: Path, **keys: Any) -> AsyncIterator[RunningLog]:
    """A new log below `path` that serves until the block ends."""
    log = await make_log(path / "log", **keys)
    await log.start()
    try:
        yield log
    finally:
        await log.stop()
