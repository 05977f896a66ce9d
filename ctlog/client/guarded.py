"""The one fetcher for URLs that strangers choose: an `x5u`, a number list by reference, a CRL, a webhook.

Whoever chooses such a URL would like it to reach inside (a metadata service, a router, this machine), to bounce
there, or to hold us for ever. So: https only, no credentials, no proxy, no redirect, no cookies; each address is
checked by the socket that connects to it, after name resolution, so that no second look-up can change it; the answer
is bounded in bytes as they come over the line (compressed bodies are not asked for and not taken) and the whole
exchange in time.
Out of scope: what the bytes mean, caching, and retries.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from types import TracebackType
from typing import NamedTuple
from urllib.parse import urlsplit

import aiohttp

from ctlog.errors import InputError, TransportError

Address = IPv4Address | IPv6Address

# The registries of special addresses grow, and `ipaddress` knows them as they stood when this Python was made (older
# ones let all of these through), so what matters is said here: RFC 4291 section 2.4, RFC 6890, RFC 9637.
_UNICAST = IPv6Network("2000::/3")  # beyond it nothing is of the public Internet but IPv4 in disguise
_MAPPED, _NAT64 = IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96")
_INSIDE = tuple(map(ip_network, (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
    "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/3", "2001::/23", "2001:db8::/32", "3fff::/20",
)))  # fmt: skip

class Response(NamedTuple):
    """What came back: status, headers (names in lower case), and the whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def is_outside(address: Address) -> bool:
    """Is this an address of the public Internet, whichever way it is dressed (mapped, 6to4, NAT64)?

    Teredo, local NAT64 and all other ways to write an IPv4 address into an IPv6 one are not outside."""
    if any(address in network for network in _INSIDE):
        return False
    if isinstance(address, IPv4Address):
        return address.is_global
    if address in _MAPPED or address in _NAT64:
        return is_outside(IPv4Address(int(address) & 0xFFFFFFFF))
    inner = address.sixtofour
    return address in _UNICAST and address.is_global and (inner is None or is_outside(inner))


def check_url(url: str) -> None:
    """Raises InputError (reason `bad-url` or `not-https`) unless `url` is an absolute https URL without credentials."""
    if len(url) > 2048 or any(ord(c) <= 32 or ord(c) == 127 for c in url):
        raise InputError("the URL is too long or holds a space or a control character", reason="bad-url")
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port
    except ValueError as error:
        raise InputError(f"this is no URL: {error}", reason="bad-url") from None
    if parts.scheme != "https":
        raise InputError("only https URLs are fetched", reason="not-https")
    if not host or parts.username is not None or parts.password is not None:
        raise InputError("the URL must name a host, and carry no credentials", reason="bad-url")


class GuardedFetcher:
    """Fetches what strangers point at. Use as `async with GuardedFetcher(...) as fetcher`.

    `max_bytes` bounds each body, `timeout_s` each exchange from the name look-up to the last byte. `allow` decides
    which addresses may be connected to (tests and closed networks bring their own); `tls` may hold further trusted CAs.
    """

    def __init__(
        self,
        *,
        user_agent: str,
        max_bytes: int = 1 << 20,
        timeout_s: float = 10.0,
        allow: Callable[[Address], bool] = is_outside,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s
        self._allow = allow
        self._tls = tls or ssl.create_default_context()
        self._user_agent = user_agent
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> GuardedFetcher:
        connector = aiohttp.TCPConnector(
            ssl=self._tls, socket_factory=self._open_socket, force_close=True, use_dns_cache=False, limit=64
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers={"User-Agent": self._user_agent, "Accept-Encoding": "identity"},
            timeout=aiohttp.ClientTimeout(total=self._timeout_s),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, url: str) -> bytes:
        """The body of a 200 answer.

        Raises InputError for a URL that is not fetched at all, TransportError with reason `inward-address`, `redirect`,
        `too-large`, `too-slow`, `http-status` or `unreachable` for everything else.
        """
        response = await self.request("GET", url)
        if response.status != 200:
            raise TransportError(f"{_shown(url)} answered {response.status}", reason="http-status")
        return response.body

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Response:
        """One exchange, whatever status it has, except a redirect, which is refused. Raises as `get` does."""
        check_url(url)
        if self._session is None:
            raise TransportError("the fetcher is not open: use `async with`", reason="unreachable")
        try:
            async with self._session.request(
                method, url, headers=headers, data=body, allow_redirects=False
            ) as answer:
                if 300 <= answer.status < 400 and answer.status != 304:
                    raise TransportError(f"{_shown(url)} redirects elsewhere; that is not followed", reason="redirect")
                if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
                    raise TransportError(f"{_shown(url)} answers compressed, unasked", reason="http-status")
                return Response(
                    answer.status,
                    {name.lower(): value for name, value in answer.headers.items()},
                    await self._read(answer, url),
                )
        except TimeoutError:
            raise TransportError(
                f"{_shown(url)} did not answer in full within {self._timeout_s:g} s", reason="too-slow"
            ) from None
        except (aiohttp.ClientError, OSError, ValueError, asyncio.IncompleteReadError) as error:
            if inward := _inward_cause(error):
                raise TransportError(
                    f"{_shown(url)} leads to {inward}, inside a private network", reason="inward-address"
                ) from None
            why = str(error)
            if secret := url.partition("?")[2]:
                why = why.replace(secret, "...")
            raise TransportError(f"{_shown(url)} cannot be fetched: {why}", reason="unreachable") from None

    async def _read(self, answer: aiohttp.ClientResponse, url: str) -> bytes:
        if (answer.content_length or 0) <= self._max_bytes:
            body = bytearray()
            async for chunk in answer.content.iter_any():
                body += chunk
                if len(body) > self._max_bytes:
                    break
            else:
                return bytes(body)
        raise TransportError(f"{_shown(url)} answers more than {self._max_bytes} bytes", reason="too-large")

    def _open_socket(self, info: aiohttp.AddrInfoType) -> socket.socket:
        """The socket for exactly this address, or _InwardError: nothing is sent to an address that was not checked."""
        family, kind, protocol, _, where = info
        if not self._allow(ip_address(str(where[0]).partition("%")[0])):
            raise _InwardError(where[0])
        return socket.socket(family, kind, protocol)


class _InwardError(OSError):
    """An address that is not outside. An OSError, so that the next address of the name is tried."""


def _inward_cause(error: BaseException | None) -> _InwardError | None:
    """The refusal behind a failed connection, however the HTTP library wrapped it."""
    seen: list[BaseException | None] = [error]
    while seen:
        cause = seen.pop()
        if isinstance(cause, _InwardError):
            return cause
        if cause is not None:
            inner = getattr(cause, "os_error", None)
            seen += [cause.__cause__, inner if inner is not cause else None]
            seen += getattr(cause, "exceptions", [])
    return None


def _shown(url: str) -> str:
    """The URL without its query, which may be somebody's secret."""
    return url.partition("?")[0][:200]
