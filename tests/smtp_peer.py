"""A real SMTP server on this machine (aiosmtpd), and peers that break off, hang or babble at a step of the exchange."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from tests.tls_peer import Identity, Peer


class Postbox:
    """What the server took. `refuse` may answer an address or a mail with an SMTP reply instead."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []
        self.greetings: list[str] = []
        self.logins: list[tuple[bytes, bytes, bool]] = []
        self.refuse: Callable[[str], str | None] = lambda what: None

    @property
    def mails(self) -> list[EmailMessage]:
        return [message_from_bytes(each.content, policy=default) for each in self.envelopes]  # type: ignore[misc]

    async def handle_EHLO(self, server: SMTP, session: Session, envelope: Envelope, hostname: str, replies: Any) -> Any:
        session.host_name = hostname
        self.greetings.append(hostname)
        return replies

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any) -> str:
        if refused := self.refuse(address):
            return refused
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if refused := self.refuse("DATA"):
            return refused
        self.envelopes.append(envelope)
        return "250 taken"

    def check(self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        self.logins.append((data.login, data.password, session.ssl is not None))
        return AuthResult(success=data.password == b"hunter2", handled=False)


@asynccontextmanager
async def post_office(box: Postbox, identity: Identity | None = None, *, implicit: bool = False) -> AsyncIterator[int]:
    """A server; its port. With an identity: STARTTLS, or TLS from the beginning, and AUTH."""
    tls = None
    if identity is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(identity[1], identity[0])

    def make() -> SMTP:
        return SMTP(
            box, hostname="post.test", tls_context=None if implicit else tls, authenticator=box.check,
            auth_require_tls=not implicit, enable_SMTPUTF8=False, loop=asyncio.get_running_loop(),
        )  # fmt: skip

    loop = asyncio.get_running_loop()
    server = await loop.create_server(make, "127.0.0.1", 0, ssl=tls if implicit else None)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@asynccontextmanager
async def peer_at(peer: Peer) -> AsyncIterator[int]:
    """Whatever a test wants to answer; its port."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await peer(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


STEPS = ("220 hello", "250 hello", "250 sender", "250 recipient", "354 go on", "250 taken")
"""What a server says, step by step: greeting, EHLO, MAIL, RCPT, DATA, the end of the mail."""


def stops_at(step: int, *, how: str = "hang") -> Peer:
    """A server that is as it should be up to a step, and then: "hang", "drop", or an answer of its own."""

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for at, says in enumerate(STEPS):
            if at == 5:
                await reader.readuntil(b"\r\n.\r\n")
            elif at:
                await reader.readline()
            if at == step and how == "drop":
                return
            if at == step and how == "hang":
                await asyncio.sleep(30)
            writer.write((how if at == step else says).encode() + b"\r\n")
            await writer.drain()
        await reader.readline()

    return peer
