"""kill -9 under load: whoever holds an SCT finds its entry afterwards, and is given the same bytes again (P1, P3, P6).

The log is a process of its own, killed at random moments while a client submits and holds what it was given. After each
start the log's head must continue the one that was seen last.
"""

from __future__ import annotations

import asyncio
import random
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ctlog import issuance
from ctlog.cli.getter import drive, getter
from ctlog.client.inclusion import advance
from ctlog.client.issuers import IssuerPool
from ctlog.client.log_client import session
from ctlog.client.submit import Logged, Outcome, Submitter, signed_entry
from ctlog.client.trusted import LogPolicy, TrustedLog
from ctlog.folder import Folder, open_folder
from ctlog.issuance import DAY_MS, Key
from ctlog.wire.rfc6962 import TimestampedEntry, format_merkle_tree_leaf, format_sct
from ctlog.wire.static_ct import merkle_tree_leaves
from ctlog.x509.der import parse_certificate
from tests.pem import pem
from tests.serving import Serving, command

NOW = time.time_ns() // 1_000_000
AUTHORITY = issuance.example_authority(NOW)


def precertificates(count: int) -> list[bytes]:
    spki = Key.from_number(4242).spki
    made = []
    for number in range(count):
        tbs = issuance.shaken_leaf(
            AUTHORITY, spki, f"{number:04X}", "Killed", not_before_ms=NOW, not_after_ms=NOW + DAY_MS, serial=number + 1
        )
        made.append(AUTHORITY.precertificate(tbs))
    return made


class Client(threading.Thread):
    """Submits, for as long as it takes, and holds what it was given."""

    def __init__(self, url: str, folder: Folder, certificates: list[bytes]) -> None:
        super().__init__()
        self.held: dict[bytes, bytes] = {}
        self.failed: BaseException | None = None
        self._work = (url, folder.signer().key, certificates)

    def run(self) -> None:
        try:
            asyncio.run(self._submit())
        except BaseException as error:
            self.failed = error

    async def _submit(self) -> None:
        url, key, certificates = self._work
        async with session() as http:
            submitter = Submitter(url, key, IssuerPool(AUTHORITY.chain), http, in_flight=48, patience_s=60)
            await submitter.run(certificates, self._hold)

    def _hold(self, outcome: Outcome) -> None:
        assert isinstance(outcome, Logged), outcome
        self.held[outcome.certificate.der] = format_sct(outcome.sct)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


def wait_until(met: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not met() and time.monotonic() < end:
        time.sleep(0.005)


@pytest.mark.parametrize(
    ("count", "kills"), [(500, 1), pytest.param(9000, 12, marks=pytest.mark.trial)], ids=["one kill", "twelve kills"]
)
def test_killed_under_load(tmp_path: Path, count: int, kills: int) -> None:
    (tmp_path / "root.pem").write_bytes(pem(AUTHORITY.above[0]))
    command("create", tmp_path / "log", "--origin", "log.example/killed", "--roots", tmp_path / "root.pem")
    folder = open_folder(tmp_path / "log")
    signer = folder.signer()
    url = f"http://127.0.0.1:{free_port()}/"
    listen = ("--listen", url.removeprefix("http://").rstrip("/"))
    trusted = TrustedLog(LogPolicy("log.example/killed", signer.key, signer.checkpoint_key, url))
    dice = random.Random(count)
    log = Serving(folder.path, listen)
    client = Client(url, folder, precertificates(count))
    client.start()
    try:
        for kill in range(kills):
            goal = count * (kill + 1) // (kills + 1)
            wait_until(lambda goal=goal: len(client.held) >= goal or not client.is_alive(), 120)
            time.sleep(dice.random() * 0.08)
            log.kill()
            log = Serving(folder.path, listen)
            trusted = drive(advance(trusted, time.time_ns() // 1_000_000), getter(url))
        client.join(120)
        assert client.failed is None
        assert len(client.held) == count
        again = Client(url, folder, list(client.held))
        again.run()
        assert again.failed is None
        assert again.held == client.held
        trusted = drive(advance(trusted, time.time_ns() // 1_000_000), getter(url))
        assert trusted.head is not None
        assert trusted.head.size == count
        assert log.stop() == 0
    except BaseException:
        log.kill()
        raise
    finally:
        client.join(70)
    check_all_are_there(folder, client.held)
    assert "is whole" in command("fsck", folder.path).stdout


def check_all_are_there(folder: Folder, held: dict[bytes, bytes]) -> None:
    """Each SCT's entry stands at its index, byte for byte as it was promised."""
    from ctlog.client.fetch import DirectoryFetcher
    from ctlog.merkle.tiles import entries_path
    from ctlog.wire.rfc6962 import parse_sct
    from ctlog.wire.static_ct import parse_leaf_index

    read = DirectoryFetcher(folder.path / "public").read
    starts = range(0, len(held), 256)
    tiles = (read(entries_path("data", lo // 256, min(256, len(held) - lo))) for lo in starts)
    leaves = [leaf for tile in tiles for leaf in merkle_tree_leaves(tile)]
    issuers = tuple(map(parse_certificate, AUTHORITY.chain))
    for der, data in held.items():
        sct = parse_sct(data)
        index = parse_leaf_index(sct.extensions)
        assert index is not None
        entry = signed_entry(parse_certificate(der), issuers)
        assert leaves[index] == format_merkle_tree_leaf(TimestampedEntry(sct.timestamp_ms, entry, sct.extensions))
