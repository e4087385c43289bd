"""Every way to say no.

A class answers by its attributes, so no code ever inspects a message:

    status       HTTP status where a dialect has no habit of its own
    code         the house's word for it; dialects translate it, metrics count it as `reason`
    fault        who can mend it: caller, policy, upstream, gateway
    spent        NO: surely nothing was bought; MAYBE: it cannot be known
    repeat       the same request, sent again, can help (becomes `x-should-retry`)
    retry_after  whole seconds until it can, where that is known

    GatewayError
    ├─ CallerError     InvalidRequest · UnknownModel · Unauthenticated · UnknownKey · UnknownTask · UnknownRoute
    │                  WrongMethod · TooLarge · KeyReused · TwinRunning · NotReady · ResultExpired
    │                  UnmetRange · UnknownExpectation · UnknownVersion · HeadTooLarge · TooSlow
    ├─ PolicyError     ModelNotAllowed · BudgetSpent · TooFast · QueueFull · TooManyTasks · Frozen
    ├─ UpstreamError
    │  ├─ Refused      Unreachable · Distrusted · EdgeDown · Overloaded · KeyBusy · KeyExhausted · KeyRejected
    │  │               KeyBarred · BadCall · CallTooLarge · ContentRejected · Misconfigured · Walled
    │  ├─ LookFailed
    │  └─ InDoubt
    └─ Unavailable · Resting · StorageDown · Draining · Crowded · Internal

Only a `Refused` proves that nothing was bought. Everything that is not in this tree, a bug or a cancelled
coroutine, counts as doubt wherever money is concerned.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import ClassVar

from gateway.structs import Struct


class Spent(StrEnum):
    """What a failure says about money."""

    NO = "no"
    MAYBE = "maybe"


class Fault(StrEnum):
    """Who can mend it. The closed set of `errors_total{fault}`."""

    CALLER = "caller"
    POLICY = "policy"
    UPSTREAM = "upstream"
    GATEWAY = "gateway"


class Again(StrEnum):
    """What a refusal leaves open to the gateway itself (FAILURES, column Action)."""

    NOWHERE = "nowhere"  # the same body fails everywhere
    ANOTHER_KEY = "another_key"  # the key was refused, not the request
    ANOTHER_UPSTREAM = "another_upstream"  # the place was refused, not the request
    ONCE_MORE = "once_more"  # the place failed in passing: elsewhere, or here a single time more


class Problem(Struct, frozen=True):
    """One thing wrong with a request: the caller's own field, the rule it breaks, and what would be allowed."""

    param: str
    message: str
    allowed: tuple[str, ...] = ()


class GatewayError(Exception):
    """Anything the gateway says no with."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    fault: ClassVar[Fault] = Fault.GATEWAY
    spent: ClassVar[Spent] = Spent.NO
    repeat: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        problems: Sequence[Problem] = (),
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.problems = tuple(problems)
        self.retry_after = retry_after


# --- the caller can mend it -------------------------------------------------------------------------------------


class CallerError(GatewayError):
    status = 400
    fault = Fault.CALLER


class InvalidRequest(CallerError):
    """The request breaks a rule; carries every problem that was found, the first one as the error itself."""

    code = "invalid_request"

    @classmethod
    def of(cls, problems: Sequence[Problem]) -> "InvalidRequest":
        """The error for a non-empty list of problems."""
        first = problems[0]
        return cls(first.message, param=first.param, problems=problems)

    @classmethod
    def at(cls, param: str, message: str, *allowed: str) -> "InvalidRequest":
        """The error for a single problem."""
        return cls.of([Problem(param, message, allowed)])


class UnknownModel(InvalidRequest):
    code = "unknown_model"


class Unauthenticated(CallerError):
    status = 401
    code = "unauthorized"


class UnknownKey(Unauthenticated):
    """A key that this process does not know. Storage may: it can have been made a moment ago, elsewhere."""


class UnknownTask(CallerError):
    status = 404
    code = "unknown_task"


class UnknownRoute(CallerError):
    status = 404
    code = "unknown_route"


class WrongMethod(CallerError):
    status = 405
    code = "wrong_method"


class TooLarge(CallerError):
    status = 413
    code = "too_large"


class UnmetRange(InvalidRequest):
    """There is no such part of the film. Players go by the status, so it is this one in every dialect."""

    status = 416
    whole_bytes: int | None = None
    """How many there are of it, where its host says so."""


class UnknownExpectation(InvalidRequest):
    """`Expect` asks for what nobody here does."""

    status = 417


class UnknownVersion(InvalidRequest):
    """Another HTTP than this server speaks."""

    status = 505


class HeadTooLarge(CallerError):
    status = 431
    code = "header_too_large"


class TooSlow(CallerError):
    """The head of a request did not arrive in its time. Nothing was begun: the same request can help."""

    status = 408
    code = "request_timeout"
    repeat = True


class KeyReused(CallerError):
    """An idempotency key came again with another request."""

    status = 422
    code = "idempotency_key_reused"


class TwinRunning(CallerError):
    """The first request under an idempotency key is still being checked: the same request can help, later."""

    status = 409
    code = "twin_running"
    repeat = True


class NotReady(CallerError):
    code = "not_ready"


class ResultExpired(CallerError):
    status = 410
    code = "result_expired"


# --- the person who runs the gateway decided it -----------------------------------------------------------------


class PolicyError(GatewayError):
    fault = Fault.POLICY


class ModelNotAllowed(PolicyError):
    status = 403
    code = "model_not_allowed"


class BudgetSpent(PolicyError):
    """What the caller's budget, or its team's, has left does not pay for this video."""

    status = 402
    code = "budget_spent"


class TooFast(PolicyError):
    """Every usable key rests for rate or is full, or the caller is too fast: the same request can help, later."""

    status = 429
    code = "rate_limited"
    repeat = True


class QueueFull(TooFast):
    """Every usable key rests for rate or is full, and as many tasks wait for one as may."""


class TooManyTasks(PolicyError):
    """As many tasks of this caller are in flight as may be: the same request can help, later."""

    status = 429
    code = "too_many_tasks"
    repeat = True


class Frozen(PolicyError):
    """A person has stopped all creates until a person takes them again; what runs is finished and can be read."""

    status = 503
    code = "frozen"


# --- an upstream's answer ---------------------------------------------------------------------------------------


class UpstreamError(GatewayError):
    """What an upstream answered, or how it failed to. `row` names the line of FAILURES that judged it."""

    status = 502
    code = "upstream_error"
    fault = Fault.UPSTREAM

    def __init__(
        self,
        message: str,
        *,
        row: str,
        param: str | None = None,
        retry_after: int | None = None,
        http_status: int | None = None,
        is_vague: bool = False,
    ) -> None:
        super().__init__(message, param=param, retry_after=retry_after)
        self.row = row
        self.http_status = http_status
        self.is_vague = is_vague  # an edge may have said it, not the provider itself


class Refused(UpstreamError):
    """The upstream surely did not accept: money may be released, and `again` says what may be tried."""

    again: ClassVar[Again] = Again.NOWHERE
    is_lasting: ClassVar[bool] = False
    """The upstream would say so whenever it is asked, and nothing is learnt from it that keeps it from being asked."""


class Unreachable(Refused):
    """No connection came about, so nothing was sent (T1–T3)."""

    status = 503
    code = "upstream_unreachable"
    repeat = True
    again = Again.ONCE_MORE


class Distrusted(Refused):
    """TLS failed (T4): never tried again with verification off."""

    code = "upstream_distrusted"
    again = Again.ANOTHER_UPSTREAM


class EdgeDown(Refused):
    """An edge could not reach the origin, or asked for another connection (H19, H27)."""

    status = 503
    code = "upstream_unreachable"
    repeat = True
    again = Again.ONCE_MORE


class Overloaded(Refused):
    """Documented as refused for load (H24)."""

    status = 503
    code = "upstream_overloaded"
    repeat = True
    again = Again.ANOTHER_UPSTREAM


class KeyBusy(Refused):
    """The key was used too fast (H20, H21)."""

    status = 429
    code = "rate_limited"
    repeat = True
    again = Again.ANOTHER_KEY


class KeyExhausted(Refused):
    """The key's account has no balance (H11): the operator's trouble, never a caller's 402."""

    status = 503
    code = "no_usable_key"
    again = Again.ANOTHER_KEY


class KeyRejected(Refused):
    """The credential was refused (H10): the operator's trouble, never a caller's 401."""

    status = 503
    code = "no_usable_key"
    again = Again.ANOTHER_KEY


class KeyBarred(Refused):
    """The key may not use this model (H12)."""

    status = 503
    code = "no_usable_key"
    again = Again.ANOTHER_KEY


class BadCall(Refused):
    """The upstream found the request wrong (H9, H18): pre-flight should have known."""

    status = 400
    code = "invalid_request"


class ModelNotOffered(BadCall):
    """The upstream does not offer the model (H9): another one may. Where none is left, the caller is told so."""

    again = Again.ANOTHER_UPSTREAM
    is_lasting = True


class CallTooLarge(Refused):
    """The upstream found the body too large (H17)."""

    status = 413
    code = "too_large"


class ContentRejected(Refused):
    """The upstream refused the content itself."""

    status = 400
    code = "content_policy_violation"


class Misconfigured(Refused):
    """The place we called is not the resource (H7, H14)."""

    again = Again.ANOTHER_UPSTREAM


class Walled(Refused):
    """A firewall or a country rule stood before the provider (H13)."""

    again = Again.ANOTHER_UPSTREAM


class LookFailed(UpstreamError):
    """A free call taught nothing (FAILURES section 5). `is_missing`: the upstream does not know the task."""

    def __init__(self, message: str, *, row: str, http_status: int | None = None, is_missing: bool = False) -> None:
        super().__init__(message, row=row, http_status=http_status)
        self.is_missing = is_missing


class InDoubt(UpstreamError):
    """It may have been accepted: the reservation stands and nothing is sent again."""

    code = "submission_unconfirmed"
    spent = Spent.MAYBE


class NoApi(InDoubt):
    """Something else than the API answered: a page, or what is no HTTP. Several in a row are no accident."""


# --- the gateway itself -----------------------------------------------------------------------------------------


class Unavailable(GatewayError):
    """No key can take this request now, for a cause that only the operator or time can mend."""

    status = 503
    code = "no_usable_key"
    fault = Fault.UPSTREAM


class Resting(Unavailable):
    """Every upstream that could take it rests after failing in passing; the same request can help, later."""

    code = "upstream_resting"
    repeat = True


class StorageDown(GatewayError):
    """The intention could not be made durable, so nothing was sent (T15)."""

    status = 503
    code = "storage_down"
    repeat = True
    may_be_done: bool = False
    """It went away while it committed: nobody knows whether the step happened."""


class Draining(GatewayError):
    """The gateway is shutting down and takes no new creates."""

    status = 503
    code = "draining"
    repeat = True


class Crowded(GatewayError):
    """As much of this is under way here as may be, and nothing of it was begun: the same request can help, later."""

    status = 503
    code = "crowded"
    repeat = True


class Internal(GatewayError):
    """A bug. The caller learns nothing but the request id."""
