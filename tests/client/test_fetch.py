"""ctlog.client.fetch: a folder is read like a log, and gzip has a bound."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctlog.client.fetch import DirectoryFetcher, gunzip
from ctlog.errors import NotFoundError, TransportError


@given(st.binary(max_size=200), st.integers(0, 300))
def test_gunzip_is_the_inverse_within_its_bound(data, limit):
    if len(data) <= limit:
        assert gunzip(gzip.compress(data), limit) == data
    else:
        with pytest.raises(TransportError):
            gunzip(gzip.compress(data), limit)


@given(st.binary(max_size=100))
def test_nothing_makes_gunzip_raise_anything_else(data):
    with pytest.raises(TransportError):
        gunzip(b"\x1f\x8b" + data)


async def test_a_folder_is_read_like_a_log(tmp_path):
    fetcher = DirectoryFetcher(tmp_path)
    (tmp_path / "tile/data").mkdir(parents=True)
    (tmp_path / "tile/0").mkdir()
    (tmp_path / "checkpoint").write_bytes(b"note")
    (tmp_path / "tile/data/000").write_bytes(gzip.compress(b"\0entries"))
    (tmp_path / "tile/data/001.p").mkdir()
    (tmp_path / "tile/data/001.p/3").write_bytes(b"\0plain")
    (tmp_path / "tile/0/000").write_bytes(b"\x1f\x8b a hash that looks like gzip")
    assert await fetcher.get("checkpoint") == b"note"
    assert await fetcher.get("tile/data/000") == b"\0entries"
    assert await fetcher.get("tile/data/001.p/3") == b"\0plain"
    assert await fetcher.get("tile/0/000") == b"\x1f\x8b a hash that looks like gzip"
    with pytest.raises(TransportError, match="longer than 3"):
        await fetcher.get("checkpoint", limit=3)


@pytest.mark.parametrize(
    "path", ["x", "tile/data", "checkpoint/x", "../secret", "tile/../../secret", "/etc/passwd", "a\0b"]
)
async def test_a_folder_gives_nothing_beyond_it(tmp_path, path):
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "public/tile/data").mkdir(parents=True)
    (tmp_path / "public/checkpoint").write_bytes(b"note")
    with pytest.raises(NotFoundError):
        await DirectoryFetcher(tmp_path / "public").get(path)
