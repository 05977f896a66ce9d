"""Chains to accepted roots: what anchors, what is stored, and the one reason why not."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctlog.errors import InputError, MalformedError, RefusedError
from ctlog.issuance import Authority, Key, Subject, extension, intermediate, name, root, spc, tn_auth_list
from ctlog.x509.chain import (
    BoundedCache,
    PathCache,
    Roots,
    accepted_root,
    is_ca,
    place,
    plan_chain,
    verify_path,
    walk,
)
from ctlog.x509.der import format_tlv, oid, parse_certificate
from tests import der_tree
from tests.corpus import authorities, corpus_file, intermediates, lints, need_corpus, null_parameters, odd, sample
from tests.corpus import roots as corpus_roots

NOW_MS = 1_790_000_000_000
_SERIAL = iter(range(1, 100000))


def who(common_name: str, key: Key) -> Subject:
    return Subject(name(CN=common_name), key.spki, NOW_MS, NOW_MS + 1000, next(_SERIAL))


def below(parent: Authority, common_name: str, number: int) -> Authority:
    key = Key.from_number(number)
    return intermediate(parent, key, who(common_name, key))


def leaf_of(parent: Authority, *extensions: bytes) -> bytes:
    subject = who("SHAKEN 709J", Key.from_number(99))
    return parent.certificate_for(parent.leaf(subject, extensions or (tn_auth_list(spc("709J")),)))


def top(common_name: str, number: int) -> Authority:
    key = Key.from_number(number)
    return root(key, who(common_name, key))


def accepted(*ders: bytes) -> Roots:
    return Roots(accepted_root(der, "test") for der in ders)


ROOT, OTHER = top("ROOT", 31), top("OTHER", 32)
ISSUING = below(ROOT, "Issuing", 33)
LEAF = leaf_of(ISSUING)
ROOTS = accepted(ROOT.certificate)


def stored(chain: list[bytes], anchors: Roots) -> list[bytes]:
    planned = walk(chain, anchors)
    path = planned.path
    assert [hashlib.sha256(c.der).digest() for c in path.certificates] == list(path.fingerprints)
    assert path.anchor.fingerprint == path.fingerprints[-1]
    assert planned.leaf.der == chain[0]
    return [certificate.der for certificate in path.certificates]


def refused(chain: list[bytes], anchors: Roots, **more: Any) -> RefusedError:
    try:
        for check in plan_chain(chain, anchors, **more).checks:
            check.run()
    except RefusedError as error:
        return error
    pytest.fail("the chain was accepted")


# --- what anchors ---


def test_the_root_may_be_left_out_and_is_stored_all_the_same() -> None:
    whole = [ISSUING.certificate, ROOT.certificate]
    assert stored([LEAF, ISSUING.certificate], ROOTS) == whole
    assert stored([LEAF, *whole], ROOTS) == whole
    assert stored([leaf_of(ROOT)], ROOTS) == [ROOT.certificate]
    assert stored([leaf_of(ROOT), ROOT.certificate], ROOTS) == [ROOT.certificate]


def test_a_root_is_below_itself() -> None:
    assert stored([ROOT.certificate], ROOTS) == [ROOT.certificate]
    assert stored([ISSUING.certificate], ROOTS) == [ROOT.certificate]


def test_any_ca_can_be_the_root() -> None:
    anchors = accepted(ISSUING.certificate)
    for chain in ([LEAF], [LEAF, ISSUING.certificate], [LEAF, ISSUING.certificate, ROOT.certificate]):
        assert stored(chain, anchors) == [ISSUING.certificate]
    assert refused([ISSUING.certificate], anchors).reason == "unknown-root"


def test_the_first_accepted_root_ends_the_chain() -> None:
    anchors = accepted(ROOT.certificate, ISSUING.certificate)
    for chain in ([LEAF], [LEAF, ISSUING.certificate], [LEAF, ISSUING.certificate, ROOT.certificate]):
        assert stored(chain, anchors) == [ISSUING.certificate]


def test_a_cross_certificate_or_a_renewed_root_anchors_by_name_and_key() -> None:
    key = Key.from_number(31)
    renewed, crossed = root(key, who("ROOT", key)), below(OTHER, "ROOT", 31)
    assert len({ROOT.certificate, renewed.certificate, crossed.certificate}) == 3
    for instead in (renewed, crossed):
        for above in ([], [OTHER.certificate]) if instead is crossed else ([],):
            chain = [LEAF, ISSUING.certificate, instead.certificate, *above]
            assert stored(chain, ROOTS) == [ISSUING.certificate, ROOT.certificate]
        assert stored([instead.certificate], accepted(OTHER.certificate, ROOT.certificate))
    both = accepted(renewed.certificate, ROOT.certificate)
    assert len(both) == 2
    assert stored([LEAF, ISSUING.certificate, ROOT.certificate], both)[-1] == renewed.certificate


def test_the_other_root_is_reached_through_the_cross_certificate() -> None:
    crossed = below(OTHER, "ROOT", 31).certificate
    whole = [ISSUING.certificate, crossed, OTHER.certificate]
    for chain in ([LEAF, *whole], [LEAF, *whole[:2]]):
        assert stored(chain, accepted(OTHER.certificate)) == whole


def test_roots_of_one_name_are_tried_by_their_keys() -> None:
    same = top("ROOT", 34)
    for order in ((ROOT, same), (same, ROOT)):
        anchors = accepted(*(authority.certificate for authority in order))
        for authority in order:
            assert stored([leaf_of(authority)], anchors) == [authority.certificate]
            mine = below(authority, "Issuing", 35)
            assert stored([leaf_of(mine), mine.certificate], anchors) == [mine.certificate, authority.certificate]
        assert plan_chain([leaf_of(ROOT)], anchors).checks == ()
        stranger = refused([leaf_of(top("ROOT", 36))], anchors)
        assert stranger.reason == "bad-signature"
        assert "any accepted root of that name" in str(stranger)


def test_the_leafs_signature_is_left_to_the_caller() -> None:
    for chain in ([LEAF, ISSUING.certificate], [LEAF, ISSUING.certificate, ROOT.certificate], [leaf_of(ROOT)]):
        planned = plan_chain(chain, ROOTS)
        assert len(planned.checks) == 1
        assert planned.checks[0].tbs == planned.leaf.tbs
        planned.checks[0].run()
        with pytest.raises(RefusedError):
            planned.checks[0]._replace(tbs=b"other").run()


# --- names that are written otherwise ---


def renamed_leaf(issuer_name: bytes) -> bytes:
    """A leaf that the issuing CA signed under another name for itself."""
    tbs = der_tree.read(parse_certificate(LEAF).tbs)
    tbs.children[3] = der_tree.read(issuer_name)
    return ISSUING.certificate_for(tbs.write())


def test_a_name_in_another_encoding_is_accepted_if_the_key_signed() -> None:
    pair = format_tlv(0x06, oid("2.5.4.3")) + b"\x16\x07Issuing"  # an IA5String, where its own is printable
    other = format_tlv(0x30, format_tlv(0x31, format_tlv(0x30, pair)))
    assert other != ISSUING.name
    planned = walk([renamed_leaf(other), ISSUING.certificate], ROOTS)
    assert planned.renamed
    assert not walk([LEAF, ISSUING.certificate], ROOTS).renamed
    assert refused([renamed_leaf(other)], accepted(ISSUING.certificate)).reason == "unknown-root"


def test_a_name_and_a_key_that_both_differ_are_out_of_order() -> None:
    error = refused([LEAF, ROOT.certificate, ISSUING.certificate], accepted(OTHER.certificate))
    assert error.reason in ("chain-out-of-order", "unknown-root")
    error = refused([LEAF, ROOT.certificate], ROOTS)
    assert error.reason == "chain-out-of-order"
    assert str(error).startswith("certificate 2 of the chain did not issue certificate 1 of the chain")


# --- refused ---


def test_an_empty_chain_and_one_too_long() -> None:
    assert refused([], ROOTS).reason == "empty-chain"
    assert refused([LEAF] * 11, ROOTS).reason == "chain-too-long"
    assert refused([LEAF] * 3, ROOTS, max_chain=2).reason == "chain-too-long"


def test_a_chain_of_ten_is_walked() -> None:
    authority, chain = ROOT, []
    for number in range(40, 48):
        authority = below(authority, f"CA {number}", number)
        chain.insert(0, authority.certificate)
    assert len(stored([leaf_of(authority), *chain, ROOT.certificate], ROOTS)) == 9
    assert len(stored([leaf_of(authority), *chain], ROOTS)) == 9
    del chain[3]
    error = refused([leaf_of(authority), *chain], ROOTS)
    assert error.reason == "chain-out-of-order"
    assert str(error).startswith("certificate 5 of the chain did not issue certificate 4")


def test_an_unknown_root_is_named() -> None:
    error = refused([LEAF], ROOTS)
    assert error.reason == "unknown-root"
    assert str(error) == (
        "the issuer of certificate 1 of the chain is neither in the chain nor among the accepted roots: CN=Issuing"
    )
    error = refused([leaf_of(OTHER), OTHER.certificate], ROOTS)
    assert str(error) == "certificate 2 of the chain is not among the accepted roots: CN=OTHER"
    assert refused([LEAF, ISSUING.certificate], Roots()).reason == "unknown-root"


def test_a_stranger_under_a_known_name() -> None:
    impostor = top("ROOT", 37)
    error = refused([leaf_of(impostor)], ROOTS)
    assert error.reason == "bad-signature"
    assert "the signature of certificate 1 of the chain is not valid under the key of the accepted root" in str(error)
    mine = below(impostor, "Issuing", 33)
    assert refused([leaf_of(mine), mine.certificate], ROOTS).reason == "bad-signature"
    assert refused([leaf_of(mine), mine.certificate, impostor.certificate], ROOTS).reason == "bad-signature"


def test_every_flipped_bit_of_a_leaf_is_refused() -> None:
    position = len(LEAF) - len(parse_certificate(LEAF).signature)
    for at in range(len(LEAF)):
        for bit in range(8) if at >= position else (at % 8,):
            bent = bytearray(LEAF)
            bent[at] ^= 1 << bit
            with pytest.raises(InputError):
                walk([bytes(bent), ISSUING.certificate], ROOTS)


def test_every_octet_of_an_issuer_counts() -> None:
    for at in range(0, len(ISSUING.certificate), 7):
        bent = bytearray(ISSUING.certificate)
        bent[at] ^= 0x10
        with pytest.raises(InputError) as caught:
            walk([LEAF, bytes(bent), ROOT.certificate], ROOTS)
        assert "certificate 2 of the chain" in str(caught.value)


def test_what_follows_the_root_must_follow_by_name() -> None:
    crossed = below(OTHER, "ROOT", 31).certificate
    unsigned = crossed[:-1] + bytes((crossed[-1] ^ 1,))
    chain = [LEAF, ISSUING.certificate, unsigned, OTHER.certificate]
    assert stored(chain, ROOTS) == [ISSUING.certificate, ROOT.certificate]
    error = refused([LEAF, ISSUING.certificate, ROOT.certificate, OTHER.certificate], ROOTS)
    assert error.reason == "chain-out-of-order"
    assert str(error) == "certificate 4 of the chain is not what certificate 3 of the chain names as its issuer"
    with pytest.raises(MalformedError, match=r"^certificate 4 of the chain: "):
        walk([LEAF, ISSUING.certificate, ROOT.certificate, b"junk"], ROOTS)


def test_errors_name_the_certificate_and_the_offset() -> None:
    for at in range(3):
        chain = [LEAF, ISSUING.certificate, ROOT.certificate]
        chain[at] += b"\0"
        with pytest.raises(MalformedError) as caught:
            walk(chain, ROOTS)
        assert caught.value.field == place(at)
        assert str(caught.value) == f"{place(at)}: 1 bytes follow its end (offset {len(chain[at]) - 1})"


def test_an_issuer_with_a_key_that_cannot_verify() -> None:
    key = Key.from_number(38)
    subject = Subject(name(CN="Odd"), b"\x30\x00", NOW_MS, NOW_MS + 1000, 1)
    odd_one = ROOT.authority(key, subject, ())
    error = refused([leaf_of(odd_one), odd_one.certificate], ROOTS)
    assert error.reason == "unsupported-key"


def test_who_may_not_issue_is_recorded_not_refused() -> None:
    """A leaf that issues is misissuance, and the log is there to show it."""
    key = Key.from_number(39)
    end_entity = ROOT.authority(key, who("Leaf", key), (extension("2.5.29.19", b"\x30\x00", critical=True),))
    assert not is_ca(parse_certificate(end_entity.certificate))
    assert len(stored([leaf_of(end_entity), end_entity.certificate], ROOTS)) == 2


# --- accepted roots ---


def test_what_is_no_ca_is_no_root() -> None:
    with pytest.raises(RefusedError, match=r"roots\.pem, 3rd is not a CA's certificate: CN=SHAKEN 709J") as caught:
        accepted_root(LEAF, "x", "roots.pem, 3rd")
    assert caught.value.reason == "not-a-ca"
    with pytest.raises(MalformedError):
        accepted_root(b"junk", "x")


@pytest.mark.parametrize(("constraints", "ca"), [
    (b"\x30\x03\x01\x01\xff", True), (b"\x30\x06\x01\x01\xff\x02\x01\x00", True), (b"\x30\x00", False), (b"", False),
    (b"\x30\x03\x01\x01\x00", False), (b"\x30\x03\x02\x01\x05", False), (b"\x30\x81\x03\x01\x01\xff", False),
    (b"\x30\x03\x01\x01\x01", True), (b"junk", False),
])  # fmt: skip
def test_who_says_that_it_is_a_ca(constraints: bytes, ca: bool) -> None:
    assert is_ca(parse_certificate(leaf_of(ROOT, extension("2.5.29.19", constraints)))) is ca


def test_before_version_3_a_self_issued_certificate_is_a_ca() -> None:
    tree = der_tree.read(ROOT.certificate)
    del tree.child(0).children[-1]
    del tree.child(0).children[0]
    assert is_ca(parse_certificate(tree.write()))
    tree = der_tree.read(LEAF)
    del tree.child(0).children[-1]
    del tree.child(0).children[0]
    assert not is_ca(parse_certificate(tree.write()))


def test_roots_are_found_by_fingerprint_and_name() -> None:
    anchors = accepted(ROOT.certificate, OTHER.certificate, ROOT.certificate)
    assert [found.certificate.der for found in anchors] == [ROOT.certificate, OTHER.certificate]
    assert len(anchors) == 2
    fingerprint = hashlib.sha256(OTHER.certificate).digest()
    found = anchors.by_fingerprint(fingerprint)
    assert found is not None
    assert (found.fingerprint, found.trust_domain) == (fingerprint, "test")
    assert anchors.by_fingerprint(b"") is None
    assert [one.certificate.der for one in anchors.named(ROOT.name)] == [ROOT.certificate]


# --- the cache ---


def test_issuers_are_verified_once() -> None:
    cache: PathCache = BoundedCache()
    first = plan_chain([LEAF, ISSUING.certificate], ROOTS, cache)
    again = plan_chain([leaf_of(ISSUING), ISSUING.certificate], ROOTS, cache)
    assert again.path is first.path
    assert len(cache) == 1
    assert refused([LEAF, OTHER.certificate], ROOTS, cache=cache).reason == "unknown-root"
    assert len(cache) == 1


def test_the_cache_lets_the_oldest_go() -> None:
    cache: BoundedCache[int, str] = BoundedCache(100)
    for number in range(20):
        cache.put(number, str(number), 12)
    assert [cache.get(number) for number in (11, 12, 19)] == [None, "12", "19"]
    assert len(cache) == 8
    cache.put(99, "too dear", 13)
    assert cache.get(99) is None
    cache.put(19, "known already", 12)
    assert cache.get(19) == "19"


# --- the corpus ---


@need_corpus
def test_the_corpus_is_anchored() -> None:
    anchors = accepted(*authorities())
    for der in sample(200):
        assert len(stored([der], anchors)) == 1
    assert stored([null_parameters()[1]], anchors)
    results = []
    for der in odd():
        try:
            results.append(bool(stored([der], anchors)))
        except RefusedError as error:
            results.append(error.reason)
    assert sorted(map(str, results)) == ["True"] * 6 + ["unknown-root"]


@need_corpus
def test_intermediates_of_the_corpus_reach_their_roots() -> None:
    anchors = accepted(*corpus_roots())
    assert {len(stored([der], anchors)) for der in intermediates()} == {1}
    for der in corpus_file("shaken/intermediates-without-issuer.pem"):
        assert refused([der], anchors).reason in ("unknown-root", "bad-signature")


@need_corpus
def test_the_hierarchy_with_the_explicit_null_is_walked() -> None:
    found = null_parameters()[0]
    subs = [der for der in found if parse_certificate(der).issuer != parse_certificate(der).subject]
    anchors = accepted(*(der for der in found if der not in subs))
    for der in (der for der in odd() if parse_certificate(der).issuer == parse_certificate(subs[0]).subject):
        lengths = []
        for sub in subs:
            try:
                lengths.append(len(stored([der, sub], anchors)))
            except RefusedError as error:
                lengths.append(error.reason)
        assert 2 in lengths


@need_corpus
def test_a_chain_of_certificates_with_defects() -> None:
    """They are signed by keys that nobody has, so each is refused for that and for nothing else."""
    anchors = accepted(*corpus_roots())
    for der in lints().values():
        assert refused([der], anchors).reason in ("unknown-root", "bad-signature", "sha1-signature")


# --- anything ---


parts = st.one_of(st.binary(max_size=40), st.sampled_from([LEAF, ISSUING.certificate, ROOT.certificate]))


@given(st.lists(parts, max_size=5))
def test_any_chain_is_walked_or_refused(chain: list[bytes]) -> None:
    with suppress(InputError):
        assert walk(chain, ROOTS).path.anchor.certificate.der == ROOT.certificate


@given(st.lists(st.sampled_from([ISSUING.certificate, ROOT.certificate, OTHER.certificate]), min_size=1, max_size=4))
def test_no_path_ends_but_at_an_accepted_root(issuers: list[bytes]) -> None:
    try:
        path = verify_path(issuers, ROOTS)
    except RefusedError:
        return
    assert path.certificates[-1].der == ROOT.certificate
    assert [c.der for c in path.certificates] == [*issuers[: len(path.certificates) - 1], ROOT.certificate]
