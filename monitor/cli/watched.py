"""What is watched, from the watch file and from the state, read and said.

In scope: both together, by name. Out of scope: changing either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctlog.cli.output import say, say_error, when
from ctlog.errors import ConfigError, CtlogError

if TYPE_CHECKING:
    from monitor.cli.place import Place
    from monitor.items import Item
    from monitor.state.rows import ItemRow


def names_in_file(place: Place) -> set[str]:
    """The names that stand in the watch file; none, and that is said, where it has a mistake."""
    return {item.group.name for item in items_or_mistake(place)}


def items_or_mistake(place: Place) -> list[Item]:
    """The items of the watch file; where it has a mistake that is said, and hinders nothing else."""
    try:
        return items_of_file(place)
    except ConfigError as error:
        say_error(f"{error}. What stands there is left out here")
        return []


def items_of_file(place: Place) -> list[Item]:
    """The items of the watch file, which need not exist. Raises ConfigError."""
    from monitor.watch_file import parse_watch_file

    try:
        return parse_watch_file(place.watch_file.read_text("utf-8")) if place.config.watch else []
    except FileNotFoundError:
        return []
    except CtlogError as error:
        raise ConfigError(f"{place.watch_file}: {error}", reason="watch-list") from error
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8"
        raise ConfigError(f"{place.watch_file}: {reason}") from None


def read_watched(place: Place, rows: list[ItemRow]) -> list[tuple[str, str, list[Item]]]:
    """All that is watched: (name, where it stands, its items), those of the file first. Mistakes are said."""
    from monitor.watch_file import parse_watch_table
    from monitor.watch_table import parse_table

    by_name: dict[str, list[Item]] = {}
    for item in items_or_mistake(place):
        by_name.setdefault(item.group.name, []).append(item)
    found = [(name, place.watch_file.name, items) for name, items in by_name.items()]
    for row in rows:
        found.append((row.id, "command", parse_watch_table(parse_table(row.spec), added_ms=row.added_ms)))
    return found


def count_watched(place: Place, rows: list[ItemRow]) -> int:
    """How many items are watched; without reading each, for there may be a million."""
    return len(items_of_file(place)) + count_added(rows)


def count_added(rows: list[ItemRow]) -> int:
    """The same of those that were added by command. What cannot be read is not watched."""
    from monitor.cli.described import count
    from monitor.watch_table import parse_table

    found = 0
    for row in rows:
        try:
            found += count(parse_table(row.spec))
        except (CtlogError, ValueError, TypeError, KeyError, AttributeError):
            continue
    return found


def say_items(name: str, source: str, items: list[Item], most: int | None) -> None:
    """The items of one name, the first `most` of them."""
    group = items[0].group
    since = f", since {when(items[0].added_ms)}" if items[0].added_ms else ""
    told = f", told to {', '.join(group.tell)}" if group.tell else ""
    say(f"{name}: {len(items):,} {items_word(len(items))}, by {'the file ' if source != 'command' else ''}{source}"
        f"{since}{told}{f', in {group.trust_domain}' if group.trust_domain else ''}")  # fmt: skip
    for item in items[:most]:
        say(f"  {item.kind:8} {item.text}")
    if most is not None and len(items) > most:
        say(f"  ... and {len(items) - most:,} more: --all shows them")
    expect = group.expect
    names = [*(f"issued by {each}" for each in expect.issuers), *(f"for {each}" for each in expect.holders)]
    names += [f"under {each}" for each in expect.codes]
    names += [f"with key {each.hex()[:16]}" for each in sorted(expect.keys)]
    if expect.max_validity_days is not None:
        names.append(f"for at most {expect.max_validity_days:g} days")
    if names:
        say(f"  expected {'; '.join(names)}")


def items_word(count: int) -> str:
    """One item, several items."""
    return "item" if count == 1 else "items"
