"""The TLS presentation language (RFC 8446 section 3): the part of it that RFC 6962 and static-ct-api are written in.

In scope: big-endian unsigned integers, opaque bytes of fixed length, and vectors with a length prefix, read strictly
and written. Out of scope: enums and structs, which are Python values of the rooms that define them.

Nothing is ever read beyond the end, nothing is left over unless the caller takes it, and every refusal is a
`MalformedError` that names the field and the offset in it.
"""

from __future__ import annotations

from typing import NoReturn

from ctlog.errors import MalformedError


class Reader:
    """Reads `data` from front to back and cannot over-read.

    `field` is what errors call the bytes. Offsets in errors count from the start of the outermost `data`, for nested
    readers too.
    """

    __slots__ = ("_at", "_data", "_stop", "field")

    def __init__(self, data: bytes, field: str = "data", *, start: int = 0, stop: int | None = None) -> None:
        """Read `data[start:stop]`; the caller vouches for `0 <= start <= stop <= len(data)`."""
        self._data = data
        self._at = start
        self._stop = len(data) if stop is None else stop
        self.field = field

    @property
    def offset(self) -> int:
        """Where the next byte is read, counted from the start of the outermost data."""
        return self._at

    @property
    def left(self) -> int:
        """How many bytes were not read yet."""
        return self._stop - self._at

    def fail(self, sentence: str, offset: int | None = None) -> NoReturn:
        """Raise a `MalformedError` for this field, at `offset` or, without one, where the reader stands."""
        at = self._at if offset is None else offset
        raise MalformedError(f"{self.field}: {sentence} (at byte {at})", field=self.field, offset=at)

    def octets(self, count: int) -> bytes:
        """The next `count` bytes."""
        start = self._at
        stop = start + count
        if stop > self._stop:
            self.fail(f"{count} bytes wanted, {self.left} left")
        self._at = stop
        return self._data[start:stop]

    def uint(self, width: int) -> int:
        """The next `width` bytes as a big-endian unsigned integer."""
        return int.from_bytes(self.octets(width), "big")

    def vector(self, length_bytes: int, lo: int = 0, hi: int | None = None) -> bytes:
        """The next vector: a length of `length_bytes` bytes, then as many bytes, at least `lo`, at most `hi`."""
        return self.octets(self._vector_length(length_bytes, lo, hi))

    def nested(self, length_bytes: int, lo: int = 0, hi: int | None = None) -> Reader:
        """A reader of the next vector's contents; this one goes on behind it."""
        length = self._vector_length(length_bytes, lo, hi)
        start = self._at
        self._at += length
        return Reader(self._data, self.field, start=start, stop=self._at)

    def _vector_length(self, length_bytes: int, lo: int, hi: int | None) -> int:
        start = self._at
        length = self.uint(length_bytes)
        if length > self._stop - self._at:
            self.fail(f"a vector of {length} bytes does not fit into the {self.left} left", start)
        if length < lo or (hi is not None and length > hi):
            self.fail(f"a vector of {length} bytes, where {_bounds(lo, hi)} are allowed", start)
        return length

    def rest(self) -> bytes:
        """All that is left."""
        return self.octets(self.left)

    def end(self) -> None:
        """Refuse bytes that are left over."""
        if self._at != self._stop:
            self.fail(f"{self.left} bytes too many")


def uint(value: int, width: int, field: str = "number") -> bytes:
    """`value` as `width` big-endian bytes. Raises MalformedError when it does not fit."""
    if not 0 <= value < 1 << (8 * width):
        raise MalformedError(f"{field}: {value} does not fit into {width} unsigned bytes", field=field)
    return value.to_bytes(width, "big")


def vector(data: bytes, length_bytes: int, lo: int = 0, field: str = "vector") -> bytes:
    """`data` behind its length in `length_bytes` bytes.

    Raises MalformedError when `data` is shorter than `lo` or longer than the length can say.
    """
    length = len(data)
    hi = (1 << (8 * length_bytes)) - 1
    if not lo <= length <= hi:
        raise MalformedError(f"{field}: {length} bytes, where {_bounds(lo, hi)} are allowed", field=field)
    return length.to_bytes(length_bytes, "big") + data


def _bounds(lo: int, hi: int | None) -> str:
    return f"at least {lo}" if hi is None else f"{lo} to {hi}"
