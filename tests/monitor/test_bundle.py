"""monitor.bundle: what shows others what an alert is about; each proof checked as a stranger would, from both forms."""

import json

import pytest

from ctlog.client.stapled import verify_stapled
from ctlog.errors import ProofError, TransportError
from ctlog.merkle.hashing import leaf_hash
from ctlog.merkle.proof import verify_inclusion
from ctlog.wire.checkpoint import open_checkpoint
from ctlog.wire.tlog_proof import parse_tlog_proof
from ctlog.x509.der import parse_certificate
from monitor.bundle import (
    AT_ONCE,
    FOLDER,
    Keeper,
    bundle_files,
    check_entry,
    keep_proof,
    prove_entry,
    read_proof,
    readable_certificate,
)
from monitor.follow.followed import ENTRIES, TILES
from tests.cert_sim import CA, ROGUE, CertSim, number_tbs
from tests.monitor_kit import Memory

ITEM = "home/number:+12025550123"
BOTH = pytest.mark.parametrize("form", [TILES, ENTRIES])


@pytest.fixture
async def memory(tmp_path):
    async with Memory(tmp_path) as made:
        yield made


class Around:
    """What a keeper needs of `Following`."""

    def __init__(self, memory):
        self.kit, self.is_reading = memory.kit, True

    def trusted(self, log_id):
        watch = self.kit.watches.get(log_id) if self.is_reading else None
        return (watch.log, watch.heads.trusted.head) if watch else None


OTHERS = [CA.precertificate(number_tbs(700, CA, serial=1000)), *CA.chain]


def grow(sim):
    """300 entries that concern nobody."""
    for _ in range(300):
        sim.submit(OTHERS)
    sim.publish()


async def told(memory, sim, form=TILES):
    """The alert for a rogue's certificate amid 600 others, and a log that has grown since."""
    grow(sim)
    sim.add(123, ROGUE, key=22, serial=7)
    await memory.kit.round(sim, form=form)
    (row,) = await memory.kit.alerts(item=ITEM)
    grow(sim)
    await memory.kit.round(sim)
    return row


def keeper(memory, around=None):
    around = around or Around(memory)
    said = memory.kit.said
    return Keeper(memory.state, around, memory.kit.clock, lambda level, log, sentence: said.append(sentence))


@BOTH
async def test_whoever_gets_it_needs_the_key_and_nothing_else(memory, form):
    sim = CertSim()
    row = await told(memory, sim, form)
    await keeper(memory).work()
    found = read_proof(memory.folder, row.log_id, row.log_index)
    document = json.loads(row.body)
    files = bundle_files(document, row, "the alert", found, sim.policy.key)
    assert sorted(files) == [
        "README.txt", "alert.json", "alert.txt", "certificate.pem", "entry.leaf", "entry.tlog-proof", "log-key.pem",
    ]  # fmt: skip
    certificate = readable_certificate(document)
    shown = verify_stapled(certificate, files["entry.tlog-proof"], sim.policy.key, memory.kit.now_ms)
    assert (shown.index, shown.size, shown.origin) == (300, 601, sim.origin)
    assert files["certificate.pem"].count(b"BEGIN CERTIFICATE") == 1 + len(document["certificate"]["chain"])
    assert "number 300 of that tree" in files["README.txt"].decode()
    proof = parse_tlog_proof(found.proof)  # and without any of our own words, by the leaf alone
    head = open_checkpoint(proof.checkpoint, sim.origin, sim.policy.key)
    verify_inclusion(proof.index, head.size, leaf_hash(files["entry.leaf"]), proof.hashes, head.root)
    check_entry(document, found, sim.policy.key, memory.kit.now_ms)


async def test_a_proof_of_another_certificate_is_neither_kept_nor_shown(memory):
    """Its place in the alert is wrong, or its file was changed."""
    sim = CertSim()
    row = await told(memory, sim)
    certificate = readable_certificate(json.loads(row.body))
    log, head = Around(memory).trusted(row.log_id)
    with pytest.raises(ProofError):
        await prove_entry(log, head, 299, memory.kit.now_ms, certificate)
    other = await prove_entry(log, head, 299, memory.kit.now_ms)
    keep_proof(memory.folder, row.log_id, row.log_index, other)
    with pytest.raises(ProofError):
        check_entry(json.loads(row.body), read_proof(memory.folder, row.log_id, 300), sim.policy.key, memory.kit.now_ms)


async def test_it_is_at_hand_when_the_log_is_gone(memory):
    sim = CertSim()
    row = await told(memory, sim)
    await keeper(memory).work()
    sim.fail("*", TransportError("gone"))
    around = Around(memory)
    around.is_reading = False
    await keeper(memory, around).work()
    assert read_proof(memory.folder, row.log_id, row.log_index) is not None


async def test_what_fails_is_said_once_and_tried_again(memory, monkeypatch):
    sim = CertSim()
    row = await told(memory, sim)
    keeping, real = keeper(memory), memory.kit.watches[row.log_id].log.fetcher.get

    async def nobody(path, *, limit=0):
        raise TransportError("no route")

    with monkeypatch.context() as patch:
        patch.setattr(memory.kit.watches[row.log_id].log.fetcher, "get", nobody)
        patch.setattr(memory.kit.watches[row.log_id].log.follower._fetcher, "get", nobody)
        for _ in range(3):
            await keeping.work()
    assert [each for each in memory.kit.said if "no route" in each] == [
        "entry 300 cannot be proven for a bundle yet: no route"
    ]
    assert real is not None
    assert read_proof(memory.folder, row.log_id, 300) is None
    await keeping.work()
    assert read_proof(memory.folder, row.log_id, 300) is not None


async def test_a_full_disk_ends_nothing_and_a_stop_between_the_two_files_is_no_proof(memory, monkeypatch):
    sim = CertSim()
    row = await told(memory, sim)
    keeping, kept = keeper(memory), []

    def full(path, data):
        if kept:
            raise OSError("no space left on device")
        kept.append(path)
        path.write_bytes(data)

    with monkeypatch.context() as patch:
        patch.setattr("monitor.bundle.replace_file", full)
        await keeping.work()
    assert [path.suffix for path in kept] == [".leaf"]
    assert read_proof(memory.folder, row.log_id, 300) is None
    await keeping.work()
    assert read_proof(memory.folder, row.log_id, 300) is not None


async def test_what_is_for_information_has_none(memory):
    sim = CertSim()
    await told(memory, sim)
    await keeper(memory).work()
    names = {path.name for path in (memory.folder / FOLDER).iterdir()}
    rows = [row for row in await memory.kit.alerts() if row.severity < 4 and row.log_index is not None]
    assert names == {f"{row.log_id.hex()}-{row.log_index}.{kind}" for row in rows for kind in ("leaf", "tlog-proof")}
    assert len(rows) <= AT_ONCE


async def test_what_cannot_be_read_is_shown_by_its_leaf(memory):
    sim = CertSim()
    row = await told(memory, sim)
    log, head = Around(memory).trusted(row.log_id)
    document = json.loads(row.body)
    document["certificate"] |= {"readable": False}
    found = await prove_entry(log, head, 300, memory.kit.now_ms)
    files = bundle_files(document, row, "", found, sim.policy.key)
    assert "SHA-256 of\n  an octet 0 and entry.leaf" in files["README.txt"].decode()
    document["certificate"] |= {"der": "", "chain": []}
    assert "certificate.pem" not in bundle_files(document, row, "", found, sim.policy.key)
    parse_certificate(readable_certificate(json.loads(row.body)))
