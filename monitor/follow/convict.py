"""A record that a log does not show how its trees continue each other, made into a proof where the log can be asked.

Over RFC 6962 a consistency proof from a whole perfect tree leaves that tree's own hash out, so a log that rewrote its
past at such a size, or that gives no proof at all, could only be recorded. But one entry of the larger tree with its
audit path says how that tree begins: then the log's own hashes lead to the larger root and to another smaller root than
it signed. In scope: asking for these. Out of scope: what a rewrite is (`ctlog.client.evidence`), and telling of it.
"""

from __future__ import annotations

from ctlog.client.evidence import prove_rewrite
from ctlog.client.trusted import Step
from ctlog.errors import CtlogError, Misbehaviour
from ctlog.merkle.hashing import leaf_hash, node_hash
from ctlog.wire.checkpoint import SignedHead
from monitor.follow.begin import audit_path, leaves
from monitor.follow.followed import Followed


async def convicted(log: Followed, step: Step, error: Misbehaviour) -> Misbehaviour:
    """The proof in place of a record `no-consistency`; else the same error. Raises nothing."""
    if error.reason != "no-consistency" or step.old is None or log.is_proven_at_once:
        return error
    try:
        path = await beginning(log, step.new, step.old_size)
        evidence = prove_rewrite(log.policy.case(step.seen_ms), step.old, step.new, path)
    except CtlogError:  # the log does not say, or its trees do continue each other: the record stays
        return error
    sentence = f"the log's tree of {step.new.size} entries does not continue its tree of {step.old_size}"
    return Misbehaviour(sentence, evidence=evidence, reason="rewrite")


async def beginning(log: Followed, head: SignedHead, size: int) -> list[bytes]:
    """The hashes (for `fold_consistency`) that lead from the first `size` entries of the tree of `head` to its root.

    0 < size < head.size. Raises as `monitor.follow.begin.audit_path`.
    """
    (leaf,) = await leaves(log, head, size - 1, size)
    value = leaf_hash(leaf)
    path = await audit_path(log, head, value, size - 1)
    depth = (size & -size).bit_length() - 1  # of the last perfect subtree, which ends with this leaf
    for sibling in path[:depth]:  # all on its left
        value = node_hash(sibling, value)
    return [value, *path[depth:]]
