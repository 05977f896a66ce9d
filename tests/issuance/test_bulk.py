"""ctlog.issuance.bulk: thousands of orders, and no order twice, whatever ends the process and whenever."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Set
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from ctlog.client.log_client import GaveUp
from ctlog.client.sct import embedded_scts, verify_embedded_sct, verify_sct
from ctlog.errors import FrozenError, RefusedError, SctError, TransportError, UsageError
from ctlog.issuance import DAY_MS, Authority, Key, bulk
from ctlog.issuance.bulk import Final, NotIssued, open_journal
from ctlog.issuance.keys import ECDSA_SHA256
from ctlog.issuance.ordered import delegate_orders
from ctlog.issuance.orders import BadOrder, Order
from ctlog.wire.rfc6962 import parse_sct_list
from ctlog.x509.der import parse_certificate
from ctlog.x509.precert import is_precertificate, tbs_of_final, tbs_of_precertificate
from tests.issuance.bulk_kit import TERMS, Ca, World, order
from tests.issued import AUTHORITY, CA_KEY, NOW, check_chain


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def serial(der: bytes) -> int:
    return x509.load_der_x509_certificate(der).serial_number


# All goes well --------------------------------------------------------------------------------------------------------


async def test_every_order_becomes_a_certificate_with_its_scts(path: Path) -> None:
    ca = Ca(path)
    found = ca.issued(await ca.run(order(n) for n in range(1, 151)))
    assert sorted(found) == list(range(1, 151))
    assert len({serial(one.certificate) for one in found.values()}) == 150
    for one in list(found.values())[::25]:
        check_chain(one.certificate, AUTHORITY)
        assert parse_sct_list(one.sct_list) == embedded_scts(one.certificate)
        assert not one.before
        for log in ca.logs:
            verify_embedded_sct(one.certificate, AUTHORITY.chain, log.key, NOW)
    for log in ca.logs:
        logged = {tbs_of_precertificate(parse_certificate(der)) for der in log.seen}
        assert logged == {tbs_of_final(parse_certificate(one.certificate)) for one in found.values()}


async def test_detached_scts_travel_beside_it(path: Path) -> None:
    ca = Ca(path, detached=True)
    found = ca.issued(await ca.run(order(n) for n in range(1, 11)))
    for one in found.values():
        assert not is_precertificate(parse_certificate(one.certificate))
        assert embedded_scts(one.certificate) == []
        for log, sct in zip(ca.logs, parse_sct_list(one.sct_list), strict=True):
            verify_sct(one.certificate, AUTHORITY.chain, sct, log.key, NOW)
    assert sorted(ca.logs[0].seen) == sorted(one.certificate for one in found.values())


async def test_a_second_run_gives_the_same_and_asks_nobody(path: Path) -> None:
    ca = Ca(path)
    first = ca.issued(await ca.run(order(n) for n in range(1, 81)))
    seen = len(ca.logs[0].seen)
    second = ca.issued(await ca.run(order(n) for n in range(1, 91)))
    assert len(ca.logs[0].seen) == seen + 10
    assert {n: one.certificate for n, one in second.items() if n <= 80} == {
        n: one.certificate for n, one in first.items()
    }
    assert {n: one.sct_list for n, one in second.items() if n <= 80} == {n: one.sct_list for n, one in first.items()}
    assert Counter(one.before for one in second.values()) == {True: 80, False: 10}


@pytest.mark.parametrize("finished", [True, False])
async def test_what_has_ended_is_never_handed_out_again(path: Path, finished: bool) -> None:
    """To the last second of its certificate an order is good; then it is refused, and a new id is a new order."""
    ca = Ca(path)
    if finished:
        first = ca.issued(await ca.run([order(1, id="a")]))
    else:
        ca.logs[0].answer = lambda submission: GaveUp(TransportError("down"))
        with pytest.raises(TransportError):
            await ca.run([order(1, id="a")])
        ca.logs[0].answer = lambda submission: None
    seen = [len(log.seen) for log in ca.logs]
    ca.now = NOW + 7 * DAY_MS - 1
    if finished:
        assert ca.issued(await ca.run([order(1, id="a")]))[1].certificate == first[1].certificate
    ca.now += 1
    (refused,) = await ca.run([order(1, id="a")])
    assert isinstance(refused, NotIssued)
    assert (refused.line, refused.id, refused.reason) == (1, "a", "expired")
    assert "ended on " in refused.sentence
    assert [len(log.seen) for log in ca.logs] == seen
    ca.build = delegate_orders(AUTHORITY, TERMS._replace(clock=lambda: ca.now))
    assert ca.refused(await ca.run([order(1, id="a"), order(2, id="b")])) == {1: "expired"}
    assert set(ca.certificates) == ({1, 2} if finished else {2})


async def test_orders_are_read_as_they_are_needed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory does not grow with the file: no more is read than is under way."""
    monkeypatch.setattr(bulk, "GROUP", 4)
    monkeypatch.setattr(bulk, "GROUPS", 3)
    ca = Ca(path)
    most = 0

    def watched() -> Iterator[Order]:
        nonlocal most
        for n in range(1, 201):
            most = max(most, n - len(ca.outcomes))
            yield order(n)

    assert len(await ca.run(watched())) == 200
    assert most <= 12


# Bad orders, refusals, twins ------------------------------------------------------------------------------------------


async def test_bad_orders_are_named_and_the_rest_go_on(path: Path) -> None:
    ca = Ca(path)
    bad = BadOrder(2, "bad-line", "it is no order")
    nobody = order(3, holder="")
    outcomes = await ca.run([order(1), bad, nobody, order(4)])
    assert ca.refused(outcomes) == {2: "bad-line", 3: "no-holder"}
    assert sorted(ca.issued(outcomes)) == [1, 4]
    assert len(ca.logs[0].seen) == 2


async def test_one_order_twice_in_a_file_is_one_certificate(path: Path) -> None:
    """In one group, in another one, and in another run."""
    ca = Ca(path)
    orders = [order(1), order(1, line=2), *(order(n) for n in range(3, 70)), order(1, line=70)]
    found = ca.issued(await ca.run(orders))
    again = ca.issued(await ca.run([order(1, line=71)]))
    assert {found[1].certificate} == {found[2].certificate, found[70].certificate, again[71].certificate}
    assert [found[n].before for n in (1, 2, 70)] == [False, True, True]
    assert len(ca.logs[0].seen) == 68


async def test_whoever_wants_two_gives_each_an_id(path: Path) -> None:
    ca = Ca(path)
    found = ca.issued(await ca.run([order(1, id="a"), order(1, id="b", line=2)]))
    assert found[1].certificate != found[2].certificate
    assert (found[1].id, found[2].id) == ("a", "b")


async def test_an_id_stands_for_one_order_forever(path: Path) -> None:
    """With other words, in the same file or a year later: nothing is issued for it again."""
    ca = Ca(path)
    outcomes = await ca.run([order(1, id="a"), order(2, id="a")])
    assert ca.refused(outcomes) == {2: "id-taken"}
    assert ca.refused(await ca.run([order(3, id="a")])) == {3: "id-taken"}
    assert len(ca.logs[0].seen) == 1


async def test_a_twin_of_what_is_refused_is_refused(path: Path) -> None:
    ca = Ca(path)
    for log in ca.logs:
        log.answer = lambda submission: RefusedError("no", reason="unknown-root")
    assert ca.refused(await ca.run([order(1), order(1, line=2)])) == {1: "unknown-root", 2: "unknown-root"}


async def test_what_a_log_refuses_is_refused_alone_and_may_be_asked_again(path: Path) -> None:
    """Both are needed. Later the log has changed its mind: the same bytes are submitted, nothing is begun anew."""
    ca = Ca(path)
    ca.logs[1].answer = lambda submission: RefusedError("no", reason="unknown-root") if b"5550002" in submission.chain[
        0] else None
    outcomes = await ca.run(order(n) for n in range(1, 5))
    assert ca.refused(outcomes) == {2: "unknown-root"}
    assert sorted(ca.issued(outcomes)) == [1, 3, 4]
    ca.logs[1].answer = lambda submission: None
    assert ca.issued(await ca.run([order(2)]))[2].before is False
    assert len(set(ca.logs[0].seen)) == 4


async def test_an_sct_that_does_not_hold_is_none(path: Path) -> None:
    ca = Ca(path)
    ca.logs[0].answer = lambda submission: SctError("a lie", reason="bad-signature")
    assert ca.refused(await ca.run([order(1)])) == {1: "bad-signature"}


# Logs that fail -------------------------------------------------------------------------------------------------------


async def test_a_log_that_dies_half_way_is_no_failure_where_the_policy_is_still_met(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "GROUP", 8)
    ca = Ca(path, 3)
    dead = GaveUp(TransportError("it cannot be reached"))
    ca.logs[0].answer = lambda submission: dead if len(ca.logs[0].seen) >= 100 else None
    found = ca.issued(await ca.run(order(n) for n in range(1, 251)))
    assert len(found) == 250
    assert Counter(len(parse_sct_list(one.sct_list)) for one in found.values())[2] >= 100


@pytest.mark.parametrize(
    "fault",
    [TransportError("down"), FrozenError("it has ended"), RefusedError("who?", reason="submitter-not-allowed")],
    ids=["down", "ended", "a stranger there"],
)
async def test_too_few_logs_end_a_run_which_then_goes_on(
    path: Path, fault: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing that was begun is lost, nothing is begun for nothing, and no certificate leaves without its SCTs."""
    monkeypatch.setattr(bulk, "GROUP", 4)
    monkeypatch.setattr(bulk, "GROUPS", 2)
    ca = Ca(path)
    ca.logs[1].answer = lambda submission: GaveUp(fault) if len(ca.logs[1].seen) >= 10 else None
    with pytest.raises(TransportError, match="an order waits for SCTs") as caught:
        await ca.run(order(n) for n in range(1, 201))
    assert caught.value.reason == "too-few-scts"
    assert 8 <= len(ca.issued(ca.outcomes)) <= 10
    assert not ca.refused(ca.outcomes)
    assert len(ca.logs[0].seen) <= 24
    before = set(ca.logs[0].seen)
    ca.logs[1].answer = lambda submission: None
    assert len(ca.issued(await ca.run(order(n) for n in range(1, 201)))) == 200
    assert len(set(ca.logs[0].seen)) == 200
    assert before < set(ca.logs[0].seen)


async def test_a_log_that_says_nothing_is_waited_for_only_so_long(path: Path) -> None:
    ca = Ca(path, 3)
    held = ca.logs[2]

    async def silent(submissions: Any, tell: Any) -> None:
        await asyncio.Event().wait()

    held.add_many = silent  # type: ignore[method-assign]
    assert len(ca.issued(await ca.run(order(n) for n in range(1, 70)))) == 69


# Finished certificates, where they are submitted too ------------------------------------------------------------------


def is_final(der: bytes) -> bool:
    return not is_precertificate(parse_certificate(der))


async def test_the_finished_certificate_is_submitted_too_if_asked_and_once(path: Path) -> None:
    ca = Ca(path, submit_final=True)
    found = ca.issued(await ca.run(order(n) for n in range(1, 81)))
    assert {one.final for one in found.values()} == {Final("enough")}
    for log in ca.logs:
        assert sorted(filter(is_final, log.seen)) == sorted(one.certificate for one in found.values())
        assert len(log.seen) == 160
    again = ca.issued(await ca.run(order(n) for n in range(1, 81)))
    assert {(one.final, one.before) for one in again.values()} == {(Final("enough"), True)}
    assert [len(log.seen) for log in ca.logs] == [160, 160]


async def test_what_was_issued_before_is_submitted_when_it_is_asked_for_later(path: Path) -> None:
    ca = Ca(path)
    first = ca.issued(await ca.run(order(n) for n in range(1, 6)))
    assert {one.final for one in first.values()} == {None}
    ca.submit_final = True
    found = ca.issued(await ca.run(order(n) for n in range(1, 8)))
    assert {n for n, one in found.items() if one.before} == set(first)
    assert {one.final for one in found.values()} == {Final()}
    assert sorted(filter(is_final, ca.logs[0].seen)) == sorted(one.certificate for one in found.values())
    check_history(ca, range(1, 8))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (RefusedError("no", reason="unknown-root"), "unknown-root"),
        (GaveUp(TransportError("down")), "too-few-scts"),
        (GaveUp(FrozenError("it has ended")), "too-few-scts"),
        (SctError("a lie", reason="bad-signature"), "too-few-scts"),
    ],
    ids=["refused", "down", "ended", "a lie"],
)
async def test_a_final_that_no_log_takes_is_named_and_loses_no_certificate(
    path: Path, answer: Any, reason: str
) -> None:
    """It is issued all the same, in this run; the next one submits what is missing, and nothing else."""
    ca = Ca(path, submit_final=True)
    ca.logs[1].answer = lambda submission: answer if is_final(submission.chain[0]) else None
    found = ca.issued(await ca.run([*(order(n) for n in range(1, 6)), order(1, line=6)]))
    assert sorted(found) == [1, 2, 3, 4, 5, 6]
    for one in found.values():
        assert one.final is not None
        assert (one.final.reason, one.final.is_logged) == (reason, False)
        assert ca.logs[1].url in one.final.sentence
        assert embedded_scts(one.certificate)
    ca.logs[1].answer = lambda submission: None
    again = ca.issued(await ca.run(order(n) for n in range(1, 6)))
    assert {(one.final, one.before) for one in again.values()} == {(Final(), True)}
    assert sorted(filter(is_final, ca.logs[1].seen)) == sorted(one.certificate for one in again.values())
    check_history(ca, range(1, 6), twins={6})


async def test_what_is_logged_as_it_is_is_not_submitted_again(path: Path) -> None:
    ca = Ca(path, detached=True, submit_final=True)
    found = ca.issued(await ca.run(order(n) for n in range(1, 4)))
    assert {one.final for one in found.values()} == {None}
    assert [len(log.seen) for log in ca.logs] == [3, 3]


# The end of the world -------------------------------------------------------------------------------------------------


def check_history(ca: Ca, lines: range, twins: Set[int] = frozenset()) -> None:
    """Nothing was issued twice, nothing is lost: of every order the logs saw the same bytes, its callers one
    certificate, and that is the one that was logged."""
    assert set(ca.certificates) == set(lines) | twins
    assert all(len(each) == 1 for each in ca.certificates.values())
    finals = {next(iter(each)) for each in ca.certificates.values()}
    seen = {der for log in ca.logs for der in log.seen}
    seen_finals = set(filter(is_final, seen))
    if ca.detached:
        assert seen == finals
    else:
        assert seen_finals == (finals if ca.submit_final else set())
        seen -= seen_finals
        assert {tbs_of_precertificate(parse_certificate(der)) for der in seen} == {
            tbs_of_final(parse_certificate(der)) for der in finals
        }
    assert len(seen) == len(lines)


@pytest.mark.parametrize(
    "kind", [{}, {"detached": True}, {"submit_final": True}], ids=["embedded", "detached", "with the finished ones"]
)
async def test_it_may_end_at_any_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: dict[str, bool]
) -> None:
    """Before and behind every write, every submission, every answer and every report; and twice in a row."""
    monkeypatch.setattr(bulk, "GROUP", 2)
    monkeypatch.setattr(bulk, "GROUPS", 2)
    lines = range(1, 5)
    whole = World()
    await Ca(tmp_path / "whole", **kind).run([order(n) for n in lines], whole)
    assert whole.moments > 20
    ended = 0
    for moment in range(whole.moments):
        ca = Ca(tmp_path / str(moment), **kind)
        for end in (moment, moment // 2):  # the second run has less to do, and may be through before
            try:
                await ca.run([order(n) for n in lines], World(end))
            except TransportError:
                ended += 1
        assert len(await ca.run([order(n) for n in lines])) == len(lines)
        check_history(ca, lines)
    assert ended > whole.moments


class Breaking:
    """A signer that signs `good` times, then breaks; never the same signature twice."""

    spki = CA_KEY.spki
    algorithm = ECDSA_SHA256

    def __init__(self, good: int) -> None:
        self.good = good
        self._key = ec.derive_private_key(12, ec.SECP256R1())

    def sign(self, data: bytes) -> bytes:
        self.good -= 1
        if self.good < 0:
            raise OSError("the token was pulled out")
        return self._key.sign(data, ec.ECDSA(hashes.SHA256()))


@pytest.mark.parametrize("detached", [False, True], ids=["embedded", "detached"])
async def test_a_signer_that_breaks_ends_a_run_which_then_goes_on(
    path: Path, monkeypatch: pytest.MonkeyPatch, detached: bool
) -> None:
    """Its signatures differ each time, so a certificate that was signed anew would be seen as a second one."""
    monkeypatch.setattr(bulk, "GROUP", 3)
    ca = Ca(path, detached=detached)
    monkeypatch.setattr("tests.issuance.bulk_kit.AUTHORITY", broken := Authority(
        AUTHORITY.certificate, Breaking(0), AUTHORITY.name, AUTHORITY.above))  # fmt: skip
    assert broken.signer.spki == Key.from_number(12).spki
    for good in (0, 5, 4, 7):
        broken.signer.good = good
        with pytest.raises(OSError, match="pulled out"):
            await ca.run(order(n) for n in range(1, 21))
    broken.signer.good = 1000
    await ca.run(order(n) for n in range(1, 21))
    check_history(ca, range(1, 21))


async def test_signers_that_wait_are_called_at_once(path: Path) -> None:
    """A key service in the network: as many signatures are under way as the executor has threads."""
    ca = Ca(path)
    monkey = bulk.BulkIssuer.__init__
    with ThreadPoolExecutor(4) as executor, pytest.MonkeyPatch.context() as patch:
        patch.setattr(bulk.BulkIssuer, "__init__", lambda *a, **k: monkey(*a, **k, executor=executor))
        assert len(ca.issued(await ca.run(order(n) for n in range(1, 30)))) == 29
    check_history(ca, range(1, 30))


def test_a_journal_is_of_one_ca_one_signer_and_one_kind(path: Path) -> None:
    open_journal(path, AUTHORITY).close()
    other = Authority(AUTHORITY.above[0], AUTHORITY.signer, AUTHORITY.name)
    more: dict[str, Any]
    for authority, more in (other, {}), (AUTHORITY, {"detached": True}), (AUTHORITY, {"precertificate_signer": other}):
        with pytest.raises(UsageError) as caught:
            open_journal(path, authority, **more)
        assert caught.value.reason == "other-journal"


async def test_whoever_stops_waiting_leaves_a_journal_that_goes_on(path: Path) -> None:
    """Ctrl-C."""
    ca = Ca(path)

    def interrupted() -> Iterator[Order]:
        for n in range(1, 400):
            if n == 200:
                task.cancel()
            yield order(n)

    task = asyncio.create_task(ca.run(interrupted()))
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(await ca.run(order(n) for n in range(1, 400))) == 399
    check_history(ca, range(1, 400))
