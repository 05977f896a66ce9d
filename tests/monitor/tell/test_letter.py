"""monitor.tell.letter: what goes over a channel, whatever kind of alert it tells of."""

import csv
import io
import json
import ssl

from hypothesis import given
from hypothesis import strategies as st

from monitor.tell.letter import LISTED, alert_document, make_digest, make_letter, retried, trial_letter
from tests.monitor.test_alert import ALERT, ROGUES
from tests.tell_kit import MORNING, row

BODY = ALERT.body
CERTIFICATE = row(
    9, 1, thread=ALERT.thread, summary=ALERT.summary, body=BODY, log_index=ROGUES.index, log_id=ROGUES.log_id,
    proven=4321,
)  # fmt: skip
LIE = {
    "kind": "misbehaviour", "reason": "Two heads of size 7 have different roots.", "next": "Keep the file.",
    "file": "EVIDENCE-log-example.txt", "evidence": "ctlog evidence v1\nkind fork\n", "doubt": "",
    "log": {"name": "log.example", "url": "https://log.example/", "id": "00" * 32},
}  # fmt: skip


def test_an_alert_about_a_certificate():
    letter = make_letter(CERTIFICATE)
    assert letter.subject == ALERT.summary
    assert letter.kind == "alert"
    assert letter.thread == ALERT.thread
    assert letter.id == make_letter(CERTIFICATE._replace(attempts=5)).id
    assert letter.id != make_letter(CERTIFICATE._replace(id=10)).id
    assert "Rogue CA" in letter.text


def test_what_became_known_since_it_was_stored_is_in_it():
    letter = make_letter(CERTIFICATE)
    assert letter.document["log"]["proven_in"] == 4321
    assert "proven in the tree of 4,321 entries" in letter.text
    unproven = CERTIFICATE._replace(alert=CERTIFICATE.alert._replace(proven=None))
    assert "not proven yet" in make_letter(unproven).text


def test_the_certificate_and_its_chain_come_with_it():
    (pem,) = make_letter(CERTIFICATE).attachments
    first, *rest = pem.text.split("-----END CERTIFICATE-----\n")
    assert ssl.PEM_cert_to_DER_cert(first + "-----END CERTIFICATE-----") == ROGUES.certificate
    assert len(rest) == len(ROGUES.chain) + 1
    assert retried(make_letter(CERTIFICATE)).attachments == ()


def test_a_log_that_lies_comes_with_its_evidence():
    letter = make_letter(row(1, alert_kind="misbehaviour", body=json.dumps(LIE).encode()))
    (evidence,) = letter.attachments
    assert evidence.name == "EVIDENCE-log-example.txt"
    assert evidence.text == LIE["evidence"]
    for fact in ("different roots", "What to do: Keep the file.", "https://log.example/", "EVIDENCE-log-example.txt"):
        assert fact in letter.text


def test_a_file_name_leads_nowhere_else():
    body = json.dumps({**LIE, "file": "../../etc/passwd\n"}).encode()
    (evidence,) = make_letter(row(1, alert_kind="misbehaviour", body=body)).attachments
    assert "/" not in evidence.name
    assert evidence.name.isprintable()


def test_a_reminder_says_that_it_is_one():
    letter = make_letter(CERTIFICATE._replace(kind="reminder"))
    assert letter.subject.startswith("Reminder: S1")
    assert letter.text.startswith("You were told of this on 2026-09-21T06:00:00Z, and nobody has answered yet.")


def test_a_reminder_says_what_the_issuer_did_since():
    for repeats, words in ((1, "one more certificate for it"), (1200, "1,200 more certificates for it")):
        alert = CERTIFICATE.alert._replace(repeats=repeats, repeated_ms=MORNING)
        text = " ".join(make_letter(CERTIFICATE._replace(kind="reminder", alert=alert)).text.split())
        assert f"nobody has answered yet. Since then the same issuer issued {words}, the last one seen on" in text


def test_programs_find_the_same_members_in_every_kind():
    for each in (CERTIFICATE, row(1, alert_kind="misbehaviour", body=json.dumps(LIE).encode()), row(2, body=b"\xff")):
        document = alert_document(each.alert)
        assert document["id"] == each.alert.id
        assert document["severity"] == 1
        assert document["rules"][0]["id"]
        assert document["summary"]
        assert document["status"] == "new"


MEMBERS = ["v", "kind", "certificate", "item", "log", "der", "chain", "next", "reason", "evidence", "file"]


@given(st.binary(max_size=60) | st.recursive(
    st.none() | st.integers() | st.text(max_size=5), lambda inner: st.dictionaries(
        st.sampled_from(MEMBERS),
        inner | st.just(1), max_size=6), max_leaves=8).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_an_alert_that_cannot_be_read_is_still_told(body):
    letter = make_letter(row(1, body=body, summary="S1 something", log_index=7))
    assert "S1 something" in letter.text
    json.dumps(letter.document)


@given(st.text(max_size=300), st.text(max_size=300))
def test_whatever_anybody_writes_is_one_subject_and_printable_lines(summary, reason):
    body = json.dumps({"reason": reason, "next": reason}).encode()
    letter = make_letter(row(1, summary=summary, body=body))
    assert letter.subject.isprintable()
    assert len(letter.subject) < 1500
    assert all(line.isprintable() for line in letter.text.split("\n"))


def test_sixty_four_kilobytes_are_cut():
    letter = make_letter(row(1, summary="x" * 65536, body=json.dumps({"reason": "y" * 65536}).encode()))
    assert len(letter.subject) < 200
    assert len(letter.text) < 5000


# Digests ------------------------------------------------------------------------------------------------------------


def test_a_digest_names_the_count_and_every_id():
    rows = [row(number, 2 + number % 2) for number in range(1, 501)]
    letter = make_digest(rows)
    assert letter.subject == "S2 500 alerts in one letter: 250 S2, 250 S3"
    assert letter.severity == 2
    assert "500 alerts (250 S2, 250 S3), verify today." in letter.text
    assert f"and {500 - LISTED} more: all 500 stand in `ctlog-monitor alerts list`" in letter.text
    assert retried(letter) == letter
    table = list(csv.DictReader(io.StringIO(letter.attachments[0].text)))
    assert {each["id"] for each in table} == {each.alert.id for each in rows}
    assert {each["id"] for each in letter.document["alerts"]} == {each.alert.id for each in rows}
    assert letter.document["count"] == 500
    assert letter.text.count("alert number") == LISTED


def test_a_digest_shows_commands_that_can_be_pasted():
    rows = [row(number, body=json.dumps({"monitor": "/srv/a monitor"} if number == 2 else {}).encode())
            for number in range(1, LISTED + 2)]  # fmt: skip
    text = make_digest(rows).text
    assert "`ctlog-monitor alerts show -d '/srv/a monitor' ID` tells" in text
    assert "stand in `ctlog-monitor alerts list -d '/srv/a monitor'`" in text


def test_the_gravest_come_first():
    lines = make_digest([row(1, 3), row(2, 1), row(3, 2)]).text
    assert lines.index("number 2") < lines.index("number 3") < lines.index("number 1")


def test_a_digest_of_reminders_says_so():
    assert make_digest([row(1, kind="reminder"), row(2, kind="reminder")]).subject.startswith("S1 2 reminders")


def test_a_spreadsheet_takes_nothing_for_a_formula():
    text = make_digest([row(1, item="=1+1", summary="@SUM(1)"), row(2)]).attachments[0].text
    first = next(csv.DictReader(io.StringIO(text)))
    assert (first["item"], first["summary"]) == ("'=1+1", "'@SUM(1)")


def test_a_test_says_what_to_do():
    letter = trial_letter("mail", MORNING)
    assert letter.kind == "test"
    assert "If you can read this" in letter.text
    assert letter.id == f"test-mail-{MORNING}"
