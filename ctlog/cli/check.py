"""`ctlog fsck`, `ctlog reindex`, `ctlog migrate`: is the log whole, and what to do where it is not."""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from ctlog.cli.files import read_key
from ctlog.cli.output import json_option, progress, say, say_json, when
from ctlog.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from ctlog.folder import Folder
    from ctlog.fsck.sources import Source
    from ctlog.fsck.span import SpanResult
    from ctlog.fsck.whole import Options, Report
    from ctlog.wire.rfc6962 import LogKey
    from ctlog.wire.signed_note import Ed25519Verifier

_DIR = click.Path(file_okay=False, path_type=Path)


class _Keys(NamedTuple):
    """With which a log's checkpoint is checked, and whose word it is that they are the log's."""

    log: LogKey
    checkpoints: Ed25519Verifier | None
    whose: str


@click.command()
@click.argument("where", metavar="DIR_or_URL")
@click.option("--key", "key_text", metavar="KEY", help="The log's key: PEM, base64, note verifier key, or a file with "
              "one. Without it, the log's own files are believed about that.")
@click.option("--quick", is_flag=True, help="Leave out what has to be derived from each certificate: the claims in the "
              "numbers feed, and each precertificate's TBSCertificate.")
@click.option("--processes", type=click.IntRange(1, 256), help="How many check.  [default: one for each core]")
@json_option
def fsck(where: str, key_text: str | None, quick: bool, processes: int | None, as_json: bool) -> int:
    """Recompute a whole log from its published bytes, and name every file that is damaged.

    Every leaf is hashed again, up to the signed root; every tile, issuer, time and line of the numbers feed is
    compared with what it should be. For a folder that `ctlog create` made, the look-ups and the head store are checked
    as well. Nothing is changed, and the log may go on running.

    \b
    ctlog fsck /srv/log
    ctlog fsck https://log.example/2026/ --key log-key.pem

    Exit code 0: all is as the log signed it; 1: something is damaged; 3: that could not be found out.
    """
    from ctlog.fsck.sources import FolderSource, served
    from ctlog.fsck.whole import Options

    start = time.monotonic()
    with ExitStack() as stack:
        folder = None
        if where.startswith(("http://", "https://")):
            source: Source = stack.enter_context(served(where))
        else:
            folder = _own_folder(Path(where))
            source = FolderSource(_public(Path(where)))
        keys = _keys(source, key_text, folder)
        options = Options(quick=quick, processes=processes, domains=_domains(folder))
        report = _check(source, keys, folder, options)
    size = report.head.size if report.head is not None else 0
    _say_report(where, report, keys, size, time.monotonic() - start, quick, as_json)
    return 0 if report.clean else 1


def _public(path: Path) -> Path:
    """The folder with the checkpoint: the one that was named, or `public` below it."""
    if (path / "format").exists() or (path / "public").is_dir():
        return path / "public"
    if not path.is_dir():
        raise UsageError(f"{path} is neither a folder nor a URL that begins with http:// or https://")
    return path


def _own_folder(path: Path) -> Folder | None:
    """The log's own folder, if this is one: then there is more to check than what is published."""
    from ctlog.folder import open_folder

    return open_folder(path) if (path / "format").exists() else None


def _keys(source: Source, key_text: str | None, folder: Folder | None) -> _Keys:
    import binascii
    import json

    from ctlog.errors import MalformedError
    from ctlog.wire.rfc6962 import LogKey

    given = read_key(key_text) if key_text is not None else None
    if given is not None and given.key is not None:
        return _Keys(given.key, None, "the key that you gave")
    if folder is not None and given is None:
        signer = folder.signer()
        return _Keys(signer.key, signer.checkpoint_key, "the log's own seed")
    try:
        key = LogKey.from_spki(binascii.a2b_base64(json.loads(source.read("log.v3.json"))["key"], strict_mode=True))
    except (NotFoundError, MalformedError, ValueError, KeyError, TypeError):
        raise UsageError("the log names no key in log.v3.json: give it with --key") from None
    if given is not None:
        return _Keys(key, given.checkpoints, "the checkpoint key that you gave")
    return _Keys(key, None, "the key that the log itself publishes")


def _domains(folder: Folder | None) -> dict[str, frozenset[str]] | None:
    """Under which trust domains each root was ever accepted."""
    if folder is None:
        return None
    found: dict[str, frozenset[str]] = {}
    for event in folder.roots.history():
        if event.act == "added":
            found[event.sha256] = found.get(event.sha256, frozenset()) | {event.domain}
    return found


def _check(source: Source, keys: _Keys, folder: Folder | None, options: Options) -> Report:
    from dataclasses import replace

    from ctlog.fsck.stores import LookupCheck, check_heads
    from ctlog.fsck.whole import check_log

    loop = asyncio.new_event_loop()
    bar = progress(_size(source), "checking", "entries")
    try:
        if folder is None:
            options = replace(options, on_span=lambda result: bar.update(_count(result)))
            return check_log(source, keys.log, keys.checkpoints, options)
        lookups = loop.run_until_complete(LookupCheck.open(folder.path / "lookup.sqlite", keys.log.log_id))

        def on_span(result: SpanResult) -> None:
            bar.update(_count(result))
            lookups.check(result)

        options = replace(options, on_span=on_span, with_keys=lookups.wanted)
        report = check_log(source, keys.log, keys.checkpoints, options)
        signer = folder.signer()
        heads = folder.config.head_store_path(folder.path)
        size = loop.run_until_complete(check_heads(heads, signer.key, signer.checkpoint_key, report))
        loop.run_until_complete(lookups.close(size, report))
        return report
    finally:
        bar.close()
        loop.close()


def _count(result: SpanResult) -> int:
    return result.span.hi - result.span.lo


def _size(source: Source) -> int | None:
    """What the checkpoint says, unverified: for the progress bar."""
    from ctlog.errors import CtlogError
    from ctlog.wire.checkpoint import parse_checkpoint
    from ctlog.wire.signed_note import parse_note

    try:
        return parse_checkpoint(parse_note(source.read("checkpoint")).text).size
    except CtlogError:
        return None


def _say_report(
    where: str, report: Report, keys: _Keys, size: int, seconds: float, quick: bool, as_json: bool
) -> None:
    if as_json:
        for damage in report.damages:
            say_json({"damaged": damage.path, "sentence": damage.sentence})
        for note in report.notes:
            say_json({"note": note})
        root = report.head.root.hex() if report.head is not None else None
        say_json({"result": "clean" if report.clean else "damaged", "damaged_files": len(_files(report)), "size": size,
                  "root": root, "quick": quick, "seconds": round(seconds, 3)})  # fmt: skip
        return
    for damage in report.damages:
        say(f"damaged  {damage.path}: {damage.sentence}")
    for note in report.notes:
        say(f"note     {note}")
    rate = f"{size} entries in {seconds:.1f} s" + (f", {size / seconds:,.0f} a second" if seconds > 1 else "")
    if report.clean and report.head is not None:
        left_out = "; claims were not read again" if quick else ""
        say(f"{where} is whole: {rate}{left_out}.")
        head = report.head
        say(f"Its head of {when(head.timestamp_ms)} has the root {head.root.hex()}, signed by {keys.whose}.")
    else:
        say(f"{where} is damaged in {len(_files(report))} files ({rate}).")
        say("`ctlog reindex` makes hash tiles, the numbers feed and look-ups again. All else must come from a mirror.")


def _files(report: Report) -> set[str]:
    return {damage.path for damage in report.damages}


@click.command()
@click.argument("directory", type=_DIR, metavar="DIR")
@json_option
def reindex(directory: Path, as_json: bool) -> int:
    """Make again what is derived from the data tiles: look-ups, hash tiles, the numbers feed.

    Use it when the log, or `ctlog fsck`, says that one of these is damaged. The log must not be running. Nothing is
    written unless the data tiles lead to the signed head; what is right is left as it is. Only the look-ups are always
    made anew.
    """
    from ctlog import folder
    from ctlog.reindex import mend
    from ctlog.sequencer.signer import open_head
    from ctlog.store.embedded import LOCK, LOOKUP, PUBLIC
    from ctlog.store.filesystem import FolderLock

    opened = folder.open_folder(directory)
    signer = opened.signer()
    written: list[str] = []

    def wrote(path: str) -> None:
        written.append(path)
        if not as_json:
            say(f"made again  {path}")

    with FolderLock(directory / LOCK):
        head = open_head(signer, (directory / PUBLIC / "checkpoint").read_bytes())
        domains = {record.fingerprint.hex(): record.domain for record in opened.roots.records()}
        bar = progress(2 * head.size, "reading", "entries")  # once for their hashes, once for their lines
        mend(directory / PUBLIC, head, domains, wrote, bar.update)
        bar.close()
        for name in (LOOKUP, f"{LOOKUP}-wal", f"{LOOKUP}-shm"):
            (directory / name).unlink(missing_ok=True)
    size = asyncio.run(_recover(opened))
    if as_json:
        say_json({"reindexed": size, "made_again": written})
    else:
        say(f"The look-ups cover {size} entries.")
    return 0


async def _recover(opened: Folder) -> int:
    """A start without serving: it brings the look-ups up to the head."""
    from ctlog.folder import recovered

    async with recovered(opened) as log:
        return log.head.size


@click.command()
@click.argument("directory", type=_DIR, metavar="DIR")
@json_option
def migrate(directory: Path, as_json: bool) -> int:
    """Bring the log in DIR to the format of this version of ctlog. The log must not be running.

    DIR/format says which format it has. A newer one is refused, here and by every other command.
    """
    from ctlog.folder import FORMAT, open_folder

    open_folder(directory)  # refuses what is newer; there has been one format so far, so nothing is older
    if as_json:
        say_json({"format": FORMAT, "migrated": False})
    else:
        say(f"{directory} has format {FORMAT} already, the only one that there is; nothing was changed.")
    return 0
