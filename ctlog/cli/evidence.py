"""`ctlog verify-evidence`: does this file show that a log lied?"""

from __future__ import annotations

from pathlib import Path

import click

from ctlog.cli.files import read_key
from ctlog.cli.options import FILE
from ctlog.cli.output import json_option, say, say_json
from ctlog.errors import UsageError


@click.command("verify-evidence")
@click.argument("file", type=FILE)
@click.option("--key", "key_text", metavar="KEY", help="The log's key, from a source that you trust.")
@json_option
def verify_evidence(file: Path, key_text: str | None, as_json: bool) -> int:
    """Check a file of evidence against a log, offline.

    Without --key the key in the file is believed, which shows only that whoever has that key contradicted themselves.

    Exit code 0: it holds; 1: it does not; 2: it cannot be read.
    """
    from ctlog.client import evidence

    given = read_key(key_text).key if key_text is not None else None
    if key_text is not None and given is None:
        raise UsageError("evidence is checked with the log's own key, not its checkpoint key")
    verdict = evidence.verify_evidence(file.read_text("utf-8", "replace"), given)
    if as_json:
        kind = verdict.evidence.kind
        say_json({"result": "holds", "proof": verdict.is_proof, "kind": kind, "sentence": verdict.sentence})
    else:
        say(verdict.sentence)
        say("It is a proof." if verdict.is_proof else "It is a record: whoever doubts its writer may doubt it.")
    return 0
