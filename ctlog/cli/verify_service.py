"""`ctlog verify-service`: calls verified for SIP proxies, until told to stop (docs/verify-service.md)."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ctlog import __version__
from ctlog.cli.call_trust import TrustOptions, trust_options
from ctlog.cli.files import read_certificates
from ctlog.cli.many import ManyCommand
from ctlog.cli.options import FILE
from ctlog.cli.output import say_error
from ctlog.errors import CtlogError, UsageError

if TYPE_CHECKING:
    from ctlog.client.credential import CallPolicy, Trust
    from ctlog.client.guarded import Address
    from ctlog.client.log_list_file import LogListFile
    from ctlog.x509.chain import Roots

_LOOK_S = 5.0  # how often the log list's file is looked at


@dataclass(frozen=True)
class Settings:
    """What the command was told about connections."""

    listen: tuple[str, ...]
    country_code: str
    fetch: bool
    fetch_lists: bool
    x5u_ca: Path | None
    x5u_network: tuple[str, ...]


class Material:
    """Whom to trust: roots from files, logs from a signed list that is followed. Raises CtlogError at the start."""

    def __init__(self, roots: Sequence[Path], logs: LogListFile | None, policy: CallPolicy, now_ms: int) -> None:
        self._files = tuple(roots)
        self._logs = logs
        self._policy = policy
        self._said = ""
        self._roots = self._read_roots()
        self.trust = self._made() if logs is None else self._loaded(logs, now_ms)

    def refresh(self, now_ms: int, *, roots: bool = False) -> None:
        """Look at the log list's file, and at those of the roots too if asked; what is wrong is said once."""
        changed = False
        if roots:
            try:
                self._roots, changed = self._read_roots(), True
            except (CtlogError, OSError) as error:
                say_error(f"ctlog: the roots stay as they are: {error}.")
        if self._logs is not None:
            changed |= self._logs.refresh(now_ms)
            if self._logs.error != self._said:
                self._said = self._logs.error
                if self._said:
                    say_error(f"ctlog: the log list in use stays: {self._said}.")
        if changed:
            self.trust = self._made()

    def health(self, now_ms: int) -> dict[str, Any]:
        """For /health: not well without a fresh list, if one is asked for."""
        found: dict[str, Any] = {"ok": True, "roots": len(self._roots)}
        if self._logs is not None and self._logs.current is not None:
            current = self._logs.current
            policy = self._policy.scts
            stale = policy is not None and current.is_stale(now_ms, policy.max_list_age_ms)
            found |= {
                "ok": not stale, "log_list_version": current.version, "logs": len(current), "log_list_stale": stale,
                "log_list_age_s": (now_ms - current.timestamp_ms) // 1000, "log_list_error": self._said,
            }  # fmt: skip
        return found

    def _loaded(self, logs: LogListFile, now_ms: int) -> Trust:
        logs.load(now_ms)
        return self._made()

    def _made(self) -> Trust:
        from ctlog.client.credential import Trust

        return Trust(self._roots, None if self._logs is None else self._logs.current, self._policy)

    def _read_roots(self) -> Roots:
        from ctlog.x509.chain import Roots, accepted_root

        return Roots(accepted_root(der, "", str(path)) for path in self._files for der in read_certificates(path))


@click.command(cls=ManyCommand, name="verify-service")
@trust_options
@click.option("--country-code", default="", metavar="DIGITS", help="For numbers in requests that have no +.")
@click.option("--fetch/--no-fetch", default=True, show_default=True, help="Whether a certificate is fetched by x5u.")
@click.option("--fetch-lists", is_flag=True, help="Fetch lists of numbers that certificates refer to, as well.")
@click.option("--x5u-ca", type=FILE, metavar="PEM", help="A further CA whose web servers are believed.")
@click.option("--x5u-network", multiple=True, metavar="NETWORK ...", help="A network that x5u may lead to, though it "
              "is not public, such as 10.0.0.0/8. Callers choose these URLs: think twice.")
@click.option("--list-memory", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Where the time "
              "of the newest log list is kept, so that an older one is refused after a restart too.")
@click.option("--listen", multiple=True, default=("127.0.0.1:8470",), show_default=True, metavar="HOST:PORT")
def verify_service(
    trusted: TrustOptions, country_code: str, fetch: bool, fetch_lists: bool, x5u_ca: Path | None,
    x5u_network: tuple[str, ...], list_memory: Path | None, listen: tuple[str, ...],
) -> int:  # fmt: skip
    """Verify calls for SIP proxies over HTTP, as an STI verification service does (ATIS-1000082).

    A proxy posts the Identity header of an INVITE and gets TN-Validation-Passed, TN-Validation-Failed or
    No-TN-Validation, with a reason. Certificates must carry SCTs of logs on the list. It speaks plain HTTP, to whoever
    reaches it: keep it on loopback, or behind what ends TLS.

    \b
    ctlog verify-service --roots sti-ca-roots.pem --log-list log-list.json --log-list-key list-key.pub.pem

    SIGTERM ends it; SIGHUP reads the roots again. The log list is followed by itself.
    """
    import uvloop

    from ctlog.config import parse_listen

    policy, logs = trusted.policy(), trusted.logs(list_memory)
    for text in listen:
        parse_listen(text, "--listen")
    material = Material(trusted.roots, logs, policy, _now_ms())
    settings = Settings(listen, country_code, fetch, fetch_lists, x5u_ca, x5u_network)
    uvloop.run(_serve(material, settings))
    return 0


async def _serve(material: Material, settings: Settings) -> None:
    import contextlib
    import ssl

    from aiohttp import web

    from ctlog.client.guarded import GuardedFetcher
    from ctlog.config import parse_listen
    from ctlog.verify_service import VerifyServer, VerifyService

    stop, again = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, again.set)
    tls = ssl.create_default_context()
    if settings.x5u_ca is not None:
        tls.load_verify_locations(settings.x5u_ca)
    async with contextlib.AsyncExitStack() as stack:
        get = None
        if settings.fetch:
            fetcher = GuardedFetcher(user_agent=f"ctlog/{__version__} (verify-service)", max_bytes=1 << 18,
                                     timeout_s=5.0, allow=_allow(settings.x5u_network), tls=tls)  # fmt: skip
            get = (await stack.enter_async_context(fetcher)).get
        service = VerifyService(lambda: material.trust, get, country_code=settings.country_code,
                                fetch_lists=settings.fetch_lists)  # fmt: skip
        runner = web.AppRunner(VerifyServer(service, lambda: material.health(_now_ms())).app(), access_log=None)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        for text in settings.listen:
            site = web.TCPSite(runner, *parse_listen(text, "--listen"))
            await site.start()
        for host, port, *_ in runner.addresses:
            say_error(f"Verifying calls at http://{f'[{host}]' if ':' in host else host}:{port}/stir/v1/verification")
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await _first(stop, again)
            material.refresh(_now_ms(), roots=again.is_set())
            again.clear()


async def _first(*events: asyncio.Event) -> None:
    """Wait for any of them."""
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waiting:
            each.cancel()


def _allow(networks: Sequence[str]) -> Any:
    """Which addresses an x5u may lead to. Raises UsageError."""
    from ctlog.client.guarded import is_outside

    try:
        allowed = [ip_network(text) for text in networks]
    except ValueError as error:
        raise UsageError(f"--x5u-network: {error}") from None

    def allow(address: Address) -> bool:
        return is_outside(address) or any(address in network for network in allowed)

    return allow


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
