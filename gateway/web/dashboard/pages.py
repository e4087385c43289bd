"""What a page of the dashboard is: where it is, what it is called, and who may read and write there."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any

from gateway.bounds import Place
from gateway.errors import CallerError, GatewayError, InvalidRequest
from gateway.structs import Struct, field
from gateway.video import Caller
from gateway.web.dashboard.rendering import Renderer
from gateway.web.exchange import Answer, Exchange, Stream


class Role(StrEnum):
    """What somebody who is logged in is here."""

    OPERATOR = "operator"
    """Came with the admin key: sees everything."""
    HOLDER = "holder"
    """Came with a virtual key: sees its own usage, and what `Caller.may_see` lets it see."""


class Viewer(Struct, frozen=True):
    """Somebody who is let in. `caller` is the virtual key that a HOLDER came with, and None for an OPERATOR."""

    role: Role
    caller: Caller | None
    csrf: str
    """What every form of his session carries."""

    @property
    def name(self) -> str:
        return "admin" if self.caller is None else self.caller.key_id


class Visit(Struct, frozen=True):
    """One request for a page, let in: nothing of it needs to be checked again but what it says."""

    exchange: Exchange
    viewer: Viewer
    said: Mapping[str, Any]
    """The fields of the form; of a page that is read, those of its query."""
    renderer: Renderer
    held: Sequence[Place] = ()
    """What a form that may be an order holds of the bounds: for its own time, or that of the order it becomes."""

    def caller(self) -> Caller:
        """The virtual key of a HOLDER. Only for pages that are theirs."""
        if self.viewer.caller is None:
            raise NotThere("this page is for virtual keys")
        return self.viewer.caller

    def page(self, template: str, *, status: int = 200, **values: Any) -> Answer:
        """A page within the frame that all of them share."""
        return self.renderer.page(template, self.exchange, status=status, viewer=self.viewer, **values)

    def go(self, path: str) -> Answer:
        """See another page of the dashboard next, read anew: what every form that worked answers."""
        return self.renderer.redirect(path)


Handler = Callable[[Visit], Awaitable[Answer | Stream]]


class Page(Struct, frozen=True, kw_only=True):
    """A path and who may do what there; a role that is not named may not. `entry` is its word in the navigation."""

    path: str
    entry: str | None = None
    read: Mapping[Role, Handler] = field(default_factory=dict)
    write: Mapping[Role, Handler] = field(default_factory=dict)
    takes_files: bool = False
    """Its forms may be multipart, up to the size of a create; all others are short and urlencoded."""


def everyone(handler: Handler) -> Mapping[Role, Handler]:
    """For pages that both roles read; what is on them then depends on `Visit.viewer`."""
    return dict.fromkeys(Role, handler)


class NotThere(CallerError):
    """There is no such page, or none for this viewer: the same answer, so that nobody learns which."""

    status = 404
    code = "not_found"


class Foreign(CallerError):
    """A form that did not come from a page of this session."""

    status = 403
    code = "foreign_form"


def problems_of(error: GatewayError) -> Mapping[str, str]:
    """Field → what is wrong with it, to stand beside it; "" is what belongs to no field."""
    if isinstance(error, InvalidRequest) and error.problems:
        return {
            problem.param: problem.message + (f" ({', '.join(problem.allowed)})" if problem.allowed else "")
            for problem in reversed(error.problems)
        }
    return {error.param or "": error.message}
