"""`ctlog-monitor heads add`, `list`: heads of logs that somebody else was shown, compared with those that we were.

A log can show one tree to you and another to somebody else; neither sees it alone. In scope: taking in a head, whose
signature is checked here; what becomes of each. Out of scope: showing that trees continue each other, and evidence,
which is the work of the monitor that runs (`monitor.follow.heads`).
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from ctlog.cli.output import json_option, say, say_error, say_json, when
from ctlog.errors import CtlogError, MalformedError, Misbehaviour, VerificationError
from monitor.cli.known_logs import find_log, known_logs
from monitor.cli.place import folder_option, in_folder, now_ms, who, with_state
from monitor.state.rows import CONTRADICTS

if TYPE_CHECKING:
    from ctlog.wire.checkpoint import SignedHead
    from monitor.catalogue import LogSpec
    from monitor.cli.place import Place
    from monitor.state import State
    from monitor.state.rows import HeadRow

_WORDS = {
    "unverified": "waiting", "consistent": "consistent", "met": "rebuilt", "contradicts": "CONTRADICTS",
}  # fmt: skip


class Added(NamedTuple):
    """A head that was taken in; was_known: before; against: what it contradicts by itself, "" for nothing."""

    spec: LogSpec
    head: SignedHead
    row: HeadRow
    was_known: bool
    against: str


@click.group()
def heads() -> None:
    """The signed heads of logs: those that they served here, and those that you have from elsewhere.

    A log that shows you one tree, and others another, is found out only by comparing heads. Ask another monitor, a
    CA, or the same log over another network for its newest head, and hand it in here.

    \b
    curl -s https://log.example/2027/checkpoint | ctlog-monitor heads add log.example/2027 -
    ctlog-monitor heads add log.example/2027 get-sth.json
    ctlog-monitor heads list log.example/2027
    """


@heads.command()
@folder_option
@click.argument("log", metavar="LOG")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path), metavar="FILE")
@json_option
def add(folder: Path, log: str, file: Path, as_json: bool) -> int:
    """Compare the head in FILE ("-" is standard input) with all that LOG showed: a checkpoint, or get-sth's JSON.

    Its signature is checked now. Then the monitor that runs asks the log to show that its trees continue each other: a
    head for which it cannot is evidence against it, and an alert, such as no single visitor of the log could find. One
    that is larger than what the log shows here may wait for the log's merge delay.

    Exit code 0: it is kept, and compared; 1: LOG did not sign it, or it contradicts another head already.
    """
    data = _read(file)

    async def work(place: Place, state: State) -> Added:
        return await _take(state, find_log((await known_logs(place, state)).values(), log), data)

    added = with_state(folder, work)
    if as_json:
        say_json({**_value(added.row), "log": added.spec.name, "new": not added.was_known,
                  "contradiction": added.against})  # fmt: skip
    else:
        _say_added(added, folder)
    return 1 if added.against or added.row.state == CONTRADICTS else 0


@heads.command(name="list")
@folder_option
@click.argument("log", metavar="[LOG]", required=False)
@json_option
def list_(folder: Path, log: str | None, as_json: bool) -> int:
    """The heads that are kept, of LOG or of all: the largest of each log first.

    \b
    waiting      it was not shown yet how it goes together with the others
    consistent   the log showed that its trees continue each other
    rebuilt      the entries that were read make exactly this tree
    CONTRADICTS  it and another one cannot both be true: `ctlog-monitor alerts list --kind misbehaviour`

    Those that are consistent or rebuilt are kept for an hour.
    """

    async def work(place: Place, state: State) -> list[tuple[str, HeadRow]]:
        specs = await known_logs(place, state)
        wanted = [find_log(specs.values(), log)] if log else sorted(specs.values(), key=lambda spec: spec.name)
        return [(spec.name, row) for spec in wanted for row in reversed(await state.logs.heads(spec.log_id))]

    rows = with_state(folder, work)
    for name, row in rows:
        if as_json:
            say_json({**_value(row), "log": name})
        else:
            say(f"{_WORDS[row.state]:11}  {_entries(row.size):>20}  signed {when(row.timestamp_ms)}  {name}, "
                f"{row.source or 'from the log'}")  # fmt: skip
    if not rows and not as_json:
        say("There are none.")
    return 0


def _read(file: Path) -> bytes:
    from monitor.handed import MAX_HEAD

    if str(file) == "-":
        return sys.stdin.buffer.read(MAX_HEAD + 1)
    with file.open("rb") as stream:
        return stream.read(MAX_HEAD + 1)


async def _take(state: State, spec: LogSpec, data: bytes) -> Added:
    from monitor.handed import open_head

    try:
        head = open_head(data, spec.policy)
    except MalformedError as error:
        raise MalformedError(f"this is no head, neither a checkpoint nor get-sth's JSON: {error}") from None
    except VerificationError as error:
        raise type(error)(f"{spec.name} did not sign this: {error}", reason=error.reason) from None
    before = await state.logs.heads(spec.log_id)
    others = [spec.policy.open(row.note) for row in before if row.state != CONTRADICTS]
    row = await state.logs.see(spec.log_id, head, f"by {who()}", now_ms())
    was_known = any((row.size, row.timestamp_ms, row.root) == each[1:4] for each in before)
    log = await state.logs.get(spec.log_id)
    if log is not None and log.position.trusted is not None:
        others.append(spec.policy.open(log.position.trusted))
    found = (_contradiction(spec, other, head) for other in others)
    return Added(spec, head, row, was_known, next(filter(None, found), ""))


def _contradiction(spec: LogSpec, one: SignedHead, other: SignedHead) -> str:
    """What two heads cannot both say, without asking anybody; "" where they can."""
    from ctlog.client.trusted import TrustedLog

    try:
        TrustedLog(spec.policy, one).offer(other, now_ms())
    except Misbehaviour as error:
        return str(error)
    except CtlogError:
        return ""  # it is dated in the future, which is said elsewhere
    return ""


def _say_added(added: Added, folder: Path) -> None:
    head, name = added.head, added.spec.name
    what = f"the head of {_entries(head.size)} that {name} signed on {when(head.timestamp_ms)}"
    if added.against or added.row.state == CONTRADICTS:
        say(f"IT LIED: {what} contradicts another of its heads{f': {added.against}' if added.against else ''}.")
        say(f"The monitor tells it with the evidence: ctlog-monitor alerts list{in_folder(folder)} --kind misbehaviour")
        return
    if added.was_known:
        say(f"Known already ({_WORDS[added.row.state]}): {what}.")
        return
    say(f"Taken: {what}.")
    say(f"The monitor that runs compares it within a minute: ctlog-monitor heads list{in_folder(folder)} "
        f"{shlex.quote(name)}")  # fmt: skip
    if head.timestamp_ms > now_ms() + added.spec.policy.max_ahead_ms:
        say_error("Note: it is dated in the future, so it waits until then; is this machine's clock right?")


def _entries(count: int) -> str:
    return f"{count:,} {'entry' if count == 1 else 'entries'}"


def _value(row: HeadRow) -> dict[str, object]:
    return {
        "log_id": row.log_id.hex(), "tree_size": row.size, "timestamp": row.timestamp_ms, "root": row.root.hex(),
        "state": row.state, "source": row.source, "first_seen_ms": row.first_seen_ms,
    }  # fmt: skip
