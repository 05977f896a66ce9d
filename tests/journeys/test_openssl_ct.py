"""OpenSSL's check of SCTs: `s_client -ct` on a TLS server whose certificate holds ours beside its TNAuthList."""

from __future__ import annotations

import hashlib
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ctlog import issuance
from ctlog.client.sct import verify_embedded_sct, verify_sct
from ctlog.errors import SctError
from ctlog.issuance import DAY_MS, Key
from ctlog.tn.identity import read_identity
from ctlog.wire.b64 import format_base64
from ctlog.wire.rfc6962 import (
    EntryType,
    LogKey,
    SignedCertificateTimestamp,
    SignedEntry,
    TimestampedEntry,
    format_merkle_tree_leaf,
    format_sct,
    format_sct_list,
)
from ctlog.wire.tls import uint, vector
from ctlog.x509.der import parse_certificate
from tests.openssl import s_client, tls_server
from tests.pem import pem
from tests.serving import leashed
from tests.tools import tool
from tests.wire_values import RsaLog, TestLog

pytestmark = pytest.mark.trial

NOW = time.time_ns() // 1_000_000 - 60_000  # s_client takes the start of its session, in whole seconds, as now
LOG = TestLog(31)
CA = issuance.example_authority(NOW, root_key=Key.from_number(32), key=Key.from_number(33))
SERVER_KEY = Key.from_number(34)
TBS = issuance.shaken_leaf(
    CA, SERVER_KEY.spki, "709J", "Carrier", not_before_ms=NOW - DAY_MS, not_after_ms=NOW + DAY_MS
)
ENTRY = SignedEntry(EntryType.PRECERT, TBS, hashlib.sha256(CA.signer.spki).digest())


@contextmanager
def server_with_tls_extension(folder: Path, certificate: bytes, sct_list: bytes) -> Iterator[int]:
    """OpenSSL's own server, which hands the SCT list over in the TLS extension (RFC 6962 section 3.3.1)."""
    (folder / "leaf.pem").write_bytes(pem(certificate))
    (folder / "above.pem").write_bytes(pem(CA.certificate))
    (folder / "key.pem").write_bytes(SERVER_KEY.to_pem())
    extension = uint(18, 2) + vector(sct_list, 2)
    info = f"-----BEGIN SERVERINFO FOR SCT-----\n{format_base64(extension)}\n-----END SERVERINFO FOR SCT-----\n"
    (folder / "info.pem").write_text(info)
    command = [tool("openssl"), "s_server", "-accept", "127.0.0.1:0", "-tls1_2"]
    for option, name in (("serverinfo", "info"), ("cert", "leaf"), ("cert_chain", "above"), ("key", "key")):
        command += [f"-{option}", str(folder / f"{name}.pem")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    process = subprocess.Popen(leashed(*command), text=True, **pipes)
    said = []
    try:
        for line in process.stdout or ():
            said.append(line)
            if found := re.match(r"ACCEPT 127\.0\.0\.1:(\d+)", line):
                yield int(found[1])
                return
        pytest.fail("".join(said))
    finally:
        process.kill()
        process.communicate()


def statuses(folder: Path, scts: list[SignedCertificateTimestamp], spki: bytes = LOG.spki) -> list[str]:
    """The same, of a certificate that has these embedded."""
    certificate = CA.final(TBS, [format_sct(sct) for sct in scts])
    with tls_server(folder, (certificate, CA.certificate), SERVER_KEY) as port:
        return s_client(folder, port, CA.above[-1], {"ours": spki})


def test_an_embedded_sct_beside_a_tn_auth_list_is_valid(tmp_path: Path) -> None:
    sct = LOG.sct(ENTRY, NOW, 70_001)
    certificate = CA.final(TBS, [format_sct(sct)])
    assert [claim.code for claim in read_identity(parse_certificate(certificate)).claims] == ["709J"]
    assert verify_embedded_sct(certificate, CA.chain, LOG.key, NOW).leaf_index == 70_001
    assert statuses(tmp_path, [sct]) == ["valid"]


def test_an_sct_of_a_log_with_an_rsa_key_is_valid(tmp_path: Path) -> None:
    log = RsaLog()
    signed = log.sign(format_merkle_tree_leaf(TimestampedEntry(NOW, ENTRY, b"")))
    sct = SignedCertificateTimestamp(LogKey.from_spki(log.spki).log_id, NOW, b"", signed)
    assert statuses(tmp_path, [sct], log.spki) == ["valid"]


def test_what_openssl_refuses_so_do_we(tmp_path: Path) -> None:
    good = LOG.sct(ENTRY, NOW, 1)
    scts = {
        "valid": good,
        "bad-signature": good._replace(extensions=LOG.sct(ENTRY, NOW, 2).extensions),
        "from-the-future": LOG.sct(ENTRY, NOW + DAY_MS, 3),
        "unknown-log": TestLog(99).sct(ENTRY, NOW, 4),
    }
    assert statuses(tmp_path, list(scts.values())) == ["valid", "invalid", "invalid", "unknown log"]
    certificate = CA.final(TBS, [format_sct(sct) for sct in scts.values()])
    verify_sct(certificate, CA.chain, good, LOG.key, NOW)
    for reason, sct in list(scts.items())[1:]:
        with pytest.raises(SctError) as caught:
            verify_sct(certificate, CA.chain, sct, LOG.key, NOW)
        assert caught.value.reason == reason


def test_an_sct_over_the_final_certificate_is_valid(tmp_path: Path) -> None:
    certificate = CA.certificate_for(TBS)
    sct = LOG.sct(SignedEntry(EntryType.X509, certificate), NOW, 5)
    wrong = LOG.sct(SignedEntry(EntryType.X509, certificate + b"x"), NOW, 5)
    verify_sct(certificate, [], sct, LOG.key, NOW)
    sct_list = format_sct_list([format_sct(sct), format_sct(wrong)])
    with server_with_tls_extension(tmp_path, certificate, sct_list) as port:
        assert s_client(tmp_path, port, CA.above[-1], {"ours": LOG.spki}) == ["valid", "invalid"]
