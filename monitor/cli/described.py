"""What a command line, or a file of many, says about items: options and files turned into tables of the watch list.

In scope: the options that `watch add` and `watch try` share, and whether what they say makes sense here. Out of scope:
storing it.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ctlog.cli.output import progress, say_error
from ctlog.errors import UsageError
from monitor.cli.watched import names_in_file

if TYPE_CHECKING:
    from monitor.cli.place import Place
    from monitor.watch_table import Table

Places = Mapping[tuple[str, str], str]
"""Where a name, or ("") all of it, was given a member first."""
SHORTEST, NANP = 7, 11
"""Digits of a number, its country code included: fewer has none; in North America (+1) each has as many as this."""

_OPTIONS = (
    click.option("--name", metavar="NAME", default="watched", show_default=True, help="What alerts call it; all that "
                 "has one name has the same recipients and expectations."),
    click.option("--prefix", "prefixes", multiple=True, metavar="+DIGITS", help="All numbers that begin so."),
    click.option("--code", "codes", multiple=True, metavar="SPC", help="A service provider code; needs --domain."),
    click.option("--holder", "holders", multiple=True, metavar="NAME", help="Whatever is issued to this organisation."),
    click.option("--issuer", "issuers", multiple=True, metavar="NAME", help="Whatever this organisation issues."),
    click.option("--key", "keys", multiple=True, metavar="SHA256", help="Whatever has this key: the SHA-256 of its "
                 "SubjectPublicKeyInfo, or a file with the key or a certificate."),
    click.option("--domain", "trust_domain", metavar="WORD", help="The trust domain in which codes are meant."),
    click.option("--exclude", multiple=True, metavar="VALUE", help="What of these somebody else watches."),
    click.option("--tell", multiple=True, metavar="CHANNEL", help="Who is told; without it, the operators' channels."),
    click.option("--expect-issuer", "expect_issuers", multiple=True, metavar="NAME", help="Who may issue for these. "
                 "What is not said here is learned from what is seen."),
    click.option("--expect-holder", "expect_holders", multiple=True, metavar="NAME", help="To whom it may be issued."),
    click.option("--expect-key", "expect_keys", multiple=True, metavar="SHA256", help="The keys that you have; a file "
                 "with a key or a certificate will do."),
    click.option("--expect-range", "expect_ranges", multiple=True, metavar="RANGE", help="Your provider's own block."),
    click.option("--expect-code", "expect_codes", multiple=True, metavar="SPC", help="Your providers' codes."),
    click.option("--expect-uri", "expect_uris", multiple=True, metavar="URI", help="What attributes may name."),
    click.option("--expect-days", "expect_days", type=float, metavar="DAYS", help="The longest validity."),
)  # fmt: skip



def described(command: Callable[..., int]) -> Callable[..., int]:
    """The options that describe items, for `add` and for `try`."""
    values = click.argument("values", nargs=-1, metavar="[VALUE]...")
    return reduce(lambda so_far, option: option(so_far), reversed((values, *_OPTIONS)), command)


def given_table(options: Mapping[str, Any]) -> Table:
    """What the options of `add` and `try` describe. Raises UsageError."""
    from monitor.cli.given import key_hash
    from monitor.watch_table import canonical, key_for, put_value

    table: Table = {"name": options["name"]}
    for text in options["values"]:
        put_value(table, key_for(text), text)
    for key in ("prefixes", "codes", "holders", "issuers"):
        for text in options[key]:
            put_value(table, key, text)
    for text in options["keys"]:
        put_value(table, "keys", key_hash(text))
    if options["trust_domain"]:
        table["trust_domain"] = options["trust_domain"]
    for member in ("exclude", "tell"):
        if options[member]:
            table[member] = list(options[member])
    expect: dict[str, Any] = {}
    for member in ("issuers", "holders", "keys", "ranges", "codes"):
        texts = map(key_hash, options["expect_keys"]) if member == "keys" else options[f"expect_{member}"]
        if found := [canonical(member, text) for text in texts]:
            expect[member] = found
    if options["expect_uris"]:
        expect["uris"] = list(options["expect_uris"])
    if options["expect_days"] is not None:
        expect["max_validity_days"] = options["expect_days"]
    if expect:
        table["expect"] = expect
    return table


def given_tables(options: Mapping[str, Any], files: tuple[Path, ...]) -> tuple[dict[str, Table], Places]:
    """The tables by name, and where each member of them stands in the files. Raises UsageError."""
    from monitor.watch_table import Reader

    given = given_table(options)
    if not files:
        if not count(given):
            raise UsageError("say what to watch: a number such as +12025550123, or --code, --holder, --key, --from ...")
        return {given["name"]: given}, {}
    if count(given):
        raise UsageError("values stand either on the command line or in files (--from)")
    settings = {member: value for member, value in given.items() if member != "name"}
    reader = Reader(options["name"], settings)
    for path in files:
        size = path.stat().st_size
        bar = progress(size or None, f"reading {path.name}", "B")
        try:
            with path.open(encoding="utf-8") as lines:
                for _ in reader.read(_measured(lines, bar.update), str(path)):
                    pass
        except UnicodeDecodeError:
            raise UsageError(f"{path} is no UTF-8") from None
        finally:
            bar.close()
    return reader.tables, reader.places


def _measured(lines: Iterator[str], update: Callable[[int], Any]) -> Iterator[str]:
    for line in lines:
        update(len(line))
        yield line


def count(table: Table) -> int:
    """How many values a table watches."""
    from monitor.watch_file import LISTS

    return sum(len(table.get(key, ())) for key in LISTS)


def check_tables(place: Place, tables: Mapping[str, Table], places: Places | None = None) -> None:
    """Whether these tables make sense here. Raises UsageError, which says where it stands, if that is known."""
    from monitor.watch_file import parse_watch_table

    in_file, member = names_in_file(place), ""
    for name, table in tables.items():
        try:
            member = ""
            if name in in_file:
                raise UsageError(f"{name!r} stands in {place.watch_file}: change it there, or take another name")
            member = "tell"
            _check_channels(place, table)
            member = "codes" if "trust_domain" not in table else ""
            parse_watch_table(table)
        except UsageError as error:
            known = places or {}
            where = known.get((name, member)) or known.get((name, ""))
            raise UsageError(f"{where}: {error}" if where else str(error)) from None


def _check_channels(place: Place, table: Table) -> None:
    for channel in table.get("tell", ()):
        if channel not in place.config.channels:
            near = difflib.get_close_matches(str(channel), place.config.channels, 1, 0.0)
            hint = f"; the nearest is {near[0]!r}" if near else f": write [channels.{channel}] in {place.path}"
            raise UsageError(f"there is no channel {channel!r}{hint}")


def hint(place: Place, name: str, table: Table) -> None:
    """Say what is likely not meant."""
    domains = {roots.trust_domain for roots in place.config.roots}
    domain = table.get("trust_domain")
    if domain and domains and domain not in domains:
        say_error(f"Note: no [[roots]] have the trust domain {domain!r}; there are {', '.join(sorted(domains))}.")
    for number in table.get("numbers", ()):
        digits = number.removeprefix("+")
        if len(digits) < SHORTEST or (digits.startswith("1") and len(digits) != NANP):
            say_error(f"Note: {number} has {len(digits)} digits, which no whole number there has, so it may never be "
                      f"seen; {number}* watches all that begin so.")  # fmt: skip
    if not table.get("tell") and not place.config.channels:
        say_error(f"Note: {place.path} has no channel yet, so {name!r} is told to nobody.")
