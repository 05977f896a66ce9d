"""Bodies of submissions: what is wrong is named. (Whole submissions: test_bad_input.py and tests/test_app.py.)"""

from __future__ import annotations

import base64
import contextlib
import json
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctlog.errors import MalformedError
from ctlog.http.submission import decode_chain
from ctlog.wire.rfc6962 import sct_from_json, sct_to_json
from tests.server import running_log


@given(st.lists(st.binary(max_size=40), max_size=4))
def test_a_chain_comes_back(chain: list[bytes]) -> None:
    body = json.dumps({"chain": [base64.b64encode(der).decode() for der in chain], "more": None}).encode()
    assert decode_chain(body) == chain


@pytest.mark.parametrize(("body", "field", "offset", "sentence"), [
    (b"", "body", None, "the body is not JSON"),
    (b"\xff", "body", 0, "the body is not JSON"),
    (b'{"chain":["YWJj"]}x', "body", 19, "trailing characters at byte 19"),
    (b"[]", "body", None, "the body must be an object, not a list"),
    (b"{}", "body", None, "the body has no member `chain`"),
    (b'{"chain":3}', "chain", None, "`chain` must be a list, not int"),
    (b'{"chain":["YQ==",3]}', "chain[1]", None, "`chain[1]` must be a base64 string"),
    (b'{"chain":["YQ==","YQ"]}', "chain[1]", None, "`chain[1]` is not standard base64"),
    (b'{"chain":["Y-_="]}', "chain[0]", None, "`chain[0]` is not standard base64"),
    (b'{"x":' + b"[" * 100_000, "body", None, "the body is not JSON"),
])
def test_what_is_wrong_is_named(body: bytes, field: str, offset: int | None, sentence: str) -> None:
    with pytest.raises(MalformedError) as caught:
        decode_chain(body)
    assert (caught.value.field, caught.value.offset) == (field, offset)
    assert sentence in str(caught.value)
    assert caught.value.reason == "bad-json"


@given(st.binary(max_size=200))
def test_no_bytes_make_it_raise_anything_else(body: bytes) -> None:
    with contextlib.suppress(MalformedError):
        decode_chain(body)


JSON = st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner) |
                    st.dictionaries(st.text() | st.just("chain"), inner), max_leaves=12)


@given(JSON)
def test_no_json_makes_it_raise_anything_else(value: object) -> None:
    with contextlib.suppress(MalformedError):
        decode_chain(json.dumps(value).encode())


async def test_the_answer_is_that_of_the_wire_room_byte_for_byte(tmp_path: Path) -> None:
    async with running_log(tmp_path) as log:
        answer = await log.post("add-chain", [log.certificate(), *log.authority.chain])
        assert answer.body == orjson.dumps(sct_to_json(sct_from_json(answer.json)))
