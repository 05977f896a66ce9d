"""What to do next, in sentences that a person can follow: whom to ask, and for what.

In scope: asking the issuer for something, or to revoke, where it is known who that is; what to do instead where no
signature shows it (a name alone may be anybody's, and whoever it belongs to cannot help); who stands above issuers. Out
of scope: when something is to be done (the rules), how an issuer is reached (`monitor.alert`).
"""

from __future__ import annotations

from monitor.entry import Entry, describe_issuer
from monitor.rules.values import say


def ask(entry: Entry, what: str) -> str:
    """A sentence: ask the issuer `what`, such as "to replace it" or "why it did"."""
    if entry.issuers:
        return f"Ask {say(describe_issuer(entry))} {what}."
    return f"Nobody can be asked {what}, for who issued it is not known: {_instead(entry)}."


def revoke(entry: Entry) -> str:
    """The middle of a sentence: have the certificate revoked."""
    if entry.issuers:
        return f"demand its revocation from {say(describe_issuer(entry))}"
    return f"nobody can be asked to revoke it, for who issued it is not known: {_instead(entry)}"


def supervisor(entry: Entry) -> str:
    """Who admits issuers of this kind, and can be told of one that misbehaves."""
    if entry.trust_domain.endswith("shaken"):
        return "the STI-PA, which admits such issuers"
    return "those who accept its root"


def _instead(entry: Entry) -> str:
    return f"ask the operator of the log {say(entry.log_name)} who submitted it, and show it to your provider"
