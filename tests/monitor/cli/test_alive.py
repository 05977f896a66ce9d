"""monitor.cli.alive: does it run, and what does it say?"""

from __future__ import annotations

import asyncio
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from monitor.cli import alive
from monitor.cli.alive import Alive, ask
from monitor.state import State, make_state


class Says(BaseHTTPRequestHandler):
    body = b'{"ok": true, "reasons": []}'

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def listen():
    server = HTTPServer(("127.0.0.1", 0), Says)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_one_that_answers(listen: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask(listen, tmp_path) == Alive(True, {"ok": True, "reasons": []})
    for other in (b"<html>", b"[]", b"{}", b"\xff"):
        monkeypatch.setattr(Says, "body", other)
        assert ask(listen, tmp_path) == Alive(False, None), "whatever else listens there is no monitor"


def test_one_that_does_not_answer_holds_its_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alive, "TIMEOUT_S", 0.05)
    make_state(tmp_path, 1)
    assert not ask("", tmp_path).runs

    async def held() -> list[Alive]:
        async with State.open(tmp_path):
            return [await asyncio.to_thread(ask, listen, tmp_path) for listen in ("", "127.0.0.1:9", "nonsense")]

    assert asyncio.run(held()) == [Alive(True, None)] * 3
    assert not ask("", tmp_path).runs
    assert not ask("", tmp_path / "nowhere").runs


def test_another_monitor_at_the_same_address(listen: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Says, "body", b'{"ok": true, "reasons": [], "monitor": "a"}')
    assert ask(listen, tmp_path, "a").runs
    found = ask(listen, tmp_path, "b")
    assert (found.runs, found.health) == (False, None)
    assert found.error == f"Another monitor answers at {listen}: give one of them another `listen`."
    monkeypatch.setattr(Says, "body", b'{"ok": true, "reasons": []}')
    assert ask(listen, tmp_path, "b").runs, "one of before, which does not say which it is"
