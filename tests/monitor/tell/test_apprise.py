"""monitor.tell.apprise: the real library, as a program of its own, against a real receiver."""

import subprocess
import sys
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from ctlog.errors import UsageError
from monitor.tell import apprise
from monitor.tell.apprise import AppriseChannel
from monitor.tell.channel import DeliveryError
from monitor.tell.letter import make_letter
from tests.monitor.tell.test_letter import CERTIFICATE

LETTER = make_letter(CERTIFICATE)


@asynccontextmanager
async def service(status=200):
    """A service of Apprise's kind `json://`: its URL, with a secret, and what it got."""
    got = []

    async def take(request):
        got.append(await request.json())
        return web.Response(status=status)

    app = web.Application()
    app.router.add_post("/swordfish", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"json://127.0.0.1:{runner.addresses[0][1]}/swordfish", got
    finally:
        await runner.cleanup()


def channel(folder, urls, **changes):
    (folder / "urls").write_text(urls)
    return AppriseChannel("chat", {"kind": "apprise", "urls_file": "urls", **changes}, folder)


async def test_a_service_gets_the_page_for_people(tmp_path):
    async with service() as (url, got):
        await channel(tmp_path, f"# my chat\n{url}\n").send(LETTER)
    assert got[0]["title"] == LETTER.subject
    assert got[0]["type"] == "failure"
    assert "Is it yours?" in got[0]["message"]
    assert "The facts" not in got[0]["message"]


async def test_one_that_refuses_is_a_failure_without_its_secret(tmp_path):
    async with service(500) as (url, got):
        with pytest.raises(DeliveryError, match="apprise ended with 1: a service did not take it") as caught:
            await channel(tmp_path, url).send(LETTER)
    assert "swordfish" not in str(caught.value)
    assert len(got) >= 1


async def test_a_file_without_services(tmp_path):
    with pytest.raises(DeliveryError, match="names no service that Apprise knows"):
        await channel(tmp_path, "nonsense://x\n").send(LETTER)


def test_without_the_library_it_says_how_to_get_it(tmp_path):
    code = "import sys; sys.modules['apprise'] = None; from monitor.tell.apprise import main; sys.exit(main('x'))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == apprise.ABSENT
    assert "pip install 'ctlog[apprise]'" in ran.stdout


def test_its_table(tmp_path):
    with pytest.raises(UsageError, match="needs `urls_file`"):
        AppriseChannel("chat", {"kind": "apprise"}, tmp_path)
    assert channel(tmp_path, "json://secret/").where == f"the services in {tmp_path / 'urls'}"
