"""The service for SIP proxies: its two dialects, diverted calls, certificates over real TLS, and what it says when a
question makes no sense."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web
from hypothesis import given
from hypothesis import strategies as st

from ctlog import issuance, verify_service
from ctlog.client.credential import CallPolicy
from ctlog.client.guarded import is_outside
from ctlog.client.x5u import RENEW_MS
from ctlog.errors import MalformedError, TransportError
from ctlog.verify_service import (
    MAX_BODY,
    MAX_HEADERS,
    PATH,
    Question,
    VerifyServer,
    VerifyService,
    format_answer,
    parse_question,
)
from ctlog.wire.b64 import format_base64
from tests.call_values import (
    CA,
    CALLED,
    CHAIN,
    LOGS,
    NOW,
    NUMBER,
    SHAKEN,
    X5U,
    claims,
    logged,
    number_tbs,
    referring,
    sct,
    signed,
    subject,
    trust,
)
from tests.pem import pem
from tests.tls_peer import Identity, answer, fetcher, serving, tls_identity

TRUST = trust()


def service(fetch=None, now_ms: int = NOW, **options: Any) -> VerifyService:
    return VerifyService(lambda: TRUST, fetch, clock_ms=lambda: now_ms, **options)


def question(*headers: str, orig: str = NUMBER, dest: str = CALLED, time_s: int | None = None) -> Question:
    return Question(headers, orig, dest, time_s)


def field(token: str, x5u: str = "", ppt: str = "") -> str:
    return token + (f";info=<{x5u}>" if x5u else "") + ";alg=ES256" + (f";ppt={ppt}" if ppt else "")


def request(**members: Any) -> dict[str, Any]:
    usual = {"from": {"tn": NUMBER}, "to": {"tn": [CALLED]}, "time": NOW // 1000}
    return {"verificationRequest": {name: value for name, value in (usual | members).items() if value is not None}}


GOOD = field(signed(claims(**SHAKEN), "shaken"), ppt="shaken")


@asynccontextmanager
async def served(own: VerifyService, health: dict[str, Any] | None = None) -> AsyncIterator[tuple[ClientSession, str]]:
    server = VerifyServer(own, lambda: health or {"ok": True, "log_list_age_s": 60})
    runner = web.AppRunner(server.app())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        async with ClientSession() as session:
            yield session, f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def asked(own: VerifyService, body: Any, **options: Any) -> tuple[int, Any, Any]:
    async with served(own) as (session, url):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", "X-RequestID": "abc-1"} | options.get("headers", {})
        async with session.post(url + options.get("path", PATH), data=data, headers=headers) as got:
            return got.status, await got.json(), got.headers


# A call -------------------------------------------------------------------------------------------------------------


async def test_a_good_call_as_atis_asks():
    status, said, headers = await asked(service(), request(identity=GOOD))
    assert (status, headers["X-RequestID"], headers["Cache-Control"]) == (200, "abc-1", "no-store")
    response = said["verificationResponse"]
    assert response["verstat"] == "TN-Validation-Passed"
    assert "reasonCode" not in response
    assert "verifyResults" not in response
    own = response["ctlog"]["verdicts"][0]
    assert (own["outcome"], own["attest"], own["orig"], own["dest"]) == ("passed", "A", NUMBER, [CALLED])
    assert own["rows"] == dict.fromkeys(("V1", "V2", "V3", "V4", "V5"), "passed")
    assert [one["operator"] for one in own["scts"]] == ["One", "Two"]
    assert len(own["checks"]) == 14


async def test_a_good_call_as_3gpp_asks():
    asked_so = request(identityHeader=GOOD, to=f"sip:+{CALLED}@carrier.example", **{"from": f"tel:+{NUMBER}"})
    _, said, _ = await asked(service(), asked_so)
    response = said["verificationResponse"]
    assert (response["verstatValue"], response["verstat"]) == ("TN-Validation-Passed",) * 2
    (result,) = response["verifyResults"]
    assert (result["verifyResult"]["status"], result["verifyResult"]["ppt"]) == ("pass", "shaken")
    assert result["verifyResult"]["validClaims"]["orig"] == {"tn": NUMBER}


async def test_a_refused_call_is_an_answer():
    forged = field(signed(claims("12025550124", **SHAKEN), "shaken"))
    status, said, _ = await asked(service(), request(identityHeader=forged, **{"from": {"tn": "12025550124"}}))
    response = said["verificationResponse"]
    assert (status, response["verstat"]) == (200, "TN-Validation-Failed")
    assert (response["reasonCode"], response["reasonText"]) == (437, "Unsupported Credential")
    assert response["reasonDesc"] == "scope-does-not-cover: 12025550124 is not in the certificate's list"
    assert (response["reasoncode"], response["reasontext"]) == (437, "Unsupported Credential")
    result = response["verifyResults"][0]["verifyResult"]
    assert (result["status"], result["reasonCode"], result["passport"]) == ("fail", 437, forged)


@pytest.mark.parametrize(("question", "verstat", "code"), [
    (question(), "No-TN-Validation", 428),
    (question("x.y.z"), "TN-Validation-Failed", 438),
    (question(GOOD, orig="12025550199"), "TN-Validation-Failed", 438),
    (question(GOOD, time_s=NOW // 1000 - 100), "TN-Validation-Failed", 403),
    (question(field(signed(x5u=X5U), X5U)), "No-TN-Validation", 436),
    (question(field(signed(x5u=X5U))), "TN-Validation-Failed", 436),
])  # fmt: skip
async def test_what_proxies_pass_on(question, verstat, code):
    own = service()
    response = format_answer(await own.verify(question), question)["verificationResponse"]
    assert (response["verstat"], response["reasonCode"]) == (verstat, code)


async def test_time_passes():
    found = await service(now_ms=NOW + 61_000).verify(question(GOOD))
    assert (found.outcome, found.reason) == ("failed", "iat-stale")


async def test_numbers_without_country_code():
    own = service(country_code="1")
    said = parse_question(json.dumps(request(identity=GOOD, **{"from": {"tn": "(202) 555-0123"}})).encode(), "1")
    assert (await own.verify(said)).outcome == "passed"


async def test_scts_beside_a_certificate_that_may_not_carry_them():
    tbs = number_tbs()
    header = field(signed(x5c=(CA.certificate_for(tbs), CA.certificate)))
    beside = [format_base64(sct(log, tbs)) for log in (LOGS[0], LOGS[2])]
    _, said, _ = await asked(service(), request(identity=header, scts=beside))
    assert said["verificationResponse"]["verstat"] == "TN-Validation-Passed"
    _, said, _ = await asked(service(), request(identity=header, scts=[]))
    assert said["verificationResponse"]["ctlog"]["reason"] == "no-sct"


# Diverted calls -----------------------------------------------------------------------------------------------------

OFFICE, MOBILE = CALLED, "13035550142"
OFFICE_CHAIN = (logged(number_tbs(tn=issuance.one(OFFICE), whose=subject("office"))), CA.certificate)


def diversion(at: str = OFFICE, to: str = MOBILE, orig: str = NUMBER) -> str:
    return field(signed(claims(orig, to, div={"tn": at}), "div", OFFICE_CHAIN), ppt="div")


async def test_a_diverted_call():
    own = service()
    assert (await own.verify(question(GOOD, diversion(), dest=MOBILE))).outcome == "passed"
    assert (await own.verify(question(diversion(), GOOD, dest=MOBILE))).outcome == "passed"
    body = request(identityHeader=GOOD, identityHeaders=[diversion()], dest={"tn": [MOBILE]})
    _, said, _ = await asked(own, body)
    assert len(said["verificationResponse"]["verifyResults"]) == 2


@pytest.mark.parametrize(("headers", "dest", "reason"), [
    ((GOOD, diversion()), CALLED, "dest-mismatch"),
    ((GOOD, diversion(at=MOBILE)), MOBILE, "scope-does-not-cover"),
    ((field(signed(claims(dest="13035550111"))), diversion()), MOBILE, "diversion-broken"),
    ((GOOD, diversion(orig="12025550111")), MOBILE, "orig-mismatch"),
    ((diversion(),), MOBILE, "diversion-alone"),
    ((GOOD, GOOD), "13035550111", "dest-mismatch"),
])  # fmt: skip
async def test_attack_a_call_that_was_not_diverted_so(headers, dest, reason):
    found = await service().verify(question(*headers, dest=dest))
    assert (found.outcome, found.reason) == ("failed", reason)


# Certificates from elsewhere ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return tls_identity(tmp_path_factory.mktemp("tls"))


def found(body: bytes) -> Any:
    return answer(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}", body)


async def over_tls(identity: Identity, peer: Any, **options: Any) -> tuple[str, str]:
    async with serving(identity, peer) as url, fetcher(identity, **options) as client:
        got = await service(client.get).verify(question(field(signed(x5u=url), url)))
        return got.outcome, got.reason


async def test_a_certificate_over_tls(identity: Identity):
    assert await over_tls(identity, found(pem(*CHAIN))) == ("passed", "")
    assert await over_tls(identity, found(pem(CHAIN[0]))) == ("failed", "unknown-root")


async def endless(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"1000\r\n" + b"x" * 4096 + b"\r\n")
        await writer.drain()


async def dripping(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"-")
        await writer.drain()
        await asyncio.sleep(0.05)


INWARD = answer("HTTP/1.1 302 Found\r\nLocation: https://169.254.169.254/latest/\r\nContent-Length: 0")


async def test_attack_an_x5u_that_redirects_inward(identity: Identity):
    assert await over_tls(identity, INWARD) == ("failed", "x5u-redirect")


async def test_attack_an_x5u_that_is_inward(identity: Identity):
    assert await over_tls(identity, found(b""), allow=is_outside) == ("failed", "x5u-inward-address")
    assert not is_outside(IPv4Address("169.254.169.254"))


async def test_attack_an_x5u_that_never_ends(identity: Identity):
    assert await over_tls(identity, endless, max_bytes=1 << 16) == ("failed", "x5u-too-large")
    assert await over_tls(identity, dripping, timeout_s=0.3) == ("cannot-tell", "x5u-too-slow")


async def test_attack_an_x5u_that_is_not_there(identity: Identity):
    gone = answer("HTTP/1.1 404 Not Found\r\nContent-Length: 0")
    assert await over_tls(identity, gone) == ("cannot-tell", "x5u-http-status")
    assert await over_tls(identity, found(b"<html>")) == ("failed", "x5u-no-certificate")


class Web:
    """Gives what it has, and counts."""

    def __init__(self, **pages: Any) -> None:
        self.pages, self.asked = pages, 0

    async def fetch(self, url: str) -> bytes:
        self.asked += 1
        what = self.pages[url.rpartition("/")[2]]
        if isinstance(what, Exception):
            raise what
        return what


async def test_a_certificate_is_fetched_once():
    pages = Web(a=pem(*CHAIN))
    own = service(pages.fetch)
    url = "https://cert.example/a"
    for second in range(5):
        token = signed(claims(iat_s=NOW // 1000 + second), x5u=url)
        assert (await own.verify(question(field(token, url)))).outcome == "passed"
    assert pages.asked == 1


async def test_a_certificate_that_was_renewed_is_fetched_again():
    clock = [NOW]
    old = logged(number_tbs(whose=subject("old", issuance.Key.from_number(7))))
    pages = Web(a=pem(old, CA.certificate))
    own = VerifyService(lambda: TRUST, pages.fetch, clock_ms=lambda: clock[0])
    url = "https://cert.example/a"

    async def call() -> str:
        return (await own.verify(question(field(signed(claims(iat_s=clock[0] // 1000), x5u=url), url)))).reason

    assert await call() == "bad-signature"
    pages.pages["a"] = pem(*CHAIN)
    assert await call() == "bad-signature"  # not for every forged call
    assert pages.asked == 1
    clock[0] += RENEW_MS
    assert await call() == ""
    assert pages.asked == 2


async def test_lists_of_numbers_are_fetched_only_if_wanted():
    listed = "https://numbers.example/list"
    tbs = CA.leaf(subject("by reference"), (issuance.END_ENTITY, issuance.tn_auth_list_by_reference(listed)))
    header = field(signed(x5c=(logged(tbs), CA.certificate)))
    pages = Web(list=issuance.one(NUMBER))
    found = await service(pages.fetch).verify(question(header))
    assert (found.outcome, found.reason, pages.asked) == ("cannot-tell", "number-list-needed", 0)
    assert (await service(pages.fetch, fetch_lists=True).verify(question(header))).outcome == "passed"
    broken = service(Web(list=TransportError("no", reason="unreachable")).fetch, fetch_lists=True)
    assert (await broken.verify(question(header))).reason == "number-list-unreachable"


def by_reference(*urls: str) -> tuple[bytes, ...]:
    """A logged certificate whose numbers lie at these places, with its CA."""
    return logged(CA.leaf(subject("many lists"), (issuance.END_ENTITY, referring(*urls)))), CA.certificate


async def test_attack_lists_that_never_come():
    """All together have one time limit, and a call that is refused anyway asks for none."""
    asked = []

    async def never(url: str) -> bytes:
        asked.append(url)
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    urls = [f"https://numbers.example/{at}" for at in range(4)]
    own = service(never, fetch_lists=True, fetch_s=0.05)
    forged = signed(x5c=by_reference(*urls), key=issuance.Key.from_number(99))
    assert (await own.verify(question(field(forged)))).reason == "bad-signature"
    assert asked == []
    found = await own.verify(question(field(signed(x5c=by_reference(*urls)))))
    assert (found.outcome, found.reason, sorted(asked)) == ("cannot-tell", "number-list-unreachable", urls)
    many = by_reference(*(f"https://numbers.example/{at}" for at in range(400)))
    assert (await own.verify(question(field(signed(x5c=many))))).reason == "too-many-lists"
    assert len(asked) == 4


async def test_nothing_is_fetched_when_the_certificate_is_in_the_token():
    pages = Web()
    await service(pages.fetch).verify(question(GOOD))
    await service(pages.fetch).verify(question(field(signed(claims(iat_s=5), x5u=X5U), X5U)))  # stale: not worth it
    assert pages.asked == 0


async def test_trust_is_followed():
    trusts = [trust(CallPolicy(scts=None)), trust(roots=())]
    own = VerifyService(lambda: trusts[0], None, clock_ms=lambda: NOW)
    assert (await own.verify(question(GOOD))).outcome == "passed"
    trusts.pop(0)
    assert (await own.verify(question(GOOD))).reason == "unknown-root"


# Questions that make no sense ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("body", "message", "variables"), [
    (b"", "SVC4000", []), (b"{", "SVC4006", ["body"]), (b"[]", "SVC4001", ["verificationRequest"]),
    (b"{}", "SVC4001", ["verificationRequest"]), (b'{"verificationRequest": 1}', "SVC4005", ["verificationRequest"]),
    (b"[" * 5000, "SVC4006", ["body"]), (b"\xff", "SVC4006", ["body"]),
    (request(identity=1), "SVC4005", ["identity"]), (request(identityHeader=None, identityHeaders=GOOD), "SVC4005",
                                                     ["identityHeaders"]),
    (request(identityHeaders=[1]), "SVC4005", ["identityHeader"]),
    (request(identityHeaders=[GOOD] * (MAX_HEADERS + 1)), "SVC4005", ["identityHeaders"]),
    (request(identity=GOOD, time="now"), "SVC4005", ["time"]), (request(identity=GOOD, time=-1), "SVC4005", ["time"]),
    (request(identity=GOOD, **{"from": None}), "SVC4001", ["from"]),
    (request(identity=GOOD, to=None), "SVC4001", ["to"]),
    (request(identity=GOOD, scts="AAAA"), "SVC4005", ["scts"]), (request(identity=GOOD, scts=[1]), "SVC4005", ["scts"]),
    (request(identity=GOOD, scts=["?"]), "SVC4005", ["scts"]), (request(scts=["AA=="] * 17), "SVC4005", ["scts"]),
    (request(identity=GOOD, to=5), "SVC4005", ["to"]), (request(identity=GOOD, to={"tn": [5]}), "SVC4005", ["to"]),
])  # fmt: skip
async def test_refused_questions(body, message, variables):
    status, said, headers = await asked(service(), body)
    exception = said["requestError"]["serviceException"]
    assert (status, exception["messageId"], exception["variables"]) == (400, message, variables)
    assert said["error"] == exception["text"]
    assert headers["X-RequestID"] == "abc-1"


async def test_other_places_and_ways():
    status, said, _ = await asked(service(), request(), path="/stir/v1/signing")
    assert (status, said["requestError"]["serviceException"]["messageId"]) == (404, "SVC4003")
    status, said, _ = await asked(service(), request(), headers={"Content-Type": "text/plain"})
    assert (status, said["requestError"]["serviceException"]["messageId"]) == (415, "SVC4004")
    status, said, _ = await asked(service(), b" " * (MAX_BODY + 1))
    assert (status, said["requestError"]["serviceException"]["messageId"]) == (413, "SVC4006")
    async with served(service()) as (session, url), session.get(url + PATH) as got:
        said = await got.json()
        assert (got.status, said["requestError"]["policyException"]["messageId"]) == (405, "POL4050")


async def test_a_fault_of_ours_shows_no_traceback(monkeypatch, caplog):
    async def broken(self, question):
        raise RuntimeError("secret detail")

    monkeypatch.setattr(VerifyService, "verify", broken)
    status, said, _ = await asked(service(), request(identity=GOOD))
    assert (status, said["requestError"]["policyException"]["messageId"]) == (500, "POL5000")
    assert "secret" not in json.dumps(said)
    assert "secret detail" in caplog.text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3), max_leaves=6,
)
MEMBERS = st.sampled_from(["identity", "identityHeader", "identityHeaders", "from", "to", "dest", "time", "scts"])


@given(st.dictionaries(MEMBERS, JSON, max_size=5), st.sampled_from([GOOD, "", "a.b.c", ";"]))
def test_no_request_raises_anything_else(members, header):
    body = json.dumps(request(identity=header) | {"verificationRequest": request(identity=header)[
        "verificationRequest"] | members}).encode()
    try:
        said = parse_question(body)
    except MalformedError as error:
        assert error.reason.startswith("SVC4")  # noqa: PT017 - it may also be good
        return
    found = asyncio.run(service().verify(said))
    assert json.dumps(format_answer(found, said))


# What is told to operators ------------------------------------------------------------------------------------------


async def test_health_and_metrics():
    own = service()
    async with served(own) as (session, url):
        for header in (GOOD, GOOD, "x"):
            async with session.post(url + PATH, json=request(identity=header)) as got:
                assert got.status == 200
        async with session.get(url + "/health") as got:
            assert (got.status, (await got.json())["ok"]) == (200, True)
        async with session.get(url + "/metrics") as got:
            text = await got.text()
    assert 'ctlog_verify_calls_total{outcome="passed",reason=""} 2.0' in text
    assert 'ctlog_verify_calls_total{outcome="failed",reason="malformed-token"} 1.0' in text
    assert "ctlog_verify_seconds_count 3.0" in text
    assert "ctlog_verify_certificates 1.0" in text
    assert "ctlog_verify_log_list_age_seconds 60.0" in text
    async with served(own, {"ok": False, "why": "the log list is stale"}) as (session, url):
        async with session.get(url + "/health") as got:
            assert (got.status, (await got.json())["why"]) == (503, "the log list is stale")


def test_every_reason_of_an_answer_has_a_code():
    assert set(verify_service.VERSTAT) == {"passed", "failed", "cannot-tell"}
    page = (Path(__file__).parents[1] / "docs" / "verify-service.md").read_text("utf-8")
    for message in ("SVC4000", "SVC4001", "SVC4003", "SVC4004", "SVC4005", "SVC4006", "POL4050", "POL5000"):
        assert message in page
    for verstat in verify_service.VERSTAT.values():
        assert verstat in page


async def test_the_examples_of_the_page():
    page = (Path(__file__).parents[1] / "docs" / "verify-service.md").read_text("utf-8")
    body = page.partition("-d '")[2].partition("'")[0]
    read = parse_question(body.encode())
    assert (read.orig, read.dest, read.time_s, read.is_3gpp) == ("12025550123", "13035550199", 1795000000, False)
    for example in page.split("```json\n")[1:]:
        assert json.loads(example.partition("```")[0])
    example = page.partition("```python\n")[2].partition("```")[0]
    wrapped = "async def page():\n" + "".join(f"    {line}\n" for line in example.splitlines())
    names: dict[str, Any] = {"trust": TRUST, "identity_header": GOOD, "print": lambda *words: printed.append(words)}
    printed: list[tuple[str, ...]] = []
    exec(wrapped, names)
    await names["page"]()
    assert printed[0][1] == "iat-stale"
