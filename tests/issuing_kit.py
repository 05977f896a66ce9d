"""Issuing in journeys: two logs that accept a hierarchy for tests, a file of orders, and `ctlog ca issue` at work."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ctlog.issuance import Key
from tests.serving import PROGRAM, Serving, command, environment

FIRST = 12025550000
NUMBERS = 10_000
"""What the delegate CA holds, from FIRST on."""


def key_of(at: int) -> Key:
    """Whose certificate the order number `at` is for."""
    return Key.from_number(1_000_000 + at)


def number(at: int) -> str:
    return str(FIRST + at)


@contextmanager
def two_logs(folder: Path) -> Iterator[list[Serving]]:
    """Two logs without rate limits, in `one` and `two`, and log-list.json, where each has an operator of its own.

    Those that still run in the end must end well; after a failure they are killed.
    """
    logs: list[Serving] = []
    try:
        _make_logs(folder, logs)
        yield logs
        for log in logs:
            assert log.process.poll() is not None or log.stop() == 0, log.said
    finally:
        for log in logs:
            if log.process.poll() is None:
                log.kill()


def _make_logs(folder: Path, logs: list[Serving]) -> None:
    command("ca", "init", folder / "my-ca", "--range", f"{FIRST}+{NUMBERS}")
    path = folder / "log-list.json"
    for name in ("one", "two"):
        command("create", folder / name, "--origin", f"{name}.localhost/2027", "--roots", folder / "my-ca/roots.pem",
                "--domain", "test")  # fmt: skip
        settings = folder / name / "log.toml"
        settings.write_text(without_limits(settings.read_text()))
        logs.append(Serving(folder / name))
        command("log-list", "add", path, logs[-1].url, "--operator", f"{name.title()} Inc")
        told = path.read_text().replace(f"https://{name}.localhost/2027/", logs[-1].url)  # where it is in truth
        path.write_text(told)


def without_limits(settings: str) -> str:
    """The log.toml of a new log, in which every limit is a comment with its default."""
    text, changed = re.subn(r"(?m)^# (source|issuer|root)_rate = .*$", r"\1_rate = 0.0", settings)
    assert changed == 3, settings
    return text


def size_of(log: Serving) -> int:
    with urllib.request.urlopen(log.url + "ct/v1/get-sth", timeout=10) as answer:
        return int(json.load(answer)["tree_size"])


def write_orders(folder: Path, count: int) -> None:
    lines = ["id,number,holder,key"]
    for at in range(count):
        key = base64.b64encode(key_of(at).spki).decode()
        lines.append(f"order-{at},{number(at)},Example VoIP,{key}")
    (folder / "orders.csv").write_text("\n".join(lines) + "\n")


def start_issuing(folder: Path, out: str, *options: str) -> subprocess.Popen[bytes]:
    """`ctlog ca issue` for the orders, its JSON lines into the file `out`."""
    line = [*PROGRAM, "ca", "issue", "--ca", "my-ca/delegate/ca.pem", "--numbers", "orders.csv", "--log-list",
            "log-list.json", "--json", *options]  # fmt: skip
    with (folder / out).open("wb") as file:
        return subprocess.Popen(line, cwd=folder, env=environment(folder / "state"), stdout=file,
                                stderr=subprocess.PIPE)  # fmt: skip


def given_out(path: Path, count: int) -> dict[str, bytes]:
    """By order, what the command gave out (DER): all that were ordered, and none refused."""
    *lines, told = (json.loads(line) for line in path.read_text().splitlines())
    assert (told["status"], told["issued"], told["refused"]) == ("sum", count, {})
    assert told["before"] == sum(one["before"] for one in lines)
    return {one["id"]: base64.b64decode(one["certificate"]) for one in lines}
