"""What is usual for an item: the issuers and holders that it has had, and what its owner was told already.

In scope: the learned profile as an immutable value with a JSON form, what it says of an entry together with what the
owner expects, and how it learns. An item without expectations is judged by its profile. Nobody becomes usual for a
single number by being seen: its first issuer is "unanswered" until the owner says that it is all right (an
authorisation, or an expectation). Of ranges and codes, which have many certificates, the first issuer and holder that
are seen are taken as their own, and whoever was there before they were watched. Whoever comes later is reported, and
stays "reported" until the owner answers, so that an attacker does not become usual by being repeated.
Out of scope: how grave any of it is (the rules).
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import NamedTuple

from ctlog.errors import MalformedError
from monitor.entry import Entry, IssuerId
from monitor.holder import normalise, same_holder
from monitor.items import GROUP, NUMBER, Item

EXPECTED, LEARNED, UNANSWERED, REPORTED, NEW, FIRST = "expected", "learned", "unanswered", "reported", "new", "first"
REFUSED = "refused"
"""How an issuer or a holder stands: said by the owner; seen before anybody minded; seen first, where seeing is not
enough; told of as a stranger, without an answer; never seen; never seen, as nothing was. And: not his, said the owner
(of issuers only, for a holder's name can be copied)."""

VERSION = 1
MAX_KNOWN = 256  # issuers, and holders, of one item
MAX_KEYS = 64  # the newest keys of an item
_KEY = 8  # octets of a key's hash that are kept


class Known(NamedTuple):
    """An issuer or a holder of an item: since when, when it was seen last, and whether the owner was told of it."""

    since_ms: int
    last_ms: int
    reported: bool


_NOBODY: Mapping[str, Known] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Profile:
    """What was learned of an item. Made by `learn`, from EMPTY_PROFILE on.

    issuers: by `IssuerId.text`. holders: by normal form. issuing_keys, keys: the first octets of SHA-256, in
    hexadecimal, of the issuing CAs' and of the certificates' keys, newest last; of the latter since when.
    constraints: what JWTClaimConstraints the last certificate had, by label and holder. told: what was said once and is
    not said as loudly again -> when. count: certificates; last_ms: when the last one was logged.
    """

    issuers: Mapping[str, Known] = field(default_factory=lambda: _NOBODY)
    holders: Mapping[str, Known] = field(default_factory=lambda: _NOBODY)
    issuing_keys: tuple[str, ...] = ()
    keys: Mapping[str, int] = field(default_factory=dict)
    constraints: Mapping[str, str] = field(default_factory=dict)
    told: Mapping[str, int] = field(default_factory=dict)
    count: int = 0
    last_ms: int = 0

    def knows_key(self, key_hash: bytes, before_ms: int | None = None) -> bool:
        """Whether one of the newest certificates had this key; one that was logged before then."""
        since_ms = self.keys.get(key_hash[:_KEY].hex())
        return since_ms is not None and (before_ms is None or since_ms < before_ms)

    def knows_issuing_key(self, key_hash: bytes) -> bool:
        """Whether a certificate was issued with this key before."""
        return key_hash[:_KEY].hex() in self.issuing_keys


EMPTY_PROFILE = Profile()


# --- what it says of an entry ----------------------------------------------------------------------------------------


def issuer_standing(
    entry: Entry, item: Item, profile: Profile, authorised: Iterable[str], refused: Container[str]
) -> str:
    """Say how the entry's issuer stands. One that no signature ties to an accepted root is never usual, nor told of.

    authorised, refused: `IssuerId.text` of those of whom the owner said that they are all right, or that they are not,
    which is stronger than what he expects. They are not to overlap.
    """
    issuer, authorised = entry.issuer, frozenset(authorised)
    if issuer.is_known and issuer.text in refused:
        return REFUSED
    if issuer.is_known and issuer.text in authorised:
        return EXPECTED
    if item.expect.issuers:
        expected = issuer.is_known and any(is_called(issuer, name) for name in item.expect.issuers)
        return EXPECTED if expected else NEW
    known = profile.issuers.get(issuer.text) if issuer.is_known else None
    if known is not None:
        if known.reported or not needs_answer(item):
            return REPORTED if known.reported else LEARNED
        return REPORTED if authorised else UNANSWERED  # the owner named others, and not this one
    # Where one was refused, who comes next is not the first of whom anything is known: he is compared with nobody.
    is_known = any(not each.reported or name in refused for name, each in profile.issuers.items())
    return NEW if authorised or is_known else FIRST


def needs_answer(item: Item) -> bool:
    """Whether nobody is usual for an item until its owner says so: a number has few certificates, and few touch most
    of a group at once."""
    return item.kind in (NUMBER, GROUP)


def is_called(issuer: IssuerId, name: str) -> bool:
    """Whether people mean this issuer by a name: an organisation with a root of its own; "organisation @ root" below
    somebody else's, whoever stands between named too; or its text. Names must be equal in normal form."""
    written = tuple(map(normalise, name.split(" @ ")))
    full = (issuer.organisation, *issuer.via, issuer.root)
    own = full[:1] if full[:1] == full[1:] else full
    return written in (own, full, tuple(map(normalise, issuer.text.split(" @ "))))


def holder_standing(entry: Entry, item: Item, profile: Profile) -> str:
    """Say how the entry's holder stands; EXPECTED where it names none, for there is nothing to mind."""
    name = entry.holder_key
    if not name:
        return EXPECTED
    if item.expect.holders:
        return EXPECTED if any(same_holder(normalise(each), name) for each in item.expect.holders) else NEW
    exactly = profile.holders.get(name)
    if exactly is not None:
        return REPORTED if exactly.reported else LEARNED
    alike = [known for holder, known in profile.holders.items() if same_holder(holder, name)]
    if alike:
        return REPORTED if all(known.reported for known in alike) else LEARNED
    return NEW if profile.holders else FIRST


def is_before(entry: Entry, item: Item, was_there: bool) -> bool:
    """Whether an entry was logged before its item was watched: then it is what the item began with.

    was_there: we know that the log had it before (`monitor.rules.values.Context`). The leaf's timestamp alone says
    nothing, for the log chooses it.
    """
    return was_there and entry.timestamp_ms < item.added_ms


def is_from_later_log(item: Item, joined_ms: int) -> bool:
    """Whether a log joined those that are read when its item was watched already: what it shows from before that is no
    part of what the item began with, for nobody saw it there, and its dates are the log's and the issuer's word."""
    return item.added_ms < joined_ms


def is_history(entry: Entry, item: Item, was_there: bool) -> bool:
    """Whether it had ended, too, before its item was watched; one whose end cannot be read had not."""
    end_ms = entry.not_after_ms
    return is_before(entry, item, was_there) and end_ms is not None and end_ms + 999 < item.added_ms


# --- learning --------------------------------------------------------------------------------------------------------


def learn(
    profile: Profile,
    entry: Entry,
    *,
    is_alarming: bool,
    is_first: bool = False,
    told: Iterable[str] = (),
    constraints: Mapping[str, str] | None = None,
) -> Profile:
    """Give the profile after an entry that claims the item exactly.

    is_alarming: the owner was told of it at S1 or S2; then whoever is new with it is reported, not learned, but for the
    first issuer of all (is_first). told: what was said for the first time. constraints: by label and holder, what the
    certificate has ("" for none). An issuer whom no signature shows is not kept at all: its name is the log's word.
    """
    at_ms = entry.timestamp_ms
    issuers, holders = profile.issuers, profile.holders
    if entry.issuer.is_known:
        issuers = _seen(issuers, entry.issuer.text, at_ms, is_alarming and not is_first)
    if entry.holder_key:
        usual = any(same_holder(each, entry.holder_key) and not known.reported for each, known in holders.items())
        holders = _seen(holders, entry.holder_key, at_ms, is_alarming and bool(holders) and not usual)
    keys = profile.keys
    issuing = profile.issuing_keys
    if entry.key_hash:
        key = entry.key_hash[:_KEY].hex()
        since_ms = min(keys.get(key, at_ms), at_ms)
        rest = [each for each in keys.items() if each[0] != key]
        keys = dict([*rest, (key, since_ms)][-MAX_KEYS:])
    if entry.issuers:
        issuing = _newest(issuing, entry.issuing_key[:_KEY].hex())
    return replace(
        profile,
        issuers=issuers,
        holders=holders,
        issuing_keys=issuing,
        keys=keys,
        constraints=_constrained(profile.constraints, constraints or {}),
        told=note_told(profile, told, at_ms).told,
        count=profile.count + 1,
        last_ms=max(profile.last_ms, at_ms),
    )


def without_refused(profile: Profile, keys: Iterable[bytes], issuers: Container[str]) -> Profile:
    """Give the profile without what its owner refused: such keys are not known, such issuers were only reported."""
    refused = {key[:_KEY].hex() for key in keys}
    known = {
        name: each._replace(reported=each.reported or name in issuers) for name, each in profile.issuers.items()
    }
    if known == profile.issuers and refused.isdisjoint(profile.keys):
        return profile
    left = {key: since_ms for key, since_ms in profile.keys.items() if key not in refused}
    return replace(profile, issuers=known, keys=left)


def see_refused(profile: Profile, entry: Entry) -> Profile:
    """Give the profile after a certificate of an issuer that was refused: it was seen, and nothing is learned of it."""
    return replace(profile, issuers=_seen(profile.issuers, entry.issuer.text, entry.timestamp_ms, True))


def note_told(profile: Profile, told: Iterable[str], at_ms: int) -> Profile:
    """Give the profile after something was said for the first time, of which nothing else is learned."""
    fresh = {name: at_ms for name in told if name not in profile.told}
    if not fresh:
        return profile
    kept = dict(sorted({**profile.told, **fresh}.items(), key=lambda each: each[1])[-MAX_KNOWN:])
    return replace(profile, told=kept)


def _seen(known: Mapping[str, Known], name: str, at_ms: int, reported: bool) -> Mapping[str, Known]:
    old = known.get(name)
    fresh = Known(old.since_ms, max(old.last_ms, at_ms), old.reported) if old else Known(at_ms, at_ms, reported)
    found = {**known, name: fresh}
    if len(found) > MAX_KNOWN:  # first those that were only reported, the longest unseen first
        oldest = min((each for each in found if each != name), key=lambda each: (not found[each].reported, found[each]))
        del found[oldest]
    return found


def _newest(keys: tuple[str, ...], key: str) -> tuple[str, ...]:
    if keys and keys[-1] == key:
        return keys
    return (*(each for each in keys if each != key), key)[-MAX_KEYS:]


def _constrained(known: Mapping[str, str], found: Mapping[str, str]) -> Mapping[str, str]:
    """Keep what the last certificate of each label and holder had; one that had none needs no place."""
    if not any(found.values()) and known.keys().isdisjoint(found):
        return known
    kept = {where: what for where, what in {**known, **found}.items() if what}
    return dict(list(kept.items())[-MAX_KNOWN:])


# --- its stored form -------------------------------------------------------------------------------------------------


def format_profile(profile: Profile) -> bytes:
    """Write a profile as JSON; the inverse of `parse_profile`."""
    document = {
        "v": VERSION,
        "issuers": {name: list(known) for name, known in profile.issuers.items()},
        "holders": {name: list(known) for name, known in profile.holders.items()},
        "issuing_keys": profile.issuing_keys,
        "keys": dict(profile.keys),
        "constraints": dict(profile.constraints),
        "told": dict(profile.told),
        "count": profile.count,
        "last_ms": profile.last_ms,
    }
    return json.dumps(document, separators=(",", ":")).encode()


def parse_profile(data: bytes) -> Profile:
    """Read a profile. Raises: MalformedError, also for one of another version."""
    try:
        document = json.loads(data)
        if document["v"] != VERSION:
            raise MalformedError(f"the profile has version {document['v']}, not {VERSION}", field="profile")
        issuers, holders = (
            {name: Known(int(known[0]), int(known[1]), bool(known[2])) for name, known in document[key].items()}
            for key in ("issuers", "holders")
        )
        return Profile(
            issuers=issuers,
            holders=holders,
            issuing_keys=tuple(map(str, document["issuing_keys"])),
            keys=_read_keys(document["keys"]),
            constraints={str(where): str(what) for where, what in document["constraints"].items()},
            told={str(name): int(when) for name, when in document["told"].items()},
            count=int(document["count"]),
            last_ms=int(document["last_ms"]),
        )
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise MalformedError("the profile cannot be read", field="profile") from error


def _read_keys(value: object) -> Mapping[str, int]:
    """Keys with the time since when they are known; a list, as it was written once, says no times."""
    if isinstance(value, dict):
        return {str(key): int(since_ms) for key, since_ms in value.items()}
    if isinstance(value, list):
        return dict.fromkeys(map(str, value), 0)
    raise MalformedError("the profile's keys cannot be read", field="profile")
