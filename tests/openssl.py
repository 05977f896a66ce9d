"""OpenSSL's opinion of certificates and of the SCTs in them: `openssl verify`, and `s_client -ct` on a TLS server."""

from __future__ import annotations

import re
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ctlog.issuance import Key
from ctlog.wire.b64 import format_base64
from tests.pem import pem
from tests.tools import tool


def verify(folder: Path, chain: Sequence[bytes]) -> str:
    """What `openssl verify` says of a certificate, those above it, and the root that it trusts; "OK" if it is good."""
    for name, ders in (("leaf", chain[:1]), ("above", chain[1:-1]), ("root", chain[-1:])):
        (folder / f"{name}.pem").write_bytes(pem(*ders))
    line = [tool("openssl"), "verify", "-x509_strict", "-CAfile", str(folder / "root.pem")]
    line += ["-untrusted", str(folder / "above.pem"), str(folder / "leaf.pem")]
    ran = subprocess.run(line, capture_output=True, text=True, check=False)
    return "OK" if ran.stdout.endswith(": OK\n") else ran.stdout + ran.stderr


@contextmanager
def tls_server(folder: Path, chain: Sequence[bytes], key: Key) -> Iterator[int]:
    """A TLS server on loopback that shakes hands with whoever comes. Gives its port."""
    (folder / "chain.pem").write_bytes(pem(*chain))
    (folder / "key.pem").write_bytes(key.to_pem())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "chain.pem", folder / "key.pem")
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):  # the listener is closed in the end; a client may hang up before
            while True:
                connection, _ = listener.accept()
                with suppress(OSError), context.wrap_socket(connection, server_side=True) as tls:
                    tls.settimeout(10)
                    tls.recv(1)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


def s_client(folder: Path, port: int, root: bytes, logs: Mapping[str, bytes]) -> list[str]:
    """What OpenSSL says of each SCT of the server, when it knows these logs (name: SubjectPublicKeyInfo).

    It says it from the last to the first; here the first comes first.
    """
    (folder / "root.pem").write_bytes(pem(root))
    text = f"enabled_logs = {', '.join(logs)}\n"
    for name, spki in logs.items():
        text += f"[{name}]\ndescription = The log {name}\nkey = {format_base64(spki)}\n"
    (folder / "logs.cnf").write_text(text)
    command = [tool("openssl"), "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", str(folder / "root.pem")]
    command += ["-verify_return_error", "-ct", "-ctlogfile", str(folder / "logs.cnf")]
    ran = subprocess.run(command, input="Q\n", capture_output=True, text=True, timeout=60, check=False)
    assert "Verify return code: 0 (ok)" in ran.stdout, ran.stdout + ran.stderr
    return re.findall(r"^SCT validation status: (.*)$", ran.stdout, re.MULTILINE)[::-1]
