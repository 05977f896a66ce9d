"""The real certificates that tests read, where they are there: `<the folder that holds the repository>/shared/corpus`.

Data only and never part of the repository: a test that needs them carries `need_corpus` and is skipped with a reason
elsewhere. Certificates are DER, in the order of the files.
"""

from __future__ import annotations

import base64
import functools
import gzip
import re
from pathlib import Path

import pytest

_SHARED = Path(__file__).resolve().parents[2] / "shared" / "corpus"
CORPUS: Path | None = _SHARED if _SHARED.is_dir() else None
need_corpus = pytest.mark.skipif(CORPUS is None, reason=f"the corpus of real certificates is not at {_SHARED}")

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)


def pem_certificates(path: Path) -> list[bytes]:
    """DER of every certificate in a PEM file, or in one that is gzip-compressed (by its name, `.gz`)."""
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    return [base64.b64decode(body) for body in _PEM.findall(data)]


def corpus_file(name: str) -> list[bytes]:
    """DER of every certificate in a file of the corpus, such as "shaken/roots.pem"."""
    assert CORPUS is not None, "mark the test with need_corpus"
    return list(_read(CORPUS / name))


def leaves() -> list[bytes]:
    """The 8,753 service-provider certificates."""
    return corpus_file("shaken/leaves-2019-2022.pem.gz") + corpus_file("shaken/leaves-2023.pem.gz")


def sample(count: int = 500) -> list[bytes]:
    """`count` leaves spread evenly over all of them."""
    found = leaves()
    return [found[index * len(found) // count] for index in range(count)]


def roots() -> list[bytes]:
    """The 18 self-issued CA certificates."""
    return corpus_file("shaken/roots.pem")


def intermediates() -> list[bytes]:
    """The 24 issuing CAs whose issuer is among `roots`."""
    return corpus_file("shaken/intermediates.pem")


def null_parameters() -> tuple[list[bytes], bytes]:
    """The 4 CA certificates, and the 1 leaf, with an explicit NULL in ecdsa-with-SHA256."""
    found = corpus_file("shaken/null-parameters.pem")
    return found[:4], found[4]


def odd() -> list[bytes]:
    """The 7 odd leaves: 4 of T-Mobile, 2 with a bare PrintableString, 1 without extensions and without issuer."""
    return corpus_file("shaken/odd.pem")


def authorities() -> list[bytes]:
    """Every CA certificate: roots, intermediates, intermediates without issuer, and those with the explicit NULL."""
    return [*roots(), *intermediates(), *corpus_file("shaken/intermediates-without-issuer.pem"), *null_parameters()[0]]


def lints() -> dict[str, bytes]:
    """The 75 certificates that were made with one defect each, by their name."""
    assert CORPUS is not None, "mark the test with need_corpus"
    return {path.stem: pem_certificates(path)[0] for path in sorted((CORPUS / "shaken-lints").glob("*.pem"))}


@functools.cache
def _read(path: Path) -> tuple[bytes, ...]:
    return tuple(pem_certificates(path))
