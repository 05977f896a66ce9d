"""The accepted roots: what is a CA is taken, what is none is named, and nothing of the history is ever lost."""

from __future__ import annotations

import base64
import gzip
import hashlib
from pathlib import Path

import pytest

from ctlog import issuance
from ctlog.errors import ConfigError, NotFoundError, UsageError
from ctlog.roots import RootsStore, check_domain, read_certificates
from tests import corpus

NOW = 1_790_000_000_000


def pem(*ders: bytes) -> bytes:
    return b"".join(b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(der) + b"-----END CERTIFICATE-----\n"
                    for der in ders)


@pytest.fixture
def store(tmp_path: Path) -> RootsStore:
    store = RootsStore(tmp_path / "roots")
    store.create()
    return store


@pytest.fixture(scope="module")
def authority() -> issuance.Authority:
    return issuance.example_authority(NOW)


def leaf(authority: issuance.Authority) -> bytes:
    key = issuance.Key.generate()
    tbs = issuance.shaken_leaf(authority, key.spki, "709J", "Example", not_before_ms=NOW, not_after_ms=NOW + 10**9)
    return authority.certificate_for(tbs)


def test_any_ca_is_taken_and_what_is_none_is_left_out_and_named(store: RootsStore, authority: issuance.Authority,
                                                                tmp_path: Path) -> None:
    issuing, root = authority.chain
    file = tmp_path / "some.pem"
    file.write_bytes(pem(issuing, leaf(authority), root, b"\x30\x03abc"))
    came = store.add([file], "us-shaken", NOW)
    assert [record.certificate for record in came.added] == [issuing, root]
    assert [place.partition(":")[0] for place, _ in came.left_out] == ["some.pem#2", "some.pem#4"]
    assert "SHAKEN 709J" in came.left_out[0][0]
    roots, records = store.accepted()
    assert [root.certificate.der for root in roots] == [issuing, root]
    assert {root.trust_domain for root in roots} == {"us-shaken"}
    assert records[0].source == "some.pem"
    assert records[0].added_ms == NOW
    assert records[0].fingerprint == hashlib.sha256(issuing).digest()


def test_a_file_that_vanished_changes_nothing(store: RootsStore, authority: issuance.Authority, tmp_path: Path) -> None:
    file = tmp_path / "some.pem"
    file.write_bytes(pem(*authority.chain))
    store.add([file], "ca", NOW)
    file.unlink()
    assert len(RootsStore(store.directory).accepted()[0]) == 2


def test_adding_again_changes_nothing(store: RootsStore, authority: issuance.Authority) -> None:
    ders = [(der, "x", "x") for der in authority.chain]
    store.add_certificates(ders + ders, "ca", NOW)
    before = store.path.read_bytes()
    came = store.add_certificates(ders, "fr", NOW + 1)
    assert came.added == ()
    assert [record.domain for record in came.known] == ["ca", "ca"]
    assert store.path.read_bytes() == before


def test_retiring_keeps_the_history(store: RootsStore, authority: issuance.Authority) -> None:
    came = store.add_certificates([(der, "x", "x") for der in authority.chain], "ca", NOW)
    wanted = came.added[0].fingerprint.hex()
    record = store.retire(wanted[:8].upper(), "key lost", NOW + 5)
    assert (record.retired_ms, record.why) == (NOW + 5, "key lost")
    assert len(store.accepted()[0]) == 1
    kept = {record.fingerprint.hex(): record for record in store.records()}
    assert kept[wanted].retired_ms == NOW + 5
    assert kept[wanted].why == "key lost"
    with pytest.raises(NotFoundError):
        store.retire(wanted, "again", NOW + 6)
    store.add_certificates([(authority.chain[0], "y", "y")], "rcs", NOW + 9)  # it may come back
    assert store.records()[-1].domain == "rcs"
    assert store.records()[-1].retired_ms is None
    assert [event.act for event in store.history()] == ["added", "added", "retired", "added"]


@pytest.mark.parametrize("which", ["", "abc", "xyzxyzxy", "0" * 65])
def test_a_root_is_named_by_its_hash(store: RootsStore, which: str) -> None:
    with pytest.raises(UsageError):
        store.retire(which, "", NOW)


def test_an_ambiguous_beginning_is_refused(store: RootsStore, authority: issuance.Authority,
                                           monkeypatch: pytest.MonkeyPatch) -> None:
    store.add_certificates([(der, "x", "x") for der in authority.chain], "ca", NOW)
    record = store.records()[0]
    monkeypatch.setattr(store, "records", lambda: [record, record])
    with pytest.raises(UsageError, match="more digits"):
        store.retire(record.fingerprint.hex()[:8], "", NOW)


def test_create_is_once(store: RootsStore) -> None:
    with pytest.raises(ConfigError):
        store.create()
    assert store.accepted()[1] == []


def test_a_damaged_history_names_its_line(store: RootsStore, authority: issuance.Authority) -> None:
    store.add_certificates([(der, "x", "x") for der in authority.chain], "ca", NOW)
    lines = store.path.read_bytes().splitlines(keepends=True)
    store.path.write_bytes(lines[0] + b"{}\n")
    with pytest.raises(ConfigError, match="line 2"):
        store.accepted()
    store.path.write_bytes(lines[0] + lines[1].replace(b'"certificate":"MII', b'"certificate":"MIJ'))
    with pytest.raises(ConfigError, match="line 2: the certificate is not the one"):
        store.accepted()
    store.path.unlink()
    with pytest.raises(ConfigError, match="cannot be read"):
        store.accepted()


@pytest.mark.parametrize("domain", ["us-shaken", "ca", "fr", "rcs", "x"])
def test_domains(domain: str) -> None:
    check_domain(domain)


@pytest.mark.parametrize("domain", ["", "US", "a b", "-a", "a-", "a" * 40, "a\n"])
def test_no_domains(domain: str) -> None:
    with pytest.raises(UsageError):
        check_domain(domain)


def test_files_as_they_come(tmp_path: Path, authority: issuance.Authority) -> None:
    one, two = authority.chain
    for name, data, ders in [
        ("a.pem", b"words\r\n" + pem(one, two).replace(b"\n", b"\r\n"), [one, two]),
        ("a.der", one, [one]),
        ("a.pem.gz", gzip.compress(pem(two)), [two]),
        ("a.der.gz", gzip.compress(two), [two]),
    ]:
        (tmp_path / name).write_bytes(data)
        assert read_certificates(tmp_path / name) == ders
    for name, data in [("b", b""), ("c", b"hello"), ("d.gz", b"\x1f\x8b\x08garbage"),
                       ("e", b"-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----")]:
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UsageError):
            read_certificates(tmp_path / name)
    with pytest.raises(UsageError, match="cannot be read"):
        read_certificates(tmp_path / "absent")


@corpus.need_corpus
def test_every_ca_of_the_corpus_can_be_a_root(store: RootsStore) -> None:
    ders = [*corpus.roots(), *corpus.intermediates(), *corpus.null_parameters()[0]]
    came = store.add_certificates([(der, "corpus", "corpus") for der in ders], "us-shaken", NOW)
    assert came.left_out == ()
    assert len(came.added) == len(set(ders))
