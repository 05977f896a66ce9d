"""A list in a file: loaded, followed when it changes, and kept when what comes after it is bad."""

import json
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ctlog.client.log_list import ListKey
from ctlog.client.log_list_file import LogListFile
from ctlog.errors import SignatureError, StoreError, TransportError, VerificationError
from tests.call_values import LOGS, NOW, moment, operator_entry

SIGNER = ed25519.Ed25519PrivateKey.from_private_bytes(b"8" * 32)
KEY = ListKey.from_pem(SIGNER.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
_ticks = iter(range(1, 10_000))


def list_of(count: int, time_ms: int = NOW) -> bytes:
    operators = [operator_entry(f"Operator {at}", log) for at, log in enumerate(LOGS[:count])]
    return json.dumps({"version": "1", "log_list_timestamp": moment(time_ms), "operators": operators}).encode()


def write(path: Path, data: bytes) -> None:
    """As a careful operator does, with a time of its own, since two writes may fall into one tick of the clock."""
    path.with_suffix(".new").write_bytes(data)
    tick = next(_ticks)
    os.utime(path.with_suffix(".new"), (tick, tick))
    path.with_suffix(".new").replace(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    put(tmp_path / "log-list.json", list_of(1))
    return tmp_path / "log-list.json"


def put(path: Path, data: bytes) -> None:
    write(path, data)
    write(path.with_name(path.name + ".sig"), SIGNER.sign(data))


def test_it_follows_the_file(path: Path):
    file = LogListFile(path, [KEY])
    assert file.current is None
    assert len(file.load(NOW)) == 1
    assert not file.refresh(NOW)
    put(path, list_of(2, NOW + 1000))
    assert file.refresh(NOW)
    assert len(file.current) == 2
    assert not file.refresh(NOW)
    put(path, list_of(2, NOW + 1000))  # written anew, the same
    assert not file.refresh(NOW)
    assert file.error == ""


def test_half_a_change_is_waited_for(path: Path):
    file = LogListFile(path, [KEY])
    file.load(NOW)
    data = list_of(2, NOW + 1000)
    write(path, data)
    assert not file.refresh(NOW)
    assert file.error == ""
    write(path.with_name("log-list.json.sig"), SIGNER.sign(data))
    assert file.refresh(NOW)
    assert len(file.current) == 2


def test_a_bad_list_is_said_and_not_used(path: Path):
    file = LogListFile(path, [KEY])
    file.load(NOW)
    write(path, list_of(3, NOW + 1000))
    assert [file.refresh(NOW) for _ in range(3)] == [False] * 3
    assert "not signed by any trusted key" in file.error
    assert len(file.current) == 1
    put(path, b"signed, and no list")
    assert not file.refresh(NOW)
    assert file.error.startswith("log list: ")
    put(path, list_of(2, NOW - 1000))
    assert not file.refresh(NOW)
    assert "older" in file.error
    put(path, list_of(2, NOW + 7 * 86_400_000))
    assert not file.refresh(NOW)
    assert "future" in file.error
    path.unlink()
    assert not file.refresh(NOW)
    assert "No such file" in file.error
    assert "\n" not in file.error
    put(path, list_of(1))
    assert not file.refresh(NOW)  # the list that is in use
    assert file.error == ""
    assert len(file.current) == 1


def test_attack_an_old_list_after_a_restart(path: Path, tmp_path: Path):
    """A signature does not say that a list is the newest: what was used is remembered, before it is used."""
    memory = tmp_path / "newest"
    old, new = path.read_bytes(), list_of(2, NOW + 5000)
    file = LogListFile(path, [KEY], memory=memory)
    file.load(NOW)
    assert memory.read_bytes() == b"%d\n" % NOW
    put(path, new)
    assert file.refresh(NOW)
    assert memory.read_bytes() == b"%d\n" % (NOW + 5000)
    put(path, old)
    again = LogListFile(path, [KEY], memory=memory)
    with pytest.raises(VerificationError) as caught:
        again.load(NOW)
    assert caught.value.reason == "log-list-older"
    assert memory.read_bytes() == b"%d\n" % (NOW + 5000)
    put(path, new)
    assert len(again.load(NOW)) == 2  # the same one is no older


def test_a_memory_that_cannot_be_kept(path: Path, tmp_path: Path):
    """It is said, and tried again; a list that would be forgotten is not used."""
    memory = tmp_path / "newest"
    file = LogListFile(path, [KEY], memory=memory)
    file.load(NOW)
    put(path, list_of(2, NOW + 5000))
    (tmp_path / "newest.new").mkdir()
    assert [file.refresh(NOW) for _ in range(2)] == [False, False]
    assert "cannot be kept" in file.error
    (tmp_path / "newest.new").rmdir()
    assert file.refresh(NOW)
    memory.write_bytes(b"")
    with pytest.raises(StoreError) as caught:
        LogListFile(path, [KEY], memory=memory).load(NOW)
    assert caught.value.reason == "bad-memory"
    with pytest.raises(StoreError, match="cannot be kept"):
        LogListFile(path, [KEY], memory=tmp_path / "nowhere" / "newest").load(NOW)


def test_the_first_list_has_to_be_good(path: Path, tmp_path: Path):
    with pytest.raises(TransportError):
        LogListFile(tmp_path / "nothing.json", [KEY]).load(NOW)
    with pytest.raises(SignatureError):
        LogListFile(path, []).load(NOW)
    with pytest.raises(VerificationError):
        LogListFile(path, [KEY]).load(NOW - 2 * 86_400_000)
    elsewhere = tmp_path / "elsewhere.sig"
    elsewhere.write_bytes(path.with_name("log-list.json.sig").read_bytes())
    assert len(LogListFile(path, [KEY], elsewhere).load(NOW)) == 1
