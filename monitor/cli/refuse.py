"""`ctlog-monitor alerts refuse`, `refused`: somebody's word that a certificate is not his, nor wanted by him.

In scope: the contrary of `authorise`: for an alert, or beforehand. What is refused is never usual again, and is told as
loudly as a stranger's first certificate each time that it comes. Taking it back: `alerts authorise`, `alerts revoke`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ctlog.cli.output import json_option, say, say_json
from ctlog.errors import UsageError
from monitor.cli.authorise import (
    ISSUER,
    KEY,
    beforehand,
    check_where,
    everywhere_option,
    item_option,
    list_answers,
    note_option,
    say_settled,
    where_of,
)
from monitor.cli.place import folder_option, in_folder, now_ms, who, with_state

if TYPE_CHECKING:
    from monitor.cli.place import Place
    from monitor.state import State
    from monitor.state.rows import AlertRow, Authorisation


@click.command()
@folder_option
@click.argument("alert", required=False)
@click.option("--what", type=click.Choice([ISSUER, KEY]), help="What of the ALERT is refused besides its key: its "
              "issuer, or nothing.  [default: the issuer, unless you expect, authorised or long had him; "
              "whom T-12 asks about you have not]")
@click.option("--issuer", metavar="NAME", help="Beforehand: an issuer by its whole name, \"organisation\", or "
              "\"organisation @ root\" below another's root.")
@click.option("--key", metavar="SHA256", help="Beforehand: the SHA-256 of a key, or a file with the key, a "
              "request or a certificate.")
@item_option
@everywhere_option
@note_option
@json_option
def refuse(
    folder: Path, alert: str | None, what: str | None, issuer: str | None, key: str | None, item: str | None,
    everywhere: bool, note: str, as_json: bool,
) -> int:  # fmt: skip
    """Say that a certificate is not yours: whatever else comes of it is told as loudly as the first time.

    Its key is refused, and its issuer, unless that is one whom you have anyway. From now on every certificate of this
    issuer for the item is an alert, renewals and new keys too, and it never becomes usual; and so is every certificate
    with this key, whoever issued it. This asks nobody to revoke it: that is for you to do (`alerts show ALERT` says
    whom to ask). If you were wrong, `alerts authorise ALERT` takes it back.

    \b
    ctlog-monitor alerts refuse 3f2a --note "not ours; revocation asked for by mail"
    ctlog-monitor alerts refuse 3f2a --what key
    ctlog-monitor alerts refuse --issuer "Rogue CA @ Some Root" --item office
    """
    if [alert, issuer, key].count(None) != 2:
        raise UsageError("name an ALERT, or one of --issuer, --key")
    check_where(alert, item, everywhere)
    if what and alert is None:
        raise UsageError("--what is about an ALERT")

    async def work(place: Place, state: State) -> tuple[list[Authorisation], list[AlertRow]]:
        from monitor.answering import refusal_of, settle_refused

        where = await where_of(place, state, item, everywhere)
        if alert is not None:
            words = refusal_of(await state.alerts.get(alert), what, where)
        else:
            words = [await beforehand(place, state, None, key, issuer, where or "")]
        made = [
            await state.answers.authorise(word.kind, word.value, word.item, who(), note, now_ms(), is_refusal=True)
            for word in words
        ]
        return made, await settle_refused(state, words, who(), note)

    made, settled = with_state(folder, work)
    if as_json:
        say_json({"refused": [row._asdict() for row in made], "alerts": [row.id for row in settled]})
        return 0
    for row in made:
        say(f"Refused as {row.id}: the {row.kind} {row.value}, for {row.item or 'everything'}.")
    say_settled(settled)
    if alert is not None:
        where = in_folder(folder)
        say(f"Ask for its revocation: `ctlog-monitor alerts show{where} {alert}` says whom, and with --pem prints what "
            f"to send. If it is yours after all: `ctlog-monitor alerts authorise{where} {alert}`.")  # fmt: skip
    return 0


@click.command()
@folder_option
@json_option
def refused(folder: Path, as_json: bool) -> int:
    """What is refused now, by whom. `alerts authorised` is the contrary; `alerts revoke` takes either back."""
    list_answers(folder, as_json, is_refusal=True)
    return 0
