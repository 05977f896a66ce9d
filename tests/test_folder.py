"""A log is made once, by `create` alone; its folder's format is checked; it ends for ever."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import msgspec
import pytest

from ctlog import issuance
from ctlog.config import Config
from ctlog.errors import ConfigError, FrozenError, UsageError
from ctlog.folder import clock_ms, create, freeze, open_folder, recovered
from tests.server import CLOSED_URL, make_log, running_log
from tests.test_roots import pem

CONFIG = Config(origin="log.test/x", monitoring_url=CLOSED_URL)


def write_roots(path: Path) -> Path:
    path.write_bytes(pem(*issuance.example_authority(clock_ms()).chain))
    return path


async def test_a_new_log_has_all_its_parts(tmp_path: Path) -> None:
    roots = write_roots(tmp_path / "roots.pem")
    folder, added = await create(tmp_path / "new" / "log", CONFIG, [(roots, "us-shaken")])
    assert len(added[0].added) == 2
    path = folder.path
    assert (path / "format").read_text() == "1\n"
    assert stat.S_IMODE((path / "seed").stat().st_mode) == 0o600
    assert (path / "public" / "checkpoint").read_text().startswith("log.test/x\n0\n")
    assert b'"active"' in (path / "public" / "log.v3.json").read_bytes()
    assert (tmp_path / "new" / "log.heads.sqlite").exists()
    again = open_folder(path)
    assert again == folder
    assert again.signer().key == folder.signer().key
    assert {record.domain for record in again.roots.accepted()[1]} == {"us-shaken"}
    async with recovered(again) as log:
        assert log.head.size == 0


async def test_create_is_once(tmp_path: Path) -> None:
    await create(tmp_path / "log", CONFIG)
    before = (tmp_path / "log" / "seed").read_bytes()
    with pytest.raises(ConfigError, match="exists and holds a log"):
        await create(tmp_path / "log", CONFIG)
    assert (tmp_path / "log" / "seed").read_bytes() == before
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    with pytest.raises(ConfigError, match="something else"):
        await create(tmp_path / "other", CONFIG)


async def test_a_head_store_may_serve_several_logs(tmp_path: Path) -> None:
    for name in ("a", "b"):
        config = msgspec.structs.replace(CONFIG, origin=f"log.test/{name}", head_store="heads.sqlite")
        await create(tmp_path / name, config)
    assert not (tmp_path / "a.heads.sqlite").exists()
    for name in ("a", "b"):
        async with recovered(open_folder(tmp_path / name)) as log:
            assert log.head.origin == f"log.test/{name}"


async def test_a_head_store_inside_the_folder_is_refused(tmp_path: Path) -> None:
    config = msgspec.structs.replace(CONFIG, head_store="log/heads.sqlite")
    with pytest.raises(ConfigError, match="P11"):
        await create(tmp_path / "log", config)
    assert not (tmp_path / "log").exists()


async def test_nothing_is_made_when_the_roots_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "bad.pem").write_text("hello")
    good = write_roots(tmp_path / "r")
    for roots in ([(tmp_path / "bad.pem", "ca")], [(tmp_path / "absent", "ca")], [(good, "C A")]):
        with pytest.raises(UsageError):
            await create(tmp_path / "log", CONFIG, roots)
    with pytest.raises(ConfigError, match="origin"):
        await create(tmp_path / "log", msgspec.structs.replace(CONFIG, origin="https://x"))
    assert not (tmp_path / "log").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_place_where_nothing_can_be_made(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ConfigError, match="cannot be made"):
        await create(tmp_path / "log", CONFIG)


@pytest.mark.parametrize(("text", "sentence"), [
    (None, "holds no log, or one whose creation was broken off"), ("", "holds no version"), ("x", "holds no version"),
    ("0", "holds no version"), ("2", "made by a newer ctlog"), ("-1", "holds no version"),
])
async def test_formats(tmp_path: Path, text: str | None, sentence: str) -> None:
    await create(tmp_path / "log", CONFIG)
    (tmp_path / "log" / "format").unlink()
    if text is not None:
        (tmp_path / "log" / "format").write_text(text)
    with pytest.raises(ConfigError, match=sentence):
        open_folder(tmp_path / "log")


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="ctlog create"):
        open_folder(tmp_path / "absent")


async def test_what_is_missing_is_never_made_anew(tmp_path: Path) -> None:
    folder, _ = await create(tmp_path / "log", CONFIG)
    seed = (tmp_path / "log" / "seed").read_bytes()
    (tmp_path / "log" / "seed").unlink()
    with pytest.raises(ConfigError, match="P10"):
        folder.signer()
    (tmp_path / "log" / "seed").write_bytes(seed)
    (tmp_path / "log" / "seed").chmod(0o600)
    (tmp_path / "log.heads.sqlite").unlink()
    with pytest.raises(ConfigError):
        async with recovered(folder):
            pass


async def test_settings_come_from_the_configuration(tmp_path: Path) -> None:
    log = await make_log(tmp_path / "log", pool={"size": 7, "period_ms": 3, "head_interval_s": 4},
                         space={"min_percent": 12.5, "min_bytes": 99})
    settings = log.folder.settings()
    assert (settings.pool_size, settings.period_ms, settings.resign_ms) == (7, 3, 4000)
    assert (settings.min_free_share, settings.min_free_bytes) == (0.125, 99)


async def test_a_log_that_is_served_cannot_be_ended_beside_it(tmp_path: Path) -> None:
    async with running_log(tmp_path) as log:
        with pytest.raises(ConfigError, match="another process"):
            await freeze(log.folder)


async def test_the_end(tmp_path: Path) -> None:
    async with running_log(tmp_path) as log:
        given = await log.fill(3)
        assert len(given) == 3
        folder = log.folder
    head = await freeze(folder)
    assert head.size == 3
    assert (await freeze(folder)).root == head.root
    async with recovered(folder) as again:
        assert again.frozen
        with pytest.raises(FrozenError):
            again.check_accepting()
    assert b'"readonly"' in (folder.path / "public" / "log.v3.json").read_bytes()
