"""Every exception of the log and of its verification library, as one tree split by whose fault it is.

    CtlogError
    ├── InputError              the caller's: what was handed in is wrong; nothing was lost by refusing it
    │   ├── MalformedError      bytes that do not follow their format; names the field and the offset
    │   ├── RefusedError        readable, but the log's policy refuses it
    │   ├── NotFoundError       the thing asked for is not in this log
    │   └── UsageError          a command, a key of the configuration or an argument that makes no sense
    ├── VerificationError       theirs: what a log, a CA or a peer claims does not hold
    │   ├── ProofError          hashes that do not lead to the root
    │   ├── SignatureError      a signature that does not verify, or by no trusted key
    │   ├── SctError            an SCT that is not good for this certificate
    │   └── Misbehaviour        a log contradicts itself; carries the evidence
    ├── TransportError          the network's: nothing is known, try again
    ├── BusyError               the log's, for now: try again after `retry_after_s`
    │   ├── RateLimitedError    this source, issuer or root sends too much
    │   └── PoolFullError       the pool of waiting entries is full
    ├── FrozenError             the log has ended; it will never accept again
    └── OperatorError           ours: the machine, the disk, the clock or the configuration
        ├── ConfigError         the configuration or the layout on disk refuses a start
        ├── StoreError          a store could not do what it was asked; this operation failed, nothing else
        └── FatalError          a promise is at stake: the process must stop, and says which promise

Each instance carries `reason`, a stable word for machines; the message is one sentence for people.
"""

from __future__ import annotations


class CtlogError(Exception):
    """Base of all: `str(error)` is one clear sentence, `error.reason` a stable word (kebab-case)."""

    reason = "error"

    def __init__(self, sentence: str, *, reason: str | None = None) -> None:
        super().__init__(sentence)
        if reason is not None:
            self.reason = reason


class InputError(CtlogError):
    """What was handed in is wrong."""

    reason = "bad-input"


class MalformedError(InputError):
    """Bytes that do not follow their format. `offset` counts bytes from the start of `field`, where known."""

    reason = "malformed"

    def __init__(self, sentence: str, *, field: str = "", offset: int | None = None, reason: str | None = None) -> None:
        super().__init__(sentence, reason=reason)
        self.field = field
        self.offset = offset


class RefusedError(InputError):
    """Readable, but refused by the log's policy; `reason` is one of the words of docs/refusals.md."""

    reason = "refused"


class NotFoundError(InputError):
    """The log does not hold what was asked for."""

    reason = "not-found"


class UsageError(InputError):
    """A command, an argument or an API call that makes no sense."""

    reason = "usage"


class VerificationError(CtlogError):
    """What somebody claims does not hold."""

    reason = "verification-failed"


class ProofError(VerificationError):
    """Hashes that do not lead to the root that they should."""

    reason = "bad-proof"


class SignatureError(VerificationError):
    """A signature that does not verify, or that no trusted key made."""

    reason = "bad-signature"


class SctError(VerificationError):
    """An SCT that is not good for this certificate."""

    reason = "bad-sct"


class Misbehaviour(VerificationError):  # noqa: N818 - the field's own word for it
    """A log contradicts itself. `evidence` is the text that shows it (see `ctlog.client.evidence`)."""

    reason = "log-misbehaved"

    def __init__(self, sentence: str, *, evidence: str, reason: str | None = None) -> None:
        super().__init__(sentence, reason=reason)
        self.evidence = evidence


class TransportError(CtlogError):
    """The network or a file could not be read: nothing is known about the log. Try again."""

    reason = "transport"


class BusyError(CtlogError):
    """Not now; the same request may succeed after `retry_after_s` seconds."""

    reason = "busy"

    def __init__(self, sentence: str, *, retry_after_s: int = 1, reason: str | None = None) -> None:
        super().__init__(sentence, reason=reason)
        self.retry_after_s = retry_after_s


class RateLimitedError(BusyError):
    """This source, issuer or root sends more than its share."""

    reason = "rate-limited"


class PoolFullError(BusyError):
    """The pool of waiting entries is full."""

    reason = "pool-full"


class FrozenError(CtlogError):
    """The log has ended and serves reads only."""

    reason = "frozen"


class OperatorError(CtlogError):
    """Ours: the machine, the disk, the clock or the configuration."""

    reason = "operator"


class ConfigError(OperatorError):
    """The configuration, or what lies on the disk, refuses a start."""

    reason = "config"


class StoreError(OperatorError):
    """A store could not do what it was asked to do; only this operation failed."""

    reason = "store"


class FatalError(OperatorError):
    """A promise is at stake, so the process stops. `promise` is its id in docs/promises.md, such as "P1"."""

    reason = "fatal"

    def __init__(self, sentence: str, *, promise: str, reason: str | None = None) -> None:
        super().__init__(f"{sentence} ({promise})", reason=reason)
        self.promise = promise
