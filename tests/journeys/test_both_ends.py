"""Both ends: ten thousand numbers get their certificates while one log is killed, a thousand of them are called with,
and no forged call passes. Real logs, the real command, and OpenSSL's opinion."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from ctlog.cli.files import read_certificates
from ctlog.client.credential import CallPolicy, Trust
from ctlog.client.guarded import GuardedFetcher
from ctlog.client.log_list import LogList, parse_log_list
from ctlog.client.passport import CallCache, verify_passport
from ctlog.client.sct_policy import SctPolicy, verify_scts
from ctlog.errors import CtlogError
from ctlog.issuance import Authority, Key
from ctlog.tn.identity import read_identity
from ctlog.wire.b64 import format_base64
from ctlog.x509.chain import Roots, accepted_root
from ctlog.x509.der import parse_certificate
from tests.call_values import operator_entry
from tests.forged_calls import World, forgeries, token
from tests.issuing_kit import given_out, key_of, number, size_of, start_issuing, two_logs, write_orders
from tests.openssl import s_client, tls_server, verify
from tests.pem import pem
from tests.serving import Serving, command
from tests.wire_values import TestLog

pytestmark = pytest.mark.trial

COUNT, CALLS = 10_000, 1_000
FUTURE, RETIRED, STRANGER = TestLog(91), TestLog(92), TestLog(93)
"""Logs whose keys the forger holds: one that is listed, one that is retired, one that nobody knows."""


class Issued(NamedTuple):
    """What the issuing end leaves behind. `chains`: by number, the certificate first, the root last."""

    folder: Path
    chains: dict[str, tuple[bytes, ...]]
    log_list: LogList
    left: Serving


POLICY = ("--scts", "1", "--operators", "1", "--grace", "2")


def issue_all(folder: Path, logs: list[Serving]) -> None:
    """Ten thousand orders, with a log killed when half of them are logged."""
    write_orders(folder, COUNT)
    with start_issuing(folder, "issued.jsonl", *POLICY) as issuing:
        while size_of(logs[1]) < COUNT // 2:
            assert issuing.poll() is None, issuing.communicate()[1]
            time.sleep(0.05)
        logs[1].kill()
        said = issuing.communicate(timeout=120)[1]
    assert issuing.returncode == 0, said.decode()
    assert len(said.splitlines()) < 3, said.decode()  # who vouches for the list, and nothing that looks like a fault


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Issued]:
    folder = tmp_path_factory.mktemp("both ends")
    with two_logs(folder) as logs:
        issue_all(folder, logs)
        above = tuple(read_certificates(folder / "my-ca/delegate/ca.pem"))
        chains = {}
        for der in given_out(folder / "issued.jsonl", COUNT).values():
            (claimed,) = read_identity(parse_certificate(der)).numbers
            chains[claimed] = (der, *above)
        yield Issued(folder, chains, for_verifiers(folder / "log-list.json"), logs[0])


def for_verifiers(path: Path) -> LogList:
    """The list of the two logs, with two more whose keys the forger holds."""
    value = json.loads(path.read_bytes())
    now_ms = time.time_ns() // 1_000_000
    day_ms = 86_400_000
    value["operators"] += [
        operator_entry("Three", FUTURE, states={"usable": now_ms - day_ms}),
        operator_entry("Gone", RETIRED, states={"usable": now_ms - 9 * day_ms, "retired": now_ms - 2 * day_ms}),
    ]
    return parse_log_list(json.dumps(value).encode())


def trust_of(issued: Issued) -> Trust:
    roots = read_certificates(issued.folder / "my-ca/roots.pem")
    return Trust(Roots(accepted_root(der, "test") for der in roots), issued.log_list, CallPolicy(SctPolicy(1, 1)))


def test_every_number_has_its_certificate_with_the_policy_met(issued: Issued) -> None:
    assert set(issued.chains) == {number(at) for at in range(COUNT)}
    now_ms = time.time_ns() // 1_000_000
    found = [verify_scts(chain[0], chain[1:2], issued.log_list, now_ms, SctPolicy(1, 1))
             for chain in issued.chains.values()]  # fmt: skip
    assert {verdict.outcome for verdict in found} == {"met"}
    of_two = sum(verdict.operators == ["One Inc", "Two Inc"] for verdict in found)
    assert COUNT // 4 < of_two < COUNT  # before the kill, and not after it
    assert sum("One Inc" in verdict.operators for verdict in found) > COUNT * 3 // 4


def test_no_number_was_issued_twice(issued: Issued) -> None:
    """A second certificate for a number would be a further entry in the log that lived on."""
    assert COUNT * 3 // 4 < size_of(issued.left) <= COUNT
    assert len({chain[0] for chain in issued.chains.values()}) == COUNT


def test_whoever_asks_again_is_given_the_same(issued: Issued) -> None:
    with start_issuing(issued.folder, "again.jsonl", *POLICY) as issuing:
        said = issuing.communicate(timeout=120)[1]
    assert issuing.returncode == 0, said.decode()
    again = given_out(issued.folder / "again.jsonl", COUNT)
    assert again == given_out(issued.folder / "issued.jsonl", COUNT)
    assert size_of(issued.left) <= COUNT


def test_the_log_that_was_killed_keeps_what_it_promised(issued: Issued) -> None:
    two = next(log for log in issued.log_list.logs if log.operator == "Two Inc")
    now_ms = time.time_ns() // 1_000_000
    places = {}
    for digits, chain in issued.chains.items():
        for one in verify_scts(chain[0], chain[1:2], issued.log_list, now_ms, SctPolicy(1, 1)).good:
            if one.log is two and one.verified is not None:
                places[one.verified.leaf_index] = digits
    again = Serving(issued.folder / "two")
    try:
        assert len(places) <= size_of(again) <= COUNT
        assert max(filter(None, places)) < size_of(again)
        key = format_base64(two.key.spki)
        command("fsck", again.url, "--key", key, state=issued.folder / "state")
        for place in (min(places), max(places)):
            path = issued.folder / "kept.pem"
            path.write_bytes(pem(*issued.chains[places[place]]))
            said = command("verify", path, "--log", again.url, "--key", key, state=issued.folder / "state").stdout
            assert f"entry {place} of " in said
    finally:
        assert again.stop() == 0


def test_a_thousand_calls_are_believed(issued: Issued) -> None:
    trust, cache = trust_of(issued), CallCache()
    for at in range(0, COUNT, COUNT // CALLS):
        now_ms = time.time_ns() // 1_000_000
        world = world_of(issued, at, now_ms)
        verdict = verify_passport(token(world), trust, now_ms, cache=cache)
        assert (verdict.outcome, verdict.coverage, verdict.row("V2")) == ("passed", "number", "passed"), verdict.reasons
    assert len(cache) == CALLS


def world_of(issued: Issued, at: int, now_ms: int) -> World:
    chain = issued.chains[number(at)]
    key = Key.from_pem((issued.folder / "my-ca/delegate/ca-key.pem").read_bytes())
    authority = Authority.of(chain[1:], key)
    own = Key.from_pem((issued.folder / "my-ca/shaken/ca-key.pem").read_bytes())
    carrier = Authority.of(list(read_certificates(issued.folder / "my-ca/shaken/ca.pem")), own)
    return World(chain, key_of(at), number(at), authority, carrier, FUTURE, RETIRED, STRANGER, now_ms)


def test_no_forged_call_is_believed(issued: Issued) -> None:
    trust = trust_of(issued)
    now_ms = time.time_ns() // 1_000_000
    words = set()
    for forgery in forgeries(world_of(issued, 4242, now_ms)):
        verdict = verify_passport(forgery.token, trust, now_ms, call=forgery.call)
        assert (verdict.outcome, verdict.reasons[0]) == ("failed", forgery.word), verdict.reasons
        words.add(forgery.word)
    assert len(words) >= 20


async def test_a_certificate_that_is_to_be_fetched_from_inside_is_not(issued: Issued) -> None:
    trust, now_ms = trust_of(issued), time.time_ns() // 1_000_000
    url = issued.left.url.replace("http://", "https://") + "cert.pem"
    forged = token(world_of(issued, 0, now_ms), x5u=url)
    (need,) = verify_passport(forged, trust, now_ms).needs
    came: Any = b""
    async with GuardedFetcher(user_agent="a test") as fetcher:
        try:
            came = await fetcher.get(need.url)
        except CtlogError as error:
            came = error
    verdict = verify_passport(forged, trust, now_ms, fetched={need.url: came})
    assert (verdict.outcome, verdict.reasons) == ("failed", ("x5u-inward-address",))


def test_openssl_agrees_about_the_scts(issued: Issued) -> None:
    now_ms = time.time_ns() // 1_000_000
    keys = {log.operator.split()[0]: log.key for log in issued.log_list.logs[:2]}
    for at in (0, COUNT - 1):
        chain = issued.chains[number(at)]
        ours = verify_scts(chain[0], chain[1:2], issued.log_list, now_ms, SctPolicy(1, 1))
        assert verify(issued.folder, chain) == "OK"
        with tls_server(issued.folder, chain[:-1], key_of(at)) as port:
            said = s_client(issued.folder, port, chain[-1], {name: key.spki for name, key in keys.items()})
        assert said == ["valid"] * len(ours.good)

