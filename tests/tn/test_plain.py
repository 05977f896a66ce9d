"""ctlog.tn.plain: a number that is told is all that the full reading finds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ctlog.tn.labels import ONE, Label
from ctlog.tn.numbers import NumberRange, ServiceProviderCode, TelephoneNumber
from ctlog.tn.plain import plain_number
from tests.number_certificates import access, identity, names, number_list

numbers = st.from_regex(r"[1-9][0-9]{6,14}", fullmatch=True)


def check(extension: bytes) -> bool:
    """Compare with the full reading; true if something was told."""
    digits = plain_number(extension)
    if digits is None:
        return False
    found = identity(extension)
    number = digits.decode()
    assert (found.claims, found.readings, found.findings) == ((TelephoneNumber(number),), (), ())
    assert found.labels == (Label(ONE, number),)
    assert found.family in ("stir", "rcs")
    assert not found.by_reference
    return True


@given(numbers)
def test_numbers_in_their_usual_form_are_told(number: str) -> None:
    assert check(number_list([TelephoneNumber(number)]))
    assert check(names(b"tel:+" + number.encode()))


@given(numbers, st.booleans(), st.data())
def test_bent_extensions_are_told_as_they_are_read(number: str, as_name: bool, data: st.DataObject) -> None:
    extension = names(b"tel:+" + number.encode()) if as_name else number_list([TelephoneNumber(number)])
    at = data.draw(st.integers(4, len(extension) - 1))
    check(extension[:at] + data.draw(st.sampled_from([b"0", b"9", b"#", b"*", b"\x80", b"a"])) + extension[at + 1 :])


def test_what_is_not_usual_is_left_to_be_read() -> None:
    number = TelephoneNumber("12025550123")
    for extension in (
        number_list([number], critical=True), number_list([number, number]), number_list([ServiceProviderCode("709J")]),
        number_list([NumberRange("12025550100", 10)]), number_list([TelephoneNumber("0123456789")]),
        number_list([TelephoneNumber("911")]), number_list([TelephoneNumber("1202555012*")]), names(b"tel:911"),
        names(b"tel:+1-202-555-0123"), names(b"tel:+12025550123", b"tel:+12025550124"), access(b"https://x.example/"),
        number_list(b""), b"",
    ):  # fmt: skip
        assert plain_number(extension) is None
