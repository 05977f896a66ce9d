"""From a rogue certificate in a log to its owner, over many channels at once: the real daemon, a real mail server with
STARTTLS and a password, a real receiver that verifies with other people's library, a real program, a broken channel.
"""

import base64

from aiohttp import web
from standardwebhooks import Webhook

from tests.cert_sim import ROGUE, CertSim
from tests.daemon_kit import DaemonKit
from tests.monitor.tell.test_webhook import Receiver, lower, receiving
from tests.smtp_peer import Postbox, post_office
from tests.tls_peer import tls_identity

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
WATCH = '[[watch]]\nname = "home"\ntell = ["mail", "hook", "pager", "broken", "out"]\nnumbers = ["+12025550123"]\n'
CHANNELS = """
[channels.mail]
kind = "email"
to = ["owner@example.org"]
from = "monitor@ct.example"
server = "localhost"
port = {port}
user = "monitor"
password_file = "password"
ca_file = "ca.pem"

[channels.hook]
kind = "webhook"
url = "{url}"
secret_file = "secret"

[channels.pager]
kind = "command"
command = ["sh", "-c", "echo $CTLOG_SEVERITY $WATCH_ITEM $LOG_URI >> paged"]

[channels.broken]
kind = "webhook"
url = "{broken}"
secret_file = "secret"
"""


async def test_a_rogue_certificate_reaches_its_owner_by_every_way(tmp_path, monkeypatch):
    sim, box, hook, broken = CertSim(), Postbox(), Receiver(), Receiver()
    broken.answers = lambda: (500, {})
    identity = tls_identity(tmp_path)
    (tmp_path / "ca.pem").write_bytes(identity[1].read_bytes())
    (tmp_path / "password").write_text("hunter2\n")
    (tmp_path / "secret").write_text(SECRET)
    kit = DaemonKit(tmp_path, sim, watch="", monkeypatch=monkeypatch)
    async with post_office(box, identity) as port, receiving(hook) as url, receiving(broken) as broken_url:
        kit.configure(more=CHANNELS.format(port=port, url=url, broken=broken_url))
        (tmp_path / "watch.toml").write_text(WATCH)
        sim.add(123)
        async with kit.running():
            await kit.until(lambda: len(box.mails) == 1)
            sim.add(123, ROGUE, key=22, serial=2)
            await kit.until(lambda: len([mail for mail in box.mails if mail["Subject"].startswith("S1 ")]) == 2)
            await kit.until(lambda: len(hook.posts) == 3)
            outbox = kit.daemon.state.outbox

            async def only_the_broken_one_waits():
                return await outbox.waiting_channels() == ["broken"]

            await kit.until(only_the_broken_one_waits)
            rows = {row.name: row for row in await outbox.channels()}

    mail = next(each for each in box.mails if "not yours?" in each["Subject"] and each["Subject"].startswith("S1 +"))
    text, pem = mail.iter_parts()
    assert "+12025550123" in mail["Subject"]
    assert "Is it yours?" in text.get_content()
    assert pem.get_filename() == "certificate.pem"
    assert all(over_tls for _, _, over_tls in box.logins)

    verified = [Webhook(SECRET).verify(body, lower(headers)) for headers, body in hook.posts]
    rogue = next(each["data"] for each in verified if each["data"]["rule"] == "T-10")
    assert rogue["log"]["proven_in"] == 2
    assert {each["id"] for each in kit.told()} >= {rogue["id"]}

    paged = (tmp_path / "paged").read_text().splitlines()
    assert any(line.startswith("S1 +12025550123 https://") for line in paged)
    assert rows["broken"].waiting == 3
    assert rows["broken"].failing_since_ms is not None


async def test_the_heartbeat_beats_while_all_is_well(tmp_path, monkeypatch):
    beats = []

    async def take(request):
        beats.append(request.path)
        return web.Response()

    app = web.Application()
    app.router.add_get("/ping", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    monkeypatch.setattr("monitor.tell.heartbeat.EVERY_S", 0.01)
    sim = CertSim()
    kit = DaemonKit(tmp_path, sim, monkeypatch=monkeypatch)
    kit.configure(f'heartbeat = "http://127.0.0.1:{runner.addresses[0][1]}/ping"')
    try:
        async with kit.running():
            await kit.until(lambda: len(beats) > 3)
    finally:
        await runner.cleanup()
    assert set(beats) == {"/ping"}
