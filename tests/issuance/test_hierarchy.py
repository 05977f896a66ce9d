"""ctlog.issuance.hierarchy: every CA stands under its root, and says what it is for."""

from __future__ import annotations

import re

import pytest

from ctlog import issuance
from ctlog.errors import MalformedError
from ctlog.issuance import DAY_MS
from ctlog.issuance.hierarchy import MAX_LABEL, make_hierarchy
from ctlog.issuance.issue import precertificate
from ctlog.issuance.requests import check_issuable
from ctlog.tn.identity import read_identity
from ctlog.x509.der import parse_certificate
from ctlog.x509.findings import certificate_findings, path_findings
from tests.issued import KEY, NOW, check_chain

MADE = make_hierarchy(NOW, issuance.number_range("12025550100", 100), label="Acme", country="CA")


def test_every_ca_stands_under_its_root_and_nothing_is_odd() -> None:
    assert len({member.key.spki for member in MADE}) == 6
    for member in MADE:
        chain = member.authority.chain
        if len(chain) > 1:
            parent = next(one.authority for one in MADE if one.authority.chain == chain[1:])
            check_chain(chain[0], parent)
        parsed = [parse_certificate(der) for der in chain]
        assert parsed[0].spki == member.key.spki
        assert path_findings(parsed) == []
        assert [certificate_findings(each, NOW) for each in parsed] == [[]] * len(parsed)
        assert chain[-1] in MADE.roots


def test_they_say_in_their_names_that_they_are_for_tests() -> None:
    for member in MADE:
        assert b"Acme Test" in member.authority.name
        assert b"(for tests)" in member.authority.name
    assert b"SHAKEN ROOT" in MADE.shaken_root.authority.name


def test_the_longest_label_gives_names_of_64_characters_and_one_more_is_refused() -> None:
    held = issuance.number_range("12025550100", 100)
    longest = max((value for member in make_hierarchy(NOW, held, label="x" * MAX_LABEL) for value in
                   re.findall(rb"x[ -~]+", member.authority.name)), key=len)  # fmt: skip
    assert len(longest) == 64
    for label in ("x" * (MAX_LABEL + 1), "", " ", "a\nb"):
        with pytest.raises(MalformedError, match="a label is"):
            make_hierarchy(NOW, held, label=label)
    with pytest.raises(MalformedError, match="two capital letters"):
        make_hierarchy(NOW, held, country="USA")


def test_each_issues_what_it_is_for() -> None:
    who = issuance.Subject(issuance.name(CN="x"), KEY.spki, NOW, NOW + 30 * DAY_MS)
    shaken = issuance.shaken_leaf(MADE.shaken_ca.authority, KEY.spki, "709J", "Carrier",
                                  not_before_ms=NOW, not_after_ms=NOW + DAY_MS)  # fmt: skip
    precertificate(MADE.shaken_ca.authority, shaken, MADE.precert_signer.authority)
    delegate = issuance.delegate_leaf(MADE.delegate_ca.authority, who, issuance.one("12025550123"))
    messaging = issuance.rcs_leaf(MADE.rcs_ca.authority, who, "12025550123")
    for member, tbs in ((MADE.shaken_ca, shaken), (MADE.delegate_ca, delegate), (MADE.rcs_ca, messaging)):
        assert check_issuable(member.authority, tbs, NOW) == ()
    held = read_identity(parse_certificate(MADE.delegate_ca.authority.certificate))
    assert [str(claim) for claim in held.claims] == ["12025550100-12025550199"]
