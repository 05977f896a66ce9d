"""A log of phone-number certificates for benchmarks: entries that differ as real ones do, its tree, and a server of it.

Four kinds, in the mix of `KINDS`: a delegate's number, a delegate's range, a provider's code, a client's `tel:` name.
Each entry has its own serial number, key, subject, number, times and signature, of which the last is random but for
those that a follower checks: the first ones, and where somebody is concerned. There are 5,000 holders, and 2,000 codes.
`serve` answers static tiles and RFC 6962 calls with slices of prepared bytes, faster than anything reads them.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import random
from collections.abc import Callable, Iterator
from typing import NamedTuple, cast
from urllib.parse import parse_qs

import orjson

from ctlog import issuance
from ctlog.client.submit import signed_entry
from ctlog.issuance import DAY_MS, Authority, Key, Subject
from ctlog.merkle.hashing import hash_leaves, hash_levels
from ctlog.merkle.proof import build, plan_consistency
from ctlog.merkle.tiles import WIDTH, entries_path, tile_path, tiles_of
from ctlog.merkle.tree import Frontier, Node
from ctlog.wire.b64 import format_base64
from ctlog.wire.checkpoint import Checkpoint, SignedHead, format_checkpoint, open_checkpoint, sign_rfc6962
from ctlog.wire.rfc6962 import (
    DigitallySigned,
    LogKey,
    format_extra_data_precert,
    format_merkle_tree_leaf,
    sth_to_json,
)
from ctlog.wire.signed_note import format_note
from ctlog.wire.static_ct import TileLeaf, format_leaf_index, format_tile_leaf, merkle_tree_leaves
from ctlog.x509.der import parse_certificate

NOW_MS = 1_790_000_000_000
ORIGIN = "bench.example/log"
KINDS = ["one", "one", "one", "one", "one", "one", "range", "spc", "spc", "tel"]
KEY = Key.from_number(3)
LOG_KEY = LogKey.from_spki(KEY.spki)

BLOCKS = 12_000_000_000
"""Entries are for numbers in every other block of a hundred from here on; others may be watched without being met."""
EVERY = 10_000
"""One entry in so many is for a number of its own, `concerned`."""

SIGNED = 1024
"""The first entries, whose signatures are real; so are those of every `concerned` one."""

_NUMBER, _NAME, _CODE, _HOLDER = b"12025550100", b"leaf 00000000", b"709J", b"Carrier 0000"


def concerned(index: int) -> int:
    """The number of the entry at `index`, one of every `EVERY`."""
    return BLOCKS + 999_000_000 + index // EVERY


class Model(NamedTuple):
    """An admitted entry of one kind, and where its variable parts lie in each of its forms."""

    leaf: TileLeaf
    spki: bytes
    serial: bytes


def models(authority: Authority) -> dict[str, Model]:
    """One entry of each kind, all precertificates."""
    spki = Key.from_number(4).spki
    since, until = NOW_MS, NOW_MS + 90 * DAY_MS
    serial = 0x1122334455667788
    who = Subject(issuance.name(O=_HOLDER.decode(), CN=_NAME.decode()), spki, since, until, serial)
    made = {
        "one": issuance.delegate_leaf(authority, who, issuance.one(_NUMBER.decode())),
        "range": issuance.delegate_leaf(authority, who, issuance.number_range(_NUMBER.decode(), 100)),
        "spc": issuance.shaken_leaf(
            authority, spki, _CODE.decode(), _HOLDER.decode(), not_before_ms=since, not_after_ms=until, serial=serial
        ),
        "tel": issuance.rcs_leaf(authority, who, _NUMBER.decode()),
    }
    found = {}
    for kind, tbs in made.items():
        chain = [parse_certificate(der) for der in (authority.precertificate(tbs), *authority.chain)]
        entry = signed_entry(chain[0], tuple(chain[1:]))
        fingerprints = tuple(hashlib.sha256(der).digest() for der in authority.chain)
        leaf = TileLeaf(NOW_MS, entry, format_leaf_index(0), chain[0].der, fingerprints)
        found[kind] = Model(leaf, spki, serial.to_bytes(8, "big"))
    return found


class Patch:
    """Writes the variable parts into copies of a model's bytes."""

    def __init__(self, model: Model, authority: Authority) -> None:
        self.model = model
        self._authority = authority
        leaf = model.leaf
        self._forms = [bytearray(leaf.entry.certificate), bytearray(leaf.pre_certificate)]
        marks = (model.serial, model.spki[-64:], _NAME, _NUMBER, b"SHAKEN " + _CODE, b"\x16\x04" + _CODE, _HOLDER)
        self._places = [[form.find(mark) for mark in marks] for form in self._forms]
        time = leaf.entry.certificate.index(b"\x30\x1e\x17\x0d")
        self._times = [time, leaf.pre_certificate.index(b"\x30\x1e\x17\x0d")]

    def leaf(self, index: int, dice: random.Random, number: int, code: bytes) -> TileLeaf:
        """The entry at `index`."""
        key, serial = dice.randbytes(64), b"\x11" + dice.randbytes(7)
        # A code has one holder, as in the field; numbers have any.
        holder = int(code[:3]) if self._places[0][5] >= 0 else dice.randrange(5000)
        minute, second = divmod(dice.randrange(3600), 60)
        values = (
            serial, key, b"leaf %08d" % index, b"%011d" % number, b"SHAKEN " + code, b"\x16\x04" + code,
            b"Carrier %04d" % holder,
        )  # fmt: skip
        made = []
        for form, places, time in zip(self._forms, self._places, self._times, strict=True):
            for place, value in zip(places, values, strict=True):
                if place >= 0:
                    form[place : place + len(value)] = value
            form[time + 12 : time + 16] = b"%02d%02d" % (minute, second)
            made.append(bytes(form))
        made[1] = made[1][:-24] + dice.randbytes(24)  # inside of the signature's second number
        if index < SIGNED or index % EVERY == EVERY - 1:
            made[1] = self._authority.precertificate(made[0])
        leaf = self.model.leaf
        entry = leaf.entry._replace(certificate=made[0])
        return TileLeaf(NOW_MS + index, entry, format_leaf_index(index), made[1], leaf.chain)


class NumberLog:
    """The log: everything that it serves, prepared. `page` bounds what get-entries answers."""

    def __init__(self, size: int, *, with_entries: bool = True, page: int = 1024, seed: int = 1) -> None:
        self.authority = issuance.example_authority(NOW_MS, root_key=Key.from_number(1), key=Key.from_number(2))
        self.page = page
        self.files: dict[str, bytes] = {}
        self.issuers = {f"issuer/{hashlib.sha256(der).hexdigest()}": der for der in self.authority.chain}
        self._rows = bytearray()
        self._ends = [0]
        hashes = bytearray()
        for index, tile in enumerate(self._tiles(size, seed, with_entries)):
            width = min(WIDTH, size - WIDTH * index)
            packed = gzip.compress(tile, 1) if width == WIDTH else tile
            self.files[entries_path("data", index, width)] = packed
            hashes += hash_leaves(merkle_tree_leaves(tile))
        self.levels = [bytes(hashes), *hash_levels(bytes(hashes))]
        for tile in tiles_of(size):
            row = self.levels[8 * tile.level]
            self.files[tile_path(tile)] = row[8192 * tile.index : 8192 * tile.index + 32 * tile.width]
        self.files |= self.issuers
        self.head = self.sign(size)
        self.serve_head(self.head)

    def _tiles(self, size: int, seed: int, with_entries: bool) -> Iterator[bytes]:
        dice = random.Random(seed)
        patches = {kind: Patch(model, self.authority) for kind, model in models(self.authority).items()}
        part: list[bytes] = []
        for index in range(size):
            code = b"%03d%c" % (dice.randrange(1000), 65 + dice.randrange(2))
            kind, number = dice.choice(KINDS), BLOCKS + 200 * dice.randrange(4_990_000) + dice.randrange(100)
            if index % EVERY == EVERY - 1:
                kind, number = "one", concerned(index)
            leaf = patches[kind].leaf(index, dice, number // 100 * 100 if kind == "range" else number, code)
            part.append(format_tile_leaf(leaf))
            if with_entries:
                self._add_row(leaf)
            if len(part) == WIDTH or index == size - 1:
                yield b"".join(part)
                part = []

    def _add_row(self, leaf: TileLeaf) -> None:
        extra = format_extra_data_precert(leaf.pre_certificate, self.authority.chain)
        data = format_base64(format_merkle_tree_leaf(leaf.timestamped))
        self._rows += orjson.dumps({"leaf_input": data, "extra_data": format_base64(extra)}) + b","
        self._ends.append(len(self._rows))

    def hash(self, node: Node) -> bytes:
        """See `ctlog.merkle.proof.Authentic`."""
        return self.levels[node.level][32 * node.index : 32 * node.index + 32]

    def sign(self, size: int) -> SignedHead:
        """The head over the first `size` entries."""
        checkpoint = Checkpoint(ORIGIN, size, Frontier().append(self.levels[0][: 32 * size]).root())
        time_ms = NOW_MS + size
        line = sign_rfc6962(checkpoint, time_ms, LOG_KEY.log_id, lambda data: DigitallySigned(4, 3, KEY.sign(data)))
        return open_checkpoint(format_note(format_checkpoint(checkpoint), [line]), ORIGIN, LOG_KEY)

    def serve_head(self, head: SignedHead) -> None:
        """Answer with this head from now on."""
        self.files["checkpoint"] = head.note
        self.files["ct/v1/get-sth"] = orjson.dumps(sth_to_json(head.sth))

    def answer(self, path: str) -> tuple[bytes, bool] | None:
        """What stands there, and whether it is compressed."""
        name, _, query = path.lstrip("/").partition("?")
        found = self.files.get(name)
        if found is not None:
            return found, found[:2] == b"\x1f\x8b"
        values = {key: int(value[0]) for key, value in parse_qs(query).items()}
        if name == "ct/v1/get-entries" and values["start"] < len(self._ends) - 1:
            stop = min(values["end"] + 1, values["start"] + self.page, len(self._ends) - 1)
            rows = self._rows[self._ends[values["start"]] : self._ends[stop] - 1]
            return b'{"entries":[' + rows + b"]}", False
        if name == "ct/v1/get-sth-consistency":
            proof = build(plan_consistency(values["first"], values["second"]), self)
            return orjson.dumps({"consistency": [format_base64(value) for value in proof]}), False
        return None


class _Protocol(asyncio.Protocol):
    """HTTP/1.1, GET only, keep-alive: as little as can be, so that the reader is what is measured."""

    def __init__(self, answer: Callable[[str], tuple[bytes, bool] | None]) -> None:
        self._answer = answer
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while b"\r\n\r\n" in self._buffer:
            head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
            found = self._answer(head.split(b" ", 2)[1].decode())
            if found is None:
                self._transport.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                continue
            body, packed = found
            extra = b"Content-Encoding: gzip\r\n" if packed else b""
            self._transport.write(b"HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n" % (extra, len(body)))
            self._transport.write(body)


async def serve(log: NumberLog, port: int = 0) -> asyncio.Server:
    """Serve it on this machine; the port is in `sockets[0].getsockname()[1]`."""
    loop = asyncio.get_running_loop()
    return await loop.create_server(lambda: _Protocol(log.answer), "127.0.0.1", port)
