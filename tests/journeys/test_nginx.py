"""A log in public, as README tells it: its settings, its nginx lines, a prefix that is stripped, TLS, a Unix socket."""

from __future__ import annotations

import base64
import os
import re
import shutil
import socket
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ctlog.cli.demo import make_authority
from ctlog.issuance import Key
from tests.serving import PROGRAM, environment, leashed
from tests.test_docs import block
from tests.tools import tool

pytestmark = pytest.mark.trial


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ctlog(folder: Path, *words: str) -> str:
    """Run a command as somebody who trusts the web server's certificate."""
    surroundings = {**environment(folder / "state"), "SSL_CERT_FILE": str(folder / "tls.pem")}
    done = subprocess.run([*PROGRAM, *words], capture_output=True, text=True, env=surroundings, check=False)
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout


def configuration(folder: Path, port: int, name: str = "nginx", without: str = "") -> Path:
    """README's lines, with this test's places in them, `without` one of its locations."""
    lines = block("file: nginx.conf")
    if without:
        lines, found = re.subn(rf"^    location {re.escape(without)} \{{.*?^    \}}\n", "", lines, flags=re.M | re.S)
        assert found == 1, f"README's nginx lines have no location {without}"
    for theirs, ours in {
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "/etc/ssl/log.example.pem": str(folder / "tls.pem"),
        "/etc/ssl/private/log.example.key": str(folder / "tls.key"),
        "/run/ctlog-2027/http.sock": str(folder / "http.sock"),
        "/srv/ctlog/2027/": f"{folder}/2027/",
    }.items():
        assert theirs in lines, f"README's nginx lines have no {theirs}"
        lines = lines.replace(theirs, ours)
    path = folder / f"{name}.conf"
    path.write_text(
        f"daemon off;\nmaster_process off;\npid {folder}/{name}.pid;\nerror_log {folder}/error.log;\n"
        f"events {{ }}\nhttp {{\naccess_log off;\nclient_body_temp_path {folder}/body;\n"
        f"proxy_temp_path {folder}/proxy;\n{lines}\n}}\n"
    )
    return path


@contextmanager
def running(line: list[str], ready: Path, **options: object) -> Iterator[None]:
    process = subprocess.Popen(line, **options)  # type: ignore[call-overload]  # options are Popen's own
    try:
        for _ in range(300):
            if ready.exists() or process.poll() is not None:
                break
            time.sleep(0.1)
        assert ready.exists(), f"{line[0]} did not start"
        yield
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def nginx_runs(folder: Path, name: str) -> Iterator[None]:
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin") or tool("nginx")
    how = ["-c", str(folder / f"{name}.conf"), "-p", str(folder)]
    subprocess.run([nginx, "-t", *how], check=True)
    with running(leashed(nginx, *how), folder / f"{name}.pid"):
        yield


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    folder = tmp_path_factory.mktemp("public")
    port = free_port()
    url = f"https://127.0.0.1:{port}/2027/"
    subprocess.run(
        [tool("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-days", "2", "-subj", "/CN=log.example",
         "-addext", "subjectAltName=IP:127.0.0.1,DNS:log.example",
         "-keyout", str(folder / "tls.key"), "-out", str(folder / "tls.pem")],
        check=True, capture_output=True,
    )  # fmt: skip
    make_authority(folder / "ca")
    root = str(folder / "ca/root.pem")
    ctlog(folder, "ca", "init", str(folder / "issuing"), "--range", "12025550100+100")
    ctlog(folder, "create", str(folder / "2027"), "--origin", "log.example/2027", "--roots", root)
    ctlog(folder, "roots", "add", str(folder / "2027"), str(folder / "issuing/roots.pem"), "--domain", "test")
    settings = folder / "2027" / "log.toml"
    ours = block("file: log.toml").replace("/run/ctlog-2027/http.sock", str(folder / "http.sock"))
    text = re.sub(r"^# (listen|unix_socket|submission_url|monitoring_url) = .*$", "", settings.read_text(), flags=re.M)
    settings.write_text(f'submission_url = "{url}"\nmonitoring_url = "{url}"\n{ours}{text}')
    surroundings = {**environment(folder / "state"), "SSL_CERT_FILE": str(folder / "tls.pem")}
    serve = [*PROGRAM, "serve", str(folder / "2027")]
    configuration(folder, port)
    with running(serve, folder / "http.sock", env=surroundings, stderr=subprocess.DEVNULL):
        with nginx_runs(folder, "nginx"):
            yield folder, url


def get(folder: Path, url: str) -> tuple[bytes, dict[str, str]]:
    trust = ssl.create_default_context(cafile=str(folder / "tls.pem"))
    with urllib.request.urlopen(url, context=trust, timeout=20) as answer:
        return answer.read(), {name.lower(): value for name, value in answer.headers.items()}


def test_submitted_proven_and_whole_through_nginx(public: tuple[Path, str]) -> None:
    folder, url = public
    certificates = [str(folder / f"ca/{name}.pem") for name in ("code", "range", "message")]
    ctlog(folder, "submit", url, *certificates, "--intermediates", str(folder / "ca/ca.pem"))
    page, _ = get(folder, url)
    assert url.encode() in page
    key = folder / "key.pem"
    key.write_text(re.search(r"-----BEGIN.*?END PUBLIC KEY-----", page.decode(), re.DOTALL)[0])  # type: ignore[index]
    for certificate in certificates:
        told = ctlog(folder, "verify", certificate, "--log", url, "--key", str(key))
        assert "is in the log log.example/2027" in told
    assert "is whole: 3 entries" in ctlog(folder, "fsck", url, "--key", str(key))


def test_nginx_and_the_process_serve_the_same(public: tuple[Path, str]) -> None:
    folder, url = public
    for path in ("tile/0/000.p/3", "tile/data/000.p/3", "tile/numbers/000.p/3"):
        by_nginx, headers = get(folder, url + path)
        assert by_nginx == (folder / "2027/public" / path).read_bytes()
        assert "immutable" in headers["cache-control"]
        assert headers["access-control-allow-origin"] == "*"
    _, headers = get(folder, url + "checkpoint")
    assert "immutable" not in headers.get("cache-control", "")


def issue(folder: Path, url: str, name: str) -> dict[str, int]:
    """Issue 40 certificates in one run; how many submissions came in which way."""
    before = submissions(folder)
    orders = folder / f"{name}.csv"
    keys = (base64.b64encode(Key.generate().spki).decode() for _ in range(40))
    lines = (f"{name}-{n},120255501{n:02d},Example VoIP,{key}" for n, key in enumerate(keys))
    orders.write_text("\n".join(["id,number,holder,key", *lines]) + "\n")
    ctlog(folder, "ca", "issue", "--ca", str(folder / "issuing/delegate/ca.pem"), "--numbers", str(orders),
          "--log", url, "--scts", "1", "--operators", "1", "--out", str(folder / name))  # fmt: skip
    shown = ctlog(folder, "show", *(str(folder / name / f"{name}-{n}.pem") for n in range(40)))
    assert shown.count("SCT") >= 40
    after = submissions(folder).items()
    return {way: count - before.get(way, 0) for way, count in after if count != before.get(way, 0)}


def submissions(folder: Path) -> dict[str, int]:
    """Requests that the process has answered 200, by endpoint."""
    with socket.socket(socket.AF_UNIX) as direct:
        direct.connect(str(folder / "http.sock"))
        direct.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        text = b"".join(iter(lambda: direct.recv(1 << 16), b"")).decode()
    found = re.findall(r'^ctlog_requests_total\{code="200",endpoint="([^"]*add[^"]*)".*\} (\d+)', text, re.M)
    return {endpoint: int(count) for endpoint, count in found}


def test_a_ca_issues_in_bulk_through_nginx(public: tuple[Path, str]) -> None:
    """One stream, both ways at once, in which nginx collects nothing; it used to give no answer at all."""
    folder, url = public
    assert issue(folder, url, "streamed") == {"bulk-add-pre-chain": 1}


def test_a_ca_issues_through_an_nginx_that_collects_streams(public: tuple[Path, str]) -> None:
    """Whoever put up nginx without the lines for bulk submission: single submissions take its place."""
    folder, _ = public
    port = free_port()
    configuration(folder, port, "collecting", without="/2027/bulk/")
    with nginx_runs(folder, "collecting"):
        assert issue(folder, f"https://127.0.0.1:{port}/2027/", "collected").get("add-pre-chain") == 40
