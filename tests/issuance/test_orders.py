"""ctlog.issuance.orders: what a file orders, line by line; a bad line is named, and the rest go on."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from ctlog.errors import UsageError
from ctlog.issuance import Key
from ctlog.issuance.orders import MAX_LINE, BadOrder, Order, read_orders
from ctlog.tn.numbers import NumberRange, ServiceProviderCode, TelephoneNumber

SPKI = Key.from_number(5).spki
KEY = base64.b64encode(SPKI).decode()


def read(text: str | bytes) -> list[Order | BadOrder]:
    return list(read_orders(io.BytesIO(text.encode() if isinstance(text, str) else text)))


def json_line(**members: Any) -> str:
    return json.dumps({"number": "12025550100", "holder": "Example", "key": KEY} | members)


def key(order: Order) -> bytes:
    return order.key(order.content)


def reasons(text: str | bytes) -> list[tuple[int, str]]:
    """(line, reason), or "" for an order."""
    return [(one.line, one.reason if isinstance(one, BadOrder) else "") for one in read(text)]


def request(private: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Somebody Else")])
    made = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(private, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.DER)


P256 = ec.generate_private_key(ec.SECP256R1())
P256_SPKI = P256.public_key().public_bytes(
    serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
)  # fmt: skip
CSR = request(P256)

# What is read ---------------------------------------------------------------------------------------------------------


def test_csv_and_json_lines_say_the_same() -> None:
    csv = f'id,code,range,number,holder,key\n7,709J 1234,12025550100+100,+12025559999 12025559998,"A, B",{KEY}\n'
    jsonl = json_line(
        id="7", code=["709J", "1234"], range=["12025550100+100"], number=["12025559999", "12025559998"], holder="A, B"
    )
    claims = (
        ServiceProviderCode("709J"), ServiceProviderCode("1234"), NumberRange("12025550100", 100),
        TelephoneNumber("12025559999"), TelephoneNumber("12025559998"),
    )  # fmt: skip
    (from_csv,) = read(csv)
    (from_json,) = read(jsonl)
    assert from_csv == Order(2, SPKI, "A, B", claims, "7")
    assert isinstance(from_csv, Order)
    assert isinstance(from_json, Order)
    assert from_json == from_csv._replace(line=1)
    assert key(from_json) == key(from_csv)


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffnumber;holder;key\r\n12025550100;Example;{KEY}\r\n",
        "number\tholder\tkey\n12025550100\tExample\t{KEY}",
        "\n \nkey, holder ,number\n{KEY}, Example , 12025550100 \n\n",
    ],
    ids=["a spreadsheet's", "tabs and no last line end", "blank lines and blanks"],
)
def test_dialects(text: str) -> None:
    (one,) = read(text.replace("{KEY}", KEY))
    assert isinstance(one, Order)
    assert one == Order(one.line, SPKI, "Example", (TelephoneNumber("12025550100"),))


def test_a_request_gives_its_key_and_nothing_else() -> None:
    (one,) = read(json_line(key="", csr=base64.b64encode(CSR).decode()))
    assert isinstance(one, Order)
    assert (one.spki, one.holder) == (P256_SPKI, "Example")


def test_who_vouches_is_a_part_of_the_order() -> None:
    text = {name: base64.b64encode(name.encode()).decode() for name in ("participant", "proof")}
    halves = text | {"proof": ""}, text | {"participant": ""}
    bare, *others = (read(json_line(**more))[0] for more in ({}, text, *halves))
    assert isinstance(bare, Order)
    assert [(one.participant, one.proof) for one in others if isinstance(one, Order)] == [
        (b"participant", b"proof"), (b"participant", b""), (b"", b"proof"),
    ]  # fmt: skip
    assert len({key(one) for one in (bare, *others) if isinstance(one, Order)}) == 4
    assert reasons("\n".join([json_line(participant="AA"), json_line(proof="?")])) == [
        (1, "bad-participant"), (2, "bad-proof"),
    ]  # fmt: skip


def test_an_order_of_which_a_journal_knows_is_known_for_ever() -> None:
    """What tells it from others stands in journals, also in those that are older than this program."""
    (one,) = read(json_line(id=""))
    assert isinstance(one, Order)
    assert key(one).hex() == "aa824ef7061839c3220403d2fc756ab36bdd8a2e9b9906ab754cbb9f95504131"


def test_what_tells_orders_apart() -> None:
    """By id, or by all that they say; a line's number is no part of it."""
    plain, other_key, moved = json_line(), json_line(key=base64.b64encode(P256_SPKI).decode()), "\n" + json_line()
    a, b, c = (read(text)[0] for text in (plain, other_key, moved))
    assert isinstance(a, Order)
    assert isinstance(b, Order)
    assert isinstance(c, Order)
    assert key(a) != key(b)
    assert key(a) == key(c)
    one, other = (read(json_line(id="x", holder=holder))[0] for holder in "ab")
    assert isinstance(one, Order)
    assert isinstance(other, Order)
    assert key(one) == key(other)
    assert one.content != other.content


@given(st.lists(st.tuples(st.sampled_from(["number", "code", "range"]), st.integers(2, 99)), min_size=1, max_size=6))
def test_orders_of_other_content_have_another_key(claims: list[tuple[str, int]]) -> None:
    members: dict[str, list[str]] = {"number": [], "code": [], "range": []}
    for kind, n in claims:
        members[kind].append({"number": f"1202555{n:04d}", "code": f"{n:04d}", "range": f"12025550000+{n}"}[kind])
    (one,) = read(json_line(**members))
    (other,) = read(json_line(**{**members, "number": [*members["number"], "12025559999"]}))
    assert isinstance(one, Order)
    assert isinstance(other, Order)
    assert key(one) != key(other)
    assert len(one.claims) == len(claims)


# Bad lines ------------------------------------------------------------------------------------------------------------

OFF_CURVE = SPKI[:-1] + bytes([SPKI[-1] ^ 1])
COMPRESSED = P256.public_key().public_bytes(
    serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint
)  # fmt: skip
P384 = ec.generate_private_key(ec.SECP384R1())


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"number": "1202555010x"}, "number-characters"),
        ({"number": "1" * 16}, "number-length"),
        ({"number": ["12025550100", ""]}, "number-length"),
        ({"number": "", "range": "12025550100+1"}, "range-count"),
        ({"number": "", "range": "99+2"}, "range-grows"),
        ({"number": "", "range": "12025550100-12025550199"}, "bad-range"),
        ({"number": "", "range": "12025550100+" + "9" * 400}, "bad-range"),
        ({"code": "709j"}, "bad-code"),
        ({"code": "709J\n"}, ""),
        ({"code": ["709J\n"]}, "bad-code"),
        ({"number": ""}, "no-number"),
        ({"number": []}, "no-number"),
        ({"key": ""}, "no-key"),
        ({"csr": b64(CSR)}, "two-keys"),
        ({"key": "%%%"}, "bad-key"),
        ({"key": b64(OFF_CURVE)}, "bad-key"),
        ({"key": b64(SPKI + b"\x00")}, "bad-key"),
        ({"key": b64(SPKI[:-1])}, "bad-key"),
        ({"key": b64(SPKI[:26] + COMPRESSED)}, "bad-key"),
        ({"key": b64(P384.public_key().public_bytes(serialization.Encoding.DER,
                                                    serialization.PublicFormat.SubjectPublicKeyInfo))}, "bad-key"),
        ({"key": "", "csr": b64(CSR[:-1] + bytes([CSR[-1] ^ 1]))}, "bad-csr"),
        ({"key": "", "csr": b64(CSR[:-9])}, "bad-csr"),
        ({"key": "", "csr": b64(CSR.replace(b"\x02\x01\x00", b"\x02\x01\x01", 1))}, "bad-csr"),  # of no known version
        ({"key": "", "csr": b64(request(P384))}, "bad-key"),
        ({"holder": "x" * 65}, "bad-holder"),
        ({"holder": "Bank\u202eelpmaxE"}, "bad-holder"),
        ({"holder": "a\nb"}, "bad-holder"),
        ({"id": " x"}, "bad-id"),
        ({"id": "x" * 201}, "bad-id"),
        ({"id": "é"}, "bad-id"),
        ({"key": 7}, "bad-line"),
        ({"serial": "1"}, "bad-line"),
    ],
)  # fmt: skip
def test_a_bad_order_is_named_and_the_rest_go_on(members: dict[str, Any], reason: str) -> None:
    text = "\n".join([json_line(), json_line(**members), json_line(id="last")])
    assert reasons(text) == [(1, ""), (2, reason), (3, "")]


def test_a_line_that_never_ends_is_passed_over() -> None:
    """It is not held in memory, however long it is, and costs its own place only."""

    class Watched(io.BytesIO):
        most = 0

        def readline(self, size: int | None = -1, /) -> bytes:
            assert size is not None
            assert 0 < size <= MAX_LINE + 1
            return super().readline(size)

    long = b'{"holder":"' + b"x" * (40 * MAX_LINE) + b'"}\n'
    fits = json_line().encode().replace(b"Example", b"Example" + b" " * 10)
    padded = fits[:-1] + b" " * (MAX_LINE - len(fits) - 1) + b"}\n"
    assert len(padded) == MAX_LINE
    found = list(read_orders(Watched(long + padded + long + json_line(id="4").encode())))
    assert [(one.line, isinstance(one, BadOrder)) for one in found] == [(1, True), (2, False), (3, True), (4, False)]
    assert isinstance(found[0], BadOrder)
    assert found[0].reason == "line-too-long"


def test_a_quote_that_is_not_closed_spoils_no_other_line() -> None:
    text = f'holder,number,key\n"Exa"mple,12025550100,{KEY}\n"Example,12025550100,{KEY}\nExample,12025550100,{KEY}\n'
    assert reasons(text) == [(2, "bad-line"), (3, "bad-line"), (4, "")]


def test_lines_of_another_width_and_another_encoding() -> None:
    text = f"number,holder,key\n1,Example\n1,Example,{KEY},more\n1,Ex\xe4mple,{KEY}\n1,Ok,{KEY}\n".encode("latin-1")
    assert reasons(text) == [(2, "bad-line"), (3, "bad-line"), (4, "bad-line"), (5, "")]


@pytest.mark.parametrize("line", ["[]", "{", '{"number": 5}', "{" * 5000, '{"key":"\ud800"}', "null"])
def test_what_is_no_json_object(line: str) -> None:
    text = (json_line() + "\n").encode() + line.encode("utf-8", "surrogatepass") + b"\n" + json_line(id="x").encode()
    assert reasons(text) == [(1, ""), (2, "bad-line"), (3, "")]


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("number,tel,key", "no column is called 'tel'"), ("number,key,key", "two columns have one name"),
        ("number,,key", "no column is called ''"), ('"number,key', "names no columns"),
        ("-----BEGIN CERTIFICATE-----", "no column is called"),
    ],
)  # fmt: skip
def test_columns_that_are_none_end_it_before_anything_is_issued(header: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        read(f"{header}\n1,2,3\n")
    assert caught.value.reason == "bad-columns"


def test_an_empty_file_orders_nothing() -> None:
    assert read(b"") == read(b"\n\n") == read("number,key\n") == []


@given(st.binary(max_size=300))
def test_no_bytes_make_it_raise_anything_else(data: bytes) -> None:
    for start in (b"number,key\n", json_line().encode() + b"\n"):
        for one in read(start + data):
            assert isinstance(one, Order | BadOrder)
