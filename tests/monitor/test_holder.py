"""Names of holders: real spellings that are one holder, and names that are not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctlog import issuance
from monitor.holder import holder_name, normalise, organisation, same_holder


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ("Aeneas Communications ", "aeneas communications"),
        ("Nemont Telephone Cooperative, Inc.", "nemont telephone cooperative"),
        ("TransNexus, Inc.", "transnexus"),
        ("InPhonex.com, L.L.C.", "inphonexcom"),
        ("The Example & Sons Company", "example sons"),
        ("AT&T", "at t"),
        ("Société Générale S.A.", "societe generale"),
        ("Inc.", "inc"),
        ("  ", ""),
        ("株式会社 例", "株式会社 例"),
    ],
)
def test_normal_forms(written, normal):
    assert normalise(written) == normal


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Nemont", "Nemont Telephone Cooperative, Inc."),
        ("CMSInternet LLC", "CMS Internet, Inc"),
        ("AM Communication Labs", "AM Communications Labs, Inc."),
        ("Google LLC", "Google Voice Canada"),
        ("InPhonex", "InPhonex.com LLC"),
        ("ÉCLAIR Télécom", "Eclair Telecom SAS"),
    ],
)
def test_spellings_of_one_holder(one, other):
    assert same_holder(normalise(one), normalise(other))
    assert same_holder(normalise(other), normalise(one))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Intrado", "BCM One Cloud Communications"),
        ("TransNexus", "TCN"),
        ("ABC", "ABCD"),
        ("Bell", "Bellwether"),
        ("Orange County REMC", "Orange County Rural Electric Membership Coop"),
        ("", ""),
        ("", "Example"),
    ],
)
def test_different_holders(one, other):
    assert not same_holder(normalise(one), normalise(other))


@given(st.text())
def test_normalising_is_total_and_stable(name):
    once = normalise(name)
    assert normalise(once) == once or len(name) > 256
    assert once == once.strip()
    assert not once or same_holder(once, once)


@given(st.text(min_size=1), st.text(min_size=1))
def test_sameness_has_no_order(one, other):
    one, other = normalise(one), normalise(other)
    assert same_holder(one, other) == same_holder(other, one)


@pytest.mark.parametrize(
    ("parts", "holder"),
    [
        ({"O": "Example Inc", "CN": "SHAKEN 709J"}, "Example Inc"),
        ({"CN": "Example Inc"}, "Example Inc"),
        ({"CN": "SHAKEN 709J"}, ""),
        ({"CN": "3f2b7c1e-9f44-4f0a-8e0e-3d6d2f6f8a11"}, ""),
        ({"C": "US"}, ""),
    ],
)
def test_whom_a_subject_names(parts, holder):
    assert holder_name(issuance.name(**parts)) == holder


def test_a_name_that_is_none():
    assert holder_name(b"\x30\x80") == ""
    assert organisation(b"") == ""
    assert organisation(issuance.name(CN="Some CA")) == "Some CA"
