"""monitor.handed: what is handed in is checked, and each refusal names the member."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctlog.errors import CtlogError, MalformedError, SignatureError, UsageError
from ctlog.wire.rfc6962 import sth_to_json
from monitor.handed import MAX_CHAIN, MAX_HEAD, MAX_NOTE, open_head, read_chain, read_event, read_head
from tests.simulator import Simulator

NOW = 1_790_000_000_000
JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=8),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
                    max_leaves=8)  # fmt: skip


def test_an_event() -> None:
    assert read_event({"kind": "sim", "number": "+1 202 555 0123"}, NOW) == ("sim", "12025550123", NOW, "")
    value = {"kind": "port", "number": "+12025550123", "at": "2026-03-01T12:00:00+01:00", "note": "x" * 999}
    assert read_event(value, NOW) == ("port", "12025550123", 1_772_362_800_000, "x" * MAX_NOTE)
    assert read_event({**value, "at": "2026-03-01"}, NOW).at_ms == 1_772_323_200_000


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"kind": "simm"}, "`kind` is port or sim"),
        ({"kind": None}, "`kind` is port or sim"),
        ({"number": 12025550123}, "`number` is a text"),
        ({"number": "2025550123"}, "is no number with '\\+'"),
        ({"number": "+1"}, "too short"),
        ({"at": "yesterday"}, "`at`: 'yesterday' is no moment"),
        ({"at": "2026-03-01T12:00:00"}, "with its time zone"),
        ({"at": 5}, "`at`: 5"),
        ({"at": "1960-01-01"}, "before 1970"),
        ({"at": "2030-01-01"}, "more than a day ahead"),
        ({"note": 3}, "`note`"),
        ({"nmber": "x"}, "no member 'nmber'"),
    ],
)
def test_no_event(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        read_event({"kind": "sim", "number": "+12025550123", **changes}, NOW)


def test_a_chain() -> None:
    assert read_chain({"chain": ["AAE=", "Ag=="]}) == (b"\x00\x01", (b"\x02",), ())
    assert read_chain({"chain": ["AAE="], "scts": ["Aw=="]}).scts == (b"\x03",)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ([], "is a JSON object"),
        ({}, "`chain` holds no certificate"),
        ({"chain": "AAE="}, "`chain` is a list of texts"),
        ({"chain": [1]}, "`chain` is a list of texts"),
        ({"chain": ["AAE"]}, "chain"),
        ({"chain": ["AA=="] * (MAX_CHAIN + 1)}, "at most 10 are taken"),
        ({"chain": ["AA=="], "scts": ["AA=="] * 33}, "at most 32 are taken"),
        ({"chain": ["AA=="], "sct": []}, "no member 'sct'"),
    ],
)
def test_no_chain(value: object, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        read_chain(value)


@given(JSON)
def test_whatever_comes_is_read_or_refused(value: object) -> None:
    for read in (read_chain, lambda each: read_event(each, NOW)):
        with contextlib.suppress(UsageError):
            read(value)


SIM = Simulator()


def test_a_head_in_either_form() -> None:
    for value in (SIM.head.note.decode(), SIM.head.note.decode().strip(), sth_to_json(SIM.head.sth)):
        assert open_head(read_head({"head": value}), SIM.policy) == SIM.head


def test_a_head_of_somebody_else() -> None:
    for other in (Simulator(secret=9), Simulator("x.example/log")):
        with pytest.raises(SignatureError):
            open_head(other.head.note, SIM.policy)
    with pytest.raises(SignatureError):
        open_head(json.dumps(sth_to_json(Simulator(secret=9).head.sth)).encode(), SIM.policy)
    with pytest.raises(MalformedError, match="no more than"):
        open_head(SIM.head.note + bytes(MAX_HEAD), SIM.policy)


@given(st.binary(max_size=40) | st.binary(max_size=40).map(lambda data: b"{" + data) | JSON.map(str).map(str.encode))
def test_any_bytes_are_no_head_and_no_fault(data: bytes) -> None:
    with pytest.raises(CtlogError):
        open_head(data, SIM.policy)


@given(JSON)
def test_any_submission_of_a_head(value: object) -> None:
    with contextlib.suppress(UsageError):
        assert isinstance(read_head(value), bytes)
