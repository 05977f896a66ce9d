"""monitor.follow.issuers: chains by fingerprint and as sent; who issued, as far as signatures show, fetched once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctlog.client.get_entries import SeenBatch
from ctlog.errors import TransportError
from monitor.entry import Place, look, read_entry
from monitor.follow import issuers as module
from monitor.follow.followed import ENTRIES, TILES
from monitor.follow.issuers import RETRY_MS, Issuers, chain_keys, issuer_of, precertificates, sent_chain
from monitor.glance import Glancer
from tests.cert_sim import CA, ROGUE, CertSim, number_tbs
from tests.follow_kit import followed
from tests.monitor_kit import trust
from tests.monitor_rules import number_entry

FORMS = pytest.mark.parametrize("form", [TILES, ENTRIES])


class Numbers:
    """Gives each name a number, and remembers them."""

    def __init__(self):
        self.names = []

    def __call__(self, name):
        if name not in self.names:
            self.names.append(name)
        return self.names.index(name)


class Kit:
    """The issuers of a simulated log."""

    def __init__(self, sim, form):
        self.sim, self.numbers, self.now_ms, self.trust = sim, Numbers(), 0, trust()
        self.log = followed(sim, form)
        self.issuers = Issuers(self.log, lambda: self.trust, self.numbers, lambda: self.now_ms)

    async def batches(self, lo=0):
        return [batch async for batch in self.log.follower.entries(self.sim.head, lo, self.sim.head.size)]

    async def names(self):
        glancer, found = Glancer(), []
        for batch in await self.batches():
            glances = [look(glancer, leaf) for leaf in batch.leaves]
            found += [self.numbers.names[each] for each in await self.issuers.numbers(batch, glances)]
        return found

    def asked(self):
        return sum(path.startswith("issuer/") for path in self.sim.requests)


def mixed():
    """Precertificates and certificates, by two CAs."""
    sim = CertSim()
    for number, authority in ((1, CA), (2, ROGUE), (3, CA)):
        final, _ = sim.issue(number, authority)
        sim.submit([final, *authority.chain])
    sim.publish()
    return sim


@FORMS
async def test_every_entry_has_its_issuer(form):
    kit = Kit(mixed(), form)
    assert await kit.names() == ["example @ test"] * 2 + ["rogue @ test"] * 2 + ["example @ test"] * 2
    asked = kit.asked()
    assert asked == (4 if form == TILES else 0)
    await kit.names()
    assert kit.asked() == asked  # each once


@FORMS
async def test_chains_and_precertificates_are_those_that_were_submitted(form):
    kit = Kit(mixed(), form)
    for lo in (0, 2):  # a batch that does not begin with its tile, too
        found, before = [], []
        for batch in await kit.batches(lo):
            found += [await kit.issuers.chain(key) for key in chain_keys(batch)]
            before += precertificates(batch)
        assert found == [CA.chain, CA.chain, ROGUE.chain, ROGUE.chain, CA.chain, CA.chain][lo:]
        sent = [CA.precertificate(number_tbs(1)), b"", ROGUE.precertificate(number_tbs(2, ROGUE)), b"",
                CA.precertificate(number_tbs(3)), b""]  # fmt: skip
        assert before == sent[lo:]


async def test_an_issuer_that_is_not_to_be_had_is_asked_for_again_a_minute_later():
    sim = mixed()
    kept = dict(sim.issuers)
    sim.issuers.clear()
    kit = Kit(sim, TILES)
    assert set(await kit.names()) == {"example @ no accepted root", "rogue @ no accepted root"}
    asked = kit.asked()
    await kit.names()
    assert kit.asked() == asked  # nobody is asked for every entry
    sim.issuers.update(kept)
    kit.now_ms += RETRY_MS
    assert set(await kit.names()) == {"example @ test", "rogue @ test"}


async def test_trouble_with_the_network_is_no_reason_to_stop():
    sim = mixed()
    kit = Kit(sim, TILES)
    for name in sim.issuers:
        sim.fail(f"issuer/{name}", *[TransportError("reset")] * 9)
    assert set(await kit.names()) == {"example @ no accepted root", "rogue @ no accepted root"}


async def test_another_certificate_than_the_fingerprint_says_is_none():
    sim = mixed()
    sim.issuers = dict.fromkeys(sim.issuers, ROGUE.chain[0])
    assert "example @ test" not in await Kit(sim, TILES).names()


async def test_other_roots_are_accepted():
    kit = Kit(mixed(), TILES)
    await kit.names()
    kit.trust = trust(CA)
    assert set(await kit.names()) == {"example @ test", "rogue @ no accepted root"}


async def test_what_is_kept_is_bounded(monkeypatch):
    monkeypatch.setattr(module, "MAX_KEPT", 1)
    kit = Kit(mixed(), TILES)
    for _ in range(2):
        assert (await kit.names())[2:4] == ["rogue @ test"] * 2


def test_the_name_is_that_of_the_full_reading():
    entry = number_entry()
    assert issuer_of(entry.issuer_name, entry.chain, trust()).is_known is False
    sim = mixed()
    read = read_entry(Place(bytes(32), "log", 1), sim.tree.inputs[1], chain=CA.chain, trust=trust())
    assert issuer_of(read.issuer_name, CA.chain, trust()) == read.issuer
    assert issuer_of(read.issuer_name, ROGUE.chain, trust()).text == "example @ no accepted root"
    assert issuer_of(read.issuer_name, (), trust()).text == "example @ no accepted root"


@given(st.binary(max_size=40))
def test_any_chain_that_is_sent_is_a_chain_or_none(data):
    assert sent_chain(data) == () or isinstance(sent_chain(data)[0], bytes)


@given(leaf=st.binary(max_size=20), extra=st.binary(max_size=30))
def test_any_answer_of_get_entries_has_keys(leaf, extra):
    """Whatever a log sends beside an entry stops nobody."""
    batch = SeenBatch(0, (leaf,), bytes(32), (extra,))
    assert len(chain_keys(batch)) == len(precertificates(batch)) == 1
