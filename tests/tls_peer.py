"""A real TLS server on this machine that answers whatever a test wants, and a fetcher that trusts it."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ctlog.client.guarded import GuardedFetcher

Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Identity = tuple[Path, Path]


def tls_identity(folder: Path) -> Identity:
    """A key and a self-issued certificate for localhost, as files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(7)
        .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    (folder / "key.pem").write_bytes(key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return folder / "key.pem", folder / "cert.pem"


@asynccontextmanager
async def serving(identity: Identity, peer: Peer) -> AsyncIterator[str]:
    """Serve `peer` to whoever sends a whole request head; gives a URL with a secret in it."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(identity[1], identity[0])

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await peer(reader, writer)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    try:
        yield f"https://localhost:{server.sockets[0].getsockname()[1]}/list?token=secret"
    finally:
        server.close()


def fetcher(identity: Identity, **options: object) -> GuardedFetcher:
    """A fetcher that trusts `identity`, and may come here unless `allow` says otherwise."""
    usual: dict[str, object] = {
        "allow": lambda _: True, "timeout_s": 5.0, "tls": ssl.create_default_context(cafile=str(identity[1])),
    }  # fmt: skip
    return GuardedFetcher(user_agent="test (test@example.org)", **usual | options)  # type: ignore[arg-type]


def answer(head: str, body: bytes = b"") -> Peer:
    """A peer that says this and nothing else."""
    async def peer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head.encode() + b"\r\n\r\n" + body)

    return peer
