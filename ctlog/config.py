"""The log's configuration: `DIR/log.toml` <-> a frozen value, and the one list of its keys.

In scope: every key with its default, its unit and the sentence that says what breaks; reading, checking and writing the
file. An unknown key, a wrong type or a value out of range refuses a start and names the key; for an unknown one, the
nearest that exists. The README's table of keys is checked against `keys()`.
Out of scope: accepted roots (`ctlog.roots`) and secrets: the seed is a file of its own, tokens stand here as hashes.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated as An
from typing import Any, NamedTuple

import msgspec
from msgspec import Meta, field

from ctlog.errors import ConfigError

FILE_NAME = "log.toml"
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_ORIGIN = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~-]+)*")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_Moment = An[datetime, Meta(tz=True)]


def _key(unit: str, sentence: str, ge: float | None = None, le: float | None = None) -> Meta:
    return Meta(description=sentence, extra={"unit": unit}, ge=ge, le=le)


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the file. Every key carries its unit, its bounds and its sentence."""


class Pool(_Table, frozen=True):
    """When a batch is made, and how much may wait for it."""

    period_ms: An[int, _key("ms", "A batch starts at most this often, so a submitter waits for up to one period and "
        "one batch. Longer: fewer fsyncs, later answers.", 1, 1000)] = 25
    size: An[int, _key("entries", "Submissions that may be checked and wait for the next batch; one more is answered "
        "503. Too small wastes the disk's rhythm, too large makes every answer slow under overload.", 1, 65536)] = 256
    head_interval_s: An[int, _key("s", "An idle log signs a fresh head this often, so that its silence is visible; "
        "/health fails when the head is older than three of these.", 1, 86400)] = 10


class Limits(_Table, frozen=True):
    """Token buckets and sizes: what one party may take from the others."""

    source_rate: An[float, _key("per second", "Submissions from one source address (IPv6: one /64); what comes faster "
        "is answered 429 with Retry-After. 0: no limit.", 0)] = 200.0
    source_burst: An[int, _key("submissions", "What one source may send at once before its rate counts.", 1)] = 10_000
    issuer_rate: An[float, _key("per second", "New certificates of one issuing CA, whoever sends them; more is "
        "answered 429. 0: no limit.", 0)] = 500.0
    issuer_burst: An[int, _key("submissions", "What one issuing CA may have logged at once before its rate "
        "counts.", 1)] = 20_000
    root_rate: An[float, _key("per second", "New certificates under one accepted root: how fast a hijacked hierarchy "
        "can fill the disk. 0: no limit.", 0)] = 1000.0
    root_burst: An[int, _key("submissions", "What one accepted root may have logged at once before its rate "
        "counts.", 1)] = 50_000
    body_bytes: An[int, _key("bytes", "A submission larger than this is answered 413 before it is read whole. Too "
        "small refuses honest chains.", 4096, 16 << 20)] = 512 << 10
    connections: An[int, _key("connections", "Open connections; one more is closed at once. Keep it well below the "
        "process's limit of open files, or the log cannot open its own.", 16)] = 4096
    request_s: An[int, _key("s", "Time for a client to send one whole request; slower ones are cut off, so that a "
        "trickle of bytes holds nothing.", 1, 600)] = 20


class Submitters(_Table, frozen=True):
    """An allow-list. While both keys are empty, anyone may submit what an accepted root anchors."""

    networks: An[list[str], _key("networks", "Only these networks may submit, besides the holders of a token; others "
        "are answered 403. Empty, and no tokens either: everyone may.")] = []
    tokens: An[dict[str, str], _key("name = hash", "Bearer tokens that may submit: a name of yours and the token's "
        "SHA-256 in hex (`openssl rand -hex 32` makes one, `printf %s TOKEN | sha256sum` its hash). A token itself "
        "never stands here.")] = {}


class Space(_Table, frozen=True):
    """When the log stops to take submissions rather than fill the disk; a full disk has killed logs."""

    min_percent: An[float, _key("%", "Below this share of free space, or of free inodes, the log refuses submissions "
        "and goes on serving.", 0, 50)] = 5.0
    min_bytes: An[int, _key("bytes", "The same as a number of free bytes; whichever is reached first counts.",
        0)] = 1 << 30


class Config(_Table, frozen=True):
    """One log. Only `origin` has no default."""

    origin: An[str, _key("host[/path]", "The log's name in every checkpoint and in its keys: no scheme, no trailing "
        "slash. Never change it: heads under another name are another log.")]
    description: An[str, _key("text", "One line for the home page and log.v3.json.")] = ""
    operator: An[str, _key("text", "Who runs this log, for the home page.")] = ""
    contact: An[str, _key("e-mail or URL", "Where to report trouble with this log; without it nobody can tell "
        "you.")] = ""
    submission_url: An[str, _key("URL", "Public prefix of submissions, with a trailing slash. Empty: "
        "https://<origin>/. Wrong: log.v3.json sends submitters elsewhere.")] = ""
    monitoring_url: An[str, _key("URL", "Public prefix of reads, with a trailing slash. Empty: https://<origin>/. A "
        "start fetches the checkpoint from here and refuses to go back behind it.")] = ""
    listen: An[list[str], _key("host:port", "Addresses to listen on, IPv6 in brackets ([::1]:8080). Keep it on "
        "loopback behind a proxy: the log speaks plain HTTP.")] = field(default_factory=lambda: ["127.0.0.1:8080"])
    unix_socket: An[str, _key("path", "A Unix socket to listen on as well (or, with listen = [], instead); its peers "
        "count as a trusted proxy.")] = ""
    head_store: An[str, _key("path", "The SQLite file with the signed head, absolute or relative to the log folder's "
        "parent. Empty: <DIR>.heads.sqlite beside the folder. Never inside it, and never restored from a backup: an "
        "old head forks the log.")] = ""
    window_start: An[_Moment | None, _key("RFC 3339", "Certificates whose NotAfter lies before this are refused. "
        "Absent: no lower bound.")] = None
    window_end: An[_Moment | None, _key("RFC 3339", "Certificates whose NotAfter is this or later are refused "
        "(half-open). Absent: no upper bound.")] = None
    mmd_s: An[int, _key("s", "The advertised maximum merge delay. The log delivers none, but a promise shorter than "
        "your longest outage is one that you may break.", 1)] = 86400
    require_number: An[bool, _key("true or false", "Refuse what claims no telephone number in any form. false: a "
        "general log, for foreign conformance suites.")] = True
    trusted_proxies: An[list[str], _key("networks", "Only from these networks is X-Forwarded-For believed. Too wide: "
        "anyone can pose as any source. Missing: all visitors behind a proxy share one source's rate.")] = []
    followers: An[list[str], _key("URLs", "Monitoring prefixes of mirrors and followers of this log; a start compares "
        "heads with each that answers and refuses to go back behind any.")] = []
    verification_threads: An[int, _key("threads", "Threads that check signatures beside the event loop. -1: one for "
        "each further core; 0: none, check in the event loop.", -1, 64)] = -1
    cache_bytes: An[int, _key("bytes", "Memory for tiles and issuers that are served and proven from. Less: more "
        "reads of the disk.", 1 << 20, 1 << 34)] = 24 << 20
    pool: Pool = Pool()
    limits: Limits = Limits()
    submitters: Submitters = Submitters()
    space: Space = Space()

    @property
    def public_submission_url(self) -> str:
        """The prefix that submitters use, with its default filled in."""
        return self.submission_url or f"https://{self.origin}/"

    @property
    def public_monitoring_url(self) -> str:
        """The prefix that readers use, with its default filled in."""
        return self.monitoring_url or f"https://{self.origin}/"

    @property
    def window_ms(self) -> tuple[int | None, int | None]:
        """NotAfter window as half-open Unix milliseconds; None is no bound."""
        return _to_ms(self.window_start), _to_ms(self.window_end)

    def head_store_path(self, directory: Path) -> Path:
        """Where the head store of the log in `directory` lies."""
        directory = directory.absolute()
        return directory.parent / (self.head_store or f"{directory.name}.heads.sqlite")


class Key(NamedTuple):
    """One key of log.toml, for the README and for the comments in the file itself."""

    name: str  # dotted: "pool.period_ms"
    default: Any  # `...` where there is none
    unit: str
    sentence: str


def keys(table: type[_Table] = Config, prefix: str = "") -> Iterator[Key]:
    """Every key in the file's order: plain keys first, then each table's."""
    tables: list[tuple[str, type[_Table]]] = []
    for each in msgspec.structs.fields(table):
        if isinstance(each.type, type) and issubclass(each.type, _Table):
            tables.append((f"{prefix}{each.name}.", each.type))
            continue
        default: Any = ... if each.default is msgspec.NODEFAULT else each.default
        if each.default_factory is not msgspec.NODEFAULT:
            default = each.default_factory()
        meta = each.type.__metadata__[0]
        yield Key(f"{prefix}{each.name}", default, meta.extra["unit"], meta.description)
    for name, inner in tables:
        yield from keys(inner, name)


def load(path: Path) -> Config:
    """Read and check `path`. Raises ConfigError with one sentence that names the key."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist; `ctlog create` makes a log", reason="no-config") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}", reason="config-unreadable") from error
    return parse(text, str(path))


def parse(text: str, name: str = FILE_NAME) -> Config:
    """The configuration that `text` (TOML) holds; `name` is what errors call it. Raises ConfigError."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name} is not TOML: {error}", reason="config-not-toml") from error
    _refuse_unknown(data, name)
    try:
        config = msgspec.convert(data, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(_explain(str(error), name), reason="config-value") from error
    _check(config, name)
    return config


def dump(config: Config) -> str:
    """`config` as TOML with every key's sentence above it; a key at its default is written as a comment."""
    values = dict(_flatten(msgspec.structs.asdict(config)))
    lines: list[str] = []
    table = ""
    for key in keys():
        head, _, last = key.name.rpartition(".")
        if head != table:
            lines += [f"[{head}]", ""]
            table = head
        lines += [f"# {line}" for line in _wrap(f"{key.sentence} [{key.unit}]")]
        value = values[key.name]
        lines += [f"{'# ' if value == key.default else ''}{last} = {_to_toml(value)}", ""]
    return "\n".join(lines)


def parse_networks(texts: list[str], key: str, name: str = FILE_NAME) -> tuple[Network, ...]:
    """Networks as values; raises ConfigError that names `key`."""
    try:
        return tuple(ipaddress.ip_network(text, strict=True) for text in texts)
    except ValueError as error:
        raise ConfigError(f"{name}: `{key}` holds no network: {error}", reason="config-value") from error


def parse_listen(text: str, name: str = FILE_NAME) -> tuple[str, int]:
    """`host:port` or `[v6]:port` as (host, port). Port 0 asks the system for a free one. Raises ConfigError."""
    match = re.fullmatch(r"(?:\[(?P<six>[0-9A-Fa-f:.%\w]+)\]|(?P<host>[^\[\]:/\s]+)):(?P<port>[0-9]{1,5})", text)
    if not match or int(match["port"]) > 65535:
        raise ConfigError(f"{name}: `listen` must be host:port (IPv6 as [::1]:8080), not {text!r}",
                          reason="config-value")
    return match["six"] or match["host"], int(match["port"])


def check_origin(origin: str, name: str = FILE_NAME) -> None:
    """Raises ConfigError unless `origin` is host[/path]: no scheme, no trailing slash, nothing unfit for a note."""
    if not _ORIGIN.fullmatch(origin) or len(origin) > 255:
        raise ConfigError(f"{name}: `origin` must be host[/path] in small letters, without scheme or trailing slash "
                          f"(such as \"ct.example.org/2026\"), not {origin!r}", reason="config-value")


def _check(config: Config, name: str) -> None:
    """What types and bounds cannot say."""
    def refuse(sentence: str) -> None:
        raise ConfigError(f"{name}: {sentence}", reason="config-value")

    check_origin(config.origin, name)
    for key in ("submission_url", "monitoring_url"):
        url = getattr(config, key)
        if url and not re.fullmatch(r"https?://[^\s?#]+/", url):
            refuse(f"`{key}` must be an http(s) URL that ends with a slash, not {url!r}")
    for url in config.followers:
        if not re.fullmatch(r"https?://[^\s?#]+", url):
            refuse(f"`followers` must hold http(s) URLs, not {url!r}")
    for address in config.listen:
        parse_listen(address, name)
    if not config.listen and not config.unix_socket:
        refuse("`listen` and `unix_socket` are both empty, so nobody could reach the log")
    start, end = config.window_ms
    if start is not None and end is not None and start >= end:
        refuse("`window_start` must lie before `window_end`")
    parse_networks(config.trusted_proxies, "trusted_proxies", name)
    parse_networks(config.submitters.networks, "submitters.networks", name)
    for who, digest in config.submitters.tokens.items():
        if not re.fullmatch(r"[0-9a-f]{64}", digest):
            refuse(f"`submitters.tokens` must hold SHA-256 hashes as 64 hex digits; that of {who!r} is none")


def _refuse_unknown(data: Mapping[str, Any], name: str, table: type[_Table] = Config, prefix: str = "") -> None:
    fields = {each.name: each.type for each in msgspec.structs.fields(table)}
    for given, value in data.items():
        inner = fields.get(given)
        if inner is None:
            raise ConfigError(f"{name}: there is no key `{prefix}{given}`; the nearest is `{_nearest(prefix + given)}`",
                              reason="config-unknown-key")
        if isinstance(inner, type) and issubclass(inner, _Table) and isinstance(value, dict):
            _refuse_unknown(value, name, inner, f"{prefix}{given}.")


def _nearest(given: str) -> str:
    """The key most like `given`: by its whole dotted name, or by its last part where somebody forgot the table."""
    def likeness(name: str) -> float:
        whole = difflib.SequenceMatcher(None, given, name).ratio()
        last = difflib.SequenceMatcher(None, given.rpartition(".")[2], name.rpartition(".")[2]).ratio()
        return max(whole, last * 0.99)

    return max((key.name for key in keys()), key=likeness)


def _explain(message: str, name: str) -> str:
    """msgspec's "Expected `int`, got `str` - at `$.pool.size`" as a sentence about the key."""
    what, _, where = message.partition(" - at `$")
    key = where.rstrip("`").lstrip(".")
    if missing := re.search(r"missing required field `(\w+)`", what):
        return f"{name}: the key `{missing[1]}` is missing"
    return f"{name}: `{key}` is wrong: {what[:1].lower()}{what[1:]}"


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, _Table):
            yield from _flatten(msgspec.structs.asdict(value), f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _to_toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + "".join(_escape(c) for c in value) + '"'
    if isinstance(value, list):
        return "[" + ", ".join(map(_to_toml, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_to_toml(k)} = {_to_toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return "" if value is None else str(value)


def _escape(c: str) -> str:
    if c in '"\\':
        return "\\" + c
    return c if c.isprintable() else f"\\U{ord(c):08x}"


def _wrap(text: str, width: int = 108) -> Iterator[str]:
    line = ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > width:
            yield line
            line = word
        else:
            line = f"{line} {word}".lstrip()
    yield line


def _to_ms(moment: datetime | None) -> int | None:
    return None if moment is None else (moment - _EPOCH) // timedelta(milliseconds=1)
