"""Members of the JSON objects of RFC 6962 section 4, taken out strictly: numbers of 64 bits, base64, hashes.

In scope: values that a JSON parser has made already. Out of scope: JSON itself. All raise MalformedError whose
`field` is the member's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ctlog.errors import MalformedError
from ctlog.wire.b64 import parse_base64


def json_object(value: object, field: str) -> Mapping[str, Any]:
    """`value`, if it is a JSON object."""
    if not isinstance(value, Mapping):
        raise MalformedError(f"{field}: a JSON object expected", field=field)
    return value


def json_uint64(members: Mapping[str, Any], name: str) -> int:
    """The member `name`: a whole number from 0 to 2^64 - 1."""
    value = members.get(name)
    if type(value) is not int or not 0 <= value < 1 << 64:  # a bool is an int, but no number
        raise MalformedError(f"{name}: a whole number of at most 64 bits expected", field=name)
    return value


def json_bytes(members: Mapping[str, Any], name: str) -> bytes:
    """The member `name`: bytes in standard base64."""
    return parse_base64(members.get(name), name)


def json_hash(members: Mapping[str, Any], name: str) -> bytes:
    """The member `name`: 32 bytes in standard base64."""
    value = json_bytes(members, name)
    if len(value) != 32:
        raise MalformedError(f"{name}: 32 bytes expected, {len(value)} found", field=name)
    return value


def json_hashes(members: Mapping[str, Any], name: str) -> list[bytes]:
    """The member `name`: a list, possibly empty, of 32 bytes each in standard base64 (an audit path, a proof)."""
    values = members.get(name)
    if not isinstance(values, list):
        raise MalformedError(f"{name}: a list of hashes expected", field=name)
    return [json_hash({name: value}, name) for value in values]
