"""`ctlog ca certificate` as it is typed: each profile, each refusal, and logs that are down."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from ctlog.cli import ca_certificate as cli_ca_certificate
from ctlog.cli import run
from ctlog.cli.ca_logs import now_ms
from ctlog.cli.files import read_certificates
from ctlog.client.sct import embedded_scts, verify_embedded_sct
from ctlog.issuance import carrier_proof
from ctlog.tn.claim_constraints import ClaimConstraints, constraints_of
from ctlog.tn.identity import read_identity
from ctlog.wire.rfc6962 import parse_sct_list
from ctlog.x509.der import Certificate, parse_certificate
from ctlog.x509.names import name_text
from tests.several_logs import SocketLog, in_a_thread
from tests.tools import tool

LATER = 4_000_000_000_000
GONE = "http://127.0.0.1:9/"
FIRST = "http://127.0.0.1:9/first/"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("a ca")
    assert run(["ca", "init", str(folder / "my-ca"), "--range", "12025550100+100", "--code", "709J"]) == 0
    return folder


@pytest.fixture(scope="module")
def logs() -> Iterator[tuple[list[SocketLog], list[str]]]:
    made = [SocketLog(1), SocketLog(2)]
    with in_a_thread(*made) as urls:
        yield made, urls


@pytest.fixture(autouse=True)
def here(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(place)
    clear()


def clear(*patterns: str) -> None:
    """Nothing overwrites what an earlier call left."""
    for pattern in patterns or ("*.pem", "*.sct-list"):
        for left in Path().glob(pattern):
            left.unlink()


Logs = tuple[list[SocketLog], list[str]]


def issue(logs: Logs, ca: str, *words: str, code: int = 0, key: str = "--new-key") -> Certificate | None:
    line = ["ca", "certificate", "--ca", f"my-ca/{ca}.pem", key, "key.pem", *words, "--log", *logs[1]]
    assert run([*line, "--out", "leaf.pem"]) == code
    if code:
        assert not Path("leaf.pem").exists()
        return None
    chain = tuple(read_certificates(Path("leaf.pem")))
    scts = embedded_scts(chain[0]) or parse_sct_list(Path("leaf.pem.sct-list").read_bytes())
    assert len(scts) == 2
    return parse_certificate(chain[0])


def claims(certificate: Certificate | None) -> list[str]:
    assert certificate is not None
    return [str(claim) for claim in read_identity(certificate).claims]


def test_a_service_providers_by_the_ca_or_a_signer_of_precertificates(logs: Logs) -> None:
    for more in ([], ["--precert-signer", "my-ca/shaken/precert-signer.pem"]):
        clear()
        found = issue(logs, "shaken/ca", "--code", "709J", "--organization", "Acme", "--country", "CA", *more)
        assert claims(found) == ["709J"]
        assert found is not None
        assert b"SHAKEN 709J" in found.subject
        chain = tuple(read_certificates(Path("leaf.pem")))
        for log in logs[0]:
            verify_embedded_sct(found.der, chain[1:], log.log.key, LATER)


def test_a_delegates_with_constraints(logs: Logs) -> None:
    found = issue(logs, "delegate/ca", "--number", "12025550123", "--range", "12025550130+5", "--organization", "VoIP",
                  "--must-include", "attest", "--permit", "attest=A", "attest=B", "--must-exclude", "rcd")  # fmt: skip
    assert claims(found) == ["12025550130-12025550134", "12025550123"]
    assert found is not None
    assert constraints_of(found) == (ClaimConstraints(("attest",), (("attest", ("A", "B")),), ("rcd",)),)


def test_rich_call_data_without_its_integrity_is_looked_at_twice(
    logs: Logs, capsys: pytest.CaptureFixture[str]
) -> None:
    issue(logs, "delegate/ca", "--number", "12025550123", "--organization", "VoIP", "--must-exclude", "rcdi")
    assert "Look twice: Without rcdi" in capsys.readouterr().err


def test_a_scope_that_lies_elsewhere(logs: Logs, capsys: pytest.CaptureFixture[str]) -> None:
    found = issue(logs, "shaken/ca", "--scope-url", "https://tn.example/list", "--organization", "VoIP")
    assert found is not None
    assert read_identity(found).by_reference == ("https://tn.example/list",)
    assert "Look twice: " in capsys.readouterr().err


def test_a_messaging_clients_goes_without_scts_and_they_beside_it(
    logs: Logs, capsys: pytest.CaptureFixture[str]
) -> None:
    found = issue(logs, "rcs/ca", "--tel", "12025550123")
    assert found is not None
    assert not embedded_scts(found.der)
    said = capsys.readouterr().err
    assert "monitors warn of" in said
    assert "Its SCTs lie in leaf.pem.sct-list." in said
    clear("leaf.*")
    proof = carrier_proof(now_ms() + 90 * 86_400_000, b"signed")
    Path("proof").write_bytes(proof)
    more = ["--participant-key", "my-ca/rcs/root-key.pem", "--carrier-proof", "proof"]
    found = issue(logs, "rcs/ca", "--tel", "12025550123", *more, key="--key")
    assert found is not None
    assert proof in found.der
    assert "monitors warn of" not in capsys.readouterr().err


def test_to_the_letter_of_atis_without_scts(logs: Logs) -> None:
    found = issue(logs, "shaken/ca", "--code", "709J", "--organization", "Acme", "--detached")
    assert found is not None
    assert not embedded_scts(found.der)
    assert len(parse_sct_list(Path("leaf.pem.sct-list").read_bytes())) == 2


def test_from_a_request_made_by_openssl(logs: Logs) -> None:
    line = ["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "own-key.pem",
            "-subj", "/C=CA/O=Acme/CN=Acme 1", "-out", "key.pem"]  # fmt: skip
    subprocess.run([tool("openssl"), *line], check=True, capture_output=True)
    found = issue(logs, "delegate/ca", "--number", "12025550123", key="--csr")
    assert found is not None
    assert b"Acme 1" in found.subject
    assert claims(found) == ["12025550123"]


def test_the_finished_certificate_is_submitted_too(logs: Logs) -> None:
    before = len(logs[0][0].given)
    issue(logs, "shaken/ca", "--code", "709J", "--organization", "Acme", "--submit-final")
    assert len(logs[0][0].given) == before + 2


def test_what_is_printed_without_out(logs: Logs, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["ca", "certificate", "--ca", "my-ca/shaken/ca.pem", "--code", "709J", "--organization", "Acme",
            "--new-key", "key.pem", "--log", *logs[1]]  # fmt: skip
    assert run(line) == 0
    assert capsys.readouterr().out.count("-----BEGIN CERTIFICATE-----") == 2
    line[line.index("--new-key")] = "--key"
    assert run([*line, "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert len(embedded_scts(base64.b64decode(value["certificate"]))) == len(value["scts"]) == 2
    assert len(set(value["operators"])) == 2


def test_a_ca_issues_for_no_other_numbers(logs: Logs, capsys: pytest.CaptureFixture[str]) -> None:
    issue(logs, "delegate/ca", "--number", "12025560123", "--organization", "VoIP", code=0)  # 709J: nobody can tell
    assert "Look twice: " in capsys.readouterr().err
    for left in Path().glob("*.pem"):
        left.unlink()
    assert run(["ca", "init", "narrow"]) == 0
    line = ["ca", "certificate", "--ca", "narrow/delegate/ca.pem", "--number", "12025560123", "--organization", "VoIP",
            "--new-key", "key.pem", "--log", *logs[1], "--out", "leaf.pem"]  # fmt: skip
    assert run(line) == 1
    assert "claims more than a CA above it holds" in capsys.readouterr().err
    assert not Path("leaf.pem").exists()


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--code", "709J"], "--organization"),
        (["--organization", "Acme"], "for what?"),
        (["--tel", "12025550123", "--code", "709J"], "messaging profile"),
        (["--tel", "12025550123", "--must-exclude", "rcd"], "messaging profile"),
        (["--tel", "12025550123", "--days", "77"], "76 days"),
        (["--number", "12025550123", "--organization", "A", "--must-exclude", "orig"], "which every PASSporT has"),
        (["--number", "12025550123", "--organization", "A", "--permit", "attest"], "CLAIM=VALUE"),
        (["--code", "709J", "--organization", "Acme", "--key", "my-ca/shaken/ca-key.pem"], "whose key?"),
        (["--code", "709J", "--organization", "Acme", "--precert-signer", "my-ca/rcs/ca.pem"], "signing cert"),
    ],
)
def test_what_makes_no_sense(
    logs: Logs, words: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    issue(logs, "shaken/ca", *words, code=2)
    assert problem in capsys.readouterr().err


def test_a_key_is_never_overwritten(logs: Logs, capsys: pytest.CaptureFixture[str]) -> None:
    Path("key.pem").write_text("mine")
    issue(logs, "shaken/ca", "--code", "709J", "--organization", "Acme", code=2)
    assert "key.pem is there already; nothing is overwritten" in capsys.readouterr().err
    assert Path("key.pem").read_text() == "mine"


SHAKEN = ("--code", "709J", "--organization", "Acme")


def test_out_never_takes_the_place_of_a_key_a_certificate_or_a_list(
    logs: Logs, capsys: pytest.CaptureFixture[str]
) -> None:
    """It once wrote over whatever was there: the private key of the CA, and the key that it had just made."""
    clear()
    before = [len(log.given) for log in logs[0]]
    mine = {name: Path(name).read_bytes() for name in ("my-ca/shaken/ca-key.pem", "my-ca/shaken/ca.pem")}
    line = ["ca", "certificate", "--ca", "my-ca/shaken/ca.pem", *SHAKEN, "--new-key", "key.pem", "--log", *logs[1]]
    for name, content in mine.items():
        for option in ("--out", "--sct-list"):
            assert run([*line, option, name]) == 2
            assert "is there already; nothing is overwritten" in capsys.readouterr().err
        assert Path(name).read_bytes() == content
    for words in (["--out", "key.pem"], ["--out", "./key.pem"], ["--out", "a.pem", "--sct-list", "a.pem"]):
        assert run([*line, *words]) == 2
        assert "two files would be one" in capsys.readouterr().err
    Path("b.pem.sct-list").write_bytes(b"mine")
    assert run([*line, "--detached", "--out", "b.pem"]) == 2
    assert Path("b.pem.sct-list").read_bytes() == b"mine"
    assert sorted(each.name for each in Path().glob("*.pem")) == []
    assert [len(log.given) for log in logs[0]] == before


def test_a_place_that_is_none_is_found_out_before_anything_is_logged(
    logs: Logs, capsys: pytest.CaptureFixture[str]
) -> None:
    before = [len(log.given) for log in logs[0]]
    line = ["ca", "certificate", "--ca", "my-ca/shaken/ca.pem", *SHAKEN, "--new-key", "key.pem", "--log", *logs[1]]
    assert run([*line, "--out", "nowhere/leaf.pem"]) == 2
    assert "no file can be made in nowhere" in capsys.readouterr().err
    assert not Path("key.pem").exists()
    assert [len(log.given) for log in logs[0]] == before


@pytest.mark.parametrize("as_json", [False, True])
def test_a_certificate_that_was_logged_is_printed_where_it_cannot_be_written(
    logs: Logs, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, as_json: bool
) -> None:
    write = cli_ca_certificate.write_new

    def full(path: Path, data: bytes, mode: int = 0o666) -> None:
        if "key" not in path.name:
            raise OSError(28, "No space left on device", str(path))
        write(path, data, mode)

    monkeypatch.setattr(cli_ca_certificate, "write_new", full)
    line = ["ca", "certificate", "--ca", "my-ca/shaken/ca.pem", *SHAKEN, "--new-key", "key.pem", "--log", *logs[1],
            "--detached", "--out", "leaf.pem", *(["--json"] if as_json else [])]  # fmt: skip
    assert run(line) == 3
    out, err = capsys.readouterr()
    assert "leaf.pem could not be written (No space left on device): the certificate is printed instead" in err
    assert "leaf.pem.sct-list could not be written" in err
    assert "is issued" not in err
    if as_json:
        told = json.loads(out)
        leaf = base64.b64decode(told["certificate"])
        assert len(parse_sct_list(base64.b64decode(told["sct_list"]))) == 2
    else:
        Path("printed.pem").write_text(out)
        leaf = next(iter(read_certificates(Path("printed.pem"))))
    assert hashlib.sha256(leaf).hexdigest() in logs[0][0].given


def test_a_service_provider_with_constraints_is_called_by_its_code_too(logs: Logs) -> None:
    found = issue(logs, "shaken/ca", *SHAKEN, "--must-include", "attest")
    assert found is not None
    assert name_text(found.subject) == "CN=SHAKEN 709J,O=Acme,C=US"
    assert constraints_of(found) == (ClaimConstraints(("attest",)),)


TEL = ("--tel", "12025550123")


@pytest.mark.parametrize(
    ("by", "words", "problem"),
    [
        ("rcs", ["--tel", "+1202x"], "--tel '+1202x': a number has a character other than"),
        ("rcs", ["--tel", "+12025550123"], "a number has a character other than"),
        ("rcs", ["--tel", "1" * 21], "a number has 21 characters"),
        ("rcs", ["--tel", "*67"], "names numbers only"),
        ("rcs", [*TEL, "--common-name", "not a uuid"], "--common-name 'not a uuid': the holder of a messaging"),
        ("rcs", [*TEL, "--participant-key", "my-ca/rcs/root-key.pem", "--vendor", "1"], "another vendor than the CA's"),
        ("shaken", [*TEL, "--participant-key", "my-ca/rcs/root-key.pem"], "names no messaging vendor"),
        ("rcs", [*TEL, "--participant-key", "my-ca/roots.pem"], "my-ca/roots.pem: this is no unencrypted private key"),
        ("shaken", ["--code", "ab cd!", "--organization", "Acme"], "--code 'ab cd!': a code is 1 to 16 digits"),
        ("shaken", ["--code", "709J", "--organization", "x" * 70], "--organization 'xxx"),
        ("shaken", ["--code", "709J", "--organization", "a\x00b"], "printable characters"),
        ("shaken", ["--code", "709J", "--organization", " "], "names no holder"),
        ("shaken", [*SHAKEN, "--common-name", "x" * 65], "--common-name 'xxx"),
        ("shaken", [*SHAKEN, "--country", "Usa"], "--country 'Usa': a country is two capital letters"),
        ("shaken", [*SHAKEN, "--carrier-proof", "my-ca/roots.pem"], "are for --tel"),
        ("shaken", ["--scope-url", "http://x", "--organization", "Acme"], "--scope-url 'http://x': a list of numbers"),
        ("shaken", ["--scope-url", "https://", "--organization", "Acme"], "lies at an https URL"),
    ],
)
def test_what_orders_by_the_thousand_may_not_say_one_may_not_either(
    logs: Logs, by: str, words: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = [len(log.given) for log in logs[0]]
    issue(logs, f"{by}/ca", *words, code=2)
    assert problem in capsys.readouterr().err
    assert not Path("key.pem").exists()
    assert [len(log.given) for log in logs[0]] == before


@pytest.mark.parametrize(
    ("proof", "problem"),
    [(b"hi\n", "is no expiry, length and signature"), (carrier_proof(1_000_000, b"signed"), "has ended")],
)
def test_a_carriers_proof_that_is_none(
    logs: Logs, proof: bytes, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("proof").write_bytes(proof)
    issue(logs, "rcs/ca", *TEL, "--carrier-proof", "proof", code=1)
    assert problem in capsys.readouterr().err


def test_a_request_whose_names_are_none_for_its_profile(logs: Logs, capsys: pytest.CaptureFixture[str]) -> None:
    name = x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "x" * 64),
                      x509.NameAttribute(x509.NameOID.COMMON_NAME, "not a uuid")])  # fmt: skip
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    Path("request").write_bytes(request.public_bytes(Encoding.PEM))
    line = ["ca", "certificate", "--ca", "my-ca/rcs/ca.pem", *TEL, "--csr", "request", "--log", *logs[1]]
    assert run(line) == 2
    assert "the common name of the request, 'not a uuid': the holder of a messaging" in capsys.readouterr().err


def test_one_log_down_is_no_failure_and_two_are(logs: Logs, capsys: pytest.CaptureFixture[str]) -> None:
    more = ["--code", "709J", "--organization", "Acme", "--time-limit", "1", "--grace", "0"]
    three = (logs[0], [*logs[1], GONE])
    assert issue(three, "shaken/ca", *more) is not None
    assert "left out" in capsys.readouterr().err
    Path("key.pem").unlink()
    Path("leaf.pem").unlink()
    issue((logs[0], [logs[1][0], GONE, FIRST]), "shaken/ca", *more, code=3)


def test_logs_that_refuse_are_a_no(logs: Logs, capsys: pytest.CaptureFixture[str]) -> None:
    for log in logs[0]:
        log.refuses = True
    try:
        issue(logs, "shaken/ca", "--code", "709J", "--organization", "Acme", code=1)
    finally:
        for log in logs[0]:
            log.refuses = False
    assert "no such root" in capsys.readouterr().err
