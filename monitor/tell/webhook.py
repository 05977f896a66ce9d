"""The channel `webhook`: a POST as Standard Webhooks describes it, signed, so that the receiver knows from whom it is.

In scope: the payload, the headers `webhook-id`, `webhook-timestamp` and `webhook-signature` (`v1`: HMAC-SHA256; `v1a`:
Ed25519; several keys at once, so that they can be changed), what each answer means. No redirect is followed, and no
answer is read beyond what says whether it was taken. A URL that a stranger chose (`untrusted`) is called by
`ctlog.client.guarded` only, which leads nowhere inside. Out of scope: when to try again.

The whole of a URL may be a secret: nothing but its host stands in any sentence.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
import ssl
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ctlog.client.guarded import GuardedFetcher, check_url, is_outside
from ctlog.errors import InputError, TransportError
from monitor.config import Key
from monitor.rules.values import say, say_time
from monitor.tell.channel import DeliveryError, Table, TableError, read_secret, read_table
from monitor.tell.letter import Letter

WEBHOOK_KEYS = (
    Key("url", str, None, "Where it is posted to."),
    Key("secret_file", str, None, "The file with the keys that sign it, one a line: `whsec_` and base64 (HMAC), or "
        "`whsk_` and base64 (Ed25519). Each signs, so that the receiver can go from one to the next."),
    Key("authorization_file", str, "", "The file with what the receiver wants to see as `Authorization`, if anything."),
    Key("untrusted", bool, False, "Whether somebody else chose the URL: then it must be https, and must not lead into "
        "a private network."),
    Key("ca_file", str, "", "A PEM file of the CAs that the server's certificate may be from; empty: those that this "
        "machine trusts."),
    Key("timeout_s", int, 15, "Seconds within which it must be answered.", 1, 120),
)  # fmt: skip
USER_AGENT = "ctlog-monitor (webhook)"
_ANSWER = 65536
_WHY = {
    "inward-address": "leads into a private network, which strangers' URLs must not",
    "redirect": "redirects elsewhere; that is not followed",
    "too-slow": "did not answer in time",
    "too-large": "answers without end",
}


class WebhookChannel:
    """Posts, each over a connection of its own. now_s: the clock; allow: where strangers' URLs may lead."""

    for_people = False

    def __init__(
        self, name: str, table: Table, folder: Path, *, now_s: Callable[[], float] = time.time,
        allow: Callable[[IPv4Address | IPv6Address], bool] = is_outside,
    ) -> None:  # fmt: skip
        self.name = name
        self.table = table
        values = read_table(table, WEBHOOK_KEYS, "url", "secret_file")
        self._url: str = values["url"]
        self._untrusted: bool = values["untrusted"]
        _check(self._url, self._untrusted)
        self._secret = folder / values["secret_file"]
        self._authorization = folder / values["authorization_file"] if values["authorization_file"] else None
        self._ca = folder / values["ca_file"] if values["ca_file"] else None
        self.limit_s = float(values["timeout_s"])
        self._now_s = now_s
        self._allow = allow

    @property
    def where(self) -> str:
        """The host; the rest of the URL may be a secret."""
        return urlsplit(self._url).netloc.rpartition("@")[2]

    async def send(self, letter: Letter) -> None:
        """Post it, until an answer in the two hundreds. Raises DeliveryError."""
        body = payload(letter)
        now_s = int(self._now_s())
        name = re.sub(r"[^A-Za-z0-9_-]", "-", letter.id)[:120]
        headers = {
            "Content-Type": "application/json",
            "User-Agent": USER_AGENT,
            "webhook-id": name,
            "webhook-timestamp": str(now_s),
            "webhook-signature": sign(read_secret(self._secret), name, now_s, body),
        }
        if self._authorization is not None:
            headers["Authorization"] = _header(read_secret(self._authorization))
        status, answered = await (self._post_guarded if self._untrusted else self._post)(headers, body)
        self._judge(status, answered)

    async def _post(self, headers: Mapping[str, str], body: bytes) -> tuple[int, Mapping[str, str]]:
        try:
            tls = self._tls() if self._url.startswith("https:") else True
            connector = aiohttp.TCPConnector(ssl=tls, force_close=True)
            jar = aiohttp.DummyCookieJar()
            async with (
                aiohttp.ClientSession(connector=connector, cookie_jar=jar, trust_env=True) as session,
                session.post(self._url, data=body, headers=headers, allow_redirects=False) as answer,
            ):
                return answer.status, {name.lower(): value for name, value in answer.headers.items()}
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise DeliveryError(f"{self.where} cannot be reached: {self._without_url(error)}") from None

    async def _post_guarded(self, headers: Mapping[str, str], body: bytes) -> tuple[int, Mapping[str, str]]:
        try:
            async with GuardedFetcher(
                user_agent=USER_AGENT, max_bytes=_ANSWER, timeout_s=self.limit_s, allow=self._allow, tls=self._tls()
            ) as fetcher:
                answer = await fetcher.request("POST", self._url, headers=headers, body=body)
                return answer.status, answer.headers
        except (TransportError, InputError, OSError) as error:
            why = _WHY.get(getattr(error, "reason", ""), "cannot be reached")
            raise DeliveryError(f"{self.where} {why}") from None

    def _judge(self, status: int, headers: Mapping[str, str]) -> None:
        if 200 <= status < 300:
            return
        if status == 410:
            raise DeliveryError(f"{self.where} answered 410: it wants no more, for ever", gone=True)
        if 300 <= status < 400:
            raise DeliveryError(f"{self.where} {_WHY['redirect']} ({status})")
        retry_after_s = parse_retry_after(headers.get("retry-after", ""), self._now_s())
        raise DeliveryError(f"{self.where} answered {status}", retry_after_s=retry_after_s)

    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self._ca)

    def _without_url(self, error: Exception) -> str:
        parts = urlsplit(self._url)
        text = str(error) or type(error).__name__
        for secret in (self._url, parts.path, parts.query, parts.password):
            if secret and len(secret) > 1:
                text = text.replace(secret, "...")
        return say(text, 200)


def payload(letter: Letter) -> bytes:
    """The body: `type`, `timestamp` and `data`, as Standard Webhooks recommends."""
    kind = letter.document.get("kind") if letter.alerts else None
    document = {
        "type": f"{letter.kind}.{kind}" if isinstance(kind, str) else letter.kind,
        "timestamp": say_time(letter.made_ms),
        "data": letter.document,
    }
    return json.dumps(document, separators=(",", ":")).encode()


def sign(secrets: str, name: str, now_s: int, body: bytes) -> str:
    """The value of `webhook-signature`: one signature for each key. Raises DeliveryError for what is no key."""
    signed = f"{name}.{now_s}.".encode() + body
    return " ".join(_sign_with(key, signed) for key in secrets.split())


def parse_retry_after(text: str, now_s: float) -> float | None:
    """Seconds, of a number or a date (RFC 9110 section 10.2.3); None for anything else, and for what is over."""
    if re.fullmatch(r"[0-9]{1,9}", text.strip()):
        return float(text) or None
    try:
        left_s = parsedate_to_datetime(text).timestamp() - now_s
    except (ValueError, TypeError, OverflowError):
        return None
    return left_s if left_s > 0 else None


def _sign_with(key: str, signed: bytes) -> str:
    kind, _, encoded = key.rpartition("_")
    try:
        raw = base64.b64decode(encoded, validate=True)
        if kind == "whsk":
            signature = Ed25519PrivateKey.from_private_bytes(raw[:32]).sign(signed)
            return f"v1a,{base64.b64encode(signature).decode()}"
    except (binascii.Error, ValueError):
        raw = b""
    if kind not in ("whsec", "") or len(raw) < 24:
        raise DeliveryError("the secret is no key: `whsec_` and at least 24 octets in base64, or `whsk_` and a key")
    return f"v1,{base64.b64encode(hmac.new(raw, signed, hashlib.sha256).digest()).decode()}"


def _header(text: str) -> str:
    if not text.isascii() or not text.isprintable():
        raise DeliveryError("what should be sent as `Authorization` is not one line of ASCII")
    return text


def _check(url: str, untrusted: bool) -> None:
    try:
        if untrusted or url.startswith("https://"):
            check_url(url)
            return
    except InputError as error:
        raise TableError(str(error), "url") from None
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname or not url.isascii() or not url.isprintable() or " " in url:
        raise TableError("the URL begins with https://, or in your own network with http://", "url")
