"""README and docs are run: a page that is not true fails here."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ctlog.cli import cli
from ctlog.config import Key, keys, parse
from tests.serving import MONITOR_DEMO, PROGRAM, environment

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
TABLE = "<!-- keys -->\n"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def block(mark: str) -> str:
    """The fenced block after the comment `mark`."""
    found = re.search(rf"<!-- {re.escape(mark)} -->\n```\w*\n(.*?)```", README, re.DOTALL)
    assert found, f"README has no block {mark!r}"
    return found[1]


# The settings -------------------------------------------------------------------------------------------------------


def row(key: Key) -> str:
    """How README's table tells a key."""
    value = key.default
    shown = "(none)" if value is ... else "(absent)" if value is None else f"`{toml(value)}`"
    sentence = key.sentence.replace("|", "\\|").replace("<", "&lt;").replace(">", "&gt;")
    return f"| `{key.name}` | {shown} | {key.unit} | {sentence} |"


def toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return str(value)


def test_every_setting_stands_in_the_readme_with_its_sentence() -> None:
    table = README.partition(TABLE)[2].split("\n\n")[0].splitlines()[2:]
    assert table == [row(key) for key in keys()], "`python -m tests.test_docs` writes the table anew"


def test_the_settings_shown_are_settings() -> None:
    config = parse('origin = "log.example/2027"\n' + block("file: log.toml"))
    assert config.unix_socket in block("file: nginx.conf")


# The commands -------------------------------------------------------------------------------------------------------


def test_the_two_commands_come_first() -> None:
    lines = [line for line in README.splitlines() if line][1:3]
    assert [line.split()[:2] for line in lines] == [["make", "run"], ["make", "test"]]
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for target in re.findall(r"`make ([a-z]+)`", README):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.parametrize("name", [name for name in cli.list_commands(None) if name != "demo"])  # type: ignore[arg-type]
def test_every_command_is_told_and_explains_itself(name: str) -> None:
    assert re.search(rf"^\|.*`(?:ctlog )?{name}\b", README, re.MULTILINE), f"README does not tell of ctlog {name}"
    told = subprocess.run([*PROGRAM, name, "--help"], capture_output=True, text=True, env=environment(), check=True)
    assert "Usage: ctlog" in told.stdout


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """What `make run` runs, in a folder of its own, and its address."""
    folder = tmp_path_factory.mktemp("a person's folder")
    line = [*MONITOR_DEMO, "demo", "data", "--port", "18460", "--monitor-port", "18472"]
    surroundings = {**environment(folder / "state"), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(line, cwd=folder, stdout=subprocess.PIPE, text=True, env=surroundings)
    assert process.stdout is not None
    said = []
    for text in process.stdout:
        said.append(text)
        if text.startswith("  stop "):
            break
    else:
        pytest.fail(f"the demo ended: {said}")
    yield folder, "".join(said)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0


def run(words: str, folder: Path) -> str:
    program, *rest = shlex.split(words)
    assert program in (".venv/bin/ctlog", "ctlog"), words
    done = subprocess.run(
        [*PROGRAM, *rest], cwd=folder, capture_output=True, text=True, env=environment(folder / "state"), check=False
    )
    assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def same_but_for_values(text: str) -> str:
    """What a page shows of one run and another run shows again: times, hashes and signatures are its own."""
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "TIME", text)
    text = re.sub(r"\b[0-9a-f]{64}\b", "HASH", text)
    text = re.sub(r"SCT [A-Za-z0-9+/=]{8,}(\.\.\.)?", "SCT BASE64", text)
    text = re.sub(r"http://127\.0\.0\.1:\d+/", "URL", text)
    return re.sub(r"in [\d.]+ s\b", "in SECONDS", text).strip()


def test_the_session_runs_as_it_is_told(demo: tuple[Path, str]) -> None:
    folder, said = demo
    port = re.search(r"http://127\.0\.0\.1:(\d+)/", said)
    assert port
    session = block("session").split("$ ")[1:]
    assert len(session) == 4
    for each in session:
        words, _, shown = each.partition("\n")
        words = words.replace(":8460/", f":{port[1]}/")
        assert words.split(maxsplit=1)[1] in said, f"make run does not print {words!r}"
        got = run(words, folder)
        assert same_but_for_values(got) == same_but_for_values(shown)


def test_a_public_log_is_made_by_the_command_shown(tmp_path: Path, demo: tuple[Path, str]) -> None:
    words = re.search(r"```sh\n(ctlog create .*?)```", README, re.DOTALL)
    assert words
    line = words[1].replace("\\\n", " ")
    line = line.replace("/srv/", f"{tmp_path}/srv/").replace("/var/lib/", f"{tmp_path}/lib/")
    line = line.replace("sti-ca-roots.pem", shlex.quote(str(demo[0] / "data" / "example-ca" / "root.pem")))
    for folder in ("srv/ctlog", "lib/ctlog"):
        (tmp_path / folder).mkdir(parents=True)
    run(line, tmp_path)
    made = parse((tmp_path / "srv/ctlog/2027/log.toml").read_text("utf-8"))
    assert made.origin == "log.example/2027"
    assert made.window_ms[0] is not None
    assert (tmp_path / "lib/ctlog/heads.sqlite").exists()


def test_the_unit_runs_the_command_that_there_is() -> None:
    unit = block("file: ctlog@.service")
    start = re.search(r"^ExecStart=(.*)$", unit, re.MULTILINE)
    assert start
    assert start[1].split()[:2] == ["/opt/ctlog/.venv/bin/ctlog", "serve"]
    assert start[1].split()[2].startswith("/srv/ctlog/")


# The pages ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_points_at_is_there(page: Path) -> None:
    text = page.read_text("utf-8")
    for name in re.findall(r"`((?:docs|ctlog|monitor|tests|benchmarks)/[\w./-]+\.(?:md|py|c|json))", text):
        assert (ROOT / name).exists(), f"{page.name} points at {name}"
    for name in re.findall(r"\]\((?!https?:|#)([^)\s]+)\)", text):
        assert (page.parent / name.partition("#")[0]).exists(), f"{page.name} links to {name}"


if __name__ == "__main__":
    before, _, after = README.partition(TABLE)
    head = after.splitlines()[:2]
    text = "\n".join([*head, *map(row, keys())])
    (ROOT / "README.md").write_text(f"{before}{TABLE}{text}\n\n{after.partition(chr(10) * 2)[2]}", "utf-8")
