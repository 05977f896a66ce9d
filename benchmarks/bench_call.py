"""How many calls a second one core verifies, cold and warm, against the bare cost of the P-256 operations in them.

    python benchmarks/bench_call.py [--certificates 200] [--rounds 9] [--core 0] [--profile CASE] [--json]

A call is a `shaken` PASSporT by a number certificate with SCTs of two logs, below an issuing CA and a root. Before each
call exactly the operations that it cannot do without are made by the bare library: the same keys, loaded, over the same
bytes. Medians of both and their ratio are reported, so that a busy machine slows both. (To reach: warm 1.5, cold 3.)

    verify_scts, cold       2 operations: one for each SCT; certificates as bytes, nothing remembered
    verify_scts, warm       none; shown against one
    passport, cold          5: the token, the certificate, the CA, two SCTs
    passport, new           4: as cold, but the CA is known
    passport, warm x5c      1: the token, its certificate in it and known
    passport, warm x5u      1: the same, its certificate fetched before
    sign                    1 signature: the caller's side, after activation
"""

from __future__ import annotations

import argparse
import cProfile
import json
import os
import platform
import pstats
import statistics
import sys
import time
from base64 import encodebytes
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run from a checkout

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from ctlog.client.activation import activate
from ctlog.client.passport import CallCache, verify_passport
from ctlog.client.sct import Candidate
from ctlog.client.sct_policy import SctCache, verify_scts
from ctlog.wire.passport import der_signature, parse_passport
from ctlog.x509.der import parse_certificate
from tests.call_values import (
    CA,
    LEAF_KEY,
    LOGS,
    NOW,
    ROOT,
    SHAKEN,
    claims,
    log_list,
    logged,
    number_tbs,
    signed,
    subject,
    trust,
)

ECDSA = ec.ECDSA(hashes.SHA256())
Operation = tuple[Any, bytes, bytes]
X5U = "https://cert.example/chain.pem"


class Case(NamedTuple):
    """What is measured: `run` handles certificate number `at`; `needed` are the operations that it needs."""

    name: str
    run: Callable[[int], object]
    needed: Callable[[int], list[Operation]]
    before: Callable[[], object]
    goal: float | None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--certificates", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--profile", default="", metavar="CASE", help="show where the time of one case goes")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    os.sched_setaffinity(0, {options.core})
    cases = prepared(options.certificates)
    if options.profile:
        profile(next(case for case in cases if case.name == options.profile), options.certificates)
        return
    report = measure(cases, options)
    print(json.dumps(report, indent=2) if options.json else as_text(report))


def measure(cases: list[Case], options: argparse.Namespace) -> dict[str, Any]:
    count = options.certificates
    times: dict[str, list[tuple[float, float]]] = {case.name: [] for case in cases}
    for _ in range(options.rounds):
        for case in cases:
            case.before()
            needed = [case.needed(at) for at in range(count)]
            for at in range(count):
                bare = timed(lambda operations=needed[at]: run_bare(operations))
                times[case.name].append((timed(lambda case=case, at=at: case.run(at)), bare))
    report: dict[str, Any] = {
        "machine": f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, one core",
        "certificates": count, "rounds": options.rounds, "cases": {},
    }  # fmt: skip
    for case in cases:
        whole, bare = (statistics.median(column) for column in zip(*times[case.name], strict=True))
        report["cases"][case.name] = {
            "per_second": round(1 / whole), "us": round(whole * 1e6, 1), "operations": len(case.needed(0)),
            "bare_us": round(bare * 1e6, 1), "ratio": round(whole / bare, 2), "goal": case.goal,
        }  # fmt: skip
    return report


def prepared(count: int) -> list[Case]:
    """Certificates, tokens and the operations in them, made before anything is measured."""
    whom, logs = trust(), log_list()
    tbses = [number_tbs(whose=subject(f"leaf {at}")) for at in range(count)]
    certificates = [logged(tbs) for tbs in tbses]
    chains = [(certificate, CA.certificate) for certificate in certificates]
    bundles = [pem(chain) for chain in chains]
    x5c = [signed(claims(**SHAKEN), "shaken", chain) for chain in chains]
    x5u = [signed(claims(**SHAKEN), "shaken", x5u=f"{X5U}?{at}") for at in range(count)]
    active = activate(chains[0], LEAF_KEY.sign, whom, NOW)
    assert active.outcome == "passed"
    said = claims(**SHAKEN)

    scts = [sct_operations(certificate) for certificate in certificates]
    links = [[link(certificate, CA.certificate)] for certificate in certificates]
    top = [link(CA.certificate, ROOT)]
    tokens_x5c, tokens_x5u = ([token_operation(token) for token in tokens] for tokens in (x5c, x5u))
    sct_cache, warm_x5c, warm_x5u, known = SctCache(1 << 20), CallCache(1 << 20), CallCache(1 << 20), CallCache(0)

    def call(tokens: list[str], cache: CallCache | None, at: int) -> None:
        fetched = {f"{X5U}?{at}": bundles[at]} if tokens is x5u else {}
        verdict = verify_passport(tokens[at], whom, NOW, fetched=fetched, cache=cache)
        assert verdict.outcome == "passed", verdict.reasons

    def sct_call(at: int, cache: SctCache | None) -> None:
        assert verify_scts(certificates[at], [CA.certificate], logs, NOW, cache=cache).is_met

    def all_of(run: Callable[[int], object]) -> Callable[[], object]:
        return lambda: [run(at) for at in range(count)]

    nothing: Callable[[], object] = lambda: None  # noqa: E731 - one value among others
    return [
        Case("verify_scts, cold", lambda at: sct_call(at, None), lambda at: scts[at], nothing, 3.0),
        Case("verify_scts, warm", lambda at: sct_call(at, sct_cache), lambda at: scts[at][:1],
             all_of(lambda at: sct_call(at, sct_cache)), 1.5),
        Case("passport, cold", lambda at: call(x5c, None, at),
             lambda at: [tokens_x5c[at], *links[at], *top, *scts[at]], nothing, 3.0),
        Case("passport, new", lambda at: call(x5c, known, at), lambda at: [tokens_x5c[at], *links[at], *scts[at]],
             lambda: call(x5c, known, 0), 3.0),
        Case("passport, warm x5c", lambda at: call(x5c, warm_x5c, at), lambda at: [tokens_x5c[at]],
             all_of(lambda at: call(x5c, warm_x5c, at)), 1.5),
        Case("passport, warm x5u", lambda at: call(x5u, warm_x5u, at), lambda at: [tokens_x5u[at]],
             all_of(lambda at: call(x5u, warm_x5u, at)), 1.5),
        Case("sign", lambda at: active.passport(said, NOW, "shaken"), lambda at: [(None, b"", parse_signed(x5c[at]))],
             nothing, None),
    ]  # fmt: skip


# --- the bare operations ----------------------------------------------------------------------------------------------


def run_bare(operations: list[Operation]) -> None:
    for key, signature, data in operations:
        if key is None:
            LEAF_KEY.sign(data)
        else:
            key.verify(signature, data, ECDSA)


def link(child: bytes, issuer: bytes) -> Operation:
    certificate = parse_certificate(child)
    return load_der_public_key(parse_certificate(issuer).spki), certificate.signature, certificate.tbs


def sct_operations(certificate: bytes) -> list[Operation]:
    """What the two logs signed."""
    found = []
    verdict = verify_scts(certificate, [CA.certificate], log_list(), NOW)
    candidate = Candidate(parse_certificate(certificate), (parse_certificate(CA.certificate),))
    for one, log in zip(verdict.good, (LOGS[0], LOGS[2]), strict=True):
        assert one.verified is not None
        again = candidate.verify(one.verified.sct, log.key)
        found.append((load_der_public_key(log.spki), again.sct.signature.signature, again.merkle_tree_leaf))
    return found


def token_operation(token: str) -> Operation:
    passport = parse_passport(token)
    return load_der_public_key(LEAF_KEY.spki), der_signature(passport.signature), passport.signed


def parse_signed(token: str) -> bytes:
    return parse_passport(token).signed


def pem(chain: tuple[bytes, ...]) -> bytes:
    blocks = (b"-----BEGIN CERTIFICATE-----\n" + encodebytes(d) + b"-----END CERTIFICATE-----\n" for d in chain)
    return b"".join(blocks)


def timed(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def profile(case: Case, count: int) -> None:
    case.before()
    profiler = cProfile.Profile()
    profiler.enable()
    for _ in range(20):
        for at in range(count):
            case.run(at)
    profiler.disable()
    pstats.Stats(profiler).sort_stats("tottime").print_stats(25)


def as_text(report: dict[str, Any]) -> str:
    lines = [f"{report['machine']}; {report['certificates']} certificates, {report['rounds']} rounds", "",
             f"{'':22}{'per second':>12}{'us':>9}{'operations':>12}{'bare us':>9}{'ratio':>8}{'goal':>7}"]  # fmt: skip
    for name, case in report["cases"].items():
        lines.append(f"{name:22}{case['per_second']:12}{case['us']:9}{case['operations']:12}{case['bare_us']:9}"
                     f"{case['ratio']:8}{case['goal'] or '':>7}")  # fmt: skip
    return "\n".join(lines)


if __name__ == "__main__":
    main()
