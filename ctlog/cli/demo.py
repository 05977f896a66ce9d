"""`ctlog demo`, which `make run` calls: an example CA, a log that accepts it, and what to type next.

Everything lies in one folder. What is there already is used as it is; what was begun and not finished is made again.
"""

from __future__ import annotations

import asyncio
import base64
import errno
import logging
import shlex
import shutil
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from ctlog.cli.output import say
from ctlog.errors import ConfigError

if TYPE_CHECKING:
    from ctlog.config import Config
    from ctlog.folder import Folder

HOST = "127.0.0.1"
ORIGIN = "example.localhost/log"
_PORTS = 20
_DAY_MS = 86_400_000


class _Place(NamedTuple):
    """The demo's folder."""

    top: Path

    @property
    def authority(self) -> Path:
        return self.top / "example-ca"

    @property
    def log(self) -> Path:
        return self.top / "log"

    @property
    def key(self) -> Path:
        return self.top / "log-key.pem"


@click.command()
@click.argument("directory", default="data", type=click.Path(file_okay=False, path_type=Path), metavar="[DIR]")
@click.option("--port", default=8460, show_default=True, type=click.IntRange(1, 65535), help="Where to listen; if "
              "it is taken, the next free one.")
def demo(directory: Path, port: int) -> int:
    """Try it: make an example CA and a log that accepts it, and serve the log on this machine only.

    Everything is made in DIR (./data) and kept: the next call goes on with the same log. It prints what to open in a
    browser and what to type next. Ctrl-C ends it.

    The CA's keys lie beside its certificates and are for trying things out, and for nothing else.
    """
    from ctlog.app import serve

    place = _Place(directory)
    place.top.mkdir(parents=True, exist_ok=True)
    free = free_port(port)
    if free != port:
        say(f"Port {port} is taken{_by_whom(port)}; port {free} is used instead.")
    if not place.authority.exists():
        say(f"Making an example CA in {place.authority}.")
        make_authority(place.authority)
    folder = _log_at(place, f"http://{HOST}:{free}/")
    _write_key(place.key, folder)
    told: list[str] = []

    def tell(line: str) -> None:
        if not told:
            _say_what_next(place, f"http://{HOST}:{free}/")
        told.append(line)
        say(line)

    outside = logging.getLogger("ctlog.outside")
    outside.disabled = True  # its public address is its own: at a start nobody can answer there, and that is no trouble
    try:
        return serve(place.log, [f"{HOST}:{free}"], tell)
    finally:
        outside.disabled = False


# The example CA -----------------------------------------------------------------------------------------------------


def make_authority(folder: Path) -> None:
    """A root, an issuing CA and three certificates with numbers, as PEM files. All or nothing."""
    from ctlog import issuance
    from ctlog.issuance import Key, Subject

    now_ms = time.time_ns() // 1_000_000
    root_key, key, leaf_key = Key.generate(), Key.generate(), Key.generate()
    authority = issuance.example_authority(now_ms, label="Example", root_key=root_key, key=key)
    end_ms = now_ms + 90 * _DAY_MS
    delegate = Subject(issuance.name(C="US", O="Example VoIP", CN="Example VoIP 1"), leaf_key.spki, now_ms, end_ms)
    client = Subject(issuance.name(CN="3f6c2a0e-4d3f-4d0e-9d3c-0d6a6c1f7e10"), leaf_key.spki, now_ms, end_ms)
    code = issuance.shaken_leaf(
        authority, leaf_key.spki, "709J", "Example Phone Company", not_before_ms=now_ms, not_after_ms=end_ms
    )
    leaves = {
        "code.pem": code,
        "range.pem": issuance.delegate_leaf(authority, delegate, issuance.number_range("12025550100", 100)),
        "message.pem": issuance.rcs_leaf(authority, client, "12025550123"),
    }
    unfinished = folder.with_name(folder.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    for name, secret in (("root-key.pem", root_key), ("ca-key.pem", key), ("leaf-key.pem", leaf_key)):
        (unfinished / name).touch(0o600)
        (unfinished / name).write_bytes(secret.to_pem())
    (unfinished / "root.pem").write_text(_pem(authority.above[0]))
    (unfinished / "ca.pem").write_text("".join(map(_pem, authority.chain)))
    for name, tbs in leaves.items():
        (unfinished / name).write_text(_pem(authority.certificate_for(tbs)))
    unfinished.rename(folder)


def _pem(der: bytes, label: str = "CERTIFICATE") -> str:
    return f"-----BEGIN {label}-----\n{base64.encodebytes(der).decode()}-----END {label}-----\n"


# The log ------------------------------------------------------------------------------------------------------------


def _log_at(place: _Place, url: str) -> Folder:
    from ctlog import folder
    from ctlog.config import FILE_NAME

    if (place.log / "format").exists():
        opened = folder.open_folder(place.log)
        if opened.config.submission_url != url:
            path = place.log / FILE_NAME
            path.write_text(path.read_text("utf-8").replace(f'"{opened.config.submission_url}"', f'"{url}"'), "utf-8")
            opened = folder.open_folder(place.log)
        return opened
    # Without `format` it was never finished, so nobody ever got anything from it.
    say(f"Making a log in {place.log}.")
    shutil.rmtree(place.log, ignore_errors=True)
    config = _config(url)
    for left in place.top.glob(f"{config.head_store_path(place.log).name}*"):
        left.unlink()
    made, _ = asyncio.run(folder.create(place.log, config, [(place.authority / "root.pem", "example")]))
    return made


def _config(url: str) -> Config:
    from ctlog.config import Config, Space

    return Config(
        origin=ORIGIN, description="An example log on this machine", operator="You", submission_url=url,
        monitoring_url=url, space=Space(min_percent=0.5, min_bytes=64 << 20),
    )  # fmt: skip


def _write_key(path: Path, folder: Folder) -> None:
    text = _pem(folder.signer().key.spki, "PUBLIC KEY")
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


# The port -----------------------------------------------------------------------------------------------------------


def free_port(port: int) -> int:
    """`port`, or the next one on which nobody listens. Raises ConfigError after twenty."""
    for candidate in range(port, min(port + _PORTS, 65536)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, candidate))
            except OSError as error:
                if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                    raise ConfigError(f"cannot listen on {HOST}: {error.strerror}", reason="cannot-listen") from error
                continue
            return candidate
    raise ConfigError(f"the ports from {port} on are taken; name another with --port", reason="cannot-listen")


def _by_whom(port: int) -> str:
    """Which process listens there, as far as this user may know: Linux tells it in /proc."""
    inodes: set[str] = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            rows = [line.split() for line in Path(table).read_text().splitlines()[1:]]
        except OSError:
            continue
        listening = [row for row in rows if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port]
        inodes |= {f"socket:[{row[9]}]" for row in listening}
    for link in Path("/proc").glob("[0-9]*/fd/*") if inodes else ():
        try:
            if str(link.readlink()) in inodes:
                process = link.parents[1]
                return f" by {(process / 'comm').read_text().strip()} (process {process.name})"
        except OSError:
            continue
    return ""


# What to do next ----------------------------------------------------------------------------------------------------


def _say_what_next(place: _Place, url: str) -> None:
    for word, line in what_next(place.top, url, sys.argv[0]):
        say(f"  {word:8} {line}")
    say()


def what_next(top: Path, url: str, program: str) -> list[tuple[str, str]]:
    """What to open and to type, in order; each line works as it stands."""
    ctlog = called_as(program, "ctlog")

    def quote(path: Path) -> str:
        return shlex.quote(str(path))

    certificate, key = quote(top / "example-ca" / "range.pem"), quote(top / "log-key.pem")
    chain = quote(top / "example-ca" / "ca.pem")
    return [
        ("open", url),
        ("look", f"{ctlog} show {certificate}"),
        ("submit", f"{ctlog} submit {url} {certificate} --intermediates {chain} --key {key}"),
        ("verify", f"{ctlog} verify {certificate} --log {url} --key {key}"),
        ("check", f"{ctlog} fsck {url} --key {key}"),
        ("stop", "Ctrl-C here; the same command goes on with the same log"),
    ]


def called_as(argv0: str, name: str) -> str:
    """How the program of this name was called, so that it can be called so again."""
    path = Path(argv0).absolute()
    found = shutil.which(name)
    if found is not None and Path(found).absolute() == path:
        return name
    return shlex.quote(str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path))
