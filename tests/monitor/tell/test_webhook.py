"""monitor.tell.webhook: signed so that others' code accepts it, over real HTTP, and whatever receivers answer."""

import asyncio
import base64
import json
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from standardwebhooks import Webhook, WebhookVerificationError

from ctlog.client.guarded import is_outside
from ctlog.errors import UsageError
from monitor.tell.channel import DeliveryError
from monitor.tell.letter import make_letter, trial_letter
from monitor.tell.webhook import WebhookChannel, parse_retry_after, payload, sign
from tests.monitor.tell.test_letter import CERTIFICATE
from tests.tell_kit import DAY, HOUR, MORNING, Clock, Said, courier, mailed, opened, put
from tests.tls_peer import answer, serving, tls_identity

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
LETTER = make_letter(CERTIFICATE)


class Receiver:
    """What was posted, and what is answered: (status, headers)."""

    def __init__(self):
        self.posts = []
        self.answers = lambda: (204, {})

    async def take(self, request):
        self.posts.append((dict(request.headers), await request.read()))
        status, headers = self.answers()
        return web.Response(status=status, headers=headers)


@asynccontextmanager
async def receiving(receiver):
    """A real HTTP server; the URL, with a secret in its path."""
    app = web.Application(client_max_size=1 << 22)
    app.router.add_post("/hooks/secret-path", receiver.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/hooks/secret-path"
    finally:
        await runner.cleanup()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "secret").write_text(SECRET + "\n")
    return tmp_path


@pytest.fixture(scope="module")
def identity(tmp_path_factory):
    return tls_identity(tmp_path_factory.mktemp("tls"))


def channel(url, folder, *, allow=lambda address: True, now_s=time.time, **changes):
    table = {"kind": "webhook", "url": url, "secret_file": "secret", **changes}
    return WebhookChannel("hook", table, folder, allow=allow, now_s=now_s)


def lower(headers):
    return {name.lower(): value for name, value in headers.items()}


# Others' code accepts it --------------------------------------------------------------------------------------------


async def test_the_receiver_verifies_it_with_the_library_of_others(folder):
    receiver = Receiver()
    async with receiving(receiver) as url:
        await channel(url, folder).send(LETTER)
    ((headers, body),) = receiver.posts
    found = Webhook(SECRET).verify(body, lower(headers))
    assert found["type"] == "alert.certificate"
    assert found["data"]["id"] == CERTIFICATE.alert.id
    assert found["data"]["severity"] == 1
    assert found["timestamp"] == "2026-09-21T06:00:00Z"
    assert lower(headers)["content-type"] == "application/json"
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body.replace(b'"severity":1', b'"severity":4'), lower(headers))


async def test_a_receiver_may_change_its_key_without_losing_anything(folder):
    other = "whsec_" + base64.b64encode(b"another key of 24 octets").decode()
    (folder / "secret").write_text(f"{SECRET}\n{other}\n")
    receiver = Receiver()
    async with receiving(receiver) as url:
        await channel(url, folder).send(LETTER)
    ((headers, body),) = receiver.posts
    for secret in (SECRET, other):
        assert Webhook(secret).verify(body, lower(headers))


def test_the_vector_of_the_specification():
    """From the libraries of the specification: the same secret, id, time and payload give the same signature."""
    secret, name = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek"
    signature = sign(secret, name, 1614265330, b'{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_ed25519():
    key = Ed25519PrivateKey.generate()
    secret = "whsk_" + base64.b64encode(key.private_bytes_raw()).decode()
    kind, _, signature = sign(f"{secret}\n{SECRET}", "m", 7, b"{}").split()[0].partition(",")
    assert kind == "v1a"
    key.public_key().verify(base64.b64decode(signature), b"m.7.{}")


@pytest.mark.parametrize("secret", ["whsec_", "whsec_x", "whsk_AAAA", "swordfish", "whpk_" + "A" * 44])
def test_what_is_no_key(secret):
    with pytest.raises(DeliveryError, match="the secret is no key") as caught:
        sign(secret, "m", 7, b"")
    assert "swordfish" not in str(caught.value)


async def test_the_same_id_at_every_attempt_and_the_time_of_the_attempt(folder):
    receiver, now = Receiver(), [MORNING / 1000]
    async with receiving(receiver) as url:
        hook = channel(url, folder, now_s=lambda: now[0])
        await hook.send(LETTER)
        now[0] += 3600
        await hook.send(make_letter(CERTIFICATE._replace(attempts=3)))
    first, second = (lower(headers) for headers, _ in receiver.posts)
    assert first["webhook-id"] == second["webhook-id"]
    assert int(second["webhook-timestamp"]) - int(first["webhook-timestamp"]) == 3600
    assert "." not in first["webhook-id"]


async def test_what_the_receiver_wants_to_see(folder):
    receiver = Receiver()
    (folder / "token").write_text("Bearer abc\n")
    async with receiving(receiver) as url:
        await channel(url, folder, authorization_file="token").send(trial_letter("a.b", MORNING))
        (folder / "token").write_text("Bearer abc\nX-Evil: 1")
        with pytest.raises(DeliveryError, match="not one line of ASCII"):
            await channel(url, folder, authorization_file="token").send(LETTER)
    ((headers, body),) = receiver.posts
    assert lower(headers)["authorization"] == "Bearer abc"
    assert json.loads(body)["type"] == "test"


def test_the_payload_is_json_whatever_is_in_it():
    assert json.loads(payload(trial_letter("x", MORNING)))["data"]["kind"] == "test"


# What receivers answer ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "headers", "sentence", "retry_after_s", "gone"),
    [
        (500, {}, "answered 500", None, False),
        (400, {}, "answered 400", None, False),
        (429, {"Retry-After": "120"}, "answered 429", 120.0, False),
        (503, {"Retry-After": "soon"}, "answered 503", None, False),
        (410, {}, "it wants no more, for ever", None, True),
        (302, {"Location": "http://169.254.169.254/latest/meta-data"}, r"redirects elsewhere.*\(302\)", None, False),
    ],
)
async def test_answers(folder, status, headers, sentence, retry_after_s, gone):
    receiver = Receiver()
    receiver.answers = lambda: (status, headers)
    async with receiving(receiver) as url:
        with pytest.raises(DeliveryError, match=sentence) as caught:
            await channel(url, folder).send(LETTER)
    assert (caught.value.retry_after_s, caught.value.gone) == (retry_after_s, gone)
    assert len(receiver.posts) == 1
    assert "secret-path" not in str(caught.value)


async def test_500_for_three_days_by_a_clock_that_is_an_argument(folder):
    """The whole way, over real HTTP: hundreds of attempts, one id, then a dead letter and a word elsewhere."""
    receiver, clock, said = Receiver(), Clock(), Said()
    receiver.answers = lambda: (500, {})
    async with opened(folder) as state, receiving(receiver) as url:
        await put(state, mailed("a"))
        one = courier(state, channel(url, folder), clock, others=["pager"], said=said)
        one.channel.name = "mail"
        while (next_ms := await one.step()) is not None and next_ms < MORNING + 3 * DAY + 2 * HOUR:
            clock.ms = next_ms
        assert await state.outbox.counts() == {"dead": 1, "waiting": 2}
    ids = {lower(headers)["webhook-id"] for headers, _ in receiver.posts}
    assert len(ids) == 1
    assert len(receiver.posts) > 70
    assert "given up" in said


async def test_slow_and_endless_answers_change_nothing_once_the_status_is_there(folder, identity):
    async def drip(reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.01)

    (folder / "ca.pem").write_bytes(identity[1].read_bytes())
    async with serving(identity, drip) as url:
        await asyncio.wait_for(channel(url, folder, ca_file="ca.pem").send(LETTER), 3)


async def test_a_receiver_that_says_nothing_is_left_by_the_courier(folder, identity):
    async def silent(reader, writer):
        await asyncio.sleep(30)

    (folder / "ca.pem").write_bytes(identity[1].read_bytes())
    async with opened(folder) as state, serving(identity, silent) as url:
        await put(state, mailed("a"))
        hook = channel(url, folder, ca_file="ca.pem")
        hook.name, hook.limit_s = "mail", 0.1
        await courier(state, hook, Clock()).step()
        assert "did not take the letter" in (await state.outbox.of_alert("a-0123"))[0].last_error


async def test_an_untrusted_certificate_is_no_server(folder, identity):
    async with serving(identity, answer("HTTP/1.1 204 No Content")) as url:
        with pytest.raises(DeliveryError, match="cannot be reached") as caught:
            await channel(url, folder).send(LETTER)
    assert "token=secret" not in str(caught.value)


async def test_nobody_there(folder):
    async with receiving(Receiver()) as url:
        pass
    with pytest.raises(DeliveryError, match="cannot be reached") as caught:
        await channel(url, folder).send(LETTER)
    assert "secret-path" not in str(caught.value)


# URLs that strangers chose ------------------------------------------------------------------------------------------


async def guarded(identity, folder, peer, **options):
    (folder / "ca.pem").write_bytes(identity[1].read_bytes())
    async with serving(identity, peer) as url:
        await channel(url, folder, untrusted=True, ca_file="ca.pem", **options).send(LETTER)


async def test_a_stranger_is_told_too(folder, identity):
    asked, peer = [], answer("HTTP/1.1 204 No Content")

    async def told(reader, writer):
        asked.append(True)
        await peer(reader, writer)

    await guarded(identity, folder, told)
    assert asked == [True]


async def test_no_way_leads_inside(folder, identity):
    with pytest.raises(DeliveryError, match="leads into a private network"):
        await guarded(identity, folder, answer("HTTP/1.1 204 No Content"), allow=is_outside)


@pytest.mark.parametrize(
    ("head", "sentence"),
    [
        ("HTTP/1.1 307 Elsewhere\r\nLocation: https://127.0.0.1/", "redirects elsewhere"),
        ("HTTP/1.1 410 Gone\r\nContent-Length: 0", "for ever"),
        ("HTTP/1.1 500 No\r\nContent-Length: 0", "answered 500"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 99999999", "answers without end"),
        ("babble", "cannot be reached"),
    ],
)
async def test_what_strangers_answer(folder, identity, head, sentence):
    with pytest.raises(DeliveryError, match=sentence) as caught:
        await guarded(identity, folder, answer(head))
    assert "secret" not in str(caught.value)


# Retry-After --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("120", 120.0), (" 7 ", 7.0), *((text, None) for text in ("0", "-5", "1e9", "", "soon", "9" * 30))],
)
def test_seconds(text, seconds):
    assert parse_retry_after(text, 0.0) == seconds


def test_a_date():
    moment = datetime(2026, 9, 21, 6, 30, tzinfo=UTC)
    text = format_datetime(moment, usegmt=True)
    assert parse_retry_after(text, MORNING / 1000) == 1800.0
    assert parse_retry_after(text, moment.timestamp() + 1) is None


# Tables -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "untrusted", "sentence"),
    [
        ("ftp://x/", False, "begins with https"),
        ("x", False, "begins with https"),
        ("http:///x", False, "begins with https"),
        ("http://x/a b", False, "begins with https"),
        ("https://user:pass@x/", False, "no credentials"),
        ("http://x/", True, "only https"),
        ("https://x:99999/", True, "no URL"),
    ],
)
def test_urls_that_are_none(tmp_path, url, untrusted, sentence):
    with pytest.raises(UsageError, match=sentence) as caught:
        channel(url, tmp_path, untrusted=untrusted)
    assert caught.value.path == ("url",)


def test_it_is_always_signed(tmp_path):
    with pytest.raises(UsageError, match="needs `secret_file`"):
        channel("https://x/", tmp_path, secret_file="")


def test_where_it_leads_without_its_secret(tmp_path):
    assert channel("https://hooks.example:8443/T0/B0/secret?x=y", tmp_path).where == "hooks.example:8443"
