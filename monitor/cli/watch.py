"""`ctlog-monitor watch add`, `list`, `remove`, `try`: what an owner wants to be told of.

What is added here is kept in the state, one table to a name, with the members of a [[watch]] in the watch file; the
file itself is only ever written by people. A name stands in one of the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ctlog.cli.many import ManyCommand
from ctlog.cli.output import json_option, say, say_json
from ctlog.errors import NotFoundError, UsageError
from monitor.cli.described import check_tables, count, described, given_tables, hint
from monitor.cli.place import find_place, folder_option, in_folder, now_ms, with_state
from monitor.cli.watch_try import try_
from monitor.cli.watched import items_word, names_in_file, read_watched, say_items

if TYPE_CHECKING:
    from monitor.cli.place import Place
    from monitor.items import Item
    from monitor.state import State
    from monitor.watch_table import Table

SHOWN = 20
"""Items of one name that `list` shows without --all."""

@click.group()
def watch() -> None:
    """What you want to be told of: numbers, ranges, prefixes, codes, names, keys.

    \b
    ctlog-monitor watch add +12025550123
    ctlog-monitor watch add --name office "+12025550100 to +12025550199" --tell mail
    ctlog-monitor watch add --name phone +12025550124 --expect-issuer "Example CA"
    ctlog-monitor watch add --name carrier --code 709J --domain us-shaken
    ctlog-monitor watch add --from numbers.csv
    ctlog-monitor watch try +12025550123

    A monitor that runs notices every change at once. Many items can also be written into the watch file beside
    monitor.toml; docs/monitoring.md shows both.
    """


@watch.command(cls=ManyCommand)
@folder_option
@described
@click.option("--from", "files", multiple=True, type=click.Path(exists=True, dir_okay=False, path_type=Path),
              metavar="FILE ...", help="Read items from files: CSV with a header, JSON lines, or one value to a line.")
@json_option
def add(folder: Path, files: tuple[Path, ...], as_json: bool, **options: Any) -> int:
    """Watch these from now on. VALUE is a number with "+", a range ("+12025550100 to +12025550199"), or a key's hash.

    What has the name already is kept, and recipients and expectations that are given take the place of others. All of a
    file is taken, or nothing: a mistake is named with its line. CSV has the columns value, and as many as you like of
    name, kind, tell, trust_domain, exclude and expect_issuers, expect_holders, expect_keys, expect_ranges,
    expect_codes, expect_uris, expect_days; several texts in one field are parted by ";". JSON lines have the members of
    a [[watch]] table.
    """
    place = find_place(folder)
    tables, places = given_tables(options, files)
    check_tables(place, tables, places)

    async def work(_: Place, state: State) -> tuple[int, int]:
        return await _store(state, tables)

    new, known = with_state(folder, work)
    for name, table in tables.items() if len(tables) <= SHOWN else ():
        hint(place, name, table)
    if as_json:
        say_json({"names": len(tables), "new": new, "known": known})
    else:
        names = f"under {len(tables):,} names" if len(tables) != 1 else f"as {next(iter(tables))!r}"
        say(f"{new:,} new {items_word(new)} {'is' if new == 1 else 'are'} watched {names}"
            f"{f'; {known:,} were watched already' if known else ''}.")  # fmt: skip
    return 0


@watch.command(name="list")
@folder_option
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--all", "everything", is_flag=True, help=f"Every item, not only the first {SHOWN} of a name.")
@json_option
def list_(folder: Path, names: tuple[str, ...], everything: bool, as_json: bool) -> int:
    """What is watched, by whom, since when; with NAME, only what has that name."""

    async def work(place: Place, state: State) -> list[tuple[str, str, list[Item]]]:
        return read_watched(place, await state.answers.items())

    found = [each for each in with_state(folder, work) if not names or each[0] in names]
    for missing in [name for name in names if name not in {each[0] for each in found}]:
        raise NotFoundError(f"nothing is watched under the name {missing!r}; `ctlog-monitor watch list` shows all")
    for name, source, items in found:
        if as_json:
            for item in items:
                say_json({"id": item.id, "name": name, "kind": item.kind, "value": item.text, "from": source,
                          "tell": list(item.tell), "trust_domain": item.group.trust_domain,
                          "added_ms": item.added_ms or None})  # fmt: skip
        else:
            say_items(name, source, items, None if everything else SHOWN)
    if not found and not as_json:
        say(f"Nothing is watched: ctlog-monitor watch add{in_folder(folder)} +12025550123")
    return 0


@watch.command()
@folder_option
@click.argument("name")
@click.argument("values", nargs=-1, metavar="[VALUE]...")
@json_option
def remove(folder: Path, name: str, values: tuple[str, ...], as_json: bool) -> int:
    """Watch VALUEs of NAME no longer; without VALUE, all of NAME.

    What was told and learned of them is kept.
    """

    async def work(place: Place, state: State) -> int:
        if name in names_in_file(place):
            raise UsageError(f"{name!r} stands in {place.watch_file}: take it out there")
        return await _remove(state, name, values)

    count = with_state(folder, work)
    if as_json:
        say_json({"name": name, "removed": count})
    else:
        say(f"{count:,} {items_word(count)} of {name!r} {'is' if count == 1 else 'are'} watched no longer.")
    return 0


watch.add_command(try_)


# --- the state --------------------------------------------------------------------------------------------------------


async def _store(state: State, tables: Mapping[str, Table]) -> tuple[int, int]:
    from monitor.watch_file import parse_watch_table
    from monitor.watch_table import add as put
    from monitor.watch_table import format_table, parse_table

    counts = [0, 0]

    def change(found: dict[str, bytes]) -> dict[str, bytes]:
        changed = {}
        for name, table in tables.items():
            added = put(parse_table(found[name]) if name in found else None, table)
            if name in found:
                parse_watch_table(added.table)
            changed[name] = format_table(added.table)
            counts[0] += added.new
            counts[1] += added.known
        return changed

    await state.answers.change_items(list(tables), change, now_ms())
    return counts[0], counts[1]


async def _remove(state: State, name: str, values: tuple[str, ...]) -> int:
    from monitor.watch_table import format_table, parse_table
    from monitor.watch_table import remove as take

    counts = [0]

    def change(found: dict[str, bytes]) -> dict[str, bytes | None]:
        if name not in found:
            hint = f"; a number is given after its name: watch remove watched {name}" if name.startswith("+") else ""
            where = "`ctlog-monitor watch list` shows all"
            raise NotFoundError(f"nothing is watched under the name {name!r}; {where}{hint}")
        table = parse_table(found[name])
        if not values:
            counts[0] = count(table)
            return {name: None}
        wanted = _wanted(name, values)
        left, gone = take(table, set(wanted))
        for text in values:
            if not set(_wanted(name, (text,))) & set(gone):
                raise NotFoundError(f"{text!r} is not among what {name!r} watches")
        counts[0] = len(gone)
        return {name: None if left is None else format_table(left)}

    await state.answers.change_items([name], change, now_ms())
    return counts[0]


def _wanted(name: str, values: tuple[str, ...]) -> list[str]:
    """The values as they may be kept: as a number, a code, a name; or as the id that alerts show."""
    from monitor.watch_file import LISTS
    from monitor.watch_table import canonical

    found = []
    for text in values:
        text = text.removeprefix(f"{name}/")
        kind, colon, rest = text.partition(":")
        text = rest.partition("@")[0] if colon and kind.isalpha() else text
        for key in LISTS:
            try:
                found.append(canonical(key, text.removesuffix("*")))
            except UsageError:
                continue
    return found


