"""Lists of logs: what is read, what is refused, whose signature counts, and which state holds when."""

import copy
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from ctlog.client.log_list import (
    MAX_AGE_MS,
    MAX_AHEAD_MS,
    MAX_BYTES,
    ListKey,
    check_successor,
    open_log_list,
    parse_log_list,
)
from ctlog.errors import MalformedError, SignatureError, VerificationError
from tests.call_values import DAY_MS, LOGS, NOW, moment, operator_entry
from tests.wire_values import RsaLog

P256, ED25519, RSA = (
    ec.derive_private_key(7, ec.SECP256R1()), ed25519.Ed25519PrivateKey.from_private_bytes(b"7" * 32),
    rsa.generate_private_key(65537, 2048),
)  # fmt: skip
SIGNERS = {
    "p256": (P256, lambda data: P256.sign(data, ec.ECDSA(hashes.SHA256()))),
    "ed25519": (ED25519, ED25519.sign),
    "rsa": (RSA, lambda data: RSA.sign(data, padding.PKCS1v15(), hashes.SHA256())),
}


def pem(private) -> bytes:
    return private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def value(**members):
    return {
        "version": "3.1", "log_list_timestamp": moment(NOW),
        "operators": [operator_entry("One", LOGS[0], LOGS[1]), operator_entry("Two", LOGS[2])],
    } | members  # fmt: skip


def encoded(found) -> bytes:
    return json.dumps(found).encode()


# What is read -------------------------------------------------------------------------------------------------------


def test_a_list_says_which_log_is_whose():
    found = parse_log_list(encoded(value()))
    assert (found.version, found.timestamp_ms, len(found)) == ("3.1", NOW, 3)
    assert [log.operator for log in found.logs] == ["One", "One", "Two"]
    first = found.by_id(LOGS[0].key.log_id)
    assert first is found.logs[0]
    assert (first.key, first.mmd_s, first.tiled) == (LOGS[0].key, 86400, True)
    assert (first.submission_url, first.monitoring_url) == ("https://submit.example/", "https://monitor.example/")
    assert found.by_id(bytes(32)) is None
    assert "3 logs" in repr(found)


def test_logs_of_both_kinds():
    changed = value()
    one = changed["operators"][0]
    one["logs"] = [one["tiled_logs"].pop() | {"url": "https://old.example/"}]
    found = parse_log_list(encoded(changed)).by_id(LOGS[1].key.log_id)
    assert not found.tiled
    assert found.submission_url == found.monitoring_url == "https://old.example/"


def test_an_rsa_log():
    rsa_log = RsaLog()
    changed = value(operators=[operator_entry("R", rsa_log)])
    assert parse_log_list(encoded(changed)).logs[0].key.spki == rsa_log.spki


def test_states_hold_from_their_dates_on():
    states = {"usable": NOW, "readonly": NOW + 2 * DAY_MS, "retired": NOW + 3 * DAY_MS}
    changed = value(operators=[operator_entry("One", LOGS[0], states=states)])
    log = parse_log_list(encoded(changed)).logs[0]
    assert log.state_at(NOW - 1) == "pending"
    assert log.state_at(NOW) == log.state_at(NOW + 2 * DAY_MS - 1) == "usable"
    assert log.state_at(NOW + 2 * DAY_MS) == "readonly"
    assert log.state_at(NOW + 9 * DAY_MS) == "retired"
    assert log.next_change(NOW - 1) == NOW
    assert log.next_change(NOW) == NOW + 2 * DAY_MS
    assert log.next_change(NOW + 3 * DAY_MS) is None
    assert log.retired_at(NOW + 3 * DAY_MS - 1) is None
    assert log.retired_at(NOW + 4 * DAY_MS) == NOW + 3 * DAY_MS


def test_who_ran_it_before():
    entry = operator_entry("Now", LOGS[0])
    entry["tiled_logs"][0]["previous_operators"] = [
        {"name": "Second", "end_time": moment(NOW)}, {"name": "First", "end_time": moment(NOW - DAY_MS)},
    ]  # fmt: skip
    log = parse_log_list(encoded(value(operators=[entry]))).logs[0]
    assert [log.operator_at(NOW + delta) for delta in (-DAY_MS - 1, -DAY_MS, -1, 0)] == [
        "First", "Second", "Second", "Now",
    ]  # fmt: skip


def test_the_interval_is_half_open_and_in_milliseconds():
    entry = operator_entry("One", LOGS[0])
    times = {"start_inclusive": moment(NOW), "end_exclusive": moment(NOW + DAY_MS)}
    entry["tiled_logs"][0]["temporal_interval"] = times
    assert parse_log_list(encoded(value(operators=[entry]))).logs[0].interval == (NOW, NOW + DAY_MS)


def test_members_that_the_schema_may_grow_are_passed_over():
    changed = value(log_list_schema="https://example/", is_all_logs=False)
    changed["operators"][0]["tiled_logs"][0] |= {"log_type": "prod", "dns": "x"}
    assert len(parse_log_list(encoded(changed))) == 3


def test_age():
    found = parse_log_list(encoded(value()))
    assert not found.is_stale(NOW + MAX_AGE_MS)
    assert found.is_stale(NOW + MAX_AGE_MS + 1)
    assert found.is_stale(NOW + 1001, 1000)


# What is refused ----------------------------------------------------------------------------------------------------


def one_log(**members):
    changed = value()
    changed["operators"][0]["tiled_logs"][0] |= members
    return changed


REFUSED = {
    "no-version": {k: v for k, v in value().items() if k != "version"},
    "version-is-a-number": value(version=3),
    "timestamp-without-zone": value(log_list_timestamp="2026-01-01T00:00:00"),
    "timestamp-is-a-number": value(log_list_timestamp=NOW),
    "operators-is-an-object": value(operators={}),
    "operator-without-name": value(operators=[{"name": "", "logs": []}]),
    "operator-twice": value(operators=[operator_entry("One", LOGS[0]), operator_entry("One", LOGS[1])]),
    "log-twice": value(operators=[operator_entry("One", LOGS[0]), operator_entry("Two", LOGS[0])]),
    "key-of-another-id": one_log(key=operator_entry("x", LOGS[2])["tiled_logs"][0]["key"]),
    "key-is-no-key": one_log(key="AAAA"),
    "key-is-no-base64": one_log(key="?"),
    "id-with-newline": one_log(log_id=operator_entry("x", LOGS[0])["tiled_logs"][0]["log_id"] + "\n"),
    "no-state": one_log(state={}),
    "unknown-state": one_log(state={"trusted": {"timestamp": moment(NOW)}}),
    "state-without-date": one_log(state={"usable": {}}),
    "two-states-at-once": one_log(
        state={"usable": {"timestamp": moment(NOW)}, "retired": {"timestamp": moment(NOW)}}
    ),
    "mmd-is-zero": one_log(mmd=0),
    "mmd-is-text": one_log(mmd="86400"),
    "mmd-is-true": one_log(mmd=True),
    "no-url": one_log(submission_url=""),
    "url-of-another-kind": one_log(monitoring_url="file:///etc/passwd"),
    "empty-interval": one_log(temporal_interval={"start_inclusive": moment(NOW), "end_exclusive": moment(NOW)}),
    "is-a-list": [],
    "is-null": None,
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    with pytest.raises(MalformedError) as caught:
        parse_log_list(encoded(REFUSED[name]))
    assert caught.value.reason == "malformed-log-list"
    assert caught.value.field == "log-list"
    assert str(caught.value).startswith("log list: ")


@given(st.binary(max_size=60), st.integers(0, 900))
def test_no_bytes_raise_anything_else(data, at):
    whole = encoded(value())
    for changed in (data, whole[:at] + data + whole[at:], b"[" * 5000):
        with pytest.raises(MalformedError):
            parse_log_list(changed + b"}")


# Signatures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SIGNERS)
def test_signed(kind):
    private, sign = SIGNERS[kind]
    data = encoded(value())
    key = ListKey.from_pem(pem(private))
    signature = sign(data)
    others = [ListKey.from_pem(pem(other)) for name, (other, _) in SIGNERS.items() if name != kind]
    assert len(open_log_list(data, signature, [*others, key])) == 3
    assert len(key.fingerprint) == 32
    flipped = [data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :] for at in range(0, len(data), 97)]
    for wrong, keys in [(data, others), (data, []), *((each, [key]) for each in flipped)]:
        with pytest.raises(SignatureError) as caught:
            open_log_list(wrong, signature, keys)
        assert caught.value.reason == "bad-log-list-signature"
    for bad in (b"", signature[:-1], bytes(len(signature))):
        with pytest.raises(SignatureError):
            open_log_list(data, bad, [key])


def test_a_list_is_not_read_before_its_signature_holds():
    with pytest.raises(SignatureError):
        open_log_list(b"no list", b"no signature", [ListKey.from_pem(pem(ED25519))])
    data = b" " * (MAX_BYTES + 1)
    with pytest.raises(MalformedError):
        open_log_list(data, ED25519.sign(data), [ListKey.from_pem(pem(ED25519))])


def test_keys_of_other_kinds():
    for private in (ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 1024)):
        with pytest.raises(MalformedError) as caught:
            ListKey.from_pem(pem(private))
        assert caught.value.reason == "unsupported-key"
    with pytest.raises(MalformedError):
        ListKey.from_pem(b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")


def test_an_old_list_does_not_come_back():
    old, new = (parse_log_list(encoded(value(log_list_timestamp=moment(at)))) for at in (NOW, NOW + 1000))
    check_successor(new, old, NOW)
    check_successor(old, None, NOW)
    check_successor(copy.copy(old), old, NOW)
    with pytest.raises(VerificationError) as caught:
        check_successor(old, new, NOW)
    assert caught.value.reason == "log-list-older"
    with pytest.raises(VerificationError) as caught:
        check_successor(old, None, NOW - MAX_AHEAD_MS - 1)
    assert caught.value.reason == "log-list-from-the-future"


# The page -----------------------------------------------------------------------------------------------------------


def test_the_example_of_the_page_is_read():
    page = (Path(__file__).parents[2] / "docs" / "log-list.md").read_text("utf-8")
    example = json.loads(page.partition("```json\n")[2].partition("```")[0])
    entry = example["operators"][0]["tiled_logs"][0]
    entry |= {name: operator_entry("x", LOGS[0])["tiled_logs"][0][name] for name in ("log_id", "key")}
    (log,) = parse_log_list(encoded(example)).logs
    assert (log.operator, log.tiled, len(log.states)) == ("Example Inc", True, 2)
