"""The channel `email`: a letter is handed to a mail server, and the server says that it took it (RFC 5321).

In scope: STARTTLS (RFC 3207) and TLS from the beginning (RFC 8314), both with the server's name checked; AUTH with a
password from a file; a server that refuses some of the recipients. Out of scope: what the mail says
(`monitor.tell.mail`), and whether the server delivers it.

Never without TLS where a password is sent, and never without it because the server, or somebody in between, offers
none. Whatever is not done within `timeout_s` has failed; the courier tries again, and the mail has the same Message-ID.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path

import aiosmtplib

from ctlog.errors import UsageError
from monitor.config import Key
from monitor.rules.values import say
from monitor.tell.channel import DeliveryError, Table, TableError, read_secret, read_table
from monitor.tell.letter import Letter
from monitor.tell.mail import check_address, compose

STARTTLS, TLS, NONE = "starttls", "tls", "none"
_PORTS = {STARTTLS: 587, TLS: 465, NONE: 25}
EMAIL_KEYS = (
    Key("to", list, None, "The addresses to which it is sent. At least one."),
    Key("from", str, None, "The address from which it is sent; its domain is also what the server is greeted with."),
    Key("server", str, "localhost", "The name of the mail server."),
    Key("security", str, STARTTLS, "`starttls`, `tls` (from the beginning) or `none`, which sends no password."),
    Key("port", int, 0, "The server's port; 0: 587, 465 or 25, by `security`.", 0, 65535),
    Key("user", str, "", "The name for the server; empty: none is given."),
    Key("password_file", str, "", "The file with the password, and nothing else in it; it is read for every mail."),
    Key("ca_file", str, "", "A PEM file of the CAs that the server's certificate may be from; empty: those that this "
        "machine trusts."),
    Key("reply_to", str, "", "Where answers go: whoever runs the monitor. Without it, the mail says that nobody reads "
        "them."),
    Key("attach", bool, True, "Whether certificates and evidence are attached."),
    Key("timeout_s", int, 60, "Seconds within which the server must have taken a mail.", 1, 600),
)  # fmt: skip
_QUIT_S = 2.0
_REMEMBERED = 1000


class EmailChannel:
    """Sends mails, each over a connection of its own."""

    for_people = True

    def __init__(self, name: str, table: Table, folder: Path) -> None:
        self.name = name
        self.table = table
        values = read_table(table, EMAIL_KEYS, "to", "from", "server")
        for key in ("to", "from", "reply_to"):
            _check_addresses(key, values[key])
        if values["security"] not in _PORTS:
            raise TableError("security is `starttls`, `tls` or `none`", "security")
        if bool(values["user"]) != bool(values["password_file"]):
            raise TableError("`user` and `password_file` belong together")
        if values["user"] and values["security"] == NONE:
            raise TableError("a password is sent over TLS only: take `starttls` or `tls`", "security")
        self._to: list[str] = values["to"]
        self._from: str = values["from"]
        self._server: str = values["server"]
        self._security: str = values["security"]
        self._port: int = values["port"] or _PORTS[self._security]
        self._user: str = values["user"]
        self._password = folder / values["password_file"]
        self._ca = folder / values["ca_file"] if values["ca_file"] else None
        self._reply_to: str = values["reply_to"]
        self._attach: bool = values["attach"]
        self._timeout_s = float(values["timeout_s"])
        self.limit_s = self._timeout_s + 2 * _QUIT_S
        # Who took a mail of which others were refused, so that he does not get it with every further attempt.
        self._had: OrderedDict[str, set[str]] = OrderedDict()

    @property
    def where(self) -> str:
        """To whom, by which server."""
        return f"{', '.join(self._to)} by {self._server}:{self._port}"

    async def send(self, letter: Letter) -> None:
        """Hand it to the server. Raises DeliveryError, whose sentence says at which step."""
        mail = compose(letter, self._from, self._to, reply_to=self._reply_to, attach=self._attach)
        step = _Step()
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._hand_over(letter.id, bytes(mail), step)
        except TimeoutError:
            raise DeliveryError(f"{step.name}: no end within {self._timeout_s:g} s") from None
        except aiosmtplib.SMTPResponseException as error:
            raise DeliveryError(f"{step.name}: the server said {error.code} {say(error.message, 200)}") from None
        except aiosmtplib.SMTPException as error:
            raise DeliveryError(f"{step.name}: {_why(error)}") from None
        except ssl.SSLError as error:
            raise DeliveryError(f"{step.name}: TLS failed: {say(str(error), 200)}") from None
        except (OSError, ValueError) as error:
            raise DeliveryError(f"{step.name}: {say(str(error), 200)}") from None

    async def _hand_over(self, name: str, mail: bytes, step: _Step) -> None:
        client = aiosmtplib.SMTP(
            hostname=self._server, port=self._port, use_tls=self._security == TLS, start_tls=False,
            local_hostname=self._from.rpartition("@")[2], timeout=None,
            tls_context=None if self._security == NONE else self._tls(),
        )  # fmt: skip
        try:
            step.name = f"connecting to {self._server}:{self._port}"
            await client.connect()
            step.name = "EHLO"
            await client.ehlo()
            if self._security == STARTTLS:
                step.name = "STARTTLS"
                await client.starttls(tls_context=self._tls())
                await client.ehlo()
            if self._user:
                step.name = "AUTH"
                await client.login(self._user, read_secret(self._password))
            step.name = "MAIL"
            await client.mail(self._from)
            step.name = "RCPT"
            accepted, refused = await self._name_recipients(client, self._had.get(name, set()))
            step.name = "DATA"
            await client.data(mail)
            await _leave(client)
        finally:
            client.close()
        if not refused:
            self._had.pop(name, None)
            return
        self._had[name] = self._had.get(name, set()) | accepted
        while len(self._had) > _REMEMBERED:
            self._had.popitem(last=False)
        raise DeliveryError(f"RCPT: the server took the mail, but not for {'; '.join(refused)}")

    async def _name_recipients(self, client: aiosmtplib.SMTP, had: set[str]) -> tuple[set[str], list[str]]:
        """Name those that have not had it. Returns who is accepted, and who is not, with the server's answer."""
        accepted, refused = set(), []
        for to in self._to:
            if to in had:
                continue
            try:
                await client.rcpt(to)
                accepted.add(to)
            except aiosmtplib.SMTPRecipientRefused as error:
                refused.append(f"{to} ({error.code} {say(error.message, 100)})")
        if not accepted:
            raise DeliveryError(f"RCPT: the server takes no mail for {'; '.join(refused)}")
        return accepted, refused

    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self._ca)


def _why(error: aiosmtplib.SMTPException) -> str:
    """For people: why no connection is made, without the libraries' own words for it."""
    cause = error.__cause__
    if isinstance(cause, ConnectionError) and cause.errno:
        return os.strerror(cause.errno)
    return say(str(error) or type(error).__name__, 200)


class _Step:
    """At which step of the exchange it is, for the sentence about a failure."""

    name = ""


async def _leave(client: aiosmtplib.SMTP) -> None:
    """Say goodbye. The server has taken the mail: whatever it answers, or does not, changes nothing."""
    with suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
        async with asyncio.timeout(_QUIT_S):
            await client.quit()


def _check_addresses(key: str, value: list[str] | str) -> None:
    for each in [value] if isinstance(value, str) else value:
        try:
            if each:
                check_address(each)
        except UsageError as error:
            raise TableError(str(error), key) from None
