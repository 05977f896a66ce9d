"""ctlog.cli.ca_logs: which logs are asked, and what is said of those that are not there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ctlog.cli import ca_logs
from ctlog.cli.ca_logs import LogOptions, now_ms, open_authority, open_logs, policy, reading, targets
from ctlog.errors import CtlogError, SignatureError, TransportError, UsageError
from ctlog.issuance import Key
from tests.call_values import CA, CA_KEY, LOGS, moment, operator_entry
from tests.pem import pem
from tests.several_logs import SocketLog, in_a_thread

NONE = LogOptions((), None, (), 2, 2, 60.0, 0.5)
GONE = "http://127.0.0.1:9/"


def listed(path: Path, *operators: Mapping[str, Any], at_ms: int = 0) -> Path:
    value = {"version": "1", "log_list_timestamp": moment(at_ms or now_ms()), "operators": list(operators)}
    path.write_text(json.dumps(value))
    return path


def reason(options: LogOptions) -> str:
    with pytest.raises(CtlogError) as caught:
        targets(options, now_ms())
    return caught.value.reason


def test_a_url_is_an_operator_of_its_own_whose_key_is_not_known() -> None:
    (one,) = targets(NONE._replace(logs=("https://log.example/2027/",)), 0)
    assert one == ("https://log.example/2027/", None, "log.example", "https://log.example/2027/")


def test_a_list_gives_keys_operators_and_those_only_that_take_certificates(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = operator_entry("One", LOGS[0], states={"usable": 0}), operator_entry("Two", LOGS[1], LOGS[2])
    retired, readonly = two["tiled_logs"]
    retired["state"], readonly["state"] = {"retired": {"timestamp": moment(0)}}, {"readonly": {"timestamp": moment(0)}}
    path = listed(tmp_path / "list.json", one, two)
    (found,) = targets(NONE._replace(log_list=path), now_ms())
    assert (found.url, found.reads, found.operator) == ("https://submit.example/", "https://monitor.example/", "One")
    assert found.key is not None
    assert found.key.log_id == LOGS[0].key.log_id
    assert "Nobody vouches" in capsys.readouterr().err


def test_a_certificate_goes_to_logs_of_its_year(tmp_path: Path) -> None:
    one, two = (operator_entry(name, log, states={"usable": 0}) for name, log in (("One", LOGS[0]), ("Two", LOGS[1])))
    one["tiled_logs"][0]["temporal_interval"] = {"start_inclusive": moment(1000), "end_exclusive": moment(2000)}
    path = listed(tmp_path / "list.json", one, two)
    options = NONE._replace(log_list=path)
    for until_ms, operators in ((999, ["Two"]), (1000, ["One", "Two"]), (1999, ["One", "Two"]), (2000, ["Two"])):
        assert [target.operator for target in targets(options, now_ms(), until_ms)] == operators
    two["tiled_logs"][0]["temporal_interval"] = one["tiled_logs"][0]["temporal_interval"]
    listed(path, one, two)
    with pytest.raises(UsageError, match="no log that takes such certificates"):
        targets(options, now_ms(), 2000)


def test_a_list_is_verified_with_the_key_that_was_given(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric import ed25519
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    path = listed(tmp_path / "list.json", operator_entry("One", LOGS[0], states={"usable": 0}))
    signer = ed25519.Ed25519PrivateKey.generate()
    key = tmp_path / "key.pem"
    key.write_bytes(signer.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    signature = path.with_name("list.json.sig")
    signature.write_bytes(signer.sign(path.read_bytes()))
    options = NONE._replace(log_list=path, log_list_keys=(key,))
    assert len(targets(options, now_ms())) == 1
    signature.write_bytes(bytes(64))
    with pytest.raises(SignatureError):
        targets(options, now_ms())


def test_what_makes_no_sense(tmp_path: Path) -> None:
    assert reason(NONE) == "usage"
    assert reason(NONE._replace(log_list_keys=(tmp_path,))) == "usage"
    good = operator_entry("One", LOGS[0], states={"usable": 0})
    old = listed(tmp_path / "old.json", good, at_ms=now_ms() - 71 * 86_400_000)
    assert reason(NONE._replace(log_list=old)) == "log-list-stale"
    empty = listed(tmp_path / "empty.json", operator_entry("One", LOGS[0], states={"pending": 0}))
    assert reason(NONE._replace(log_list=empty)) == "usage"
    assert policy(NONE) == (2, 2, 60.0, 0.5)


async def test_a_log_that_is_down_and_not_known_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    with in_a_thread(SocketLog(1), SocketLog(2)) as urls:
        async with open_logs(NONE._replace(logs=(*urls, GONE))) as several:
            assert [log.client.url + "/" for log in several.logs] == urls
        said = capsys.readouterr().err
        assert said.count("is believed") == 2
        assert "it is left out" in said
        with pytest.raises(TransportError):  # with it, there would have been enough
            async with open_logs(NONE._replace(logs=(urls[0], GONE))):
                pass
        with pytest.raises(UsageError) as caught:
            async with open_logs(NONE._replace(logs=(urls[0],))):
                pass
        assert caught.value.reason == "bad-policy"
        async with reading(NONE._replace(logs=(urls[0], GONE))) as (_, logs):
            assert [log.reads for log in logs] == urls[:1]


async def test_a_log_that_is_down_and_known_stays(tmp_path: Path) -> None:
    entry = operator_entry("One", LOGS[0], states={"usable": 0})
    entry["tiled_logs"][0]["submission_url"] = GONE
    options = NONE._replace(log_list=listed(tmp_path / "list.json", entry), scts=1, operators=1)
    async with open_logs(options) as several:
        assert [log.operator for log in several.logs] == ["One"]


async def test_a_log_that_hangs_is_not_waited_for_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []

    class Client:
        def __init__(self, hangs: bool) -> None:
            self.hangs = hangs

        async def close(self) -> None:
            if self.hangs:
                await asyncio.Event().wait()
            closed.append(self)

    monkeypatch.setattr(ca_logs, "_CLOSE_S", 0.01)
    clients = [Client(hangs=True), Client(hangs=False)]
    await ca_logs._close(clients)  # type: ignore[arg-type]
    await asyncio.sleep(0)
    assert closed == clients[1:]
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_a_ca_is_its_certificate_and_the_key_beside_it(tmp_path: Path) -> None:
    certificate, alone = tmp_path / "ca.pem", tmp_path / "alone.pem"
    certificate.write_bytes(pem(*CA.chain))
    with pytest.raises(UsageError, match=r"there is no .*ca-key.pem"):
        open_authority(certificate, None)
    (tmp_path / "ca-key.pem").write_bytes(CA_KEY.to_pem())
    assert open_authority(certificate, None).chain == CA.chain
    alone.write_bytes(pem(CA.certificate))
    assert open_authority(alone, tmp_path / "ca-key.pem").chain == (CA.certificate,)
    assert open_authority(alone, tmp_path / "ca-key.pem", CA).chain == (CA.certificate, *CA.chain)
    for data, word in ((Key.from_number(9).to_pem(), "wrong-key"), (b"nonsense", "usage")):
        (tmp_path / "ca-key.pem").write_bytes(data)
        with pytest.raises(UsageError) as caught:
            open_authority(certificate, None)
        assert caught.value.reason == word
