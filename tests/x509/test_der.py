"""The strict reader of certificates: what it preserves, what it refuses, and other people's opinion of both."""

from __future__ import annotations

from cryptography import x509

from ctlog.x509.der import oid_text, parse_certificate
from tests.corpus import need_corpus, sample


@need_corpus
def test_extensions_are_those_that_cryptography_sees() -> None:
    for der in sample(200):
        theirs = x509.load_der_x509_certificate(der)
        ours = parse_certificate(der)
        assert [oid_text(e.oid) for e in ours.extensions] == [e.oid.dotted_string for e in theirs.extensions]
        assert [e.critical for e in ours.extensions] == [e.critical for e in theirs.extensions]
