"""The verdict on a call as a service for SIP proxies: an STI-VS (ATIS-1000082), in process or over HTTP.

In scope: `POST /stir/v1/verification` in the two dialects that are spoken (ATIS-1000082: `identity`; 3GPP TS 24.229
annex V: `identityHeader`), answered in the dialect of the question, with our whole verdict beside it; diverted calls;
fetching what an `x5u` names, and nothing else; `/health` and `/metrics`. docs/verify-service.md is the page for users.
Out of scope: whom to trust (it is handed in, and followed when it changes), TLS and access (a proxy before it), and
signing.

Every answer is JSON. A call that is refused is an answer (200); only a question that makes no sense is an error.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from ctlog import __version__
from ctlog.client.call_cache import CallCache
from ctlog.client.credential import Trust
from ctlog.client.diversion import follow_diversions
from ctlog.client.passport import Call, verify_identity
from ctlog.client.sct_policy import MAX_SCTS
from ctlog.client.verdict import CANNOT_TELL, FAILED, PASSED, REASONS, ROWS, SIP_TEXTS, Verdict, worst
from ctlog.client.x5u import CertificateStore, Fetch
from ctlog.errors import CtlogError, MalformedError, TransportError, VerificationError
from ctlog.wire.b64 import parse_base64
from ctlog.wire.identity_header import canonical_number
from ctlog.wire.passport import DIV

logger = logging.getLogger("ctlog.verify")

PATH = "/stir/v1/verification"
MAX_BODY = 512 << 10
MAX_HEADERS = 16
"""Identity header fields of one call: the caller's, and one for each diversion."""

VERSTAT: Mapping[str, str] = {
    PASSED: "TN-Validation-Passed", FAILED: "TN-Validation-Failed", CANNOT_TELL: "No-TN-Validation",
}  # fmt: skip
_NO_HEADER = "no-identity-header"


class Question(NamedTuple):
    """A verification request, read. `dest` is where the call is going now. `is_3gpp`: how it was asked.

    orig, dest: canonical numbers or URIs, "" if not told. scts: serialised SCTs that travel beside certificates which
    may not carry them.
    """

    headers: tuple[str, ...]
    orig: str
    dest: str
    time_s: int | None = None
    is_3gpp: bool = False
    scts: tuple[bytes, ...] = ()


class Answer(NamedTuple):
    """The verdict on a call: one for each header field, and of all together an outcome and the first reason."""

    outcome: str
    reason: str
    sentence: str
    verdicts: tuple[Verdict, ...]


class VerifyService:
    """Verifies calls in process: `await service.verify(question)`. Belongs to one event loop.

    trust: gives whom to trust now; as long as it gives the same object, what was found before is remembered. fetch:
    what gets an `x5u` (`ctlog.client.guarded.GuardedFetcher.get`); None: nothing is ever fetched. country_code: for
    numbers of SIP messages without `+`. fetch_lists: whether lists of numbers by reference are fetched as well.
    fetch_s: how long all fetches for one header field may take together.
    """

    def __init__(
        self,
        trust: Callable[[], Trust],
        fetch: Fetch | None,
        *,
        country_code: str = "",
        fetch_lists: bool = False,
        fetch_s: float = 8.0,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._trust = trust
        self.store = CertificateStore(fetch) if fetch is not None else None
        self.country_code = country_code
        self._fetch_lists = fetch_lists
        self._fetch_s = fetch_s
        self.clock_ms = clock_ms
        self.cache = CallCache()

    async def verify(self, question: Question) -> Answer:
        """The verdict on a call. Raises nothing for what the call says."""
        if not question.headers:
            return Answer(CANNOT_TELL, _NO_HEADER, "the call carries no Identity header", ())
        several = len(question.headers) > 1
        call = Call(question.orig, "" if several else question.dest, question.time_s)
        verdicts = tuple(await asyncio.gather(*(self._one(header, call, question.scts) for header in question.headers)))
        outcome = worst(verdict.outcome for verdict in verdicts)
        for wanted in (FAILED, CANNOT_TELL):
            for verdict in verdicts:
                if verdict.outcome == wanted:
                    return Answer(outcome, verdict.reasons[0], verdict.sentence, verdicts)
        try:
            _follow(verdicts, question.dest)
        except VerificationError as error:
            return Answer(FAILED, error.reason, str(error), verdicts)
        return Answer(outcome, "", verdicts[0].sentence, verdicts)

    async def _one(self, header: str, call: Call, scts: tuple[bytes, ...]) -> Verdict:
        """Fetches what is needed, and asks again; what does not fit is fetched once more, but not often."""
        fetched: dict[str, bytes | CtlogError] = {}
        until = asyncio.get_running_loop().time() + self._fetch_s
        verdict = self._judge(header, call, fetched, scts)
        while wanted := [need for need in verdict.needs if need.url not in fetched and self._may_fetch(need.kind)]:
            came = await asyncio.gather(*(self._fetch(need.url, until) for need in wanted))
            fetched |= zip((need.url for need in wanted), came, strict=True)
            verdict = self._judge(header, call, fetched, scts)
            if verdict.reasons[:1] in (("bad-signature",), ("certificate-expired",)):
                for url in list(fetched):  # perhaps the certificate there was renewed
                    if self.store is not None and self.store.renew(url, self.clock_ms()):
                        fetched[url] = await self._fetch(url, until)
                        verdict = self._judge(header, call, fetched, scts)
        return verdict

    async def _fetch(self, url: str, until: float) -> bytes | CtlogError:
        """What the URL gives, unless that takes longer than this call can wait; then whoever asks next may have it."""
        assert self.store is not None
        try:
            async with asyncio.timeout_at(until):
                return await self.store.get(url, self.clock_ms())
        except TimeoutError:
            return TransportError("the call could not wait for it any longer", reason="too-slow")

    def _judge(
        self, header: str, call: Call, fetched: Mapping[str, bytes | CtlogError], scts: tuple[bytes, ...]
    ) -> Verdict:
        return verify_identity(header, self._trust(), self.clock_ms(), call=call, fetched=fetched, detached=scts,
                               cache=self.cache)  # fmt: skip

    def _may_fetch(self, kind: str) -> bool:
        return self.store is not None and (kind == "certificate" or self._fetch_lists)


def _follow(verdicts: Sequence[Verdict], dest: str) -> None:
    """Do the header fields tell one story? Raises VerificationError.

    RFC 8946 section 5: a diversion vouches for whoever diverts, and says nothing of who called.
    """
    passports = [verdict.passport for verdict in verdicts if verdict.passport is not None]
    first = [one for one in passports if one.header.ppt != DIV]
    diversions = [one for one in passports if one.header.ppt == DIV]
    if not first:
        raise VerificationError("only diversions are signed, and nobody vouches for the caller",
                                reason="diversion-alone")  # fmt: skip
    for each in first:
        going = follow_diversions(each, diversions)
        if dest and all(party.value != dest for party in going):
            raise VerificationError("whom this call is for is not whom the tokens are for", reason="dest-mismatch")


# --- the two dialects -------------------------------------------------------------------------------------------------


def parse_question(data: bytes, country_code: str = "") -> Question:
    """Read a request. Raises MalformedError, its `field` the parameter, its reason a message id of ATIS-1000082."""
    if not data:
        raise MalformedError("Missing request body", field="", reason="SVC4000")
    try:
        asked = json.loads(data)["verificationRequest"]
    except (ValueError, RecursionError):
        raise MalformedError("Failed to parse message body: not JSON", field="body", reason="SVC4006") from None
    except (KeyError, TypeError):
        raise _missing("verificationRequest") from None
    if not isinstance(asked, dict):
        raise _invalid("verificationRequest", "not an object")
    is_3gpp = "identityHeader" in asked or "identityHeaders" in asked
    headers: list[object] = [asked[name] for name in ("identity", "identityHeader") if name in asked]
    several = asked.get("identityHeaders", [])
    if not isinstance(several, list):
        raise _invalid("identityHeaders", "not an array")
    headers += several
    if len(headers) > MAX_HEADERS:
        raise _invalid("identityHeaders", f"more than {MAX_HEADERS}")
    texts = [header for header in headers if isinstance(header, str)]
    if len(texts) < len(headers):
        raise _invalid("identityHeader" if is_3gpp else "identity", "not a string")
    time_s = asked.get("time")
    if time_s is not None and (type(time_s) is not int or not 0 <= time_s < 1 << 48):
        raise _invalid("time", "not a time in seconds")
    orig = _party(asked, "from", country_code)
    dest = _party(asked, "dest", country_code) or _party(asked, "to", country_code)
    if not orig or not dest:  # without them a token of another call would pass
        raise _missing("to" if orig else "from")
    return Question(tuple(text for text in texts if text.strip()), orig, dest, time_s, is_3gpp, _scts(asked))


def _scts(asked: Mapping[str, Any]) -> tuple[bytes, ...]:
    """`"scts": ["<base64>", ...]`, our extension of the request."""
    given = asked.get("scts", [])
    if not isinstance(given, list) or len(given) > MAX_SCTS:
        raise _invalid("scts", f"not an array of at most {MAX_SCTS}")
    try:
        return tuple(parse_base64(one, "scts") for one in given)
    except MalformedError:
        raise _invalid("scts", "not base64") from None


def _party(asked: Mapping[str, Any], name: str, country_code: str) -> str:
    """`{"tn": "1202..."}`, `{"tn": ["1202..."]}`, `{"uri": ...}` or a text; "" if it is not there."""
    value: Any = asked.get(name)
    if isinstance(value, dict):
        value = value.get("tn", value.get("uri"))
    if isinstance(value, list) and value:
        value = value[0]
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _invalid(name, "not a number or URI")
    try:
        return canonical_number(value, country_code)
    except MalformedError:
        return value


def _missing(name: str) -> MalformedError:
    return MalformedError(f"Missing mandatory parameter '{name}'", field=name, reason="SVC4001")


def _invalid(name: str, problem: str) -> MalformedError:
    return MalformedError(f"Invalid '{name}' parameter value: {problem}", field=name, reason="SVC4005")


def format_answer(answer: Answer, question: Question) -> dict[str, Any]:
    """The response, in the dialect of the question, with everything that is known in `ctlog`."""
    verstat = VERSTAT[answer.outcome]
    found: dict[str, Any] = {"verstat": verstat}
    if answer.reason:
        code = REASONS.get(answer.reason, 428)
        reason = {"Code": code, "Text": SIP_TEXTS[code], "Desc": f"{answer.reason}: {answer.sentence}"}
        found |= {f"reason{part}": value for part, value in reason.items()}
        found |= {f"reason{part.lower()}": value for part, value in reason.items()}  # clients differ in this
    if question.is_3gpp:
        found["verstatValue"] = verstat
        results = zip(answer.verdicts, question.headers, strict=False)
        found["verifyResults"] = [{"verifyResult": _result(*each)} for each in results]
    found["ctlog"] = {
        "outcome": answer.outcome, "reason": answer.reason, "sentence": answer.sentence,
        "verdicts": [_described(verdict) for verdict in answer.verdicts],
    }  # fmt: skip
    return {"verificationResponse": found}


def _result(verdict: Verdict, header: str) -> dict[str, Any]:
    ppt = verdict.passport.header.ppt if verdict.passport is not None else ""
    if verdict.outcome == PASSED and verdict.passport is not None:
        return {"ppt": ppt, "status": "pass", "validClaims": dict(verdict.passport.claims)}
    code = REASONS[verdict.reasons[0]]
    return {"ppt": ppt, "status": "fail", "reasonCode": code, "reasonText": SIP_TEXTS[code], "passport": header}


def _described(verdict: Verdict) -> dict[str, Any]:
    """A verdict as JSON."""
    passport, scts = verdict.passport, verdict.scts
    value: dict[str, Any] = {
        "outcome": verdict.outcome, "reasons": list(verdict.reasons), "coverage": verdict.coverage,
        "rows": {row: verdict.row(row) for row in ROWS},
        "checks": [check._asdict() for check in verdict.checks],
    }  # fmt: skip
    if passport is not None:
        value |= {"ppt": passport.header.ppt, "attest": passport.attest, "iat": passport.iat_s,
                  "orig": passport.orig.value, "dest": [party.value for party in passport.dest]}  # fmt: skip
    if scts is not None:
        value["scts"] = [{"log_id": one.log_id.hex(), "operator": one.operator, "timestamp_ms": one.timestamp_ms,
                          "reason": one.reason} for one in scts.scts]  # fmt: skip
    return value


# --- HTTP -------------------------------------------------------------------------------------------------------------

_ERRORS: Mapping[str, tuple[int, str]] = {
    "SVC4003": (404, "Requested resource was not found"),
    "SVC4004": (415, "Unsupported request body type, expected 'application/json'"),
    "POL4050": (405, "Method not allowed"),
    "SVC4006": (413, "Failed to parse message body: too long"),
    "POL5000": (500, "Internal Server Error"),
}


class Metrics:
    """What Prometheus is told."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.calls = Counter("ctlog_verify_calls", "Calls verified, by outcome and first reason.",
                             ["outcome", "reason"], registry=self.registry)  # fmt: skip
        self.seconds = Histogram("ctlog_verify_seconds", "Time to a verdict, with fetching.", registry=self.registry,
                                 buckets=(0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10))  # fmt: skip
        self.certificates = Gauge("ctlog_verify_certificates", "Certificates remembered.", registry=self.registry)
        self.list_age = Gauge("ctlog_verify_log_list_age_seconds", "Age of the log list.", registry=self.registry)


class VerifyServer:
    """The same over HTTP: `app()` is an aiohttp application without state of its own."""

    def __init__(self, service: VerifyService, health: Callable[[], Mapping[str, Any]]) -> None:
        """`health`: what is known of the trust material; "ok" False makes /health answer 503."""
        self._service = service
        self._health = health
        self.metrics = Metrics()

    def app(self) -> web.Application:
        """The application; it runs until its runner is cleaned up."""
        app = web.Application(client_max_size=MAX_BODY, middlewares=[_errors])
        app.router.add_post(PATH, self._verification)
        app.router.add_get("/health", self._get_health)
        app.router.add_get("/metrics", self._get_metrics)
        return app

    async def _verification(self, request: web.Request) -> web.Response:
        started = time.perf_counter()
        if request.content_type not in ("application/json", "application/octet-stream"):
            return _error("SVC4004")
        try:
            question = parse_question(await request.read(), self._service.country_code)
        except MalformedError as error:
            return _error(error.reason, str(error), error.field)
        answer = await self._service.verify(question)
        self.metrics.calls.labels(answer.outcome, answer.reason).inc()
        self.metrics.seconds.observe(time.perf_counter() - started)
        return _json(format_answer(answer, question), 200)

    async def _get_health(self, _: web.Request) -> web.Response:
        health = self._health()
        return _json({"version": __version__, **health}, 200 if health.get("ok") else 503)

    async def _get_metrics(self, _: web.Request) -> web.Response:
        self.metrics.certificates.set(len(self._service.cache))
        self.metrics.list_age.set(self._health().get("log_list_age_s") or 0)
        return web.Response(body=generate_latest(self.metrics.registry), content_type="text/plain")


@web.middleware
async def _errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """No traceback leaves; X-RequestID comes back as it came (ATIS-1000082 section 8)."""
    try:
        response = await handler(request)
    except web.HTTPNotFound:
        response = _error("SVC4003")
    except web.HTTPMethodNotAllowed:
        response = _error("POL4050")
    except web.HTTPRequestEntityTooLarge:
        response = _error("SVC4006")
    except web.HTTPException as error:
        response = _json({"error": error.reason}, error.status)
    except Exception as error:
        logger.error("a request failed: %s: %s", type(error).__name__, error, exc_info=error)
        response = _error("POL5000")
    identifier = request.headers.get("X-RequestID", "")
    if identifier and len(identifier) <= 200:
        response.headers["X-RequestID"] = identifier
    return response


def _error(message_id: str, sentence: str = "", variable: str = "") -> web.Response:
    status, text = _ERRORS.get(message_id, (400, sentence))
    if sentence:
        status, text = 400, sentence
    kind = "policyException" if message_id.startswith("POL") else "serviceException"
    exception = {"messageId": message_id, "text": text, "variables": [variable] if variable else []}
    return _json({"requestError": {kind: exception}, "error": text}, status)


def _json(value: object, status: int) -> web.Response:
    return web.json_response(value, status=status, headers={"Cache-Control": "no-store"})
