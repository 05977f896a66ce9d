"""The channel `command`: a program of the operator's is run for every letter, and says by its exit code whether it is
done with it.

In scope: what it gets (the letter as JSON on standard input; certspotter's variables in the environment, and ours; the
certificate, the JSON and the text as files), a limit of time after which it and everything that it started is killed,
output without bounds. Out of scope: a shell. Nothing that a certificate says becomes part of a command line.
"""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from monitor.config import Key
from monitor.rules.values import say
from monitor.state.rows import CERTIFICATE, UNREADABLE
from monitor.tell.channel import DeliveryError, Table, TableError, read_table
from monitor.tell.letter import Letter
from monitor.tell.lines import json_line

COMMAND_KEYS = (
    Key("command", list, None, "The program and its arguments, each a text of its own; no shell reads it."),
    Key("timeout_s", int, 30, "Seconds after which it is killed, with all that it started.", 1, 600),
)  # fmt: skip
EVENTS = {CERTIFICATE: "discovered_cert", UNREADABLE: "malformed_cert"}
"""certspotter's words; everything else is an `error`."""
KEPT = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV")
_TERM_S, _LAST_WORDS_S = 1.0, 0.1
_KEPT_OUTPUT, _LONGEST = 2000, 8000


class CommandChannel:
    """Runs a program. Relative paths are relative to the folder of the configuration, where it also runs."""

    for_people = False

    def __init__(self, name: str, table: Table, folder: Path) -> None:
        self.name = name
        self.table = table
        values = read_table(table, COMMAND_KEYS, "command")
        self._line: list[str] = values["command"]
        if not self._line[0] or any("\0" in each for each in self._line):
            raise TableError("the command begins with a program", "command")
        self._folder = folder
        self._timeout_s = float(values["timeout_s"])
        self.limit_s = self._timeout_s + 4 * _TERM_S

    @property
    def where(self) -> str:
        """The program, without its arguments."""
        return self._line[0]

    async def send(self, letter: Letter) -> None:
        """Run it, until it ends with 0. Raises DeliveryError."""
        with tempfile.TemporaryDirectory(prefix="ctlog-alert-") as made:
            files = write_files(letter, Path(made))
            given, environment = Path(files["JSON_FILENAME"]), _environment(letter, files)
            await run_program(self._line, given, environment, self._folder, self._timeout_s, called=self.where)


async def run_program(
    line: list[str], given: Path, environment: dict[str, str], folder: Path, limit_s: float, *, called: str
) -> None:
    """Run a program in a process group of its own, which is killed when the time is over or the caller is cancelled.

    given: the file that it has as standard input. called: its name for people. Raises DeliveryError where it cannot be
    started, is not done in time, or does not end with 0: its last words are in the sentence. What it left running in
    the background when it ended is left alone, without anybody to write to.
    """
    program = line[0] if os.sep not in line[0] else str(folder.absolute() / line[0])
    reading, writing = os.pipe()
    words = await _listen(reading)
    try:
        with given.open("rb") as stdin:
            process = await asyncio.create_subprocess_exec(
                program, *line[1:], stdin=stdin, stdout=writing, stderr=writing, env=environment,
                cwd=folder.absolute(), start_new_session=True,
            )  # fmt: skip
    except (OSError, ValueError) as error:
        words.close()
        raise DeliveryError(f"{called} cannot be run: {error}") from None
    finally:
        os.close(writing)
    try:
        async with asyncio.timeout(limit_s):
            code = await process.wait()
    except TimeoutError:
        raise DeliveryError(f"{called} was not done within {limit_s:g} s, and was killed") from None
    finally:
        if process.returncode is None:
            await asyncio.shield(_kill(process))
        said = await words.last()
    if code != 0:
        how = f"ended with {code}" if code > 0 else f"was ended by signal {-code}"
        raise DeliveryError(f"{called} {how}{': ' + said if said else ''}")


class _Words(asyncio.Protocol):
    """What a program prints: read as fast as it comes, and only the end of it is kept."""

    def __init__(self) -> None:
        self._last = b""
        self._ended = asyncio.get_running_loop().create_future()
        self._transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._last = (self._last + data)[-_KEPT_OUTPUT:]

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._ended.done():
            self._ended.set_result(None)

    def close(self) -> None:
        """Let go of the pipe, whoever may still hold its other end."""
        if self._transport is not None:
            self._transport.close()

    async def last(self) -> str:
        """The last words of a program that has ended. Whatever it left behind may hold the pipe, and is not awaited."""
        await asyncio.wait([self._ended], timeout=_LAST_WORDS_S)
        self.close()
        return say(" ".join(self._last.decode("utf-8", "replace").split())[-300:], 300)


async def _listen(reading: int) -> _Words:
    _, words = await asyncio.get_running_loop().connect_read_pipe(_Words, os.fdopen(reading, "rb", 0))
    return words


async def _kill(process: asyncio.subprocess.Process) -> None:
    """End the whole group: asked at first, and then not asked, with whoever stayed when its leader ended."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, sign)
        with suppress(TimeoutError):
            async with asyncio.timeout(_TERM_S):
                await process.wait()


# What the program gets ------------------------------------------------------------------------------------------------


def _environment(letter: Letter, files: dict[str, str]) -> dict[str, str]:
    found = inherited()
    for name, value in (variables(letter) | files).items():
        if value not in ("", None):
            found[name] = _one_line(str(value))
    return found


def inherited() -> dict[str, str]:
    """What a program inherits from the environment of the monitor: no secrets that stand there for others."""
    return {name: os.environ[name] for name in KEPT if name in os.environ}


def write_files(letter: Letter, folder: Path) -> dict[str, str]:
    """Write the files that exist while the program runs; their paths, by variable."""
    paths = {"TEXT_FILENAME": folder / "alert.txt", "JSON_FILENAME": folder / "alert.json"}
    paths["TEXT_FILENAME"].write_text(letter.text, "utf-8")
    paths["JSON_FILENAME"].write_bytes(json_line(letter))
    for each in letter.attachments:
        name = "CERT_FILENAME" if each.name == "certificate.pem" else "CTLOG_EVIDENCE_FILENAME"
        paths[name] = folder / ("certificate.pem" if name == "CERT_FILENAME" else "evidence.txt")
        paths[name].write_text(each.text, "utf-8")
    return {name: str(path) for name, path in paths.items()}


def variables(letter: Letter) -> dict[str, Any]:
    """certspotter's variables as far as they fit a telephone number, and ours, which begin with CTLOG_."""
    document = letter.document
    item, log, key, certificate, issuer = (
        each if isinstance(each := document.get(name), dict) else {}
        for name in ("item", "log", "key", "certificate", "issuer")
    )
    found: dict[str, Any] = {
        "EVENT": EVENTS.get(document.get("kind", ""), "error"),
        "SUMMARY": letter.subject,
        "WATCH_ITEM": item.get("text"),
        "LOG_URI": letter.log_url or log.get("url"),
        "ENTRY_INDEX": log.get("index"),
        "CERT_SHA256": certificate.get("sha256"),
        "PUBKEY_SHA256": key.get("sha256"),
        "SUBJECT_DN": certificate.get("subject"),
        "ISSUER_DN": issuer.get("name"),
        "SERIAL": certificate.get("serial"),
        "CTLOG_MESSAGE": letter.id,
        "CTLOG_TYPE": letter.kind,
        "CTLOG_ALERT": document.get("id"),
        "CTLOG_KIND": document.get("kind"),
        "CTLOG_SEVERITY": f"S{letter.severity}",
        "CTLOG_RULE": document.get("rule"),
        "CTLOG_RULES": " ".join(letter.alerts[0].rules) if letter.alerts else "",
        "CTLOG_REASON": document.get("reason"),
        "CTLOG_NEXT": document.get("next"),
        "CTLOG_ITEM": item.get("id"),
        "CTLOG_HOLDER": document.get("holder"),
        "CTLOG_ISSUANCE": document.get("issuance"),
        "CTLOG_LOG_ID": log.get("id"),
        "CTLOG_PROVEN_IN": log.get("proven_in"),
    }
    for name, text in (("NOT_BEFORE", certificate.get("not_before")), ("NOT_AFTER", certificate.get("not_after"))):
        with suppress(ValueError, TypeError):
            moment = datetime.fromisoformat(str(text))
            found[name] = found[f"{name}_RFC3339"] = text
            found[f"{name}_UNIXTIME"] = int(moment.timestamp())
    return found


def _one_line(text: str) -> str:
    return say(text, _LONGEST)
