"""monitor.tell.command: real programs that do as they should, and others that hang, fork and print for ever."""

import asyncio
import json
import os
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctlog.errors import UsageError
from monitor.tell.channel import DeliveryError
from monitor.tell.command import EVENTS, CommandChannel, variables
from monitor.tell.letter import make_letter, trial_letter
from tests.monitor.tell.test_letter import CERTIFICATE, LIE
from tests.tell_kit import MORNING, row

LETTER = make_letter(CERTIFICATE, "https://log.example/")


def channel(folder, *line, timeout_s=5.0):
    made = CommandChannel("hook", {"kind": "command", "command": list(line)}, folder)
    made._timeout_s = timeout_s
    return made


def python(folder, code, **options):
    return channel(folder, sys.executable, "-c", code, **options)


async def test_it_gets_the_letter_on_standard_input_and_in_its_environment(tmp_path):
    code = (
        "import json, os, sys; paths = [os.environ[n] for n in ('CERT_FILENAME', 'TEXT_FILENAME', 'JSON_FILENAME')]\n"
        "json.dump([json.load(sys.stdin), dict(os.environ), [open(p).read() for p in paths]], open('got.json', 'w'))"
    )
    os.environ["CTLOG_TEST_SECRET"] = "swordfish"
    try:
        await python(tmp_path, code).send(LETTER)
    finally:
        del os.environ["CTLOG_TEST_SECRET"]
    given, environment, (pem, text, document) = json.loads((tmp_path / "got.json").read_text())
    assert given["data"]["id"] == CERTIFICATE.alert.id
    assert json.loads(document) == given
    assert text == LETTER.text
    assert pem.startswith("-----BEGIN CERTIFICATE-----")
    assert environment["EVENT"] == "discovered_cert"
    assert "CTLOG_TEST_SECRET" not in environment
    assert not Path(environment["CERT_FILENAME"]).exists()


def test_certspotters_variables():
    found = variables(LETTER)
    assert found["SUMMARY"] == CERTIFICATE.alert.summary
    assert found["WATCH_ITEM"] == "+12025550123"
    assert found["LOG_URI"] == "https://log.example/"
    assert found["ENTRY_INDEX"] == CERTIFICATE.alert.log_index
    assert len(found["CERT_SHA256"]) == len(found["PUBKEY_SHA256"]) == 64
    assert found["SUBJECT_DN"] == "CN=Example Inc,O=Example Inc,C=US"
    assert found["ISSUER_DN"] == "CN=Rogue CA SHAKEN Issuing CA,O=Rogue CA,C=US"
    assert found["NOT_BEFORE_RFC3339"] == "2026-11-10T14:13:20Z"
    assert found["NOT_BEFORE_UNIXTIME"] == 1794320000
    assert found["NOT_AFTER_UNIXTIME"] - found["NOT_BEFORE_UNIXTIME"] == 90 * 86400 - 1
    assert (found["CTLOG_RULE"], found["CTLOG_SEVERITY"]) == ("T-01", "S1")
    assert found["CTLOG_TYPE"] == "alert"


@pytest.mark.parametrize(
    ("kind", "event"), [("unreadable", "malformed_cert"), ("misbehaviour", "error"), ("health", "error")]
)
def test_the_events_of_certspotter(kind, event):
    assert variables(make_letter(row(1, alert_kind=kind)))["EVENT"] == event
    assert variables(trial_letter("x", MORNING))["EVENT"] == "error"


async def test_evidence_is_a_file(tmp_path):
    letter = make_letter(row(1, alert_kind="misbehaviour", body=json.dumps(LIE).encode()))
    await channel(tmp_path, "sh", "-c", 'cp "$CTLOG_EVIDENCE_FILENAME" evidence').send(letter)
    assert (tmp_path / "evidence").read_text() == LIE["evidence"]


async def test_what_a_ca_writes_is_no_command(tmp_path):
    letter = make_letter(row(1, summary="$(touch evil); `touch evil` \x00\n' ; touch evil"))
    await channel(tmp_path, "sh", "-c", 'echo "$SUMMARY" > said').send(letter)
    assert not (tmp_path / "evil").exists()
    assert "$(touch evil)" in (tmp_path / "said").read_text()


async def test_a_name_of_64_kilobytes_fits(tmp_path):
    letter = make_letter(row(1, summary="x" * 65536, body=json.dumps({"reason": "y" * 500_000}).encode()))
    await channel(tmp_path, "sh", "-c", 'printf %s "$SUMMARY" | wc -c > summary; cat > document').send(letter)
    assert int((tmp_path / "summary").read_text()) == len(letter.subject) < 1000
    assert json.loads((tmp_path / "document").read_bytes())["data"]["reason"] == "y" * 500_000


@given(st.recursive(st.none() | st.integers() | st.text(max_size=4), lambda inner: st.dictionaries(
    st.sampled_from(["item", "log", "key", "certificate", "issuer", "rules", "kind", "not_before", "text"]), inner,
    max_size=5), max_leaves=8))  # fmt: skip
def test_any_document_has_variables(value):
    letter = make_letter(row(1, body=json.dumps(value).encode()))
    made = variables(letter)
    assert made["EVENT"] in {*EVENTS.values(), "error"}
    assert (made["CTLOG_MESSAGE"], made["SUMMARY"]) == (letter.id, letter.subject)


# Programs that do not do as they should -----------------------------------------------------------------------------


@pytest.mark.parametrize("code", [1, 3, 75])
async def test_its_exit_code_and_its_last_words_are_told(tmp_path, code):
    with pytest.raises(DeliveryError, match=f"sh ended with {code}: no such pager"):
        await channel(tmp_path, "sh", "-c", f"echo no such pager >&2; exit {code}").send(LETTER)


async def test_killed_by_a_signal(tmp_path):
    with pytest.raises(DeliveryError, match="was ended by signal 9"):
        await channel(tmp_path, "sh", "-c", "kill -9 $$").send(LETTER)


@pytest.mark.parametrize("line", [["no-such-program"], ["./missing"], ["/etc/passwd"]])
async def test_what_cannot_be_run(tmp_path, line):
    with pytest.raises(DeliveryError, match="cannot be run"):
        await channel(tmp_path, *line).send(LETTER)


def is_gone(pid):
    for _ in range(100):
        try:
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z":
                return True
        except (ProcessLookupError, FileNotFoundError):
            return True
        time.sleep(0.02)
    return False


async def test_whoever_hangs_is_killed_with_all_that_he_started(tmp_path):
    with pytest.raises(DeliveryError, match=r"not done within 0\.3 s, and was killed"):
        await channel(tmp_path, "sh", "-c", "sleep 60 & echo $! > child; sleep 60", timeout_s=0.3).send(LETTER)
    assert is_gone(int((tmp_path / "child").read_text()))


async def test_whoever_does_not_want_to_end_is_killed_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr("monitor.tell.command._TERM_S", 0.1)
    code = (
        "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "open('pid', 'w').write(str(os.getpid())); time.sleep(60)"
    )
    with pytest.raises(DeliveryError, match="was killed"):
        await python(tmp_path, code, timeout_s=0.5).send(LETTER)
    assert is_gone(int((tmp_path / "pid").read_text()))


async def test_a_cancelled_letter_leaves_nothing_running(tmp_path):
    sending = asyncio.create_task(channel(tmp_path, "sh", "-c", "echo $$ > pid; sleep 60").send(LETTER))
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    assert is_gone(int((tmp_path / "pid").read_text()))


async def test_whoever_ends_while_his_child_holds_the_pipe_is_done(tmp_path):
    began = asyncio.get_running_loop().time()
    await channel(tmp_path, "sh", "-c", "sleep 2 & echo done").send(LETTER)
    assert asyncio.get_running_loop().time() - began < 1.5


async def test_whoever_prints_for_ever_is_read_and_killed_and_his_last_words_are_short(tmp_path):
    with pytest.raises(DeliveryError, match="was killed"):
        await channel(tmp_path, "yes", "x" * 1000, timeout_s=0.3).send(LETTER)
    with pytest.raises(DeliveryError) as caught:
        await channel(tmp_path, "sh", "-c", "head -c 5000000 /dev/zero | tr '\\0' x; exit 1").send(LETTER)
    assert len(str(caught.value)) < 400


async def test_whoever_reads_nothing_needs_not(tmp_path):
    letter = make_letter(row(1, body=json.dumps({"reason": "y" * 1_000_000}).encode()))
    await channel(tmp_path, "true").send(letter)


async def test_what_it_prints_is_shown_safely(tmp_path):
    with pytest.raises(DeliveryError, match="red") as caught:
        await channel(tmp_path, "sh", "-c", r"printf '\033[31mred\377'; exit 1").send(LETTER)
    assert str(caught.value).isprintable()


# Tables -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", [[], [""], ["a\0b"]])
def test_what_is_no_command(tmp_path, line):
    with pytest.raises(UsageError):
        channel(tmp_path, *line)


def test_where_it_leads(tmp_path):
    assert channel(tmp_path, "./page", "--token", "secret").where == "./page"
