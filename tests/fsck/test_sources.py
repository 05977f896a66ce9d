"""ctlog.fsck.sources: a log behind a server is checked as one in a folder is."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ctlog.client.fetch import DirectoryFetcher
from ctlog.client.parallel import Span
from ctlog.errors import NotFoundError, TransportError, UsageError
from ctlog.folder import Folder
from ctlog.fsck.sources import FolderSource, ServedSource, served
from ctlog.fsck.whole import Options, check_log
from tests.whole_log import make_log


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return make_log(tmp_path_factory.mktemp("log") / "log", [260])


class Recorder:
    """A Fetcher over a folder that remembers what it was asked for, and may withhold some of it."""

    def __init__(self, folder: Path, missing: tuple[str, ...] = ()) -> None:
        self._inner = DirectoryFetcher(folder)
        self.missing = missing
        self.asked: list[str] = []
        self.error: Exception | None = None

    async def get(self, path: str, *, limit: int = 1 << 26) -> bytes:
        self.asked.append(path)
        if self.error is not None and path != "checkpoint":
            raise self.error
        if path in self.missing:
            raise NotFoundError(path)
        return await self._inner.get(path, limit=limit)


@pytest.fixture
def loop() -> asyncio.AbstractEventLoop:
    made = asyncio.new_event_loop()
    yield made  # type: ignore[misc]
    made.close()


def check(fetcher: Recorder, folder: Folder, loop: asyncio.AbstractEventLoop) -> set[str]:
    signer = folder.signer()
    report = check_log(ServedSource(fetcher, loop), signer.key, signer.checkpoint_key, Options(processes=1))
    return {damage.path for damage in report.damages}


def test_a_served_log_is_clean_and_each_file_is_fetched_once(folder: Folder, loop: asyncio.AbstractEventLoop) -> None:
    fetcher = Recorder(folder.path / "public")
    assert check(fetcher, folder, loop) == set()
    fetched = [path for path in fetcher.asked if path.startswith(("tile/data", "tile/0"))]
    assert len(fetched) == len(set(fetched))


def test_what_the_log_withholds_is_named(folder: Folder, loop: asyncio.AbstractEventLoop) -> None:
    for path in ("tile/0/000", "tile/data/001.p/4", "tile/numbers/000", "tile/1/000.p/1"):
        assert check(Recorder(folder.path / "public", (path,)), folder, loop) == {path}
    issuer = next(iter((folder.path / "public/issuer").iterdir())).name
    assert check(Recorder(folder.path / "public", (f"issuer/{issuer}",)), folder, loop) == {f"issuer/{issuer}"}


def test_a_network_that_fails_half_way_is_no_damage(folder: Folder, loop: asyncio.AbstractEventLoop) -> None:
    fetcher = Recorder(folder.path / "public")
    fetcher.error = TransportError("gone")
    with pytest.raises(TransportError):
        check(fetcher, folder, loop)


def test_a_folder_hands_its_name_to_the_workers(folder: Folder) -> None:
    source = FolderSource(folder.path / "public")
    assert source.files(Span(0, 256), 260) == str(folder.path / "public")
    assert source.read("checkpoint").startswith(b"log.test/whole\n")


def test_what_is_no_url_is_said() -> None:
    with pytest.raises(UsageError), served("https://"):
        pass
