"""What the commands of `ctlog ca` have in common: which CA signs, which logs are asked, and how many SCTs are enough.

In scope: the options, and what they become: an Authority whose key fits its certificate, and a `Several` on an open
pool of connections. A log's key comes from a log list, or, for a first try, from the log itself, which is said. Out of
scope: what is issued.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import click

from ctlog.cli.files import read_certificates
from ctlog.cli.options import FILE, options_as, with_options
from ctlog.cli.output import say_error
from ctlog.errors import CtlogError, TransportError, UsageError

if TYPE_CHECKING:
    import aiohttp

    from ctlog.client.log_client import LogClient
    from ctlog.client.several import Several, SubmissionPolicy
    from ctlog.issuance import Authority
    from ctlog.wire.rfc6962 import LogKey

_DESCRIBE_S = 10
_CLOSE_S = 3.0
_TAKING = ("qualified", "usable")

F = TypeVar("F", bound=Callable[..., Any])


def now_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


# Who signs ------------------------------------------------------------------------------------------------------------


def authority_options(command: F) -> F:
    """--ca, --ca-key, --precert-signer, --precert-signer-key."""
    return with_options(command, (
        click.option("--ca", required=True, type=FILE, metavar="PEM", help="The CA's certificate and, after it, those "
                     "above it."),
        click.option("--ca-key", type=FILE, metavar="PEM", help="The CA's private key.  [default: CA-key.pem beside "
                     "CA.pem]"),
        click.option("--precert-signer", type=FILE, metavar="PEM", help="A certificate of the CA's that signs "
                     "precertificates in its place (RFC 6962 section 3.1)."),
        click.option("--precert-signer-key", type=FILE, metavar="PEM", help="Its private key.  [default: as for --ca]"),
    ))  # fmt: skip


def open_authority(certificates: Path, key_file: Path | None, above: Authority | None = None) -> Authority:
    """The CA in `certificates`, with its key. `above`: the CA that issued it, if the file has it alone.

    Raises UsageError.
    """
    from ctlog.issuance import Authority, Key

    path = key_file or certificates.with_name(f"{certificates.stem}-key.pem")
    try:
        key = Key.from_pem(path.read_bytes())
    except FileNotFoundError:
        raise UsageError(f"there is no {path}: name the key of {certificates} (see --help)") from None
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    chain = tuple(read_certificates(certificates))
    if above is not None and len(chain) == 1:
        chain = (*chain, *above.chain)
    try:
        return Authority.of(chain, key)
    except UsageError as error:
        raise UsageError(f"{certificates} with {path}: {error}", reason=error.reason) from None


# Which logs -----------------------------------------------------------------------------------------------------------


class LogOptions(NamedTuple):
    """What was said about logs: see `log_options`."""

    logs: tuple[str, ...]
    log_list: Path | None
    log_list_keys: tuple[Path, ...]
    scts: int
    operators: int
    time_limit: float
    grace: float


def log_options(command: F) -> F:
    """The options of `LogOptions`; the command gets one argument `logs` of that type."""
    return options_as(command, "logs", LogOptions, (
        click.option("--log", "logs", multiple=True, metavar="URL ...", help="A log to submit to. Its key is asked of "
                     "itself, and it counts as an operator of its own: for a first try."),
        click.option("--log-list", type=FILE, metavar="JSON", help="The logs of this list that take certificates now, "
                     "with their keys and operators (docs/log-list.md)."),
        click.option("--log-list-key", "log_list_keys", multiple=True, type=FILE, metavar="PEM ...", help="The key "
                     "that must have signed the list."),
        click.option("--scts", default=2, show_default=True, type=click.IntRange(1, 16), help="SCTs that a "
                     "certificate must have, of as many logs."),
        click.option("--operators", default=2, show_default=True, type=click.IntRange(1, 16), help="Operators that "
                     "these logs must have."),
        click.option("--time-limit", default=60.0, show_default=True, type=click.FloatRange(0.1), metavar="SECONDS",
                     help="How long logs are waited for."),
        click.option("--grace", default=0.5, show_default=True, type=click.FloatRange(0), metavar="SECONDS",
                     help="How long further logs are waited for once there are enough SCTs."),
    ))  # fmt: skip


class Target(NamedTuple):
    """A log as the options name it; `key` is None where it has to be asked for."""

    url: str
    key: LogKey | None
    operator: str
    reads: str  # where it is read


def targets(options: LogOptions, at_ms: int, until_ms: int | None = None) -> list[Target]:
    """The logs that are meant; of a list, those that take certificates now which end at `until_ms`.

    Raises UsageError; SignatureError and others for a list that is not good.
    """
    found = [Target(url, None, urlsplit(url).netloc or url, url) for url in options.logs]
    if options.log_list is not None:
        found += _listed(options.log_list, options.log_list_keys, at_ms, until_ms)
    elif options.log_list_keys:
        raise UsageError("--log-list-key is of no use without --log-list")
    if not found:
        raise UsageError("which logs? Give --log-list, or --log URL for each (see --help)")
    return found


def _listed(path: Path, key_files: tuple[Path, ...], at_ms: int, until_ms: int | None) -> list[Target]:
    from ctlog.client.log_list import ListKey, parse_log_list
    from ctlog.client.log_list_file import LogListFile

    if key_files:
        logs = LogListFile(path, [ListKey.from_pem(each.read_bytes()) for each in key_files]).load(at_ms)
    else:
        say_error(f"Nobody vouches for {path}: give --log-list-key to have its signature verified.")
        logs = parse_log_list(path.read_bytes())
    if logs.is_stale(at_ms):
        raise UsageError(f"{path} is more than ten weeks old: get a new one", reason="log-list-stale")
    found = [
        Target(log.submission_url, log.key, log.operator, log.monitoring_url)
        for log in logs.logs if log.state_at(at_ms) in _TAKING and _takes(log.interval, until_ms)
    ]  # fmt: skip
    if not found:
        raise UsageError(f"{path} has no log that takes such certificates now")
    return found


def _takes(interval: tuple[int, int] | None, until_ms: int | None) -> bool:
    """Whether a certificate that ends then belongs into a log of that interval."""
    return interval is None or until_ms is None or interval[0] <= until_ms < interval[1]


@asynccontextmanager
async def open_logs(
    options: LogOptions, until_ms: int | None = None, *, bulk: bool = True
) -> AsyncIterator[Several]:
    """The logs for certificates that end at `until_ms`, ready to be submitted to; a token comes from the environment
    variable CTLOG_TOKEN.

    bulk: whether they are asked where they take many in one request. A log that is down and whose key is not known is
    left out, and named. Raises UsageError for a policy that can never be met; TransportError where it could be, if that
    log were there.
    """
    from ctlog.client.log_client import LogClient, session
    from ctlog.client.several import ENOUGH, Destination, Several, check_policy, judge

    wanted, wished = targets(options, now_ms(), until_ms), policy(options)
    check_policy(wished, [target.operator for target in wanted])
    async with session() as http:
        described = await asyncio.gather(*(_describe(http, target, bulk) for target in wanted))
        logs = []
        for target, found in zip(wanted, described, strict=True):
            if isinstance(found, CtlogError):
                say_error(f"{found}: it is left out.")
                continue
            key, path = found
            _say_believed(target, key)
            client = LogClient(target.url, key, http, token=os.environ.get("CTLOG_TOKEN", ""), bulk_path=path)
            logs.append(Destination(client, target.operator))
        if judge(wished, [log.operator for log in logs]) != ENOUGH:
            raise next(found for found in described if isinstance(found, CtlogError))
        try:
            yield Several(logs, wished, now_ms)
        finally:
            await _close([log.client for log in logs])


async def _close(clients: Sequence[LogClient]) -> None:
    """End what is open. A log that hangs is not waited for: all that is wanted of it came, or never will."""
    _, left = await asyncio.wait([asyncio.create_task(client.close()) for client in clients], timeout=_CLOSE_S)
    for task in left:
        task.cancel()


class Readable(NamedTuple):
    """A log that is asked for what it promised, and who runs it."""

    reads: str
    key: LogKey
    operator: str


@asynccontextmanager
async def reading(options: LogOptions) -> AsyncIterator[tuple[aiohttp.ClientSession, list[Readable]]]:
    """The logs, to be read from. Those whose key is not known and cannot be asked for are left out, and named.

    Raises UsageError "same-log" for one that is named twice, as where it is submitted to.
    """
    from ctlog.client.log_client import session

    wanted = targets(options, now_ms())
    async with session() as http:
        logs = []
        for target in wanted:
            if target.key is None:
                found = await _describe(http, target, bulk=False)
                if isinstance(found, CtlogError):
                    say_error(f"{found}: it is left out.")
                    continue
                _say_believed(target, found[0])
                target = target._replace(key=found[0])
            if target.key is not None:
                logs.append(Readable(target.reads, target.key, target.operator))
        if len({log.key.log_id for log in logs}) < len(logs):
            raise UsageError("the same log is named twice, and its SCT would count once", reason="same-log")
        yield http, logs


def _say_believed(target: Target, key: LogKey) -> None:
    if target.key is None:
        say_error(f"The key that {target.url} publishes is believed; its log id is {key.log_id.hex()}.")


async def _describe(http: aiohttp.ClientSession, target: Target, bulk: bool) -> tuple[LogKey, str] | CtlogError:
    """A log's key, and where it takes bulk submissions, if that is wanted; or why it cannot be used."""
    from ctlog.client.log_client import describe

    if target.key is not None and not bulk:
        return target.key, ""
    try:
        async with asyncio.timeout(_DESCRIBE_S):
            found = await describe(http, target.url)
    except TimeoutError:
        problem: CtlogError = TransportError(f"{target.url} did not answer in {_DESCRIBE_S} seconds")
    except CtlogError as error:
        problem = error
    else:
        return target.key or found.key, found.bulk_path
    return problem if target.key is None else (target.key, "")


def policy(options: LogOptions) -> SubmissionPolicy:
    """How many SCTs are enough."""
    from ctlog.client.several import SubmissionPolicy

    return SubmissionPolicy(options.scts, options.operators, options.time_limit, options.grace)
