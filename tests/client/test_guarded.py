"""The fetcher for strangers' URLs, against real TLS servers on this machine that try what strangers try."""

import asyncio
import ssl
from ipaddress import ip_address
from pathlib import Path

import pytest

from ctlog.client.guarded import check_url, is_outside
from ctlog.errors import InputError, TransportError
from tests.tls_peer import Peer, answer, fetcher, serving, tls_identity


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A key and a self-issued certificate for localhost."""
    return tls_identity(tmp_path_factory.mktemp("tls"))


async def refusal(identity: tuple[Path, Path], peer: Peer, **options: object) -> TransportError:
    async with serving(identity, peer) as url, fetcher(identity, **options) as client:
        with pytest.raises(TransportError) as caught:
            await client.get(url)
    assert "secret" not in str(caught.value)
    return caught.value


async def test_an_honest_answer_arrives_whole(identity: tuple[Path, Path]) -> None:
    async with (
        serving(identity, answer("HTTP/1.1 200 OK\r\nContent-Length: 5", b"hello")) as url,
        fetcher(identity) as client,
    ):
        assert await client.get(url) == b"hello"


async def test_an_answer_of_exactly_the_limit_is_taken_and_one_byte_more_is_not(identity: tuple[Path, Path]) -> None:
    async with (
        serving(identity, answer("HTTP/1.1 200 OK\r\nContent-Length: 9", b"x" * 9)) as url,
        fetcher(identity, max_bytes=9) as client,
    ):
        assert await client.get(url) == b"x" * 9
    error = await refusal(identity, answer("HTTP/1.1 200 OK\r\nContent-Length: 10", b"x" * 10), max_bytes=9)
    assert error.reason == "too-large"


async def test_an_endless_body_without_a_length_is_cut_off(identity: tuple[Path, Path]) -> None:
    async def endless(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"1000\r\n" + b"x" * 4096 + b"\r\n")
            await writer.drain()

    assert (await refusal(identity, endless, max_bytes=100_000)).reason == "too-large"


async def test_a_drip_that_never_ends_is_too_slow(identity: tuple[Path, Path]) -> None:
    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(50):
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)

    assert (await refusal(identity, drip, timeout_s=0.4)).reason == "too-slow"


async def test_a_redirect_inward_is_not_followed(identity: tuple[Path, Path]) -> None:
    to = "HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/latest/meta-data\r\nContent-Length: 0"
    assert (await refusal(identity, answer(to))).reason == "redirect"


async def test_a_gzip_bomb_is_refused_unopened(identity: tuple[Path, Path]) -> None:
    bomb = answer("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3", b"\x1f\x8b\x08")
    assert (await refusal(identity, bomb)).reason == "http-status"


async def test_other_statuses_say_so(identity: tuple[Path, Path]) -> None:
    error = await refusal(identity, answer("HTTP/1.1 404 Not Found\r\nContent-Length: 0"))
    assert error.reason == "http-status"
    assert "404" in str(error)


async def test_a_body_cut_short_is_no_body(identity: tuple[Path, Path]) -> None:
    error = await refusal(identity, answer("HTTP/1.1 200 OK\r\nContent-Length: 50", b"short"))
    assert error.reason == "unreachable"


async def test_what_speaks_no_http_is_unreachable(identity: tuple[Path, Path]) -> None:
    assert (await refusal(identity, answer("SSH-2.0-OpenSSH"))).reason == "unreachable"


async def test_a_stranger_certificate_is_refused(identity: tuple[Path, Path]) -> None:
    honest = answer("HTTP/1.1 200 OK\r\nContent-Length: 0")
    error = await refusal(identity, honest, tls=ssl.create_default_context())
    assert error.reason == "unreachable"


async def test_by_default_nothing_on_this_machine_is_asked_anything(identity: tuple[Path, Path]) -> None:
    asked = []

    async def peer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(1)

    error = await refusal(identity, peer, allow=is_outside)
    assert error.reason == "inward-address"
    assert asked == []


@pytest.mark.parametrize("url", ["https://127.0.0.1/", "https://[::1]/", "https://[::ffff:127.0.0.1]/"])
async def test_an_address_in_the_url_is_checked_too(url: str, identity: tuple[Path, Path]) -> None:
    async with fetcher(identity, allow=is_outside) as client:
        with pytest.raises(TransportError) as caught:
            await client.get(url)
    assert caught.value.reason == "inward-address"


@pytest.mark.parametrize("address", [
    "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
    "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "ff0e::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
    "64:ff9b::7f00:1", "2002:7f00:1::", "2001:db8::1",
])  # fmt: skip
def test_inward_addresses_however_dressed(address: str) -> None:
    assert not is_outside(ip_address(address))


@pytest.mark.parametrize("address", [
    "fec0::1", "64:ff9b:1::7f00:1", "::127.0.0.1", "::10.0.0.1", "::ffff:0:7f00:1", "::ffff:0:808:808", "100::1",
    "5f00::1", "3fff::1", "2001:0:7f00:1::", "2001:0:808:808::1", "2002:a00:1::1", "192.0.0.8", "198.18.0.1",
    "240.0.0.1", "4000::1", "64:ff9b::a9fe:a9fe",
])  # fmt: skip
def test_attack_an_inward_address_that_pythons_registry_lets_through(address: str) -> None:
    """Python 3.11.7 calls the first five global; others are of registries that grew since."""
    assert not is_outside(ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_outward_addresses(address: str) -> None:
    assert is_outside(ip_address(address))


@pytest.mark.parametrize(("url", "reason"), [
    ("http://example.org/", "not-https"), ("ftp://example.org/", "not-https"), ("file:///etc/passwd", "not-https"),
    ("", "not-https"), ("https:///path", "bad-url"), ("https://user:pw@example.org/", "bad-url"),
    ("https://example.org:99999/", "bad-url"), ("https://[::1/", "bad-url"), ("https://a b/", "bad-url"),
    ("https://example.org/\r\nHost: x", "bad-url"), ("https://example.org/" + "a" * 2048, "bad-url"),
])  # fmt: skip
def test_urls_that_are_never_fetched(url: str, reason: str) -> None:
    with pytest.raises(InputError) as caught:
        check_url(url)
    assert caught.value.reason == reason
