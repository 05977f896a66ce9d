"""ctlog.cli.getter against servers that behave and that do not."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ctlog.cli import getter as module
from ctlog.cli.getter import drive, getter
from ctlog.errors import TransportError, UsageError


@contextmanager
def server(*answers: bytes, keep: bool = True) -> Iterator[tuple[str, list[bytes]]]:
    """Answers requests with these bytes, in order, over one connection or one each; records what was asked."""
    listener = socket.create_server(("127.0.0.1", 0))
    asked: list[bytes] = []
    kept: list[socket.socket] = []

    def serve() -> None:
        connection = None
        for answer in answers:
            try:
                if connection is None:
                    connection = listener.accept()[0]
                request = connection.recv(65536)
                if not request:  # the client closed it, and comes again
                    connection = listener.accept()[0]
                    request = connection.recv(65536)
            except OSError:
                return
            asked.append(request)
            connection.sendall(answer)
            kept.append(connection)
            if not keep or not answer:
                connection.close()
                connection = None

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/a/", asked
    listener.close()


def answer(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""])
    return head.encode() + body


def test_one_connection_serves_many_requests() -> None:
    with server(answer(b"one"), answer(b"", "404 Not Found"), answer(b"three")) as (url, asked):
        source = getter(url)
        assert [source.get(path) for path in ("checkpoint", "tile/0/000", "x/y")] == [b"one", None, b"three"]
    assert asked[0].startswith(b"GET /a/checkpoint HTTP/1.1\r\n")
    assert b"User-Agent: ctlog/" in asked[0]
    assert asked[2].startswith(b"GET /a/x/y HTTP/1.1\r\n")


def test_a_connection_that_was_closed_is_opened_once_more() -> None:
    with server(answer(b"one"), answer(b"two"), keep=False) as (url, _):
        source = getter(url)
        assert (source.get("a"), source.get("b")) == (b"one", b"two")
    with server(b"", b"") as (url, _), pytest.raises(TransportError, match="cannot be fetched"):
        getter(url).get("a")


@pytest.mark.parametrize(
    ("reply", "sentence"),
    [
        (answer(b"no", "500 Oops"), "answered 500 Oops"),
        (answer(b"", "301 Moved", "Location: http://127.0.0.1:1/"), "answered 301"),
        (b"hello\r\n\r\n", "cannot be fetched"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", "cannot be fetched"),
        (answer(b"x" * 2000), "larger than 1000 bytes"),
    ],
)
def test_what_is_no_answer_is_a_transport_error(
    monkeypatch: pytest.MonkeyPatch, reply: bytes, sentence: str
) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 1000)
    with server(reply, keep=False) as (url, _), pytest.raises(TransportError, match=sentence):
        getter(url).get("a")


def test_silence_and_dripping_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT_S", 0.1)
    monkeypatch.setattr(module, "DEADLINE_S", -1.0)
    with server(b"HTTP/1.1 200 OK\r\n") as (url, _), pytest.raises(TransportError, match="did not answer in time"):
        getter(url).get("a")
    with server(answer(b"drip")) as (url, _), pytest.raises(TransportError, match="did not answer in time"):
        getter(url).get("a")


def test_chunked_answers_are_read() -> None:
    reply = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    with server(reply, answer(b"next")) as (url, _):
        source = getter(url)
        assert (source.get("a"), source.get("b")) == (b"abcde", b"next")


@pytest.mark.parametrize(
    "where", ["http://", "https://x:port/", "http://u:p@host/", "http://host/?q", "ftp://host/", "no folder"]
)
def test_what_is_no_place_is_said(where: str) -> None:
    with pytest.raises(UsageError):
        getter(where)


def test_a_folder_is_a_place(tmp_path: Path) -> None:
    (tmp_path / "public").mkdir()
    (tmp_path / "public" / "checkpoint").write_bytes(b"x")
    (tmp_path / "public" / "tile").mkdir()
    for where in (tmp_path, tmp_path / "public"):
        source = getter(str(where))
        assert (source.get("checkpoint"), source.get("nothing"), source.get("checkpoint/x")) == (b"x", None, None)
    with pytest.raises(TransportError, match="cannot be read"):
        getter(str(tmp_path)).get("tile")


def test_a_walk_is_driven_to_its_end() -> None:
    class Echo:
        def get(self, path: str) -> bytes | None:
            return path.encode()

    def walk() -> Iterator[list[str]]:
        first = yield ["a", "b"]
        second = yield []
        return first, second  # type: ignore[misc]

    make: Callable[[], object] = walk
    assert drive(make(), Echo()) == ([b"a", b"b"], [])  # type: ignore[arg-type]
