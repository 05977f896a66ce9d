"""A log in public, as README tells it: its settings, its nginx lines, a prefix that is stripped, TLS, a Unix socket."""

from __future__ import annotations

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


def configuration(folder: Path, port: int) -> Path:
    """README's lines, with this test's places in them."""
    lines = block("file: nginx.conf")
    for theirs, ours in {
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "/etc/ssl/log.example.pem": str(folder / "tls.pem"),
        "/etc/ssl/private/log.example.key": str(folder / "tls.key"),
        "/run/ctlog-2027/http.sock": str(folder / "http.sock"),
        "/srv/ctlog/2027/": f"{folder}/2027/",
    }.items():
        assert theirs in lines, f"README's nginx lines have no {theirs}"
        lines = lines.replace(theirs, ours)
    path = folder / "nginx.conf"
    path.write_text(
        f"daemon off;\nmaster_process off;\npid {folder}/nginx.pid;\nerror_log {folder}/error.log;\n"
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


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin") or tool("nginx")
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
    ctlog(folder, "create", str(folder / "2027"), "--origin", "log.example/2027", "--roots", root)
    settings = folder / "2027" / "log.toml"
    ours = block("file: log.toml").replace("/run/ctlog-2027/http.sock", str(folder / "http.sock"))
    text = re.sub(r"^# (listen|unix_socket|submission_url|monitoring_url) = .*$", "", settings.read_text(), flags=re.M)
    settings.write_text(f'submission_url = "{url}"\nmonitoring_url = "{url}"\n{ours}{text}')
    surroundings = {**environment(folder / "state"), "SSL_CERT_FILE": str(folder / "tls.pem")}
    serve = [*PROGRAM, "serve", str(folder / "2027")]
    subprocess.run([nginx, "-t", "-c", str(configuration(folder, port)), "-p", str(folder)], check=True)
    with running(serve, folder / "http.sock", env=surroundings, stderr=subprocess.DEVNULL):
        with running(leashed(nginx, "-c", str(folder / "nginx.conf"), "-p", str(folder)), folder / "nginx.pid"):
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
