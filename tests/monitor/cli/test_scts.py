"""`ctlog-monitor scts`: promises are handed in, and audited by the logs that are read."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from ctlog.wire.rfc6962 import format_sct
from monitor.catalogue import LogSpec, spec_to_json
from monitor.roster import KEY
from tests.cert_sim import CA, CertSim
from tests.monitor_place import Monitor
from tests.pem import pem


class Case:
    """A log, and a certificate with its SCT."""

    def __init__(self) -> None:
        self.sim = CertSim()
        self.final, self.sct = self.sim.issue(5)
        Path("cert.pem").write_bytes(pem(self.final))
        Path("ca.pem").write_bytes(pem(*CA.chain))

    @property
    def key(self) -> str:
        return base64.b64encode(self.sim.policy.key.spki).decode()


@pytest.fixture
def case(monitor: Monitor) -> Case:
    made = Case()
    monitor.here("logs", "add", "https://log.example/", "--key", made.key)
    return made


def test_what_stands_in_a_certificate(monitor: Monitor, case: Case) -> None:
    assert monitor.here("scts", "list").out == "There are none.\n"
    said = monitor.here("scts", "add", "cert.pem", "--intermediates", "ca.pem")
    assert said.out == "1 SCT is audited from now on.\n"
    (line,) = monitor.here("scts", "list", "--json").lines
    assert (line["status"], line["log_index"]) == ("waiting", 0)
    assert line["source"].startswith("by ")
    value = {"taken": 1, "new": 0, "left_out": 0}
    assert monitor.here("scts", "add", "cert.pem", "--intermediates", "ca.pem", "--json").lines == [value]
    assert "waiting   promised " in monitor.here("scts", "list", "--status", "waiting").out
    assert monitor.here("scts", "list", "--status", "broken").out == "There are none.\n"


def test_cas_beside_it_and_an_sct_from_elsewhere(monitor: Monitor, case: Case) -> None:
    Path("chain.pem").write_bytes(pem(case.final, *CA.chain))
    sct = format_sct(case.sct)
    monitor.here("scts", "add", "chain.pem", "--sct", base64.b64encode(sct).decode())
    Path("sct.bin").write_bytes(sct)
    assert monitor.here("scts", "add", "chain.pem", "--sct", "sct.bin", "--json").lines[0]["new"] == 0
    Path("sct.txt").write_text(base64.b64encode(sct).decode() + "\n")
    assert monitor.here("scts", "add", "chain.pem", "--sct", "sct.txt", "--json").lines[0]["new"] == 0


def test_logs_that_the_state_remembers(monitor: Monitor) -> None:
    case = Case()
    spec = LogSpec("x", "https://x.example/", case.sim.policy.key, "tiles", "x.example", 1, "first", "log list")
    value = json.dumps({"specs": [spec_to_json(spec)], "listed": []}).encode()
    monitor.write("monitor.toml", (monitor.folder / "monitor.toml").read_text() + '[log_list]\nsource = "logs.json"\n')
    monitor.state(lambda state: state.answers.put_meta(KEY, value))
    said = monitor.here("scts", "add", "cert.pem", "--intermediates", "ca.pem", "--json")
    assert [line["new"] for line in said.lines] == [1]


def test_what_does_not_hold_is_said_and_left_out(monitor: Monitor, case: Case) -> None:
    spoiled = bytearray(format_sct(case.sct))
    spoiled[-1] ^= 1
    words = ["cert.pem", "--intermediates", "ca.pem", "--sct", base64.b64encode(spoiled).decode()]
    said = monitor.here("scts", "add", *words, code=1)
    assert "cert.pem#1: an SCT is left out: " in said.err
    assert said.out == "0 SCTs are audited from now on.\n"
    said = monitor.here("scts", "add", "cert.pem", code=1)
    assert "an SCT is left out" in said.err, "without its issuer nobody can say what was signed"


def test_an_sct_of_another_log(monitor: Monitor) -> None:
    Case()
    said = monitor.here("scts", "add", "cert.pem", "--intermediates", "ca.pem", code=1)
    assert "which is not read here" in said.err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["none.pem"], "does not exist"),
        (["ca.pem"], "only CA certificates"),
        (["cert.pem", "--sct", "AAA"], "--sct"),
        (["cert.pem", "cert.pem", "--sct", "AAAA"], "--sct goes with one certificate"),
        (["bare.pem", "--intermediates", "ca.pem"], "carries no SCT; hand in what came beside it"),
        (["broken.pem"], "broken.pem, certificate 1"),
    ],
)
def test_wrong_use(monitor: Monitor, case: Case, words: list[str], sentence: str) -> None:
    from tests.issued import AUTHORITY, shaken

    Path("bare.pem").write_bytes(pem(AUTHORITY.certificate_for(shaken())))
    Path("broken.pem").write_bytes(pem(b"\x30\x03\x02\x01\x01"))
    assert sentence in monitor.here("scts", "add", *words, code=2).err
