"""monitor.catalogue: which logs are followed, whoever says so; a list that shrinks loses none of them."""

import base64
import json

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ctlog.errors import ConfigError, CtlogError, MalformedError, SignatureError, TransportError, VerificationError
from monitor.catalogue import (
    LogSpec,
    listed_logs,
    merge,
    read_list,
    read_log,
    spec_from_json,
    spec_to_json,
)
from monitor.config import parse_config
from tests.simulator import Simulator

ONE, TWO = Simulator(), Simulator("two.example", secret=8)
NOW = 1_795_000_000_000


def b64(data):
    return base64.b64encode(data).decode()


def v3(sim=ONE, **changes):
    value = {
        "key": b64(sim.policy.key.spki), "submission_url": "https://submit.example/2026/",
        "monitoring_url": "https://read.example/2026/", "mmd": 60,
    }  # fmt: skip
    return json.dumps({**value, **changes}).encode()


def fetching(answers):
    async def get(url):
        if url not in answers:
            raise TransportError(f"{url}: 404")
        return answers[url]

    return get


def configured(text):
    return parse_config(f'contact = "me"\n{text}').logs[0]


async def test_by_url_and_key(tmp_path):
    config = configured(f'[[log]]\nurl = "https://x.example/log/"\nkey = "{b64(ONE.policy.key.spki)}"\nmmd_s = 5')
    spec = await read_log(config, tmp_path, fetching({}), None)
    assert spec[:6] == ("x.example/log", "https://x.example/log/", ONE.policy.key, "tiles", "x.example/log", 5000)
    assert (spec.log_id, spec.source) == (ONE.policy.key.log_id, "configuration")
    assert (spec.policy.origin, spec.policy.source, spec.policy.mmd_ms) == (spec.origin, spec.url, 5000)


@pytest.mark.parametrize("by", ["https://x.example/log.v3.json", "log.v3.json"])
async def test_by_its_own_description(tmp_path, by):
    (tmp_path / "log.v3.json").write_bytes(v3())
    config = configured(f'[[log]]\nlog_v3 = "{by}"\nname = "mine"\nbegin = "newest"')
    spec = await read_log(config, tmp_path, fetching({"https://x.example/log.v3.json": v3()}), None)
    assert spec == ("mine", "https://read.example/2026/", ONE.policy.key, "tiles", "submit.example/2026", 60_000,
                    "newest", by)  # fmt: skip


async def test_an_rfc_6962_log_by_its_description(tmp_path):
    (tmp_path / "x").write_bytes(json.dumps({"key": b64(ONE.policy.key.spki), "url": "https://old.example/"}).encode())
    spec = await read_log(configured('[[log]]\nlog_v3 = "x"'), tmp_path, fetching({}), None)
    assert (spec.form, spec.url, spec.origin) == ("rfc6962", "https://old.example/", "old.example")


async def test_a_description_that_names_another_key_is_not_believed(tmp_path):
    (tmp_path / "x").write_bytes(v3(TWO))
    config = configured('[[log]]\nlog_v3 = "x"')
    with pytest.raises(VerificationError) as caught:
        await read_log(config, tmp_path, fetching({}), ONE.policy.key)
    assert caught.value.reason == "log-key-changed"
    assert (await read_log(config, tmp_path, fetching({}), TWO.policy.key)).key == TWO.policy.key


@pytest.mark.parametrize("data", [
    b"", b"[]", b"3", b"{}", b"\xff", b"[" * 100_000, v3(key=3), v3(key="AAAA"), v3(monitoring_url=5),
    v3(monitoring_url="ftp://x"), v3(mmd="x"), v3(mmd=None), v3()[:-1],
])  # fmt: skip
async def test_bad_descriptions(tmp_path, data):
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(MalformedError, match=r"no log\.v3\.json"):
        await read_log(configured('[[log]]\nlog_v3 = "x"'), tmp_path, fetching({}), None)


async def test_a_description_that_cannot_be_read(tmp_path):
    for by in ("https://x.example/log.v3.json", "nowhere"):
        with pytest.raises(TransportError):
            await read_log(configured(f'[[log]]\nlog_v3 = "{by}"'), tmp_path, fetching({}), None)


def log_list(*rows, when="2026-11-01T00:00:00Z"):
    logs = [
        {
            "description": name, "log_id": b64(sim.policy.key.log_id), "key": b64(sim.policy.key.spki), "mmd": 86400,
            "url": f"https://{name}.example/", "state": {state: {"timestamp": "2026-01-01T00:00:00Z"}},
        }
        for name, sim, state in rows
    ]  # fmt: skip
    value = {"version": "1", "log_list_timestamp": when, "operators": [{"name": "Op", "email": [], "logs": logs}]}
    return json.dumps(value).encode()


def list_config(**keys):
    text = "\n".join(f"{key} = {json.dumps(value)}" for key, value in {"source": "logs.json", **keys}.items())
    return parse_config(f'contact = "me"\n[log_list]\n{text}').log_list


async def test_a_list(tmp_path):
    (tmp_path / "logs.json").write_bytes(log_list(("one", ONE, "usable"), ("two", TWO, "retired")))
    logs = await read_list(list_config(), tmp_path, fetching({}), None, NOW)
    (spec,) = listed_logs(list_config(), logs, NOW)
    assert spec == ("one", "https://one.example/", ONE.policy.key, "rfc6962", "one.example", 86_400_000, "newest",
                    "log list")  # fmt: skip
    assert len(listed_logs(list_config(states=["usable", "retired"]), logs, NOW)) == 2


async def test_a_list_that_is_signed(tmp_path):
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (tmp_path / "key.pem").write_bytes(public)
    data = log_list(("one", ONE, "usable"))
    answers = {"https://x.example/l": data, "https://x.example/l.sig": key.sign(data)}
    config = list_config(source="https://x.example/l", keys=["key.pem"])
    assert len(await read_list(config, tmp_path, fetching(answers), None, NOW)) == 1
    answers["https://x.example/l"] = data.replace(b"one", b"eno")
    with pytest.raises(SignatureError):
        await read_list(config, tmp_path, fetching(answers), None, NOW)
    config = list_config(source="https://x.example/l", keys=["no.pem"])
    with pytest.raises(ConfigError, match=r"no\.pem"):
        await read_list(config, tmp_path, fetching(answers), None, 1)


async def test_an_older_list_does_not_take_the_place_of_a_newer_one(tmp_path):
    (tmp_path / "logs.json").write_bytes(log_list(("one", ONE, "usable")))
    old = await read_list(list_config(), tmp_path, fetching({}), None, NOW)
    (tmp_path / "logs.json").write_bytes(log_list(("one", ONE, "usable"), when="2026-10-01T00:00:00Z"))
    with pytest.raises(VerificationError):
        await read_list(list_config(), tmp_path, fetching({}), old, NOW)
    (tmp_path / "logs.json").write_bytes(b"x" * (5 << 20))
    with pytest.raises(CtlogError, match="longer"):
        await read_list(list_config(), tmp_path, fetching({}), old, NOW)


async def test_a_list_that_shrinks(tmp_path):
    """Whoever takes a log from the list does not keep anybody from being told what it holds."""
    (tmp_path / "logs.json").write_bytes(log_list(("one", ONE, "usable"), ("two", TWO, "usable")))
    specs = listed_logs(list_config(), await read_list(list_config(), tmp_path, fetching({}), None, NOW), NOW)
    before = {spec.log_id: spec for spec in specs}
    merged, lost = merge({}, before, {})
    assert (merged, lost) == (before, [])
    only_one = {ONE.policy.key.log_id: specs[0]}
    merged, lost = merge({}, only_one, before)
    assert set(merged) == set(before)
    assert [spec.name for spec in lost] == ["two"]
    merged, lost = merge({}, {}, before)
    assert len(lost) == 2


def test_the_configuration_counts_most_and_names_differ(tmp_path):
    spec = spec_from_json(spec_to_json(_spec(ONE, "same", "log list")))
    mine = spec._replace(source="configuration", url="https://mine/")
    other = _spec(TWO, "same", "log list")
    merged, lost = merge({mine.log_id: mine}, {spec.log_id: spec, other.log_id: other}, {})
    assert merged[mine.log_id].url == "https://mine/"
    assert len({each.name for each in merged.values()}) == 2
    assert lost == []
    assert merge({}, {}, {mine.log_id: mine}) == ({}, [])  # what the configuration no longer names is not followed


def _spec(sim, name, source):
    return LogSpec(name, "https://x/", sim.policy.key, "tiles", "x", 1, "first", source)
