"""`ctlog fsck`, `ctlog reindex`, `ctlog migrate` as they are typed."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path

import pytest

from ctlog.cli import run
from ctlog.folder import Folder, open_folder
from tests.whole_log import make_log


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return make_log(tmp_path_factory.mktemp("original") / "log", [20, 260])


@pytest.fixture
def folder(original: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(original.path, "log")
    for path in original.path.parent.glob("log.heads.sqlite*"):
        shutil.copy(path, ".")
    return open_folder(Path("log"))


def bend(path: str) -> None:
    data = Path(path).read_bytes()
    Path(path).write_bytes(data[:40] + bytes([data[40] ^ 1]) + data[41:])


def test_a_whole_log_is_said_to_be_so(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["fsck", "log"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("log is whole: 280 entries in ")
    assert "signed by the log's own seed" in out
    assert run(["fsck", "log/public", "--quick"]) == 0
    out = capsys.readouterr().out
    assert "claims were not read again" in out
    assert "the key that the log itself publishes" in out


def test_the_key_may_be_given(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    signer = folder.signer()
    key = base64.b64encode(signer.key.spki).decode()
    assert run(["fsck", "log/public", "--key", key]) == 0
    assert "the key that you gave" in capsys.readouterr().out
    assert run(["fsck", "log/public", "--key", signer.checkpoint_key.vkey]) == 0
    assert "the checkpoint key that you gave" in capsys.readouterr().out
    assert run(["fsck", "log/public", "--key", base64.b64encode(FOREIGN).decode()]) == 1
    assert "damaged  checkpoint: " in capsys.readouterr().out


FOREIGN = base64.b64decode(
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEyJygKRzlUxVCjIZSflFxI0ALHgGU7a6DVJ+xhkrPsGAnej85CjNfQADlTx8e7zM/0Ulmro"
    "jeDd7iXXTIghD06w=="
)


def test_each_damaged_file_is_a_line(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    bend("log/public/tile/0/000")
    bend("log/public/tile/data/001.p/24")
    assert run(["fsck", "log"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines[:2]] == ["damaged  tile/0/000", "damaged  tile/data/001.p/24"]
    assert lines[2].startswith("log is damaged in 2 files")
    assert run(["fsck", "log", "--json"]) == 1
    values = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [value["damaged"] for value in values[:-1]] == ["tile/0/000", "tile/data/001.p/24"]
    assert (values[-1]["result"], values[-1]["damaged_files"], values[-1]["size"]) == ("damaged", 2, 280)


def test_look_ups_and_head_store_are_checked_where_the_folder_is_the_logs_own(
    folder: Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("log/lookup.sqlite").write_bytes(b"junk" * 999)
    assert run(["fsck", "log"]) == 1
    assert "log/lookup.sqlite" in capsys.readouterr().out
    assert run(["fsck", "log/public"]) == 0


def test_reindex_mends_what_is_derived(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    bend("log/public/tile/0/000")
    Path("log/public/tile/numbers/000").unlink()
    Path("log/lookup.sqlite").write_bytes(b"junk" * 999)
    assert run(["fsck", "log"]) == 1
    capsys.readouterr()
    assert run(["reindex", "log"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "made again  tile/0/000", "made again  tile/numbers/000", "The look-ups cover 280 entries.",
    ]  # fmt: skip
    assert run(["fsck", "log"]) == 0
    capsys.readouterr()
    assert run(["reindex", "log", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"reindexed": 280, "made_again": []}


def test_reindex_refuses_damaged_data_and_a_running_log(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    from ctlog.store.filesystem import FolderLock

    with FolderLock(Path("log/lock")):
        assert run(["reindex", "log"]) == 2
    assert "another process is writing to this log" in capsys.readouterr().err
    bend("log/public/tile/data/000")
    assert run(["reindex", "log"]) == 3
    assert "only a copy can mend it" in capsys.readouterr().err
    assert Path("log/lookup.sqlite").exists()


def test_migrate_knows_one_format_and_refuses_a_newer_one(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["migrate", "log"]) == 0
    assert "nothing was changed" in capsys.readouterr().out
    Path("log/format").write_text("2\n")
    for command in (["migrate", "log"], ["fsck", "log"], ["reindex", "log"]):
        assert run(command) == 2
        assert "made by a newer ctlog" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["fsck", "nowhere"], 2),
        (["fsck", "http://127.0.0.1:1/"], 3),
        (["fsck", "http://127.0.0.1:1/", "--key", base64.b64encode(FOREIGN).decode()], 3),
        (["fsck", "log", "--key", "junk"], 2),
        (["fsck", "log", "--processes", "0"], 2),
        (["reindex", "nowhere"], 2),
        (["migrate", "nowhere"], 2),
    ],
)
def test_wrong_use_is_a_sentence(
    folder: Folder, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int
) -> None:
    assert run(arguments) == code
    captured = capsys.readouterr()
    assert captured.err.startswith("ctlog: ")
    assert captured.out == ""


def test_a_log_whose_folder_names_no_key_needs_one(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    Path("log/public/log.v3.json").unlink()
    assert run(["fsck", "log/public"]) == 2
    assert "give it with --key" in capsys.readouterr().err
