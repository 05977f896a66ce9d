"""monitor.tell.smtp: a real mail server over real sockets, and servers that fail at every step."""

import asyncio
import socket

import pytest

from ctlog.errors import UsageError
from monitor.tell.channel import DeliveryError
from monitor.tell.letter import make_letter
from monitor.tell.smtp import EmailChannel
from tests.monitor.tell.test_letter import CERTIFICATE
from tests.smtp_peer import Postbox, peer_at, post_office, stops_at
from tests.tell_kit import MINUTE, MORNING, Clock, courier, mailed, opened, put
from tests.tls_peer import tls_identity

LETTER = make_letter(CERTIFICATE)
TABLE = {
    "kind": "email", "to": ["owner@example.org"], "from": "monitor@ct.example", "server": "localhost",
    "security": "none",
}  # fmt: skip


@pytest.fixture(scope="module")
def identity(tmp_path_factory):
    return tls_identity(tmp_path_factory.mktemp("tls"))


def channel(port, folder=None, *, timeout_s=5.0, **changes):
    made = EmailChannel("mail", {**TABLE, "server": "127.0.0.1", "port": port, **changes}, folder)
    made._timeout_s = timeout_s
    return made


@pytest.fixture
def folder(tmp_path, identity):
    (tmp_path / "password").write_text("hunter2\n")
    (tmp_path / "ca.pem").write_bytes(identity[1].read_bytes())
    return tmp_path


def secure(port, folder, security, **changes):
    usual = {"server": "localhost", "user": "monitor", "password_file": "password", "ca_file": "ca.pem"}
    return channel(port, folder, security=security, **usual | changes)


# A server that is as it should be -----------------------------------------------------------------------------------


async def test_a_mail_arrives(tmp_path):
    box = Postbox()
    async with post_office(box) as port:
        await channel(port, tmp_path, to=["owner@example.org", "second@example.org"]).send(LETTER)
    (envelope,) = box.envelopes
    assert envelope.mail_from == "monitor@ct.example"
    assert envelope.rcpt_tos == ["owner@example.org", "second@example.org"]
    assert box.greetings == ["ct.example"]
    assert box.mails[0]["Subject"] == LETTER.subject


@pytest.mark.parametrize("implicit", [False, True])
async def test_tls_and_a_password(folder, identity, implicit):
    box = Postbox()
    async with post_office(box, identity, implicit=implicit) as port:
        await secure(port, folder, "tls" if implicit else "starttls").send(LETTER)
    assert len(box.mails) == 1
    login, password, over_tls = box.logins[0]
    assert (login, password) == (b"monitor", b"hunter2")
    assert over_tls or implicit


async def test_a_wrong_password(folder, identity):
    box = Postbox()
    (folder / "password").write_text("swordfish")
    async with post_office(box, identity) as port:
        with pytest.raises(DeliveryError, match="AUTH: the server said 535") as caught:
            await secure(port, folder, "starttls").send(LETTER)
    assert "swordfish" not in str(caught.value)
    assert box.mails == []


async def test_a_changed_password_counts_from_the_next_mail_on(folder, identity):
    box = Postbox()
    async with post_office(box, identity) as port:
        mail = secure(port, folder, "starttls")
        (folder / "password").write_text("old")
        with pytest.raises(DeliveryError):
            await mail.send(LETTER)
        (folder / "password").write_text("hunter2")
        await mail.send(LETTER)
    assert len(box.mails) == 1


async def test_a_password_that_is_not_there(folder, identity):
    (folder / "password").unlink()
    async with post_office(Postbox(), identity) as port:
        with pytest.raises(DeliveryError, match="No such file"):
            await secure(port, folder, "starttls").send(LETTER)


# TLS that is none ---------------------------------------------------------------------------------------------------


async def test_nothing_is_sent_where_starttls_is_not_offered(folder):
    box = Postbox()
    async with post_office(box) as port:
        with pytest.raises(DeliveryError, match="STARTTLS"):
            await secure(port, folder, "starttls").send(LETTER)
    assert box.envelopes == box.logins == []


async def test_a_stranger_is_not_the_server(folder, identity, tmp_path_factory):
    box = Postbox()
    stranger = tls_identity(tmp_path_factory.mktemp("stranger"))
    async with post_office(box, stranger) as port:
        with pytest.raises(DeliveryError, match=r"STARTTLS: .*CERTIFICATE_VERIFY_FAILED"):
            await secure(port, folder, "starttls").send(LETTER)
    assert box.envelopes == box.logins == []


async def test_another_name_is_another_server(folder, identity):
    async with post_office(Postbox(), identity, implicit=True) as port:
        with pytest.raises(DeliveryError, match="verify failed"):
            await secure(port, folder, "tls", server="127.0.0.1").send(LETTER)


# Servers that fail --------------------------------------------------------------------------------------------------

NAMES = ("connecting", "EHLO", "MAIL", "RCPT", "DATA", "DATA")


@pytest.mark.parametrize("step", range(6))
async def test_whoever_hangs_is_left(tmp_path, step):
    async with peer_at(stops_at(step)) as port:
        with pytest.raises(DeliveryError, match=rf"{NAMES[step]}.*: no end within 0.15 s"):
            await channel(port, tmp_path, timeout_s=0.15).send(LETTER)


@pytest.mark.parametrize("step", range(6))
async def test_whoever_drops_it_is_tried_again(tmp_path, step):
    async with peer_at(stops_at(step, how="drop")) as port:
        with pytest.raises(DeliveryError, match=NAMES[step]):
            await channel(port, tmp_path).send(LETTER)


@pytest.mark.parametrize("step", range(6))
@pytest.mark.parametrize("says", ["451 4.7.1 come again later", "550 no", "babble", "\x00\xff"])
async def test_every_refusal_is_a_failure_that_says_at_which_step(tmp_path, step, says):
    async with peer_at(stops_at(step, how=says)) as port:
        with pytest.raises(DeliveryError, match=NAMES[step]) as caught:
            await channel(port, tmp_path).send(LETTER)
    assert str(caught.value).isprintable()
    assert says[:3] in str(caught.value) or not says.isprintable() or says == "babble"


async def test_nobody_listens(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(DeliveryError, match=r"connecting to 127\.0\.0\.1:\d+: Connection refused$"):
            await channel(free.getsockname()[1], tmp_path).send(LETTER)


async def test_endless_answers_are_bounded(tmp_path):
    async def babble(reader, writer):
        while True:
            writer.write(b"220-" + b"x" * 4000 + b"\r\n")
            await writer.drain()

    async with peer_at(babble) as port:
        with pytest.raises(DeliveryError, match="connecting"):
            await channel(port, tmp_path).send(LETTER)


async def test_a_drip_is_left(tmp_path):
    async def drip(reader, writer):
        while True:
            writer.write(b"2")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with peer_at(drip) as port:
        with pytest.raises(DeliveryError, match=r"no end within 0\.2 s"):
            await channel(port, tmp_path, timeout_s=0.2).send(LETTER)


async def test_a_server_that_took_it_and_does_not_say_goodbye_has_taken_it(tmp_path, monkeypatch):
    monkeypatch.setattr("monitor.tell.smtp._QUIT_S", 0.05)

    async def silent(reader, writer):
        await stops_at(9)(reader, writer)
        await asyncio.sleep(30)

    async with peer_at(silent) as port:
        await channel(port, tmp_path).send(LETTER)


async def test_only_those_who_were_refused_get_it_again(tmp_path):
    box, refused = Postbox(), {"second@example.org": "452 4.2.2 mailbox full"}
    box.refuse = refused.get
    async with post_office(box) as port:
        mail = channel(port, tmp_path, to=["owner@example.org", "second@example.org"])
        for _ in range(2):
            with pytest.raises(DeliveryError, match=r"second@example.org \(452 4.2.2 mailbox full\)"):
                await mail.send(LETTER)
        refused.clear()
        await mail.send(LETTER)
        assert [each.rcpt_tos for each in box.envelopes] == [["owner@example.org"], ["second@example.org"]]
        await mail.send(LETTER)
        assert len(box.envelopes[-1].rcpt_tos) == 2  # nothing is remembered of what is done


async def test_greylisted_and_then_taken(tmp_path):
    """The whole way: a server that wants to see the mail twice gets it twice, and the owner once."""
    box, clock = Postbox(), Clock()
    answers = iter(["451 4.7.1 greylisted, try again"])
    box.refuse = lambda what: next(answers, None) if what == "owner@example.org" else None
    async with opened(tmp_path) as state, post_office(box) as port:
        await put(state, mailed("a"))
        one = courier(state, channel(port, tmp_path), clock)
        next_ms = await one.step()
        assert next_ms == MORNING + 10_000
        assert "451 4.7.1 greylisted" in (await state.outbox.of_alert("a-0123"))[0].last_error
        clock.ms += MINUTE
        await one.step()
        assert await state.outbox.counts() == {"sent": 1}
    assert len(box.mails) == 1


# Tables -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "path", "sentence"),
    [
        ({"to": []}, (), "needs `to`"),
        ({"to": ["x"]}, ("to",), "no e-mail address"),
        ({"from": "a@b\r\nBcc: c@d"}, ("from",), "no e-mail address"),
        ({"reply_to": "x"}, ("reply_to",), "no e-mail address"),
        ({"security": "ssl"}, ("security",), "`starttls`, `tls` or `none`"),
        ({"user": "x"}, (), "belong together"),
        ({"user": "x", "password_file": "p"}, ("security",), "over TLS only"),
        ({"port": 65536}, ("port",), "lies between"),
    ],
)
def test_refused(tmp_path, changes, path, sentence):
    with pytest.raises(UsageError, match=sentence) as caught:
        EmailChannel("mail", {**TABLE, **changes}, tmp_path)
    assert caught.value.path == path


def test_where_it_leads(tmp_path):
    assert EmailChannel("mail", TABLE, tmp_path).where == "owner@example.org by localhost:25"
    usual = EmailChannel("mail", {**TABLE, "security": "starttls"}, tmp_path)
    assert usual.where.endswith(":587")
