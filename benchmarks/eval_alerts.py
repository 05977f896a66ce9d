"""How much the rules find, and how much noise they make: real certificates replayed, with misissuances planted.

    .venv/bin/python benchmarks/eval_alerts.py [FOLDER ...] [--planted 500] [--seed 1] [--explain FILE]

Every certificate in the folders (PEM, PEM.gz, DER; default: the corpus beside the project) is judged in the order of
issuance, by profiles that are learned on the way, one watched item for each service provider code and trust domain.
Certificates of CAs are taken as accepted roots where they are self-issued, or where nobody in the folders issued them.
Among them are planted misissuances of every kind, made with test CAs (`benchmarks/planted.py`). A planted one counts as
found only with its own rule at its own severity. Printed: recall by rule; alarms by severity for each code and calendar
year with a certificate; and every S1 and S2 on a real certificate, with what explains it.

Time of logging is notBefore, since these certificates were never logged. Exit status 1 if a target was missed.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import random
import re
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.planted import cases
from benchmarks.stories import PLACE, Case, Maker, Step
from ctlog.errors import CtlogError
from ctlog.tn.labels import SPC, fold_code
from ctlog.tn.numbers import ServiceProviderCode
from ctlog.x509.chain import PathCache, Roots, accepted_root, check_link, is_ca
from ctlog.x509.der import Certificate, parse_certificate
from ctlog.x509.names import name_text
from ctlog.x509.signatures import load_key
from monitor.entry import Entry, Trust, read_entry
from monitor.holder import same_holder
from monitor.items import CODE, Group, Item
from monitor.replay import Judged, Replay
from monitor.rules.values import OWNER, say_day
from tests.monitor_certificates import DOMAIN, GOOD, ROGUE, VENDOR, leaf_of

CORPUS = Path(__file__).resolve().parents[2] / "shared" / "corpus" / "shaken"
TARGETS = {"2019 to 2023": (0.025, 0.05), "whole": (0.03, 0.11)}
"""Part -> alarms of S1 and of S2 for each code and year, at most."""

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)
_EXPLAINED = {
    ("T-01", "T-03"): "operator and holder both new; names cannot tell a sale of the code from a takeover",
    ("T-01",): "the holder went to another operator's CA: true, and what an owner wants to know once",
    ("T-22",): "a TNAuthList that is not as RFC 8226 writes it, read as its owner would",
}
"""Rules that are graver than S4 -> why this is said although nothing was misissued, as far as is known."""


class Real(NamedTuple):
    """A real certificate: its entry, and the codes that it is found by."""

    entry: Entry
    codes: tuple[str, ...]
    year: int


# --- reading ---------------------------------------------------------------------------------------------------------


def read_folder(folder: Path) -> Iterator[bytes]:
    """Every certificate in a folder, DER."""
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".gz":
            data = gzip.decompress(path.read_bytes())
        elif path.suffix in (".pem", ".crt", ".cer", ".der", ".txt"):
            data = path.read_bytes()
        else:
            continue
        found = [base64.b64decode(body) for body in _PEM.findall(data)]
        yield from found or ([data] if data[:1] == b"\x30" else [])


def domain_of(certificate: Certificate) -> str:
    """The trust domain of a root, by what its name says."""
    name = name_text(certificate.subject)
    if "UAT" in name:
        return "test"
    return "ca-shaken" if "Canada" in name or "C=CA" in name else DOMAIN


class Hierarchy:
    """The CAs of the folders: who is accepted, and the chain of each leaf."""

    def __init__(self, authorities: Sequence[Certificate]) -> None:
        self._by_name: dict[bytes, list[Certificate]] = defaultdict(list)
        for ca in authorities:
            self._by_name[ca.subject].append(ca)
        self._chains: dict[bytes, tuple[bytes, ...]] = {}
        tops = [ca for ca in authorities if ca.issuer == ca.subject or self.issuer(ca) is None]
        tests = [parse_certificate(each.chain[-1]) for each in (GOOD, ROGUE, VENDOR)]
        roots = [accepted_root(ca.der, domain_of(ca)) for ca in (*tops, *tests)]
        self.trust = Trust(Roots(roots), cache=PathCache())

    def issuer(self, child: Certificate) -> Certificate | None:
        """The CA that signed, by its signature."""
        for ca in self._by_name.get(child.issuer, ()):
            try:
                if ca.der != child.der and check_link(child, ca, load_key(ca.spki, "ca"), 0).holds():
                    return ca
            except CtlogError:
                continue
        return None

    def chain(self, child: Certificate) -> tuple[bytes, ...]:
        """The CAs above a certificate, nearest first."""
        ca = self.issuer(child)
        if ca is None:
            return ()
        known = self._chains.get(ca.der)
        if known is None:
            known = (ca.der,) if ca.issuer == ca.subject else (ca.der, *self.chain(ca))
            self._chains[ca.der] = known
        return known


def read_real(folders: Sequence[Path]) -> tuple[list[Real], Trust]:
    """Every leaf of the folders that claims a code, in order of issuance, and whom to trust."""
    parsed: dict[bytes, Certificate] = {}
    for folder in folders:
        for der in read_folder(folder):
            try:
                parsed.setdefault(der, parse_certificate(der))
            except CtlogError:
                print(f"left out: {len(der)} octets in {folder} are no certificate", file=sys.stderr)
    hierarchy = Hierarchy([each for each in parsed.values() if is_ca(each)])
    found: list[Entry] = []
    for leaf in parsed.values():
        if is_ca(leaf) or leaf.not_before_ms is None:
            continue
        chain = hierarchy.chain(leaf)
        entry = read_entry(PLACE, leaf_of(leaf.der, leaf.not_before_ms), chain=chain, trust=hierarchy.trust)
        found.append(entry)
    found.sort(key=lambda entry: entry.timestamp_ms)
    # A code exists if a certificate says it; one that is only read into a malformed list is nobody's.
    known = {fold_code(code) for entry in found for code in entry.identity.codes}
    real = []
    for at, entry in enumerate(found):
        labels = dict.fromkeys(fold_code(label.value) for label in entry.labels if label.kind == SPC)
        if codes := tuple(code for code in labels if code in known):
            year = datetime.fromtimestamp(entry.timestamp_ms / 1000, UTC).year
            real.append(Real(replace(entry, index=at), codes, year))
    return real, hierarchy.trust


def watch(real: Sequence[Real]) -> list[Item]:
    """One item for each code and trust domain."""
    pairs = dict.fromkeys((code, each.entry.trust_domain) for each in real for code in each.codes if code.isalnum())
    return [
        Item(CODE, ServiceProviderCode(code), Group(f"{code}@{domain}", ("mail",), domain or None))
        for code, domain in pairs
    ]


# --- judging ---------------------------------------------------------------------------------------------------------


class Outcome(NamedTuple):
    """What came of it. `alarms`: owners' verdicts of S1 and S2 on real certificates."""

    judged: dict[int, list[Judged]]
    alarms: list[Judged]
    severities: Counter[int]
    operators: int
    benign: int


def replay_all(real: Sequence[Real], planted: Sequence[Case]) -> Outcome:
    """Judge everything in order of time; a story's steps keep their order."""
    items = [*watch(real), *(item for case in planted for item in case.items)]
    replay = Replay(items)
    steps: list[tuple[int, int, Step, int | None]] = [
        (each.entry.timestamp_ms, at, Step(each.entry), None) for at, each in enumerate(real)
    ]
    for number, case in enumerate(planted):
        steps += [(step.entry.timestamp_ms, len(steps), step, number) for step in case.steps]
    steps.sort(key=lambda each: each[:2])
    outcome = Outcome({}, [], Counter(), 0, 0)
    operators = benign = 0
    for _, _, step, number in steps:
        judged = replay.take(step.entry, step.adapt)
        owners = [each for each in judged if each.verdict.to == OWNER and each.verdict.findings]
        if number is None:
            outcome.severities.update(int(each.verdict.severity) for each in owners)
            outcome.alarms.extend(each for each in owners if each.verdict.severity <= 2)
            operators += sum(each.verdict.to != OWNER and each.verdict.severity <= 2 for each in judged)
        elif step.bad:
            outcome.judged[number] = judged
        else:
            benign += sum(each.verdict.severity == 1 for each in owners)
    return outcome._replace(operators=operators, benign=benign)


# --- saying ----------------------------------------------------------------------------------------------------------


def print_recall(planted: Sequence[Case], outcome: Outcome) -> bool:
    """Recall by rule; true if all were found."""
    kinds: dict[str, list[bool]] = defaultdict(list)
    for number, case in enumerate(planted):
        kinds[case.kind].append(case.found(outcome.judged.get(number, [])))
    rules: dict[str, list[bool]] = defaultdict(list)
    for kind, found in kinds.items():
        rules[kind[:4]] += found
        if not all(found):
            print(f"  missed {found.count(False)} of {len(found)}: {kind}")
    print("rule   planted  found")
    for rule, found in sorted(rules.items()):
        print(f"{rule}   {len(found):7}  {sum(found) / len(found):.1%}")
    total = sum(map(sum, rules.values()))
    print(f"all    {len(planted):7}  {total / max(len(planted), 1):.1%}")
    return total == len(planted)


def print_noise(real: Sequence[Real], outcome: Outcome, part: str) -> bool:
    """Alarms for each code and year with a certificate; true if they are as few as they should be."""
    years = {(code, each.year) for each in real for code in each.codes}
    good = True
    print(f"{len(real):,} certificates, {len({code for code, _ in years}):,} codes, {len(years):,} code-years ({part})")
    for severity in (1, 2, 3, 4):
        count = outcome.severities[severity]
        rate = count / max(len(years), 1)
        line = f"S{severity}  {count:6,} alarms  {rate:.4f} for each code-year"
        if severity <= 2:
            limit = TARGETS[part][severity - 1]
            good &= rate <= limit
            line += f"  (at most {limit})"
        print(line)
    print(f"operator: {outcome.operators} of S1 or S2, one for each CA that appears, and for what concerns nobody")
    print(f"planted certificates that are all right: {outcome.benign} alarms of S1")
    return good


def print_base_rates(real: Sequence[Real]) -> None:
    """How often who issues, and for whom, is new for a code that is known: what happens, before any rule weighs it."""
    seen: dict[tuple[str, str], tuple[set[str], set[str], set[bytes]]] = {}
    counts: Counter[str] = Counter()
    for entry, codes, _ in real:
        if not entry.issuer.is_known:
            continue
        for code in codes:
            operators, holders, keys = seen.setdefault((code, entry.trust_domain), (set(), set(), set()))
            operator = bool(operators) and entry.issuer.text not in operators
            holder = bool(holders) and not any(same_holder(each, entry.holder_key) for each in holders)
            counts["operator"] += operator
            counts["holder"] += holder
            counts["both"] += operator and holder
            counts["issuing key"] += bool(keys) and entry.issuing_key not in keys
            operators.add(entry.issuer.text)
            holders.add(entry.holder_key)
            keys.add(entry.issuing_key)
    years = len({(code, each.year) for each in real for code in each.codes})
    names = ("operator", "holder", "both", "issuing key")
    rates = ", ".join(f"{name} {counts[name] / max(years, 1):.3f}" for name in names)
    print(f"new for a code that had one, for each code-year: {rates}")


def explain(outcome: Outcome) -> str:
    """Every alarm on a real certificate as a table in Markdown."""
    lines = ["| day | code | sev. | rules | what was said | explanation |", "|---|---|---|---|---|---|"]
    for entry, hit, verdict in outcome.alarms:
        grave = tuple(each.rule for each in verdict.findings if each.severity < 4 and each.rule != "T-09")
        why = _EXPLAINED.get(grave, "")
        loud = " ".join(each.reason for each in verdict.findings if each.severity < 4 and each.rule != "T-09")
        code = hit.item.text if hit else ""
        rules = ", ".join(verdict.rules)
        lines.append(f"| {say_day(entry.timestamp_ms)} | {code} | S{verdict.severity} | {rules} | {loud} | {why} |")
    return "\n".join(lines)


def main() -> int:
    """Run it; 1 if a target was missed."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("folder", nargs="*", type=Path, default=[CORPUS])
    options.add_argument("--planted", type=int, default=500)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--part", choices=sorted(TARGETS), default="2019 to 2023")
    options.add_argument("--explain", type=Path, help="write the table of remaining alarms to this file")
    given = options.parse_args()
    if not all(folder.is_dir() for folder in given.folder):
        print(f"no certificates: {', '.join(map(str, given.folder))} is not there", file=sys.stderr)
        return 2
    start = time.perf_counter()
    real, trust = read_real(given.folder)
    spans: dict[str, tuple[int, int, bytes]] = {}
    for each in real:  # among the certificates of codes whose holder is named: only these can get another one
        if each.entry.trust_domain == DOMAIN and each.entry.parsed is not None and each.entry.holder:
            first = spans.get(each.codes[0], (each.entry.timestamp_ms, 0, b""))[0]
            spans[each.codes[0]] = (first, each.entry.timestamp_ms, each.entry.parsed.spki)
    maker = Maker(random.Random(given.seed), trust, [(code, *span) for code, span in sorted(spans.items())])
    planted = list(cases(maker, given.planted))
    read = time.perf_counter()
    outcome = replay_all(real, planted)
    done = time.perf_counter()
    print(f"read and made in {read - start:.1f} s, judged in {done - read:.1f} s\n")
    found = print_recall(planted, outcome)
    print()
    quiet = print_noise(real, outcome, given.part)
    print_base_rates(real)
    table = explain(outcome)
    if given.explain:
        given.explain.write_text(table + "\n", encoding="utf-8")
    print(f"\n{table}")
    return 0 if found and quiet else 1


if __name__ == "__main__":
    sys.exit(main())
