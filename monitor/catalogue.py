"""Which logs are followed: those of the configuration, by key or by their own log.v3.json, and those of a log list.

In scope: reading these descriptions, from files or by https, and keeping what they said: a log that vanishes from a
list is still followed, and a log.v3.json that names another key is not believed. Out of scope: following, and how a log
is reached (`monitor.daemon` makes the fetchers).
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ctlog.client.log_list import MAX_BYTES, ListedLog, ListKey, LogList, check_successor, open_log_list, parse_log_list
from ctlog.client.trusted import LogPolicy
from ctlog.errors import ConfigError, CtlogError, MalformedError, TransportError, VerificationError
from ctlog.wire.b64 import format_base64, parse_base64
from ctlog.wire.rfc6962 import LogKey
from monitor.config import LogConfig, LogListConfig
from monitor.follow.begin import Start
from monitor.follow.followed import ENTRIES, TILES

LISTED = "log list"
"""The source of those that the log list names."""
Get = Callable[[str], Awaitable[bytes]]
"""Fetches an http or https URL, bounded in time and size. Raises CtlogError."""


class LogSpec(NamedTuple):
    """All that is needed to follow a log."""

    name: str
    url: str
    key: LogKey
    form: str
    origin: str
    mmd_ms: int
    begin: Start
    source: str
    """Who says so: "configuration", a log.v3.json, or the log list."""

    @property
    def log_id(self) -> bytes:
        return self.key.log_id

    @property
    def policy(self) -> LogPolicy:
        """What a follower checks heads by."""
        return LogPolicy(self.origin, self.key, source=self.url, mmd_ms=self.mmd_ms)


async def read_log(config: LogConfig, folder: Path, get: Get, known: LogKey | None) -> LogSpec:
    """One [[log]]. `known`: the key that its log.v3.json had the first time.

    Raises TransportError, MalformedError; VerificationError (`log-key-changed`) for one that names another key now.
    """
    if config.key is not None:
        where = config.name, config.url, config.key, config.form, config.origin
        return LogSpec(*where, config.mmd_ms, config.begin, "configuration")
    data = await _read(config.log_v3, folder, get)
    try:
        value = json.loads(data)
        key = LogKey.from_spki(parse_base64(value["key"], "key"))
        url = value.get("monitoring_url") or value["url"]
        mmd_ms = int(value.get("mmd", 86400)) * 1000
        form = TILES if value.get("monitoring_url") else ENTRIES
        if not isinstance(url, str) or not url.startswith(("https://", "http://")):
            raise ValueError("it has no monitoring_url")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, MalformedError) as error:
        raise MalformedError(f"{config.log_v3}: this is no log.v3.json: {error}", field="log.v3.json") from None
    if known is not None and key != known:
        sentence = f"{config.log_v3} names another key than the first time: the log is followed by its first one"
        raise VerificationError(sentence, reason="log-key-changed")
    origin = config.origin or _origin(value.get("submission_url") or url)
    return LogSpec(config.name or origin, url, key, form, origin, mmd_ms, config.begin, config.log_v3)


async def read_list(config: LogListConfig, folder: Path, get: Get, old: LogList | None, now_ms: int) -> LogList:
    """The log list. Raises TransportError, MalformedError, SignatureError, VerificationError (an older list)."""
    data = await _read(config.source, folder, get)
    if config.keys:
        signature = await _read(f"{config.source}.sig", folder, get)
        new = open_log_list(data, signature, [_list_key(folder / path) for path in config.keys])
    else:
        new = parse_log_list(data)
    check_successor(new, old, now_ms)
    return new


def listed_logs(config: LogListConfig, logs: LogList, now_ms: int) -> list[LogSpec]:
    """The logs of a list that are to be followed."""
    return [_listed(config, log) for log in logs.logs if log.state_at(now_ms) in config.states]


def merge(
    configured: Mapping[bytes, LogSpec], listed: Mapping[bytes, LogSpec], before: Mapping[bytes, LogSpec]
) -> tuple[dict[bytes, LogSpec], list[LogSpec]]:
    """What is followed now, and which of these are followed only because they were before (their list lost them).

    The configuration counts most, then the list. Two logs never share a name.
    """
    lost = {log_id: spec for log_id, spec in before.items() if spec.source == LISTED}
    merged = {**lost, **listed, **configured}
    names: set[str] = set()
    for log_id, spec in merged.items():
        name = spec.name if spec.name not in names else f"{spec.name} ({log_id.hex()[:8]})"
        names.add(name)
        merged[log_id] = spec._replace(name=name)
    return merged, [spec for log_id, spec in merged.items() if log_id not in listed and log_id not in configured]


def _listed(config: LogListConfig, log: ListedLog) -> LogSpec:
    origin = _origin(log.submission_url or log.monitoring_url)
    form = TILES if log.tiled else ENTRIES
    return LogSpec(
        log.description or origin, log.monitoring_url, log.key, form, origin, log.mmd_s * 1000, config.begin, LISTED
    )


def _origin(url: str) -> str:
    """static-ct-api: the submission prefix as a schema-less URL without trailing slashes."""
    return url.partition("://")[2].rstrip("/")


async def _read(source: str, folder: Path, get: Get) -> bytes:
    if source.startswith(("https://", "http://")):
        return await get(source)
    try:
        data = (folder / source).read_bytes()
    except OSError as error:
        raise TransportError(f"{source}: {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise TransportError(f"{source} is longer than {MAX_BYTES} bytes")
    return data


def _list_key(path: Path) -> ListKey:
    try:
        return ListKey.from_pem(path.read_bytes())
    except (OSError, CtlogError) as error:
        raise ConfigError(f"{path}: {error}") from None


def spec_to_json(spec: LogSpec) -> dict[str, Any]:
    """A log as the state remembers it."""
    return {**spec._asdict(), "key": format_base64(spec.key.spki)}


def spec_from_json(value: Mapping[str, Any]) -> LogSpec:
    """The inverse of `spec_to_json`."""
    return LogSpec(**{**value, "key": LogKey.from_spki(parse_base64(value["key"], "key"))})
