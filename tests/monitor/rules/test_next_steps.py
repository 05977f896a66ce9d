"""monitor.rules.next_steps: every alert says what a person can do; whoever is not known is not to be asked."""

import pytest

from ctlog.tn.numbers import NumberRange, TelephoneNumber
from monitor.entry import Place, read_entry
from monitor.rules.next_steps import ask, revoke, supervisor
from monitor.rules.values import Revocations, Revoked
from tests.monitor_certificates import NOW_MS, ROGUE, TRUST, leaf_of, number_leaf, subject, trust
from tests.monitor_rules import N, code_entry, findings, item, number_entry

PLACE = Place(b"\1" * 32, "log.example", 9)


def unknown(claims=None, **options):
    """Of an issuer whom no signature shows: its chain is withheld."""
    certificate = ROGUE.certificate_for(number_leaf(claims or [TelephoneNumber(N)], ROGUE, subject(**options)))
    return read_entry(PLACE, leaf_of(certificate), trust=TRUST)


def test_an_issuer_that_is_known_is_asked():
    entry = number_entry(ca=ROGUE)
    assert ask(entry, "to replace it") == "Ask Rogue CA to replace it."
    assert revoke(entry) == "demand its revocation from Rogue CA"


def test_one_that_is_not_known_is_not():
    """His name may be anybody's: whoever it belongs to has nothing to do with it."""
    assert ask(unknown(), "to replace it") == (
        "Nobody can be asked to replace it, for who issued it is not known: ask the operator of the log log.example "
        "who submitted it, and show it to your provider."
    )
    assert "Rogue" not in revoke(unknown())
    assert "log.example" in revoke(unknown())


def test_who_stands_above():
    assert supervisor(code_entry()).startswith("the STI-PA")
    assert supervisor(unknown()) == "those who accept its root"
    other = read_entry(PLACE, number_entry().leaf, chain=number_entry().chain, trust=trust(domain="rcs"))
    assert supervisor(other) == "those who accept its root"


REVOKED = Revocations([Revoked(b"", b"", unknown().key_hash, NOW_MS)])


@pytest.mark.parametrize(
    ("entry", "of", "context"),
    [
        (unknown(), item(), {}),
        (unknown(days=900), item(), {}),
        (unknown([NumberRange("12025550000", 20_000)]), item(), {}),
        (unknown([TelephoneNumber(N), TelephoneNumber("*67")]), item(), {}),
        (unknown(), item(holders=("Example Telecom",), issuers=("Rightful CA",)), {}),
        (unknown(), item(added_ms=NOW_MS + 10), {"was_there": True}),
        (unknown(), item(), {"revocations": REVOKED}),
    ],
)
def test_no_rule_sends_anybody_to_somebody_who_is_not_known(entry, of, context):
    """`findings` asserts it of every rule in every test; these are entries whose issuer nobody knows."""
    found = findings(entry, of, **context)
    assert found
    assert not any("Rogue" in each.action for each in found.values())
