"""ctlog.client.issuers: made hierarchies with every ambiguity, and the whole corpus."""

from __future__ import annotations

from ctlog import issuance
from ctlog.client.issuers import IssuerPool
from ctlog.issuance import DAY_MS, Authority, Key, Subject
from ctlog.x509.chain import check_link
from ctlog.x509.der import Certificate, parse_certificate
from ctlog.x509.signatures import load_key
from tests.corpus import authorities, leaves, need_corpus

NOW = 1_790_000_000_000
KEYS = [Key.from_number(n) for n in range(100, 110)]


def root(key: Key, who: str = "root") -> Authority:
    return issuance.root(key, Subject(issuance.name(CN=who), key.spki, NOW, NOW + DAY_MS))


def below(parent: Authority, key: Key, who: str = "ca") -> Authority:
    return issuance.intermediate(parent, key, Subject(issuance.name(CN=who), key.spki, NOW, NOW + DAY_MS))


def leaf(authority: Authority) -> Certificate:
    tbs = issuance.shaken_leaf(authority, KEYS[9].spki, "709J", "X", not_before_ms=NOW, not_after_ms=NOW + DAY_MS)
    return parse_certificate(authority.certificate_for(tbs))


def ders(chain: tuple[Certificate, ...]) -> tuple[bytes, ...]:
    return tuple(c.der for c in chain)


def test_a_chain_goes_up_to_the_self_issued_certificate() -> None:
    authority = below(below(root(KEYS[0]), KEYS[1], "middle"), KEYS[2])
    assert ders(IssuerPool(reversed(authority.chain)).issuers(leaf(authority))) == authority.chain


def test_a_chain_ends_where_the_pool_ends() -> None:
    authority = below(root(KEYS[0]), KEYS[1])
    assert IssuerPool([]).issuers(leaf(authority)) == ()
    assert ders(IssuerPool([authority.certificate]).issuers(leaf(authority))) == (authority.certificate,)
    assert len(IssuerPool([authority.certificate, authority.certificate])) == 1


def test_renewed_authorities_are_told_apart_by_key_identifier() -> None:
    top = root(KEYS[0])
    old, new = below(top, KEYS[1]), below(top, KEYS[2])
    pool = IssuerPool([old.certificate, new.certificate, *top.chain])
    assert ders(pool.issuers(leaf(old))) == old.chain
    assert ders(pool.issuers(leaf(new))) == new.chain


def test_without_identifiers_the_signature_decides() -> None:
    def bare(key: Key) -> Authority:
        who = Subject(issuance.name(CN="ca"), key.spki, NOW, NOW + DAY_MS)
        return root(KEYS[0]).authority(key, who, [issuance.authority_constraints()])

    authorities_ = [bare(key) for key in KEYS[1:5]]
    pool = IssuerPool([a.certificate for a in authorities_] + [root(KEYS[0]).certificate])
    for authority in authorities_:
        assert pool.issuers(leaf(authority))[0].der == authority.certificate


def test_of_two_cross_certificates_the_one_that_reaches_a_root_is_taken() -> None:
    key = KEYS[1]
    lonely = below(below(root(KEYS[2], "elsewhere"), KEYS[3], "unknown"), key)
    known = below(root(KEYS[0]), key)
    for order in ([lonely.certificate, *known.chain], [*known.chain, lonely.certificate]):
        assert ders(IssuerPool(order).issuers(leaf(known))) == known.chain


def test_a_circle_of_cross_certificates_ends() -> None:
    first, second = root(KEYS[0], "a"), root(KEYS[1], "b")
    a_by_b, b_by_a = below(second, KEYS[0], "a"), below(first, KEYS[1], "b")
    chain = IssuerPool([a_by_b.certificate, b_by_a.certificate]).issuers(leaf(first))
    assert ders(chain) == (a_by_b.certificate, b_by_a.certificate)


def test_a_long_line_is_cut_at_what_a_log_takes() -> None:
    authority = root(KEYS[0])
    for n in range(14):
        authority = below(authority, KEYS[n % 8], f"ca {n}")
    assert len(IssuerPool(authority.chain).issuers(leaf(authority))) == 9


@need_corpus
def test_every_leaf_of_the_corpus_finds_an_issuer_that_signed_it() -> None:
    pool = IssuerPool(authorities())
    keys: dict[bytes, object] = {}
    for at, der in enumerate(leaves()):
        certificate = parse_certificate(der)
        issuers = pool.issuers(certificate)
        assert issuers
        if at % 20 == 0:
            key = keys.setdefault(issuers[0].spki, load_key(issuers[0].spki, "issuer"))
            assert check_link(certificate, issuers[0], key, 0).holds()  # type: ignore[arg-type]
