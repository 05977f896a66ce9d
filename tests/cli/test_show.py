"""`ctlog show`: every claim in words, names of CAs escaped, and the odd certificates of the corpus."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ctlog import issuance
from ctlog.cli import run
from ctlog.cli.show import _days, international
from ctlog.issuance import DAY_MS, Subject
from ctlog.tn.numbers import NumberRange, ServiceProviderCode, TelephoneNumber
from ctlog.tn.tnauthlist import format_tnauthlist
from tests.corpus import CORPUS, leaves, need_corpus
from tests.small_log import AUTHORITY, LEAF_SPKI, NOW, SmallLog


def make(tn_value: bytes, name: bytes = issuance.name(O="Example", CN="SHAKEN 709J")) -> bytes:
    subject = Subject(name, LEAF_SPKI, NOW, NOW + 7 * DAY_MS, 5)
    return AUTHORITY.certificate_for(issuance.delegate_leaf(AUTHORITY, subject, tn_value))


def shown(tmp_path: Path, capsys: pytest.CaptureFixture[str], der: bytes, *more: str) -> str:
    (tmp_path / "cert.der").write_bytes(der)
    assert run(["show", str(tmp_path / "cert.der"), *more]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(("ms", "said"), [
    (3650 * DAY_MS, "3650"), (7 * DAY_MS, "7"), (DAY_MS // 2, "0.5"), (825 * DAY_MS + 5000, "825"), (-DAY_MS, "-1"),
    (2_912_000 * DAY_MS, "2912000"), (99 * DAY_MS + DAY_MS // 2, "99.5"),
])  # fmt: skip
def test_a_validity_is_said_in_days_that_people_read(ms: int, said: str) -> None:
    """Ten years of a CA were once 3.65e+03 days."""
    assert _days({"not_before_ms": NOW, "not_after_ms": NOW + ms}) == f" ({said} days)"


ALL_KINDS = format_tnauthlist(
    [TelephoneNumber("12025550123"), NumberRange("442079460000", 100), ServiceProviderCode("709J")]
)


def test_every_claim_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(tmp_path, capsys, make(ALL_KINDS)).splitlines()[1:]
    assert out[0] == "  certificate     CN=SHAKEN 709J,O=Example"
    assert out[1] == "  issuer          CN=Example SHAKEN Issuing CA,O=Example,C=US"
    assert out[2] == "  valid           2026-09-21 14:13:20 UTC to 2026-09-28 14:13:20 UTC (7 days)"
    assert out[3] == "  claims          number 12025550123 (+1 202-555-0123, US)"
    assert out[4] == "  claims          100 numbers from 442079460000 (+44 20 7946 0000, GB)"
    assert out[5] == "  claims          service provider code 709J, and every number behind it"
    assert "  SCT             none" in out


def test_the_same_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    value = json.loads(shown(tmp_path, capsys, make(ALL_KINDS), "--json"))
    assert (value["numbers"], value["ranges"], value["codes"]) == (["12025550123"], [["442079460000", 100]], ["709J"])
    assert (value["family"], value["kind"], value["serial"]) == ("stir", "certificate", "05")
    assert value["not_after_ms"] - value["not_before_ms"] == 7 * DAY_MS


def test_scts_are_shown_and_those_that_cannot_be_read_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = SmallLog()
    out = shown(tmp_path, capsys, log.issue(3))
    assert f"of log {'2b985bad'}" in out
    assert "2026-09-21 14:13:20 UTC, as entry 0; not verified here" in out
    bad = AUTHORITY.leaf(Subject(issuance.name(CN="x"), LEAF_SPKI, NOW, NOW), [issuance.sct_list([b"\x01junk"])])
    assert "SCT             unreadable: " in shown(tmp_path, capsys, AUTHORITY.certificate_for(bad))
    no_list = issuance.extension("1.3.6.1.4.1.11129.2.4.2", b"\x05\x00")
    bad = AUTHORITY.leaf(Subject(issuance.name(CN="x"), LEAF_SPKI, NOW, NOW), [no_list])
    assert "SCT             unreadable: " in shown(tmp_path, capsys, AUTHORITY.certificate_for(bad))


def test_a_precertificate_a_ca_and_one_without_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tbs = issuance.rcs_leaf(AUTHORITY, Subject(issuance.name(CN="x"), LEAF_SPKI, NOW, NOW), "12025550123")
    out = shown(tmp_path, capsys, AUTHORITY.precertificate(tbs))
    assert "  precertificate  CN=x" in out
    assert "number 12025550123" in out
    out = shown(tmp_path, capsys, AUTHORITY.certificate)
    assert "  CA              CN=Example SHAKEN Issuing CA" in out
    assert "claims          no number" in out
    by_reference = AUTHORITY.leaf(
        Subject(issuance.name(CN="x"), LEAF_SPKI, NOW, NOW), [issuance.tn_auth_list_by_reference("https://x.example/l")]
    )
    assert "what https://x.example/l says" in shown(tmp_path, capsys, AUTHORITY.certificate_for(by_reference))


def test_what_a_ca_wrote_cannot_move_the_cursor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(tmp_path, capsys, make(issuance.spc("7"), issuance.name(O="a\x1b[31m\u202eb", CN="c\nd")))
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert "CN=c\\0ad,O=a\\1b[31m\\e2\\80\\aeb" in out


def test_findings_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(tmp_path, capsys, make(b"\x30\x06\x13\x04755J"))
    assert "finding         tnauthlist-no-tag: " in out
    assert "may be read as  code 755J" in out


def test_what_is_no_certificate_is_named_and_the_others_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "good.der").write_bytes(make(ALL_KINDS))
    (tmp_path / "bad.der").write_bytes(b"\x30\x03abc")
    assert run(["show", str(tmp_path / "bad.der"), str(tmp_path / "good.der")]) == 1
    captured = capsys.readouterr()
    assert "bad.der" in captured.err
    assert "SHAKEN 709J" in captured.out


@pytest.mark.parametrize(
    ("digits", "text"),
    [("12025550123", "+1 202-555-0123, US"), ("5715551212", "+57 15551212, CO"), ("0", ""), ("*67#", ""), ("123", "")],
)
def test_numbers_as_people_read_them(digits: str, text: str) -> None:
    if text:
        assert international(digits).replace(" ", "")[:8] == text.replace(" ", "")[:8]
    else:
        assert international(digits) == text


@need_corpus
def test_the_corpus_can_be_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert CORPUS is not None
    assert run(["show", str(CORPUS / "shaken" / "odd.pem"), "--json"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 7
    for der in leaves()[::1000]:
        assert "service provider code" in shown(tmp_path, capsys, der)
