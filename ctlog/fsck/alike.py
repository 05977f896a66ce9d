"""What admission would make of an entry, told from others like it of which admission was asked: in a tenth of the time.

In scope: the line of the numbers feed, and the leaf of a precertificate, of entries whose certificates have a known
shape (`shapes`). What has none (large certificates, other forms of time, precertificate signing certificates) is left
to admission, and so is whatever is not stored as it would come out here: `entries` asks admission of it, and nothing is
ever called damaged because of what stands here.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import NamedTuple, TypeVar

import msgspec

from ctlog.admission import LARGE_LEAF
from ctlog.fsck.names import NameTexts
from ctlog.fsck.shapes import (
    BEGINNING,
    END,
    FORMS,
    SPKI,
    START,
    SUBJECT,
    Shape,
    claims_of,
    findings_of,
    is_good_serial,
    judge,
    make_shape,
)
from ctlog.merkle.hashing import hash_messages
from ctlog.tn.delegation import Scope, check_encompassed
from ctlog.tn.identity import Identity, read_identity
from ctlog.tn.numbers import TelephoneNumber
from ctlog.tn.plain import plain_number
from ctlog.wire.numbers_feed import FeedBody, format_feed_body, format_feed_line
from ctlog.wire.static_ct import DataTile, PendingEntry
from ctlog.x509.der import UTC_TIME, Certificate, parse_certificate, read_extension, read_time
from ctlog.x509.precert import is_precert_signer

K = TypeVar("K")
V = TypeVar("V")

MAX_SHAPES = 4096  # some 3 KB each
MAX_ALIKE = 16  # shapes that begin alike and are tried one after another
MAX_FAMILIES = 1024
MAX_KNOWN = 32768  # subjects, times, and scopes of a family that are remembered

_NEVER = 1 << 62
_NO_NAME = b"\x30\x00"
_BARE = Certificate(b"", b"", b"", b"", b"", 3, b"", b"", b"", None, None, b"", b"", (), 0, 0, 0)
_decode_body = msgspec.json.Decoder(FeedBody).decode


class Family:
    """What entries of one kind below one chain, under one trust domain, have in common."""

    def __init__(self, pending: PendingEntry) -> None:
        self.root = pending.root.hex()
        self.domain = pending.trust_domain
        self.shapes: dict[bytes, list[Shape]] = {}
        above = [parse_certificate(issuer.der) for issuer in pending.issuers]
        end_ms = above[0].not_after_ms
        self.end_ms = _NEVER if end_ms is None else end_ms
        self.has_shapes = not (pending.pre_certificate and is_precert_signer(above[0]))
        self._above = [read_identity(certificate) for certificate in above]
        self._lists = [Scope(identity.claims) for identity in self._above if identity.has_list]
        self._plains: dict[tuple[bytes, tuple[bool, ...]], tuple[list[bytes], bytes]] = {}
        self._model = _decode_body(b"{" + pending.feed)
        self.scopes: dict[tuple[bytes, ...], tuple[bytes, bytes]] = {}
        """What `scope` gave, by the forms, with the subject before them where it tells something."""

    def scope(self, telling: bytes, forms: tuple[bytes, ...]) -> tuple[bytes, bytes]:
        """What a line says of numbers: its beginning, up to the labels; and findings. telling: the subject, if numbers
        may depend on it, or nothing."""
        key = (telling, *forms) if telling else forms
        found = self.scopes.get(key)
        if found is None and not telling and len(forms) == 1:
            found = self._plain(forms[0])
        if found is None:
            extensions = tuple(read_extension(form, 0, len(form), "extension") for form in forms)
            identity = read_identity(_BARE._replace(subject=telling or _NO_NAME, extensions=extensions))
            found = (self._claims(identity), self._findings(identity))
            _keep(self.scopes, key, found)
        return found

    def _plain(self, form: bytes) -> tuple[bytes, bytes] | None:
        """The same for one plain number, from what was said of another: what it is compared with are the lists above,
        and whether each holds it is all that findings depend on (`tn.delegation`)."""
        digits = plain_number(form)
        if digits is None:
            return None
        number = TelephoneNumber(digits.decode())
        key = (form[: -len(digits)], tuple([scope.holds(number) for scope in self._lists]))
        found = self._plains.get(key)
        if found is None:
            extension = read_extension(form, 0, len(form), "extension")
            identity = read_identity(_BARE._replace(subject=_NO_NAME, extensions=(extension,)))
            found = self._plains[key] = (self._claims(identity).split(digits), self._findings(identity))
        return digits.join(found[0]), found[1]

    def _claims(self, identity: Identity) -> bytes:
        labels = [f"{kind}:{value}" if value else kind for kind, value in identity.labels]
        body = msgspec.structs.replace(
            self._model, family=identity.family, numbers=identity.numbers, ranges=identity.ranges,
            codes=identity.codes, by_reference=identity.by_reference, labels=labels,
        )  # fmt: skip
        return claims_of(format_feed_body(body))

    def _findings(self, identity: Identity) -> bytes:
        found = (*identity.findings, *check_encompassed(identity, self._above))
        return msgspec.json.encode([each.id for each in found])[1:-1]


class Told(NamedTuple):
    """What was told of the entries of a tile, in order: their lines of the feed without the newline, and the family by
    which each was told; None where only admission can tell."""

    lines: list[bytes | None]
    families: list[Family | None]


_Cut = tuple[Family, Shape, tuple[bytes, ...]]
"""An entry cut up. What is the same in all entries of its shape has been compared."""


class Alike:
    """Remembers entries of which admission was asked, and tells what it would say of others. For one thread; its memory
    is bounded."""

    def __init__(self) -> None:
        self._families: tuple[dict[bytes, Family], dict[bytes, Family]] = ({}, {})  # finals, precertificates
        self._count = 0
        self._times: dict[bytes, int | None] = {}
        self._names = NameTexts()

    # Telling --------------------------------------------------------------------------------------------------------

    def expect(self, lo: int, times_ms: Sequence[int], tile: DataTile) -> Told:
        """Tell the line of each entry of a tile, whose first one has the index `lo`, as admission would write it at the
        entry's time, in `times_ms`. Where there is a line, the leaf is that of the stored precertificate, too."""
        cuts = list(map(self._cut, tile.leaves, tile.submitted, tile.chains))
        keys = hash_messages([cut[2][SPKI] if cut else b"" for cut in cuts]).hex().encode()
        digests = hash_messages(tile.submitted).hex().encode()
        lines = [
            self._line(index, time_ms, cut, keys[at : at + 64], digests[at : at + 64]) if cut else None
            for index, time_ms, cut, at in zip(count(lo), times_ms, cuts, range(0, len(keys), 64), strict=False)
        ]
        return Told(lines, [cut and cut[0] for cut in cuts])

    def _cut(self, leaf: bytes, der: bytes, chain: bytes) -> _Cut | None:
        family = self._families[leaf[11]].get(chain)
        if family is None:
            return None
        for shape in family.shapes.get(der[:BEGINNING], ()):
            size, cut, forms, logged, octets, heads, _, _ = shape
            if size == len(der):
                parts = cut(der)
                if parts[logged:] == octets:
                    if forms < logged:
                        fields, before, after = parts[forms:logged]
                        if leaf[10:-10] != b"".join((heads[0], fields, heads[1], before, after)):
                            return None
                    return family, shape, parts
        return None

    def _line(self, index: int, time_ms: int, cut: _Cut, key: bytes, digest: bytes) -> bytes | None:
        family, shape, parts = cut
        subject, start, end, _, serial = parts[:FORMS]
        start_ms = self._times.get(start) or self._time(start)
        end_ms = self._times.get(end) or self._time(end)
        if start_ms is None or end_ms is None or not is_good_serial(serial):
            return None
        tail = shape.tails.get(judge(start_ms, end_ms, time_ms, family.end_ms))
        if tail is None:
            return None
        text, telling = self._names.text(subject)
        forms = parts[FORMS : shape.forms]
        known = None if telling else family.scopes.get(forms)
        claims, about_numbers = known or family.scope(subject if telling else b"", forms)
        findings = about_numbers + b"," + tail if about_numbers and tail else about_numbers or tail
        return shape.line % (index, time_ms, claims, text, key, start_ms, end_ms, findings, digest)

    def _time(self, content: bytes) -> int | None:
        """A UTCTime in ms since 1970."""
        found = read_time(UTC_TIME, content)
        _keep(self._times, content, found)
        return found

    # Learning -------------------------------------------------------------------------------------------------------

    def learn(self, index: int, leaf: bytes, der: bytes, chain: bytes, pending: PendingEntry) -> None:
        """Remember an entry of which admission, asked with the entry's own time, has made `pending`."""
        if len(der) >= LARGE_LEAF:
            return
        family = self._family(self._families[leaf[11]], chain, pending)
        cut = self._cut(leaf, der, chain)
        if cut is None and family.has_shapes:
            self._add(family, make_shape(parse_certificate(der), leaf, pending.feed), der[:BEGINNING])
            cut = self._cut(leaf, der, chain)
        if cut is not None:
            self._judged(index, int.from_bytes(leaf[2:10], "big"), cut, pending)

    def _family(self, families: dict[bytes, Family], chain: bytes, pending: PendingEntry) -> Family:
        found = families.get(chain)
        if found is None or found.domain != pending.trust_domain:
            if len(families) >= MAX_FAMILIES:
                self._forget()
            found = families[chain] = Family(pending)
        return found

    def _add(self, family: Family, shape: Shape | None, beginning: bytes) -> None:
        if shape is None:
            return
        if self._count >= MAX_SHAPES:
            self._forget()
            return
        alike = family.shapes.setdefault(beginning, [])
        alike.append(shape)
        self._count += 1
        if len(alike) > MAX_ALIKE:
            del alike[0]
            self._count -= 1

    def _judged(self, index: int, time_ms: int, cut: _Cut, pending: PendingEntry) -> None:
        """Learn which findings such times have, and believe it if then the whole line comes out."""
        family, shape, parts = cut
        start_ms, end_ms = self._time(parts[START]), self._time(parts[END])
        if start_ms is None or end_ms is None:
            return
        judged = judge(start_ms, end_ms, time_ms, family.end_ms)
        if judged in shape.tails:
            return
        telling = parts[SUBJECT] if self._names.text(parts[SUBJECT])[1] else b""
        about_numbers = family.scope(telling, parts[FORMS : shape.forms])[1]
        shape.tails[judged] = findings_of(pending.feed)[len(about_numbers) :].removeprefix(b",")
        key = hash_messages([parts[SPKI]]).hex().encode()
        line = self._line(index, time_ms, cut, key, pending.certificate_hash.hex().encode())
        if line is None or line + b"\n" != format_feed_line(index, time_ms, pending.feed):
            del shape.tails[judged]

    def _forget(self) -> None:
        for families in self._families:
            families.clear()
        self._count = 0


def _keep(memory: dict[K, V], key: K, value: V) -> None:
    if len(memory) >= MAX_KNOWN:
        memory.clear()
    memory[key] = value
