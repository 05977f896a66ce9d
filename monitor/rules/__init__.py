"""The rules of the threat catalogue, one function for each, named by its id; and judging an entry by all of them.

    findings = judge(entry, hit, context)               what every rule says
    for verdict in verdicts(entry, hit, context): ...   what is told to the owner, and to the operator
    profile = next_profile(entry, hit, context)         what the item's profile has learned from it

A function takes an entry, whom it concerns (None: nobody in particular) and the context, and gives a finding or None.
In scope: T-01 to T-28 as far as log contents, the owner's expectations and the sources in the context decide them.
Out of scope: T-29, which is about people's access to the monitor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

from monitor.entry import Entry
from monitor.items import CODE
from monitor.reading_roles import EXACT
from monitor.rules import form, issuer, key, logs, scope, times
from monitor.rules.baseline import (
    FIRST,
    REFUSED,
    Profile,
    is_before,
    is_from_later_log,
    learn,
    note_told,
    see_refused,
)
from monitor.rules.values import OPERATOR, OWNER, S2, Context, Finding
from monitor.rules.verdict import Verdict, combine, settle
from monitor.watchlist import Hit

Rule: TypeAlias = Callable[[Entry, Hit | None, Context], Finding | None]

RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "T-01": issuer.t01,
        "T-02": key.t02,
        "T-03": issuer.t03,
        "T-04": scope.t04,
        "T-05": scope.t05,
        "T-06": scope.t06,
        "T-07": scope.t07,
        "T-08": form.t08,
        "T-09": issuer.t09,
        "T-10": times.t10,
        "T-11": key.t11,
        "T-12": times.t12,
        "T-13": times.t13,
        "T-14": form.t14,
        "T-15": key.t15,
        "T-16": key.t16,
        "T-17": scope.t17,
        "T-18": key.t18,
        "T-19": issuer.t19,
        "T-20": logs.t20,
        "T-21": form.t21,
        "T-22": form.t22,
        "T-23": form.t23,
        "T-24": form.t24,
        "T-25": form.t25,
        "T-26": times.t26,
        "T-27": form.t27,
        "T-28": logs.t28,
    }
)


def judge(entry: Entry, hit: Hit | None, context: Context) -> list[Finding]:
    """Ask every rule, and leave out what the owner has answered."""
    found = [finding for rule in RULES.values() if (finding := rule(entry, hit, context))]
    return settle(found, entry, context.authorised)


def verdicts(entry: Entry, hit: Hit | None, context: Context) -> list[Verdict]:
    """Judge an entry for one item: first what its owner is told, even if it is nothing, then the operator's part.

    Without a hit there is only the operator's, if there is something to say.
    """
    findings = judge(entry, hit, context)
    found = [combine(findings, hit, OWNER)] if hit is not None else []
    operators = combine(findings, hit, OPERATOR)
    return [*found, operators] if operators.findings else found


def next_profile(entry: Entry, hit: Hit, context: Context, verdict: Verdict) -> Profile:
    """Give the item's profile after an entry and the verdict that its owner had. Only an exact claim teaches, and none
    of an issuer that the owner refused."""
    profile = context.profile
    told = []
    if "T-27" in verdict.rules:
        told.append(form.TOLD_OF_NAMES)
    if "T-09" in verdict.rules:
        told.append(issuer.told_of_issuers(entry))
    if "T-12" in verdict.rules and hit.item.kind == CODE:
        told.append(times.told_of_present(entry))
    if "T-25" in verdict.rules:
        told.extend(form.told_of_attributes(entry, hit, context))
    if hit.reading != EXACT:
        return note_told(profile, told, entry.timestamp_ms)
    standing = issuer.standing_of(entry, hit.item, context)
    if standing == REFUSED:
        return note_told(see_refused(profile, entry), told, entry.timestamp_ms)
    before, later = is_before(entry, hit.item, context.was_there), is_from_later_log(hit.item, context.joined_ms)
    if before and later and "T-01" not in verdict.rules:  # nobody was asked about it
        return note_told(profile, told, entry.timestamp_ms)
    return learn(
        profile,
        entry,
        is_alarming=verdict.severity <= S2 and (later or not before),
        is_first=standing == FIRST,
        told=told,
        constraints=form.constraints_by_label(entry, hit),
    )
