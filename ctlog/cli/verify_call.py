"""`ctlog verify-call`: one call, checked by hand: an Identity header in, every check and its outcome out."""

from __future__ import annotations

import asyncio
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ctlog import __version__
from ctlog.cli.call_trust import TrustOptions, trust_options
from ctlog.cli.many import ManyCommand
from ctlog.cli.options import FILE
from ctlog.cli.output import json_option, say, say_json
from ctlog.cli.program import COULD_NOT, GOOD, NO
from ctlog.errors import UsageError

if TYPE_CHECKING:
    from ctlog.client.verdict import Verdict
    from ctlog.verify_service import Answer, Question

_MAX_HEADER = 1 << 20
_SIGNS = {"passed": "+", "failed": "-", "cannot-tell": "?", "not-checked": " "}


@click.command(cls=ManyCommand, name="verify-call")
@click.argument("header", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path), metavar="FILE")
@trust_options
@click.option("--from", "orig", default="", metavar="NUMBER", help="Who calls, from the SIP message; not compared if "
              "it is not given.")
@click.option("--to", "dest", default="", metavar="NUMBER", help="Who is called.")
@click.option("--at", metavar="TIME", help="Judge it as of this time (RFC 3339), such as that of an old call.")
@click.option("--sct-list", type=FILE, metavar="FILE", help="SCTs that travel beside the certificate.")
@click.option("--fetch/--no-fetch", default=True, show_default=True, help="Whether a certificate is fetched by x5u.")
@json_option
def verify_call(
    header: Path, trusted: TrustOptions, orig: str, dest: str, at: str | None, sct_list: Path | None, fetch: bool,
    as_json: bool,
) -> int:  # fmt: skip
    """Check one call: is the caller entitled to that number, and is the certificate in the logs?

    FILE has the value of the Identity header field of a call, or a PASSporT by itself; - reads it from stdin. Further
    lines are those of diversions. Every check is shown with its outcome: + passed, - failed, ? cannot tell. Nothing is
    fetched but, at most, the certificate at its x5u.

    \b
    ctlog verify-call identity.txt --roots sti-ca-roots.pem --log-list log-list.json \\
        --log-list-key list-key.pub.pem

    Exit code 0: it passed; 1: it failed; 3: cannot tell.
    """
    from ctlog.cli.verify_service import Material

    moment = _time(at)
    material = Material(trusted.roots, trusted.logs(), trusted.policy(), _time(None))  # the list is of today
    question = _question(header, orig, dest, sct_list)
    answer = asyncio.run(_verify(material, question, moment, fetch))
    if as_json:
        say_json({"outcome": answer.outcome, "reason": answer.reason, "sentence": answer.sentence,
                  "verdicts": [_as_json(verdict) for verdict in answer.verdicts]})  # fmt: skip
    else:
        _say(answer)
    return {"passed": GOOD, "failed": NO}.get(answer.outcome, COULD_NOT)


def _time(text: str | None) -> int:
    if text is None:
        return time.time_ns() // 1_000_000
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--at {text!r} is no time: write it as 2026-11-26T06:30:00Z") from None
    return int((read if read.tzinfo is not None else read.replace(tzinfo=UTC)).timestamp() * 1000)


def _question(header: Path, orig: str, dest: str, sct_list: Path | None) -> Question:
    from ctlog.client.detached import read_sct_list
    from ctlog.verify_service import MAX_HEADERS, Question
    from ctlog.wire.identity_header import canonical_number

    data = sys.stdin.buffer.read(_MAX_HEADER + 1) if header == Path("-") else header.read_bytes()
    lines = [line.strip() for line in data[: _MAX_HEADER + 1].decode("utf-8", "replace").splitlines() if line.strip()]
    if len(data) > _MAX_HEADER or not 0 < len(lines) <= MAX_HEADERS:
        raise UsageError(f"{header} does not hold 1 to {MAX_HEADERS} Identity header fields, one a line")
    scts = () if sct_list is None else tuple(read_sct_list(sct_list.read_bytes()))
    caller, called = (canonical_number(text) if text else "" for text in (orig, dest))
    return Question(tuple(lines), caller, called, scts=scts)


async def _verify(material: Any, question: Question, moment: int, fetch: bool) -> Answer:
    from ctlog.client.guarded import GuardedFetcher
    from ctlog.verify_service import VerifyService

    async with GuardedFetcher(user_agent=f"ctlog/{__version__} (verify-call)", max_bytes=1 << 18) as fetcher:
        get = fetcher.get if fetch else None
        return await VerifyService(lambda: material.trust, get, clock_ms=lambda: moment).verify(question)


def _say(answer: Answer) -> None:
    for verdict in answer.verdicts:
        for check in verdict.checks:
            said = check.sentence if check.outcome != "not-checked" else "not checked"
            word = f"  [{check.reason}]" if check.reason else ""
            say(f"{_SIGNS[check.outcome]} {check.name:13} {said}{word}")
        say()
    word = f"  [{answer.reason}]" if answer.reason else ""
    say(f"{answer.outcome}: {answer.sentence}{word}")


def _as_json(verdict: Verdict) -> dict[str, Any]:
    from ctlog.client.verdict import ROWS

    return {
        "outcome": verdict.outcome, "reasons": list(verdict.reasons), "coverage": verdict.coverage,
        "rows": {row: verdict.row(row) for row in ROWS},
        "operators": verdict.scts.operators if verdict.scts is not None else [],
        "checks": [check._asdict() for check in verdict.checks],
    }  # fmt: skip
