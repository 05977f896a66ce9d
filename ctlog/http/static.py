"""The files of static-ct-api v1.1.0 over HTTP: checkpoint, tiles, issuers, log.v3.json.

The same bytes lie in the log's public folder, so a web server or a bucket may serve them instead. In scope: which
paths exist, their types and cache headers, gzip. Out of scope: what stands in the files.

Tiles and issuers are immutable. A tile beyond the published head is not served, even if its file is there already; a
partial tile may be removed an hour after its full one was published, and is 404 from then on (the spec's "clients
MUST" fetch the full tile then).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from ctlog.errors import MalformedError, NotFoundError
from ctlog.http.answers import CERTIFICATE, IMMUTABLE, JSON, OCTETS, SHORT, TEXT, Answer
from ctlog.http.problems import not_found
from ctlog.http.published import Published
from ctlog.http.site import Call, Route
from ctlog.merkle.tiles import HEIGHT, WIDTH, parse_entries_path, parse_tile_path

MAX_LEVEL = 5  # static-ct-api, "Merkle Tree"
_FINGERPRINT = re.compile("/issuer/[0-9a-f]{64}")


class Files:
    """The handlers. `metadata` gives log.v3.json as it is now."""

    def __init__(self, published: Published, metadata: Callable[[], bytes]) -> None:
        self._published = published
        self._metadata = metadata

    def exact_routes(self) -> dict[str, Route]:
        """The files with one address."""
        return {
            "/checkpoint": Route("checkpoint", {"GET": self.checkpoint}),
            "/log.v3.json": Route("log.v3.json", {"GET": self.log_v3_json}),
        }

    def prefix_routes(self) -> dict[str, Route]:
        """The files with many. Each kind of tile has a name of its own in the metrics."""
        kinds = {f"/tile/{kind}/": Route(f"tile-{kind}", {"GET": self.entries_tile}) for kind in self._published.kinds}
        return {
            **kinds,
            "/tile/": Route("tile", {"GET": self.tile}),
            "/issuer/": Route("issuer", {"GET": self.issuer}),
        }

    async def checkpoint(self, call: Call) -> Answer:
        """The signed note of the published head."""
        return Answer(200, self._published.signed_head.note, TEXT, SHORT)

    async def log_v3_json(self, call: Call) -> Answer:
        """The log's description for log lists."""
        return Answer(200, self._metadata(), JSON, SHORT)

    async def tile(self, call: Call) -> Answer:
        """A tile of hashes."""
        try:
            tile = parse_tile_path(call.path[1:])
        except MalformedError:
            raise not_found(call.path) from None
        if tile.level > MAX_LEVEL:
            raise not_found(call.path)
        data = await self._covered(call.path, tile.index, tile.width, self._published.tree.size >> HEIGHT * tile.level)
        return Answer(200, data, OCTETS, IMMUTABLE)

    async def entries_tile(self, call: Call) -> Answer:
        """A tile beside the tree. Full ones are stored compressed, and are sent so to whoever takes it."""
        try:
            tile = parse_entries_path(call.path[1:])
        except MalformedError:
            raise not_found(call.path) from None
        data = await self._covered(call.path, tile.index, tile.width, self._published.tree.size)
        if tile.width < WIDTH or not self._published.kinds[tile.kind].gzip_full:
            return Answer(200, data, OCTETS, IMMUTABLE)
        vary = ("Vary", "Accept-Encoding")
        if accepts_gzip(call.header("Accept-Encoding")):
            return Answer(200, data, OCTETS, IMMUTABLE, (("Content-Encoding", "gzip"), vary))
        return Answer(200, self._published.plain(tile.kind, tile.width, data), OCTETS, IMMUTABLE, (vary,))

    async def issuer(self, call: Call) -> Answer:
        """A CA certificate, by the lowercase hex of its SHA-256."""
        if not _FINGERPRINT.fullmatch(call.path):
            raise not_found(call.path)
        data = await self._published.object(call.path[1:])
        if data is None:
            raise NotFoundError("no issuer with this SHA-256 is in this log", reason="unknown-issuer")
        return Answer(200, data, CERTIFICATE, IMMUTABLE)

    async def _covered(self, path: str, index: int, width: int, hashes: int) -> bytes:
        """The tile, if the published tree has it: `hashes` is how many stand at its level."""
        if index * WIDTH + width > hashes:
            raise NotFoundError("the tree is not so large", reason="beyond-tree")
        data = await self._published.object(path[1:])
        if data is None:
            raise not_found(path)
        return data


def accepts_gzip(header: str) -> bool:
    """Does an Accept-Encoding header allow gzip? Without one, only plain bytes are safe to send (curl, old clients)."""
    best = 0.0
    for part in header.lower().split(","):
        name, _, parameters = part.partition(";")
        if name.strip() in ("gzip", "x-gzip", "*"):
            quality = re.fullmatch(r"\s*q\s*=\s*([01](?:\.[0-9]{0,3})?)\s*", parameters)
            best = max(best, float(quality[1]) if quality else 1.0)
    return best > 0
