"""The monitor's HTTP: /health and /metrics for whoever looks after it, and three ways to hand something in.

    GET  /health      200 while all is well, 503 with the reasons otherwise; JSON
    GET  /metrics     for Prometheus (`monitor.metrics`)
    POST /v1/scts     {"chain": [certificate, issuer, ...], "scts": [...]}: SCTs to be audited
    POST /v1/events   {"kind": "sim", "number": "+1..."}, or {"events": [...]}: ports and SIM changes
    POST /v1/heads    {"head": a checkpoint, or what get-sth answered}: what a log showed to somebody else

In scope: translating these, and whom they are open to: handing in is for this machine, and for the networks of
`hand_in`. A browser is no such caller, wherever it runs: a page that it shows must not hand in anything. Out of scope:
what is done with it. No number, name or certificate is ever read through here.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_address, ip_network
from typing import Any, NamedTuple, Protocol

from aiohttp import web

from ctlog import __version__
from ctlog.errors import ConfigError, CtlogError, OperatorError, SignatureError, UsageError
from monitor.config import parse_listen
from monitor.follow.audit import Known, take_in
from monitor.handed import open_head, read_chain, read_event, read_head
from monitor.health import Trouble
from monitor.metrics import CONTENT_TYPE, Figures, exposition
from monitor.state import State

MAX_BODY = 1 << 20
MAX_EVENTS = 1000
BODY_S = 20.0
"""A body that is not here after so long is not waited for."""
_FORWARDED = ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via")


class Counts(NamedTuple):
    """What only a running monitor knows: items that are watched, claims in the history, and by log id how many seconds
    reading to its end takes (None: that cannot be said)."""

    items: int
    claims: int
    left_s: Mapping[bytes, float | None]


class Monitor(Protocol):
    """What the API asks of a monitor that runs."""

    @property
    def state(self) -> State: ...

    @property
    def logs(self) -> Mapping[bytes, Known]:
        """Those that are followed now, by id."""
        ...

    def now_ms(self) -> int: ...

    async def troubles(self) -> Sequence[Trouble]:
        """What is not well now."""
        ...

    def counts(self) -> Counts: ...

    async def handed_in(self) -> None:
        """Something was handed in and is stored: take it into account."""
        ...


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Api:
    """The handlers. `hand_in`: networks besides this machine from which something may be handed in."""

    def __init__(self, monitor: Monitor, hand_in: Sequence[str] = ()) -> None:
        self._monitor = monitor
        self._networks = [ip_network(network) for network in hand_in]
        self._handed: Counter[tuple[str, str]] = Counter()

    def application(self) -> web.Application:
        """The application."""
        app = web.Application(middlewares=[self._guard], client_max_size=MAX_BODY)
        app.router.add_get("/", self._index)
        app.router.add_get("/health", self._health)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_post("/v1/scts", self._scts)
        app.router.add_post("/v1/events", self._events)
        app.router.add_post("/v1/heads", self._heads)
        return app

    # Reading ----------------------------------------------------------------------------------------------------------

    async def _index(self, _: web.Request) -> web.Response:
        return web.Response(text=f"ctlog-monitor {__version__}: /health, /metrics; POST /v1/scts, /v1/events, "
                            "/v1/heads\n",
                            headers=_NO_STORE)  # fmt: skip

    async def _health(self, _: web.Request) -> web.Response:
        troubles = await self._monitor.troubles()
        counts = self._monitor.counts()
        value = {
            "ok": not troubles,
            "version": __version__,
            "monitor": await self._monitor.state.answers.identity(),
            "now_ms": self._monitor.now_ms(),
            "reasons": [_reason(trouble) for trouble in troubles],
            "items": counts.items,
            "logs": [
                {
                    "name": log.name, "log_id": log.log_id.hex(), "read": log.position.frontier.size,
                    "proven": log.position.proven.size, "head_size": log.head_size, "head_ms": log.head_ms,
                    "last_contact_ms": log.last_contact_ms, "left_s": counts.left_s.get(log.log_id),
                }
                for log in await self._monitor.state.logs.all()
                if log.log_id in self._monitor.logs
            ],
        }  # fmt: skip
        return _json(value, 503 if troubles else 200)

    async def _metrics(self, _: web.Request) -> web.Response:
        state, counts = self._monitor.state, self._monitor.counts()
        followed = self._monitor.logs
        figures = Figures(
            version=__version__,
            logs=[log for log in await state.logs.all() if log.log_id in followed],
            gaps=await state.logs.gaps(),
            channels=await state.outbox.channels(),
            alerts=await state.alerts.count(),
            scts=await state.audits.counts(),
            troubles=await self._monitor.troubles(),
            items=counts.items,
            claims=counts.claims,
            handed=self._handed,
            left_s={log_id: left for log_id, left in counts.left_s.items() if left is not None},
        )
        return web.Response(body=exposition(figures), headers={"Content-Type": CONTENT_TYPE, **_NO_STORE})

    # Handing in -------------------------------------------------------------------------------------------------------

    async def _scts(self, request: web.Request) -> web.Response:
        given = read_chain(await self._body(request))
        now_ms = self._monitor.now_ms()
        source = f"over the API, from {request.remote}"
        rows, faults = take_in(given.certificate, given.issuers, given.scts, self._monitor.logs, source, now_ms)
        if not rows:
            raise next(iter(faults), UsageError("there is no SCT of a log that is read here", reason="unknown-log"))
        new = await self._monitor.state.audits.add(rows)
        await self._monitor.handed_in()
        wrong = {"problems": [str(fault) for fault in faults]} if faults else {}
        return _json({"taken": len(rows), "new": new, "ids": [row.id for row in rows], **wrong})

    async def _events(self, request: web.Request) -> web.Response:
        value = await self._body(request)
        if isinstance(value, dict) and set(value) == {"events"}:
            value = value["events"]
        values = value if isinstance(value, list) else [value]
        if not 0 < len(values) <= MAX_EVENTS:
            raise UsageError(f"`events` holds 1 to {MAX_EVENTS} events")
        now_ms = self._monitor.now_ms()
        events = []
        for at, each in enumerate(values):
            try:
                events.append(read_event(each, now_ms))
            except UsageError as error:
                raise UsageError(f"event {at}: {error}" if len(values) > 1 else str(error)) from None
        await self._monitor.state.answers.add_events(events)
        await self._monitor.handed_in()
        return _json({"events": len(events)})

    async def _heads(self, request: web.Request) -> web.Response:
        data = read_head(await self._body(request))
        now_ms, source = self._monitor.now_ms(), f"over the API, from {request.remote}"
        for log_id, log in self._monitor.logs.items():
            try:
                head = open_head(data, log.policy)
            except SignatureError:
                continue  # another log's
            row = await self._monitor.state.logs.see(log_id, head, source, now_ms)
            await self._monitor.handed_in()
            return _json({"log_id": log_id.hex(), "tree_size": head.size, "timestamp": head.timestamp_ms,
                          "state": row.state})  # fmt: skip
        raise UsageError("no log that is read here signed this head", reason="unknown-log")

    async def _body(self, request: web.Request) -> Any:
        if request.content_type != "application/json":
            raise _Refusal(415, "bad-content-type", "send it as application/json")
        async with asyncio.timeout(BODY_S):
            data = await request.read()
        try:
            return json.loads(data)
        except (ValueError, RecursionError):
            raise UsageError("the body is no JSON", reason="bad-json") from None

    # Whom it is open to, and how refusals look ------------------------------------------------------------------------

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        what = request.path.rpartition("/")[2] if request.method == "POST" else ""
        try:
            if request.method == "POST":
                self._check_caller(request)
            answer = await handler(request)
        except _Refusal as refusal:
            answer = _problem(refusal.status, refusal.reason, str(refusal))
        except web.HTTPException as error:
            answer = _problem(error.status, _REASONS.get(error.status, "http"), error.reason)
            answer.headers.update({name: value for name, value in error.headers.items() if name == "Allow"})
        except TimeoutError:
            answer = _problem(408, "too-slow", f"the body was not here after {BODY_S:.0f} s")
        except OperatorError as error:
            answer = _problem(503, error.reason, str(error))
        except CtlogError as error:
            answer = _problem(400, error.reason, str(error))
        if what in ("scts", "events", "heads"):
            self._handed[what, "taken" if answer.status == 200 else "refused"] += 1
        return answer

    def _check_caller(self, request: web.Request) -> None:
        """Raises _Refusal. A proxy on this machine passes on what comes from elsewhere, and says so in a header."""
        if "Origin" in request.headers or "Sec-Fetch-Site" in request.headers:
            raise _Refusal(403, "browser", "nothing is taken from web pages")
        try:
            peer = ip_address(request.remote or "")
        except ValueError:
            peer = None
        mapped = getattr(peer, "ipv4_mapped", None)
        peer = mapped or peer
        is_here = peer is not None and peer.is_loopback
        if is_here and any(name in request.headers for name in _FORWARDED):
            is_here = False
        is_listed = peer is not None and any(peer in network for network in self._networks)
        if not is_here and not is_listed:
            sentence = "only this machine, and the networks of `hand_in`, may hand in anything"
            raise _Refusal(403, "not-from-here", sentence)


@asynccontextmanager
async def serving(application: web.Application, listen: str) -> AsyncIterator[str]:
    """Serve at "host:port" ("" serves nothing); gives the URL. Raises ConfigError where it cannot listen there."""
    if not listen:
        yield ""
        return
    host, port = parse_listen(listen)
    runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=2)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            reason = "cannot-listen"
            raise ConfigError(f"cannot listen on {listen}: {error.strerror or error}", reason=reason) from None
        name = runner.addresses[0]
        yield f"http://{f'[{name[0]}]' if ':' in name[0] else name[0]}:{name[1]}/"
    finally:
        await runner.cleanup()


class _Refusal(Exception):  # noqa: N818 - it is one
    def __init__(self, status: int, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.reason = reason


_NO_STORE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
_REASONS = {404: "not-found", 405: "bad-method", 413: "too-large"}


def _reason(trouble: Trouble) -> dict[str, Any]:
    return {
        "kind": trouble.kind, "severity": trouble.severity, "summary": trouble.summary, "sentence": trouble.reason,
        "next": trouble.next,
    }  # fmt: skip


def _problem(status: int, reason: str, sentence: str) -> web.Response:
    return _json({"error": reason, "sentence": sentence}, status)


def _json(value: Mapping[str, Any], status: int = 200) -> web.Response:
    return web.json_response(value, status=status, headers=_NO_STORE)
