"""A body that comes byte by byte, and counts the bytes that its reader copies: quadratic work shows without a clock."""

from __future__ import annotations

from typing import Any


class CountedParts:
    """`readany`, like that of a stream, gives `data` in parts of one byte and then `end`; `copied` is what it cost."""

    def __init__(self, data: bytes, end: bytes = b"") -> None:
        self.copied = 0
        self._left = iter([_Part.of(data[at : at + 1], self) for at in range(len(data))] + [end])

    async def readany(self) -> bytes:
        return next(self._left)


class _Part(bytes):
    """What is put together by adding, or split after that, is counted. (Growing a bytearray copies amortized once.)"""

    counter: CountedParts

    @classmethod
    def of(cls, data: bytes, counter: CountedParts) -> _Part:
        part = cls(data)
        part.counter = counter
        return part

    def __radd__(self, before: Any) -> Any:
        if not isinstance(before, bytes):
            return NotImplemented
        self.counter.copied += len(before) + len(self)
        return _Part.of(before.__add__(self), self.counter)

    def split(self, *by: Any) -> list[bytes]:  # type: ignore[override]
        self.counter.copied += len(self)
        return super().split(*by)
