"""A first monitor.toml, every key explained; logs put at the end of one that exists, and taken out of it.

In scope: text. What is written here is read back by `monitor.config`. Pure. Out of scope: files.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from monitor.config import LOG, LOG_LIST, ROOTS, SOURCES, TOP, Key
from monitor.follow.begin import Start
from monitor.toml_places import find_table

_WIDTH = 100
_EXAMPLES = {
    "source": '"https://example.com/log-list.json"', "trust_domain": '"us-shaken"',
    "files": '["roots/us-shaken/*.pem"]', "url": '"https://log.example/2027/"', "key": '"MFkwEwYHKoZIzj0C..."',
    "log_v3": '"https://log.example/2027/log.v3.json"', "name": '"Example 2027"', "origin": '"log.example/2027"',
}  # fmt: skip
_CHANNELS = """\
# --- how people are told ---------------------------------------------------------------------------------------------
# Each channel is tried by itself until it has delivered. `ctlog-monitor test` sends a test through every one.

[channels.screen]
kind = "stdout"
format = "text"

# [channels.mail]
# kind = "email"
# to = ["you@example.com"]
# from = "monitor@example.com"
# server = "smtp.example.com"
"""


def new_config(contact: str) -> str:
    """The text of a configuration that follows nothing yet."""
    parts = [
        "# What the monitor does. It is read again when it changes; a mistake is said, and what was in force stays.",
        "# A key with # before it shows what holds without it.\n",
        *(_key(key, contact if key.name == "contact" else None) for key in TOP),
        _CHANNELS,
        _rule("which logs are read; `ctlog-monitor logs add` puts them here"),
        _table("[[log]]", LOG),
        _table("[log_list]", LOG_LIST),
        _rule("which CAs count: a chain that leads to none of these roots belongs to nobody known"),
        _table("[[roots]]", ROOTS),
        _rule("what is fetched from elsewhere; all of it is off until it is named"),
        _table("[sources]", SOURCES),
        _rule("how an issuer is reached, for alerts"),
        '# [contacts]\n# "Example CA Inc" = "https://ca.example/report"\n',
        _rule("attributes of certificates that can divert or silence calls: their OID, and a name"),
        '# [attributes]\n# "1.3.6.1.4.1.99999.1" = "a place where calls are kept (CPS)"\n',
    ]
    return "\n".join(parts)


def log_block(values: dict[str, Any], begin: Start) -> str:
    """One [[log]]. `values`: keys of it that are not empty."""
    lines = ["", "[[log]]", *(f"{name} = {toml_text(value)}" for name, value in values.items() if value)]
    return "\n".join([*lines, f"begin = {_begin(begin)}", ""])


def without_log(text: str, at: int) -> str | None:
    """The text without its `at`-th [[log]]; everything else, comments before and behind it too, stays as it is. None
    where that log has no table of its own."""
    found = find_table(text, ("log", at))
    if found is None:
        return None
    before, behind = text[: found[0]], text[found[1] :]
    is_between = before.endswith("\n\n") and (not behind or behind.startswith("\n"))
    return (before[:-1] if is_between else before) + behind


def roots_block(trust_domain: str, files: Iterable[str]) -> str:
    """One [[roots]]."""
    return f"\n[[roots]]\ntrust_domain = {toml_text(trust_domain)}\nfiles = {toml_text(list(files))}\n"


def toml_text(value: Any) -> str:
    """A text, a number, true or false, or a list of these, as TOML."""
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml_text, value)) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):  # TOML's basic strings are JSON's, but for DEL
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return str(value)


def _begin(begin: Start) -> str:
    if isinstance(begin, str):
        return toml_text(begin)
    return datetime.fromtimestamp(begin / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _key(key: Key, value: str | None = None) -> str:
    return f"{_comment(key.sentence)}\n{_line(key, value)}\n"


def _line(key: Key, value: str | None = None) -> str:
    if value is not None:
        return f"{key.name} = {toml_text(value)}"
    shown = _EXAMPLES.get(key.name) or toml_text(key.default if key.default is not None else "")
    return f"# {key.name} = {shown}"


def _table(header: str, keys: tuple[Key, ...]) -> str:
    lines = [f"# {header}"]
    for key in keys:
        lines += [f"# # {line}" for line in textwrap.wrap(key.sentence, _WIDTH)]
        lines.append(_line(key))
    return "\n".join(lines) + "\n"


def _comment(sentence: str) -> str:
    return "\n".join(f"# {line}" for line in textwrap.wrap(sentence, _WIDTH))


def _rule(title: str) -> str:
    return f"# --- {title} ".ljust(119, "-")
