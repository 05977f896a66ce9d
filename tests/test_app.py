"""One log, as an object and as a process: it starts, says what runs, ends well, and stops for a promise."""

from __future__ import annotations

import asyncio
import base64
import html
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ctlog.app import EXIT_FATAL, EXIT_GOOD
from ctlog.errors import ConfigError, FatalError
from ctlog.folder import open_folder
from ctlog.wire.rfc6962 import sct_from_json
from ctlog.wire.static_ct import parse_leaf_index
from tests.server import CLOSED_URL, make_log, running_log
from tests.test_roots import pem


async def test_the_home_page_and_what_is_linked_from_it(tmp_path: Path) -> None:
    async with running_log(tmp_path) as log:
        page = await log.get("")
        assert page.status == 200
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
        assert page.headers["Cache-Control"] == "no-store"
        assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert log.key.log_id.hex() in page.body.decode()
        for path in ("checkpoint", "health", "metrics", "log.v3.json", "ct/v1/get-sth", "ct/v1/get-roots"):
            assert f'href="{path}"' in page.body.decode()
            assert (await log.get(path)).status == 200


@pytest.mark.skipif(not all(map(shutil.which, ("curl", "openssl", "bash"))), reason="needs curl, openssl and bash")
async def test_the_commands_on_the_home_page_work_as_typed(tmp_path: Path) -> None:
    async with running_log(tmp_path) as log:
        der = log.certificate()
        (tmp_path / "cert.pem").write_bytes(pem(der))
        (tmp_path / "issuer.pem").write_bytes(pem(log.authority.chain[0]))
        page = html.unescape((await log.get("")).body.decode())
        page = page.replace("https://log.test/2026/", log.url).replace(CLOSED_URL, log.url)
        submit, look_up, _, key = re.findall(r"<pre>(.*?)</pre>", page, re.DOTALL)
        answers = [json.loads(await shell(command, tmp_path)) for command in (submit, look_up)]
        assert answers[0]["sct_version"] == 0
        assert answers[1] == {"leaf_index": 0, **answers[0]}
        (tmp_path / "log-key.pem").write_text(key + "\n")
        (digest,) = re.findall(r"<code>(openssl pkey [^<]*)</code>", page)
        assert (await shell(digest, tmp_path)).split()[0] == log.key.log_id.hex()


async def shell(command: str, folder: Path) -> str:
    """What a person at a terminal in `folder` would get."""
    done = await asyncio.create_subprocess_exec("bash", "-c", command, cwd=folder, stdout=subprocess.PIPE)
    out, _ = await asyncio.wait_for(done.communicate(), 20)
    assert done.returncode == 0
    return out.decode()


async def test_a_resubmission_after_a_restart_gets_the_same_sct(tmp_path: Path) -> None:
    async with running_log(tmp_path) as log:
        chain = [log.precertificate(), *log.authority.chain]
        one = await log.post("add-pre-chain", chain)
        await log.restart()
        again = await log.post("add-pre-chain", chain)
        assert again.body == one.body
        assert (await log.get("ct/v1/get-sth")).json["tree_size"] == 1


async def test_same_certificate_many_times_at_once_is_one_entry(tmp_path: Path) -> None:
    async with running_log(tmp_path) as log:
        chain = [log.certificate(), *log.authority.chain]
        answers = await asyncio.gather(*(log.post("add-chain", chain) for _ in range(20)))
        assert len({answer.body for answer in answers}) == 1
        assert (await log.get("ct/v1/get-sth")).json["tree_size"] == 1


async def test_stopping_finishes_the_batch_in_hand(tmp_path: Path) -> None:
    log = await make_log(tmp_path / "log", pool={"period_ms": 1000})
    await log.start()
    posts = [asyncio.create_task(log.post("add-chain", [log.certificate(), *log.authority.chain])) for _ in range(5)]
    for _ in range(1000):
        if log.app.log.waiting + sum(post.done() for post in posts) == 5:
            break
        await asyncio.sleep(0.01)
    session, log.session = log.session, type(log.session)()
    await log.stop()
    answers = [await post for post in posts]
    await session.close()
    assert [answer.status for answer in answers] == [200] * 5
    places = {parse_leaf_index(sct_from_json(answer.json).extensions) for answer in answers}
    assert places == set(range(5))
    await log.start()
    assert (await log.get("ct/v1/get-sth")).json["tree_size"] == 5
    await log.stop()


async def test_a_promise_at_stake_ends_it(tmp_path: Path) -> None:
    log = await make_log(tmp_path / "log")
    await log.start()
    await log.fill(2)

    async def fail(*_: object, **__: object) -> None:
        raise FatalError("the swap failed", promise="P1")

    object.__setattr__(log.app.log.shelves.heads, "replace", fail)
    answer = await log.post("add-chain", [log.certificate(), *log.authority.chain])
    assert answer.status == 503
    assert "swap" not in answer.body.decode()
    with pytest.raises(FatalError, match="P1"):
        await log.stop()


async def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    async with running_log(tmp_path) as log:
        second = type(log)(open_folder(log.folder.path), log.authority)
        with pytest.raises(ConfigError, match="another process"):
            await second.start()


async def test_addresses(tmp_path: Path) -> None:
    async with running_log(tmp_path) as log:
        where = await log.app.listen(["[::1]:0"], str(tmp_path / "socket"))
        assert where[0].startswith("http://[::1]:")
        assert where[1] == f"unix:{tmp_path / 'socket'}"
        async with log.session.get(where[0] + "ct/v1/get-sth") as answer:
            assert answer.status == 200
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "socket"))
        writer.write(b"GET /checkpoint HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 200 OK")
        writer.close()
        taken = log.url.removeprefix("http://").rstrip("/")
        with pytest.raises(ConfigError, match="cannot listen on"):
            await log.app.listen([taken], "")
        with pytest.raises(ConfigError, match="cannot listen on"):
            await log.app.listen([], str(tmp_path / "no" / "socket"))
        (tmp_path / "file").write_text("precious")
        with pytest.raises(ConfigError, match="cannot listen on"):
            await log.app.listen([], str(tmp_path / "file"))
        assert (tmp_path / "file").read_text() == "precious"


async def test_a_socket_of_a_process_that_died_is_replaced(tmp_path: Path) -> None:
    import socket

    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(tmp_path / "s"))
    stale.close()
    async with running_log(tmp_path) as log:
        assert await log.app.listen([], str(tmp_path / "s")) == [f"unix:{tmp_path / 's'}"]


async def test_the_head_outside_must_not_be_newer(tmp_path: Path) -> None:
    from aiohttp import web

    notes: list[bytes] = []

    async def checkpoint(request: web.Request) -> web.Response:
        return web.Response(body=notes[-1])

    outside = web.Application()
    outside.router.add_get("/checkpoint", checkpoint)
    runner = web.AppRunner(outside)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    log = await make_log(tmp_path / "log", monitoring_url=CLOSED_URL, followers=[url])
    heads = tmp_path / "log.heads.sqlite"
    notes.append((tmp_path / "log" / "public" / "checkpoint").read_bytes())
    await log.start()
    await log.fill(1)
    notes.append((await log.get("checkpoint")).body)
    await log.stop()
    kept = _copy(tmp_path / "log"), {heads: heads.read_bytes()}
    await log.start()  # same head: fine
    await log.fill(1)
    notes.append((await log.get("checkpoint")).body)
    await log.stop()
    for path, data in [*kept[0].items(), *kept[1].items()]:  # folder and head store, restored together
        if path.exists():
            path.chmod(0o600)
        path.write_bytes(data)
    with pytest.raises((ConfigError, FatalError), match="P11"):
        await log.start()
    await runner.cleanup()


def _copy(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


SERVE = ("import sys, pathlib; from ctlog.app import serve; "
         "sys.exit(serve(pathlib.Path(sys.argv[1]), ['127.0.0.1:0'], lambda line: print(line, flush=True)))")


async def test_the_process(tmp_path: Path) -> None:
    log = await make_log(tmp_path / "a log")
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", SERVE, str(tmp_path / "a log"),
                                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    try:
        line = (await process.stdout.readline()).decode()
        assert line.startswith("log.test/2026 serves 0 entries on http://127.0.0.1:")
        assert "hashing kernel" in line
        assert "roots accepted: 1, pool 256 / 25 ms" in line
        url = line.split(" on ")[1].split(" ")[0]
        chain = [base64.b64encode(der).decode() for der in (log.certificate(), *log.authority.chain)]
        body = json.dumps({"chain": chain}).encode()
        submitted = await asyncio.create_subprocess_exec(
            "curl", "-sS", url + "ct/v1/add-chain", "-d", "@-", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        answer, _ = await submitted.communicate(body)
        assert json.loads(answer)["sct_version"] == 0
        os.kill(process.pid, signal.SIGHUP)
        await asyncio.sleep(0.2)
        os.kill(process.pid, signal.SIGTERM)
        out, err = await asyncio.wait_for(process.communicate(), 20)
        assert process.returncode == EXIT_GOOD, err
        assert out.decode().strip() == "log.test/2026 has stopped at 1 entries"
        assert b"accepted roots: 1 (0 new, 0 retired)" in err
        assert b"Traceback" not in err
    finally:
        if process.returncode is None:
            process.kill()


async def test_the_process_says_which_promise_was_at_stake(tmp_path: Path) -> None:
    await make_log(tmp_path / "log")
    fatal = SERVE.replace("import sys", "import sys, ctlog.sequencer.log as l; from ctlog.errors import FatalError\n"
                          "async def run(self): raise FatalError('the swap failed', promise='P1')\n"
                          "l.Log.run = run\nimport sys")
    done = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", fatal, str(tmp_path / "log")],
                                   capture_output=True, text=True, timeout=30)
    assert done.returncode == EXIT_FATAL
    assert "the swap failed (P1)" in done.stderr
    assert "docs/promises.md under P1" in done.stderr
    assert "Traceback" not in done.stderr
