"""Who is logged in: a cookie with a random token, and a row in storage that knows the token's digest. Whoever only
reads may present a key instead.

A session ends after twelve hours, when its owner logs out, and when what it was opened with opens nothing any more: the
admin key is another one, the virtual key was revoked or has expired. All of that is judged at every request.
"""

import hashlib
import hmac
import secrets

from gateway.flows import callers
from gateway.headers import HeaderList
from gateway.parts import Parts
from gateway.secret import Secret
from gateway.store import Session
from gateway.video import Caller
from gateway.web.auth import presented
from gateway.web.cookies import cookie
from gateway.web.dashboard.pages import Role, Viewer
from gateway.web.exchange import Exchange

LASTS_S = 12 * 3600
TOKEN_BYTES = 32
_TOKEN_CHARACTERS = 43  # of so many bytes in URL-safe base64
COOKIE = "reelgate_session"
# A browser takes a cookie of this name only over https, for all paths, from this very host: no neighbour can plant one.
SECURE_COOKIE = f"__Host-{COOKIE}"


class Doorbook:
    """Opens, finds and ends sessions."""

    def __init__(self, parts: Parts, admin_key: Secret, *, public_url: str | None) -> None:
        self._parts = parts
        self._admin_digest = admin_key.digest()
        self._is_https_outside = (public_url or "").startswith("https://")

    def knows(self, key: bytes) -> bool:
        """Whether this key opens something, by what is in memory: the same two look-ups for every key."""
        is_admin, caller = self._judge(hashlib.sha256(key).hexdigest())
        return is_admin or caller is not None

    async def open(self, key: bytes, exchange: Exchange) -> HeaderList | None:
        """Log in with a key: the headers that give the browser its session, or None where the key opens nothing.

        Takes the same steps for every key that is wrong.
        """
        digest = hashlib.sha256(key).hexdigest()
        is_admin, caller = self._judge(digest)
        if not is_admin and caller is None:  # it can have been made a moment ago, elsewhere
            await callers.look_again(self._parts)
            caller = self._find_caller(digest)
            if caller is None:
                return None
        await self.close(exchange)  # a token that was there before the login is worth nothing after it
        token, now = secrets.token_urlsafe(TOKEN_BYTES), self._parts.clock()
        session = Session(
            digest=_digest(token),
            key_id=None if is_admin or caller is None else caller.key_id,
            proof=_derived(token, f"key {digest}"),
            created_at=now,
            ends_at=now + LASTS_S,
        )
        await self._parts.sessions.start(session)
        return [self._cookie(exchange, token, LASTS_S)]

    async def find(self, exchange: Exchange) -> Viewer | None:
        """Who this request comes from, if that is somebody who is logged in. Raises StorageDown."""
        token = self._token(exchange)
        if token is None:
            return None
        session = await self._parts.sessions.find(_digest(token))
        if session is None or session.ends_at <= self._parts.clock():
            return None
        csrf = _derived(token, "form")
        if session.key_id is None:
            is_good = hmac.compare_digest(session.proof, _derived(token, f"key {self._admin_digest}"))
            return Viewer(Role.OPERATOR, None, csrf) if is_good else None
        caller = self._caller_of(session, token)
        return None if caller is None else Viewer(Role.HOLDER, caller, csrf)

    def presents(self, exchange: Exchange) -> Viewer | None:
        """Who presents a key with the request itself, as scripts do; None where there is none that opens anything, as
        the token of a proxy that asks for a login of its own. No form of a page that is read so is good for
        anything."""
        key = presented(exchange)
        is_admin, caller = (False, None) if key is None else self._judge(hashlib.sha256(key).hexdigest())
        no_form = secrets.token_urlsafe(TOKEN_BYTES)
        if is_admin:
            return Viewer(Role.OPERATOR, None, no_form)
        return None if caller is None else Viewer(Role.HOLDER, caller, no_form)

    async def close(self, exchange: Exchange) -> HeaderList:
        """Log out: the headers that take the cookie away."""
        token = self._token(exchange)
        if token is not None:
            await self._parts.sessions.end(_digest(token))
        return [self._cookie(exchange, "", 0)]

    def _judge(self, digest: str) -> tuple[bool, Caller | None]:
        return hmac.compare_digest(digest, self._admin_digest), self._find_caller(digest)

    def _find_caller(self, digest: str) -> Caller | None:
        """The virtual key of this digest, if it opens something now. A gateway that lets anyone in has none."""
        return self._parts.admission.opened_by(digest, self._parts.clock())

    def _caller_of(self, session: Session, token: str) -> Caller | None:
        """By name first, because the digest of the key is not kept, and then proved by it."""
        for digest, caller in self._parts.admission.callers.values():
            if caller.key_id == session.key_id:
                is_good = hmac.compare_digest(session.proof, _derived(token, f"key {digest}"))
                return self._find_caller(digest) if is_good else None
        return None

    def _token(self, exchange: Exchange) -> str | None:
        token = cookie(exchange, self._name(exchange))
        return token if token is not None and len(token) == _TOKEN_CHARACTERS and token.isascii() else None

    def _name(self, exchange: Exchange) -> str:
        return SECURE_COOKIE if self._is_https(exchange) else COOKIE

    def _is_https(self, exchange: Exchange) -> bool:
        return self._is_https_outside or exchange.scope["scheme"] == "https"

    def _cookie(self, exchange: Exchange, token: str, lasts_s: int) -> tuple[bytes, bytes]:
        secure = "; Secure" if self._is_https(exchange) else ""
        value = f"{self._name(exchange)}={token}; Path=/; Max-Age={lasts_s}; HttpOnly; SameSite=Strict{secure}"
        return b"set-cookie", value.encode()


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _derived(token: str, of: str) -> str:
    """What only the token can make of something."""
    return hmac.new(token.encode(), of.encode(), hashlib.sha256).hexdigest()
