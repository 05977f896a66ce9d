"""The monitor's configuration: `monitor.toml` <-> a frozen value, and the one list of its keys.

In scope: every key with its default and the sentence that says what it does; mistakes named with line and column. Out
of scope: the watch list (`monitor.watch_file`), the keys of channels (`monitor.tell` says, by `Check`), reading the
file again (`monitor.reload`), the files that it names.
"""

from __future__ import annotations

import base64
import binascii
import difflib
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from ipaddress import ip_address, ip_network
from typing import Any, NamedTuple

from ctlog.errors import ConfigError, CtlogError, UsageError
from ctlog.wire.rfc6962 import LogKey
from ctlog.x509.der import oid
from monitor.follow.begin import FIRST, NEWEST, Start
from monitor.follow.followed import ENTRIES, TILES
from monitor.toml_places import Path, find_place

FILE_NAME = "monitor.toml"
_OID = re.compile(r"([01]\.[0-9]|[01]\.[123][0-9]|2\.\d{1,9})(\.\d{1,39}){1,40}")
Check = Callable[[str, Mapping[str, Any]], None]
"""(name of a channel, its table): raises UsageError, with `path` (a tuple of keys) where it knows which."""


class Key(NamedTuple):
    """One key. `kind` is what its value is; a default of None means that it must be there, or that nothing is in force
    without it, as its sentence says."""

    name: str
    kind: type
    default: Any
    sentence: str
    lo: int = 0
    hi: int = 0


TOP = (
    Key("contact", str, None, "An address or URL of whoever runs this; sent to every log in the User-Agent, so that "
        "its operator can write. It must be there."),
    Key("state", str, "state", "The folder of the state, made by `ctlog-monitor init`. Whoever loses it misses what "
        "lies between, so it is never made anew."),
    Key("watch", str, "watch.toml", "The watch list; read again when it changes. It need not exist."),
    Key("listen", str, "127.0.0.1:8462", "Where /metrics, /health and the API answer; empty: nowhere."),
    Key("hand_in", list, [], "Networks, such as `10.0.0.0/8`, that may hand in SCTs and events over the API, besides "
        "this machine. There is no password: whoever is there may."),
    Key("operators", list, [], "The channels that are told of logs that lie, of trouble, and of what concerns no "
        "owner; empty: all channels."),
    Key("poll_s", int, 30, "Seconds between two looks at a log's head.", 1, 3600),
    Key("audit", str, "watched", "Which SCTs found in final certificates are audited: of `watched` items, or `none`."),
    Key("heartbeat", str, "", "A URL that is fetched every minute while all is well, and only then."),
    Key("digest_hour", int, 8, "The hour (UTC) of the daily digest.", 0, 23),
)  # fmt: skip
LOG = (
    Key("name", str, "", "What alerts call the log; without it, its origin."),
    Key("url", str, "", "Where it is read: the prefix of `checkpoint`, or of `ct/v1/`."),
    Key("key", str, "", "Its public key: SubjectPublicKeyInfo in base64."),
    Key("log_v3", str, "", "Instead of `url` and `key`: the URL or the file of its log.v3.json. What it says the first "
        "time stays in force."),
    Key("form", str, TILES, "How it is read: `tiles` (static-ct-api) or `rfc6962` (get-entries)."),
    Key("origin", str, "", "Its name in checkpoints; without it, `url` without the scheme."),
    Key("begin", object, FIRST, "Where to begin the first time: `first`, `newest`, or a date: entries logged before it "
        "are not read."),
    Key("mmd_s", int, 86400, "Its maximum merge delay in seconds, for the audit of SCTs.", 1, 10**9),
)  # fmt: skip
LOG_LIST = (
    Key("source", str, None, "A log list in version 3: a file, or an https URL (http, if it is signed). One that is "
        "older than 70 days is told."),
    Key("keys", list, [], "PEM files of the keys that sign it (`source` with `.sig`); empty: it is not signed."),
    Key("states", list, ["pending", "qualified", "usable", "readonly"], "Logs in these states are followed; one "
        "that leaves them is read for its maximum merge delay more, and its end is told."),
    Key("every_s", int, 3600, "Seconds after which it is read again.", 60, 86400),
    Key("begin", object, NEWEST, "Where to begin with its logs, as in [[log]]."),
)
ROOTS = (
    Key("trust_domain", str, None, "The name of the ecosystem, such as `us-shaken`."),
    Key("files", list, None, "PEM files with accepted roots; `*` stands for any name."),
)
SOURCES = (
    Key("crl", list, [], "https URLs of certificate revocation lists; empty: revocation is not looked at."),
    Key("codes", str, "", "A CSV table of codes and holders: a file or an https URL; empty: none."),
    Key("references", bool, False, "Whether scopes kept elsewhere are fetched from the URLs in certificates."),
    Key("weak_keys", str, "", "A list of keys known to be weak: a file or an https URL with the SHA-256 of one "
        "SubjectPublicKeyInfo a line, in hexadecimal; empty: none."),
    Key("every_s", int, 3600, "Seconds after which each is fetched again.", 60, 604800),
)
_TABLES = ("log", "log_list", "roots", "sources", "contacts", "attributes", "channels")


@dataclass(frozen=True, slots=True)
class LogConfig:
    """One [[log]]: `key` is None where `log_v3` says it."""

    name: str
    url: str
    key: LogKey | None
    log_v3: str
    form: str
    origin: str
    begin: Start
    mmd_ms: int


@dataclass(frozen=True, slots=True)
class LogListConfig:
    """[log_list]."""

    source: str
    keys: tuple[str, ...]
    states: tuple[str, ...]
    every_s: int
    begin: Start


@dataclass(frozen=True, slots=True)
class RootsConfig:
    """One [[roots]]."""

    trust_domain: str
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SourcesConfig:
    """[sources]."""

    crl: tuple[str, ...] = ()
    codes: str = ""
    references: bool = False
    every_s: int = 3600
    weak_keys: str = ""


@dataclass(frozen=True, slots=True)
class Config:
    """The whole file. Paths are as written, relative to the file's folder. attributes: what extensions are called by
    which calls can be diverted or silenced, by OID (content octets)."""

    contact: str
    state: str
    watch: str
    listen: str
    hand_in: tuple[str, ...]
    operators: tuple[str, ...]
    poll_s: int
    audit: str
    heartbeat: str
    digest_hour: int
    logs: tuple[LogConfig, ...] = ()
    log_list: LogListConfig | None = None
    roots: tuple[RootsConfig, ...] = ()
    sources: SourcesConfig = field(default_factory=SourcesConfig)
    contacts: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[bytes, str] = field(default_factory=dict)
    channels: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


class _MistakeError(UsageError):
    def __init__(self, sentence: str, path: Path, *, of_key: bool = False) -> None:
        super().__init__(sentence)
        self.path = path
        self.of_key = of_key


def parse_config(text: str, name: str = FILE_NAME, check_channel: Check = lambda name, table: None) -> Config:
    """Read the file. Raises ConfigError, its sentence with line and column."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name} is no TOML: {error}") from error
    try:
        return _config(document, check_channel)
    except _MistakeError as mistake:
        line, column = find_place(text, mistake.path, of_key=mistake.of_key)
        raise ConfigError(f"{name}, line {line}, column {column}: {mistake}") from mistake


def _config(document: Mapping[str, Any], check_channel: Check) -> Config:
    top = read_keys(document, TOP, (), also=_TABLES)
    if not top["contact"] or not top["contact"].isprintable() or not top["contact"].isascii():
        raise _MistakeError("the contact is an address or a URL in one line of ASCII", ("contact",))
    if top["audit"] not in ("watched", "none"):
        raise _MistakeError("audit is `watched` or `none`", ("audit",))
    if top["heartbeat"] and not re.match(r"https?://[^/\s]+(/\S*)?$", top["heartbeat"]):
        raise _MistakeError("a heartbeat is an https:// or http:// URL", ("heartbeat",))
    if top["listen"]:
        try:
            parse_listen(top["listen"])
        except ConfigError as error:
            raise _MistakeError(str(error), ("listen",)) from error
    channels = _channels(document, check_channel)
    for at, channel in enumerate(top["operators"]):
        if channel not in channels:
            raise _MistakeError(f"there is no channel {channel!r}", ("operators", at))
    logs = tuple(_log(table, ("log", at)) for at, table in enumerate(_tables(document, "log")))
    _check_names(logs)
    contacts = _table(document, "contacts")
    for organisation, contact in contacts.items():
        if not isinstance(contact, str):
            raise _MistakeError("a contact is a text", ("contacts", organisation))
    return Config(
        **{**top, "operators": tuple(top["operators"]), "hand_in": _networks(top["hand_in"])},
        logs=logs,
        log_list=_log_list(document),
        roots=tuple(_roots(table, ("roots", at)) for at, table in enumerate(_tables(document, "roots"))),
        sources=_sources(document),
        contacts=contacts,
        attributes=_attributes(document),
        channels=channels,
    )


def parse_listen(text: str) -> tuple[str, int]:
    """ "127.0.0.1:8462" or "[::1]:8462". Raises ConfigError."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    try:
        ip_address(host)
    except ValueError:
        host = "" if host != "localhost" else host
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise ConfigError(f"listen: {text!r} is no address with a port, such as 127.0.0.1:8462 or [::1]:8462")
    return host, int(port)


def _networks(texts: list[str]) -> tuple[str, ...]:
    for at, text in enumerate(texts):
        try:
            ip_network(text)
        except ValueError as error:
            raise _MistakeError(f"this is no network, such as 10.0.0.0/8: {error}", ("hand_in", at)) from None
    return tuple(texts)


def _channels(document: Mapping[str, Any], check: Check) -> Mapping[str, Mapping[str, Any]]:
    channels = _table(document, "channels")
    for name, table in channels.items():
        if not isinstance(table, dict):
            raise _MistakeError("a channel is a table: [channels.NAME]", ("channels", name))
        try:
            check(name, table)
        except UsageError as error:
            inside: Path = getattr(error, "path", ())
            of_key = getattr(error, "of_key", False)
            raise _MistakeError(str(error), ("channels", name, *inside), of_key=of_key) from error
    return channels


def _log(table: Mapping[str, Any], path: Path) -> LogConfig:
    read = read_keys(table, LOG, path)
    if bool(read["log_v3"]) == bool(read["url"]):
        raise _MistakeError("a log has either `url` and `key`, or `log_v3`", path)
    if read["form"] not in (TILES, ENTRIES):
        raise _MistakeError(f"a log's form is `{TILES}` or `{ENTRIES}`", (*path, "form"))
    key = None
    if read["url"]:
        if not re.match(r"https?://[^/\s]", read["url"]):
            raise _MistakeError("a log's URL begins with https:// or http://", (*path, "url"))
        if not read["key"]:
            raise _MistakeError("the log's key is missing: without it anybody could be the log", path)
        key = _key(read["key"], (*path, "key"))
    origin = read["origin"] or read["url"].partition("://")[2].rstrip("/")
    begin = _begin(read["begin"], (*path, "begin"))
    return LogConfig(
        read["name"] or origin, read["url"], key, read["log_v3"], read["form"], origin, begin, read["mmd_s"] * 1000
    )


def _key(text: str, path: Path) -> LogKey:
    try:
        return LogKey.from_spki(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError, CtlogError) as error:
        raise _MistakeError(f"this is no log's public key in base64: {error}", path) from None


def _begin(value: Any, path: Path) -> Start:
    if value in (FIRST, NEWEST):
        return str(value)
    if isinstance(value, datetime):
        moment = value if value.tzinfo else value.replace(tzinfo=UTC)
        return int(moment.timestamp() * 1000)
    if isinstance(value, date):
        return int(datetime.combine(value, time(), UTC).timestamp() * 1000)
    raise _MistakeError(f"begin is `{FIRST}`, `{NEWEST}` or a date such as 2026-01-31, without quotation marks", path)


def _check_names(logs: tuple[LogConfig, ...]) -> None:
    seen: dict[object, int] = {}
    for at, log in enumerate(logs):
        for what, value in (("name", log.name), ("key", log.key.log_id if log.key else None)):
            if value and seen.setdefault((what, value), at) != at:
                sentence = f"two logs have this {what}; take the other out of the file, or give another"
                raise _MistakeError(sentence, ("log", at, what))


def _log_list(document: Mapping[str, Any]) -> LogListConfig | None:
    if "log_list" not in document:
        return None
    path: Path = ("log_list",)
    read = read_keys(_table(document, "log_list"), LOG_LIST, path)
    if not read["source"]:
        raise _MistakeError("the log list has no source", path)
    if read["source"].startswith("http://") and not read["keys"]:
        sentence = "anybody in between could put his own logs on it: fetch it by https, or name the `keys` that sign it"
        raise _MistakeError(sentence, (*path, "source"))
    begin = _begin(read["begin"], (*path, "begin"))
    return LogListConfig(read["source"], tuple(read["keys"]), tuple(read["states"]), read["every_s"], begin)


def _roots(table: Mapping[str, Any], path: Path) -> RootsConfig:
    read = read_keys(table, ROOTS, path)
    for key in ("trust_domain", "files"):
        if not read[key]:
            raise _MistakeError(f"roots need `{key}`", path)
    return RootsConfig(read["trust_domain"], tuple(read["files"]))


def _sources(document: Mapping[str, Any]) -> SourcesConfig:
    read = read_keys(_table(document, "sources"), SOURCES, ("sources",))
    for at, url in enumerate(read["crl"]):
        if not url.startswith("https://"):
            raise _MistakeError("only https URLs are fetched", ("sources", "crl", at))
    return SourcesConfig(
        tuple(read["crl"]), read["codes"], read["references"], read["every_s"], read["weak_keys"]
    )


def _attributes(document: Mapping[str, Any]) -> Mapping[bytes, str]:
    attributes: dict[bytes, str] = {}
    for dotted, name in _table(document, "attributes").items():
        if not _OID.fullmatch(dotted):
            sentence = f"{dotted!r} is no OID in quotation marks, such as \"1.3.6.1.4.1.99999.1\""
            raise _MistakeError(sentence, ("attributes", dotted), of_key=True)
        if not isinstance(name, str) or not name.strip():
            raise _MistakeError("an attribute has a name, such as \"a place for calls (CPS)\"", ("attributes", dotted))
        attributes[oid(dotted)] = name.strip()
    return attributes


# Tables and keys ------------------------------------------------------------------------------------------------------


def _table(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    table = document.get(name, {})
    if not isinstance(table, dict):
        raise _MistakeError(f"write [{name}], with one bracket", (name,))
    return table


def _tables(document: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    tables = document.get(name, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise _MistakeError(f"write [[{name}]], with two brackets", (name,))
    return tables


def read_keys(
    table: Mapping[str, Any], keys: tuple[Key, ...], path: Path = (), also: tuple[str, ...] = ()
) -> dict[str, Any]:
    """The values of a table. Raises UsageError, with `path`, for an unknown key and for a value of another kind."""
    known = {key.name: key for key in keys}
    for name in table:
        if name not in known and name not in also:
            nearest = difflib.get_close_matches(name, [*known, *also], 1, 0.0)
            sentence = f"there is no key `{name}` here; the nearest is `{nearest[0]}`"
            raise _MistakeError(sentence, (*path, name), of_key=True)
    return {key.name: _value(table.get(key.name, key.default), key, (*path, key.name)) for key in keys}


_KINDS = {str: "a text in quotation marks", int: "a whole number", bool: "true or false", list: "a list of texts"}


def _value(value: Any, key: Key, path: Path) -> Any:
    if value is None:
        return [] if key.kind is list else ""
    if key.kind is object:
        return value
    if not isinstance(value, key.kind) or (key.kind is int and isinstance(value, bool)):
        raise _MistakeError(f"`{key.name}` is {_KINDS[key.kind]}", path)
    if isinstance(value, int) and key.hi and not key.lo <= value <= key.hi:
        raise _MistakeError(f"`{key.name}` lies between {key.lo} and {key.hi}", path)
    if isinstance(value, list):
        for at, each in enumerate(value):
            if not isinstance(each, str):
                raise _MistakeError(f"`{key.name}` is a list of texts in quotation marks", (*path, at))
    return value
