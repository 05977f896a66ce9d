"""A log that is named is asked once, and what is wrong is said at once, and refuses nothing."""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from monitor.cli import ask_log
from tests.monitor.cli.test_logs import KEY
from tests.monitor_place import Monitor


def said(monitor: Monitor, port: int) -> str:
    return monitor.here("logs", "add", f"http://127.0.0.1:{port}/", "--key", KEY).err


def test_one_that_does_not_answer(monitor: Monitor) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        note = said(monitor, probe.getsockname()[1])
    assert "does not answer" in note
    assert "Compare the URL" in note
    assert "127.0.0.1" in (monitor.folder / "monitor.toml").read_text(), "it is taken all the same"


def test_one_that_keeps_us_waiting(monitor: Monitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask_log, "ASK_S", 0.2)
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        assert "did not answer within 0.2 s" in said(monitor, deaf.getsockname()[1])


def test_one_that_is_another_log(monitor: Monitor) -> None:
    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"another.example/log\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n")

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Other) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        note = said(monitor, server.server_port)
        server.shutdown()
    assert "answers, but not as this log" in note
    assert "Compare its key and its origin." in note
