"""The text form of evidence: docs/evidence.md, "Text". Lines and blocks of lines, and nothing that needs a library.

In scope: reading and writing, strictly and without loss. Out of scope: what the members mean, and whether they hold
(`ctlog.client.evidence`).
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import NamedTuple

from ctlog.errors import MalformedError
from ctlog.wire.b64 import format_base64, parse_base64
from ctlog.wire.rfc6962 import LogKey

MAGIC = "ctlog-evidence/v1"
MAX_EVIDENCE = 8 << 20
"""Characters of the longest evidence that is read."""

_FIELD = "evidence"
_NAME = re.compile("[a-z][a-z0-9-]{0,31}")
_CONTROL = re.compile("[\x00-\x1f]")  # what a signed note may not have either
_NUMBER = re.compile("0|[1-9][0-9]{0,19}")


class Case(NamedTuple):
    """Which log it is about, and where (a URL or a folder) and when (ms since the epoch) it was noticed."""

    origin: str
    key: LogKey
    source: str
    seen_ms: int


class Member(NamedTuple):
    """One line, or, when `value` ends in a newline, one block of lines."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """Evidence that was read, not verified."""

    is_proof: bool
    kind: str
    case: Case
    members: tuple[Member, ...]

    def values(self, name: str) -> list[str]:
        """What the members of this name say, in order."""
        return [member.value for member in self.members if member.name == name]


def format_evidence(evidence: Evidence) -> str:
    """The text of docs/evidence.md. Raises MalformedError for what `parse_evidence` would refuse."""
    case = evidence.case
    head = [
        Member("proof" if evidence.is_proof else "record", evidence.kind),
        Member("origin", case.origin),
        Member("key", format_base64(case.key.spki)),
        Member("source", case.source),
        Member("seen", str(case.seen_ms)),
    ]
    text = MAGIC + "\n" + "".join(_format_member(member) for member in (*head, *evidence.members))
    if parse_evidence(text) != evidence:
        raise MalformedError("evidence: a value that cannot be written", field=_FIELD)
    return text


def parse_evidence(text: str) -> Evidence:
    """The inverse of `format_evidence`; verifies nothing. Unknown kinds are read. Raises MalformedError."""
    if len(text) > MAX_EVIDENCE:
        raise MalformedError(f"evidence: longer than {MAX_EVIDENCE} characters", field=_FIELD)
    first, _, rest = text.partition("\n")
    if first != MAGIC or not rest.endswith("\n"):
        raise MalformedError(f"evidence: the first line is not {MAGIC}, or the last one is not whole", field=_FIELD)
    members = _parse_members(rest[:-1].split("\n"))
    names = [member.name for member in members[:5]]
    if names not in (["proof", "origin", "key", "source", "seen"], ["record", "origin", "key", "source", "seen"]):
        raise MalformedError("evidence: it begins with proof or record, origin, key, source and seen", field=_FIELD)
    kind, origin, key, source, seen = (member.value for member in members[:5])
    if not _NAME.fullmatch(kind) or any(value.endswith("\n") for value in (origin, key, source)):
        raise MalformedError("evidence: its first five members are one line each", field=_FIELD)
    case = Case(origin, LogKey.from_spki(parse_base64(key, "key")), source, parse_number(seen, "seen"))
    return Evidence(names[0] == "proof", kind, case, tuple(members[5:]))


def _format_member(member: Member) -> str:
    if not member.value.endswith("\n"):
        return f"{member.name} {member.value}\n" if member.value else f"{member.name} -\n"
    block = (f"> {line}\n" if line else ">\n" for line in member.value[:-1].split("\n"))
    return f"{member.name}\n{''.join(block)}"


def _parse_members(lines: list[str]) -> list[Member]:
    read: list[tuple[str, str | list[str]]] = []  # a list of lines is a block
    for number, line in enumerate(lines, 2):
        if line.startswith(">"):
            block = read[-1][1] if read else ""
            if isinstance(block, str) or line[1:2] not in ("", " ") or line == "> " or _CONTROL.search(line):
                raise MalformedError(f"evidence: line {number} is no line of a block", field=_FIELD)
            block.append(line[2:])
            continue
        name, space, value = line.partition(" ")
        if not _NAME.fullmatch(name) or bool(space) != bool(value) or not _is_clean(value):
            raise MalformedError(f"evidence: line {number} is no member", field=_FIELD)
        read.append((name, ("" if value == "-" else value) if space else []))
    if any(value == [] for _, value in read):
        raise MalformedError("evidence: a block without lines", field=_FIELD)
    return [Member(name, value if isinstance(value, str) else "\n".join(value) + "\n") for name, value in read]


def _is_clean(value: str) -> bool:
    """No control, no direction override, no line break: a line of evidence can be shown on a terminal as it is."""
    return not any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") for char in value)


def clean(value: str) -> str:
    """`value` as one line: what cannot stand there is written as \\u{...}. Empty becomes empty."""
    shown = "".join(char if _is_clean(char) else f"\\u{{{ord(char):x}}}" for char in value[:2000])
    return "\\u{2d}" if shown == "-" else shown


def parse_number(text: str, field: str) -> int:
    """A whole number of at most 64 bits, in its one spelling. Raises MalformedError."""
    if not _NUMBER.fullmatch(text) or int(text) >= 1 << 64:
        raise MalformedError(f"{field}: a whole number of at most 64 bits expected", field=field)
    return int(text)
