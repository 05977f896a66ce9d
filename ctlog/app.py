"""The log, put together: the only place where its rooms meet. `serve` runs one log until it is told to stop.

In scope: opening everything in the right order, the paths that are served, signals, the line that says what runs, and
how it ends. Out of scope: every decision. A FatalError ends the process (exit code 3) with the promise that was at
stake; it never resumes in place.

    SIGTERM, SIGINT   finish the batch in hand, answer its submitters, end (exit code 0)
    SIGHUP            read the accepted roots again: swap all of them, or keep the old set and say why
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import stat
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import uvloop

from ctlog import __version__
from ctlog.config import Config, parse_listen, parse_networks
from ctlog.errors import ConfigError, FatalError
from ctlog.folder import METADATA_KEY, Folder, clock_ms, open_folder
from ctlog.http.answers import Answer
from ctlog.http.bulk import Bulk
from ctlog.http.limits import AllowList, Buckets, Proxies, source_key
from ctlog.http.metrics import Metrics
from ctlog.http.monitoring import Reads
from ctlog.http.pages import HomePage
from ctlog.http.published import Published
from ctlog.http.server import Connections
from ctlog.http.site import Bounds, Call, Route, Site
from ctlog.http.static import Files
from ctlog.http.submission import Gate, Submissions
from ctlog.http.verifier import Verifier, threads_for
from ctlog.merkle.hashing import IMPLEMENTATION
from ctlog.outside import heads_outside
from ctlog.sequencer.forms import StaticCtForm
from ctlog.sequencer.log import BatchReport, Log
from ctlog.state import State, identity
from ctlog.wire.static_ct import PendingEntry

logger = logging.getLogger("ctlog")

EXIT_GOOD, EXIT_FATAL = 0, 3
SHUTDOWN_S = 10.0  # how long answers under way may take once the last batch is published


class App:
    """One log that is open. `opened` makes it; nothing is served before `listen`."""

    def __init__(self, folder: Folder, state: State, metrics: Metrics, published: Published) -> None:
        config = folder.config
        self.folder = folder
        self.log = state.log
        self.state = state
        self._metrics = metrics
        self._verifier = Verifier(threads_for(config.verification_threads))
        self._listening: list[asyncio.Server] = []
        gate = Gate(
            AllowList(parse_networks(config.submitters.networks, "submitters.networks"), config.submitters.tokens),
            Buckets("source", config.limits.source_rate, config.limits.source_burst, source_key),
            Buckets("issuer", config.limits.issuer_rate, config.limits.issuer_burst),
            Buckets("root", config.limits.root_rate, config.limits.root_burst))
        self._submissions = Submissions(
            state.log, lambda: state.accepted.admit, gate, self._verifier, metrics, clock_ms)
        bounds = Bounds(config.limits.body_bytes, config.limits.request_s, config.limits.connections)
        self._bulk = Bulk(self._submissions, bounds)
        reads = Reads(state.log, published, lambda: state.accepted.ders)
        files = Files(published, state.metadata)
        self.site = Site(
            {**self._submissions.routes(), **self._bulk.routes(), **reads.routes(), **files.exact_routes(),
             **self._own_routes()},
            {**files.prefix_routes(), "/sct/": Route("sct", {"GET": reads.get_sct})},
            bounds,
            Proxies(parse_networks(config.trusted_proxies, "trusted_proxies")), metrics.request)
        self._protocols = Connections(self.site)
        state.connections = lambda: self._protocols.open

    def _own_routes(self) -> dict[str, Route]:
        page = HomePage(identity(self.folder.config, self.log.signer))

        async def home(call: Call) -> Answer:
            await self.state.look()
            return page.answer(self.state.moment())

        async def health(call: Call) -> Answer:
            return await self.state.health()

        async def metrics(call: Call) -> Answer:
            await self.state.look()
            return self._metrics.answer()

        return {"/": Route("home", {"GET": home}), "/health": Route("health", {"GET": health}),
                "/metrics": Route("metrics", {"GET": metrics})}

    async def listen(self, addresses: Sequence[str], unix_socket: str) -> list[str]:
        """Begin to serve; returns where, as URLs. Raises ConfigError that names an address that cannot be had."""
        loop = asyncio.get_running_loop()
        where = []
        for text in addresses:
            host, port = parse_listen(text)
            try:
                server = await loop.create_server(self._protocols, host, port, backlog=1024)
            except OSError as error:
                raise ConfigError(f"cannot listen on {text}: {error.strerror or error}", reason="cannot-listen"
                                  ) from error
            self._listening.append(server)
            for socket in server.sockets:
                name = socket.getsockname()
                where.append(f"http://{f'[{name[0]}]' if ':' in name[0] else name[0]}:{name[1]}/")
        if unix_socket:
            path = Path(unix_socket)
            _remove_stale_socket(path)
            try:
                self._listening.append(await loop.create_unix_server(self._protocols, str(path), backlog=1024))
                path.chmod(0o666)  # whoever may enter its folder may speak to it
            except OSError as error:
                raise ConfigError(f"cannot listen on {path}: {error.strerror or error}", reason="cannot-listen"
                                  ) from error
            where.append(f"unix:{path}")
        return where

    async def run(self, stop: asyncio.Event) -> None:
        """Sequence and serve until `stop` is set. Raises FatalError when a promise is at stake."""
        sequencing = asyncio.create_task(self.log.run())
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({sequencing, stopping}, return_when=asyncio.FIRST_COMPLETED)
            for server in self._listening:
                server.close()
            self._bulk.stop()
            self._protocols.pre_shutdown()
            if not sequencing.done():
                await self.log.close()
            await sequencing
        finally:
            stopping.cancel()
            with contextlib.suppress(TimeoutError):
                await self._protocols.shutdown(SHUTDOWN_S)
            self._verifier.close()

    def reload_roots(self) -> None:
        """SIGHUP."""
        self._metrics.roots_reloaded(self.state.reload_roots())


@asynccontextmanager
async def opened(folder: Folder) -> AsyncIterator[App]:
    """Open a log for serving: recovery, comparison with the heads outside, its description. Raises ConfigError,
    FatalError."""
    config = folder.config
    signer = folder.signer()
    shelves = await folder.shelves(signer.key.log_id)
    try:
        outside = await heads_outside([config.public_monitoring_url, *config.followers], signer)
        reports: list[Callable[[BatchReport], None]] = []
        log: Log[PendingEntry] = await Log.open(
            shelves, signer, StaticCtForm(), clock=clock_ms, settings=folder.settings(), outside=outside,
            on_batch=lambda report: reports[0](report))
        state = State(folder, log, shelves)
        metrics = Metrics(config.origin, __version__, IMPLEMENTATION, state.snapshot)
        reports.append(metrics.batch)
        published = Published(shelves.public, lambda: log.head, log.form.kinds, config.cache_bytes, metrics.read)
        state.cache = lambda: (published.cache.bytes, published.cache.hits, published.cache.misses)
        await shelves.public.put_many([(METADATA_KEY, state.metadata())], immutable=False)
        yield App(folder, state, metrics, published)
    finally:
        await shelves.close()


async def run(directory: Path, listen: Sequence[str] = (), say: Callable[[str], None] = logger.info,
              stop: asyncio.Event | None = None) -> None:
    """Serve the log in `directory` until SIGTERM (or `stop`). `listen` replaces the configuration's addresses.

    Raises ConfigError when it cannot start, FatalError when a promise is at stake.
    """
    folder = open_folder(directory)
    stop = stop or asyncio.Event()
    loop = asyncio.get_running_loop()
    async with opened(folder) as app:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        loop.add_signal_handler(signal.SIGHUP, app.reload_roots)
        config = folder.config
        where = await app.listen(listen or config.listen, config.unix_socket)
        # What is here now stays: the collector need not look at it again, nor at every new object 20 times a second.
        gc.freeze()
        gc.set_threshold(50_000, 20, 20)
        say(start_line(config, app, where))
        await app.run(stop)
        say(f"{config.origin} has stopped at {app.log.head.size} entries")


def start_line(config: Config, app: App, where: Sequence[str]) -> str:
    """What runs, in one line."""
    log = app.log
    threads = threads_for(config.verification_threads)
    frozen = ", frozen," if log.frozen else ""
    checked = f"on {threads} thread{'' if threads == 1 else 's'}" if threads else "in the event loop"
    return (f"{config.origin} serves {log.head.size} entries{frozen} on {' and '.join(where)} (ctlog {__version__}, "
            f"hashing kernel {IMPLEMENTATION}, signatures checked {checked}, roots accepted: "
            f"{len(app.state.accepted.ders)}, pool {config.pool.size} / {config.pool.period_ms} ms)")


def serve(directory: Path, listen: Sequence[str] = (), say: Callable[[str], None] = logger.info) -> int:
    """`ctlog serve`: run until told to stop; returns the process's exit code. Raises ConfigError if it cannot start."""
    if not logging.getLogger().handlers:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    # A busy log has thousands of values under way, hardly any of them in cycles: 5 % less CPU for each submission.
    gc.set_threshold(50_000, 20, 100)
    try:
        uvloop.run(run(directory, listen, say))
    except FatalError as error:
        logger.critical("%s. The log has stopped so that this promise is kept; see docs/promises.md under %s. Nothing "
                        "that was answered is lost: look at the cause, then start again", error, error.promise)
        return EXIT_FATAL
    return EXIT_GOOD


def _remove_stale_socket(path: Path) -> None:
    """A socket of a process that died stays behind; anything else under that name is somebody's."""
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISSOCK(os.lstat(path).st_mode):
            path.unlink()
