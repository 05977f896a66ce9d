"""monitor.tell.mail: an e-mail that stands in its thread, and says in no header what a CA wrote but as text."""

import json
from dataclasses import replace
from email import message_from_bytes
from email.policy import default

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctlog.errors import UsageError
from monitor.tell.letter import Attachment, make_digest, make_letter, trial_letter
from monitor.tell.mail import ATTACHED, check_address, compose
from tests.monitor.tell.test_letter import CERTIFICATE, LIE
from tests.tell_kit import MORNING, row

SENDER, TO = "monitor@ct.example", ["owner@example.org", "second@example.org"]


def read(letter, **options):
    """As the receiver reads it."""
    return message_from_bytes(bytes(compose(letter, SENDER, TO, **options)), policy=default)


def test_the_headers():
    mail = read(make_letter(CERTIFICATE))
    assert mail["Subject"] == "S1 +12025550123: certificate by Rogue CA: not yours?"
    assert mail["From"] == "Certificate monitor <monitor@ct.example>"
    assert mail["To"] == "owner@example.org, second@example.org"
    assert mail["Date"].datetime.isoformat() == "2026-09-21T06:00:00+00:00"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Importance"] == "high"
    assert read(make_letter(row(1, 2)))["Importance"] is None


def test_one_thread_for_an_issuance_and_one_id_for_a_message():
    first = read(make_letter(CERTIFICATE))
    again = read(make_letter(CERTIFICATE._replace(attempts=3)))
    other = read(make_letter(CERTIFICATE._replace(id=77)))
    stranger = read(make_letter(row(3)))
    assert first["Message-ID"] == again["Message-ID"] != other["Message-ID"]
    assert first["References"] == first["In-Reply-To"] == other["References"] != stranger["References"]
    assert first["Message-ID"].endswith("@ct.example>")


def test_plain_text_comes_first_and_the_certificate_after_it():
    mail = read(make_letter(CERTIFICATE))
    text, pem = mail.iter_parts()
    assert text.get_content_type() == "text/plain"
    assert "Rogue CA" in text.get_content()
    assert "Attached, for whoever looks into this: certificate.pem." in text.get_content()
    assert (pem.get_content_type(), pem.get_filename()) == ("application/x-pem-file", "certificate.pem")
    assert pem.get_content().startswith(b"-----BEGIN CERTIFICATE-----\n")


def test_evidence_arrives_as_it_was():
    letter = make_letter(row(1, alert_kind="misbehaviour", body=json.dumps(LIE).encode()))
    _, evidence = read(letter).iter_parts()
    assert evidence.get_filename() == "EVIDENCE-log-example.txt"
    assert evidence.get_content().replace("\r\n", "\n") == LIE["evidence"]


def test_without_attachments_and_without_what_is_too_large():
    letter = make_letter(CERTIFICATE)
    assert not read(letter, attach=False).is_multipart()
    large = replace(letter, attachments=(Attachment("x.txt", "text/plain", "x" * (ATTACHED + 1)),))
    mail = read(large)
    assert not mail.is_multipart()
    assert "Attached" not in mail.get_content()


def test_it_says_who_reads_answers():
    assert "nobody reads answers" in read(trial_letter("mail", MORNING)).get_content()
    mail = read(trial_letter("mail", MORNING), reply_to="desk@ct.example")
    assert mail["Reply-To"] == "desk@ct.example"
    assert "Answer this mail to reach whoever runs this monitor." in mail.get_content()


def test_a_digest_carries_its_table():
    mail = read(make_digest([row(number) for number in range(1, 200)]))
    _, table = mail.iter_parts()
    assert table.get_filename() == "alerts.csv"
    assert table.get_content().count("\n") == 200


@given(st.text(max_size=200), st.text(max_size=200))
def test_no_text_makes_a_header(summary, reason):
    """Line ends, control characters, encoded words: one subject, the same headers, the same recipients."""
    body = json.dumps({"reason": reason, "next": summary}).encode()
    letter = make_letter(row(1, 1, summary=summary, body=body, thread=summary + "x"))
    raw = bytes(compose(letter, SENDER, TO))
    mail = message_from_bytes(raw, policy=default)
    usual = [
        "Subject", "From", "To", "Date", "Message-ID", "In-Reply-To", "References", "Auto-Submitted",
        "X-Auto-Response-Suppress", "Importance", "X-Priority", "Content-Type", "Content-Transfer-Encoding",
        "MIME-Version",
    ]  # fmt: skip
    assert mail.keys() == usual
    assert mail["To"] == ", ".join(TO)
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    assert raw.isascii()


@pytest.mark.parametrize("summary", ["S1 x\r\nBcc: thief@example.net", "=?utf-8?q?a?=", "\u202eevil", "a" * 70_000])
def test_what_has_been_tried(summary):
    mail = read(make_letter(row(1, summary=summary)))
    assert mail["Bcc"] is None
    assert len(mail["Subject"]) < 250
    assert str(mail["Subject"]).isprintable()


@pytest.mark.parametrize("address", ["owner@example.org", "a.b+c@x-y.example", "x@localhost"])
def test_addresses(address):
    check_address(address)


@pytest.mark.parametrize(
    "address",
    ["", "owner", "a@b@c", "a b@c", "a@b\nBcc: x@y", "<a@b>", "A <a@b>", "a@-b", "ä@b", "a..b@c", "a@", "@b", "a,b@c"],
)
def test_what_is_none(address):
    with pytest.raises(UsageError, match="no e-mail address"):
        check_address(address)
