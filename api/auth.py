"""Who asks, and what they may do. The gate stands before everything else, so no unknown caller's body is read."""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Literal
from urllib.parse import unquote, urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from api.errors import OFREP_PREFIX, problem_response
from turnout.adapters.settings import Token, is_loopback
from turnout.domain.freezes import FREEZE_OVERRIDE

Area = Literal["public", "any", "data", "read", "approve", "write"]
"""What a request touches. ``any`` is open to whoever has a token, ``read`` and ``write`` are the control plane."""

_PUBLIC: Final = frozenset({"/healthz", "/readyz", "/openapi.json", "/docs", "/"})
_DATA: Final = ("/v1/snapshot", "/v1/outcomes", OFREP_PREFIX)
_READING_POSTS: Final = frozenset({"/v1/rollouts/validate"})
_JUDGE: Final = re.compile(r"/v1/rollouts/[^/]+/judge")
_LENDING: Final = re.compile(r"/v1/(budgets/[^/]+/[^/]+/(lease|settle)|breakers/[^/]+/[^/]+/report)")
_APPROVE: Final = re.compile(r"/v1/rollouts/[^/]+/approve")
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_BUILT_IN: Final = frozenset({"viewer", "operator", "service", FREEZE_OVERRIDE})
_LONGEST_NAME: Final = 200


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who asks. ``trusted``: the API runs without tokens, and whoever reaches it may do everything."""

    name: str
    roles: frozenset[str]
    trusted: bool = False

    def may(self, area: Area) -> bool:
        """Whether the caller may touch ``area``."""
        if self.trusted or area in ("public", "any") or "operator" in self.roles:
            return True
        match area:
            case "data":
                return "service" in self.roles
            case "read":
                return bool(self.roles - {"service"})
            case "approve":
                # Roles that approvals name are no roles of the API's own.
                return bool(self.roles - _BUILT_IN)
            case _:
                return False


def area_of(method: str, path: str) -> Area:
    """What a request for ``path`` touches."""
    if path in _PUBLIC:
        return "public"
    if path == "/metrics":
        return "any"
    if path.startswith(_DATA) or _LENDING.fullmatch(path):
        return "data"
    if method in _SAFE or path in _READING_POSTS or _JUDGE.fullmatch(path):
        return "read"
    return "approve" if _APPROVE.fullmatch(path) else "write"


class Keys:
    """The tokens, by what identifies them."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens: Final = [
            (sha256(token.secret.encode()).digest(), Caller(token.name, frozenset(token.roles))) for token in tokens
        ]

    @property
    def open(self) -> bool:
        """Whether there are no tokens, so that everybody is let in."""
        return not self._tokens

    def caller(self, headers: Headers) -> Caller | None:
        """Whoever the headers identify; None if nobody."""
        if self.open:
            return Caller(_claimed_name(headers), frozenset(), trusted=True)
        secret = _secret(headers)
        if secret is None:
            return None
        digest, found = sha256(secret).digest(), None
        for known, caller in self._tokens:
            # All are compared, in constant time: how long it takes says nothing about the secrets.
            if hmac.compare_digest(known, digest):
                found = caller
        return found


class Gate:
    """ASGI middleware: refuses who may not, and leaves the caller in the request's state."""

    def __init__(self, app: ASGIApp, keys: Keys) -> None:
        self._app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, or answer 401 or 403."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path, headers = scope["path"], Headers(scope=scope)
        refused = self._refused(scope["method"], path, headers, scope)
        if refused is None:
            await self._app(scope, receive, send)
            return
        status, detail = refused
        extra = {"WWW-Authenticate": "Bearer"} if status == 401 else None
        code = "unauthorized" if status == 401 else "forbidden"
        await problem_response(path, status, code, detail, headers=extra)(scope, receive, send)

    def _refused(self, method: str, path: str, headers: Headers, scope: Scope) -> tuple[int, str] | None:
        if self._keys.open and (foreign := _foreign(method, path, headers)) is not None:
            return 403, foreign
        area = area_of(method, path)
        caller = self._keys.caller(headers)
        if caller is None:
            if area == "public":
                return None
            return 401, "this needs a token; send Authorization: Bearer <token>, or X-API-Key: <token>"
        scope.setdefault("state", {})["caller"] = caller
        if caller.may(area):
            return None
        needed = "service or operator" if area == "data" else "viewer or operator" if area == "read" else "operator"
        return 403, f"{caller.name} may not {method} {path}; it takes a token with the role {needed}"


def caller_of(request: Request) -> Caller:
    """Who sent ``request``."""
    caller = request.state.caller
    if not isinstance(caller, Caller):
        raise TypeError("the request did not come through the gate")
    return caller


def _secret(headers: Headers) -> bytes | None:
    scheme, _, secret = headers.get("authorization", "").partition(" ")
    given = secret.strip() if scheme.lower() == "bearer" and secret.strip() else headers.get("x-api-key")
    # Latin-1 gives back the bytes as they were sent.
    return given.encode("latin-1") if given else None


def _claimed_name(headers: Headers) -> str:
    """The name an open API takes on trust; percent-encoded where it is not plain ASCII."""
    name = unquote(headers.get("x-turnout-actor", "")).strip()[:_LONGEST_NAME]
    return name if name and name.isprintable() else "local"


def _foreign(method: str, path: str, headers: Headers) -> str | None:
    """Why a request does not come from this machine's own programs but from a web page; None if it does not.

    Without tokens, whoever reaches the port may do everything; a browser on this machine reaches it on behalf of
    any page. A page's name in Host is DNS rebinding; a page's Origin is a request across sites.
    """
    host = _hostname(headers.get("host", "localhost"))
    if not is_loopback(host):
        return f"without tokens the API answers to localhost only, not to {host}; configure TURNOUT_TOKENS"
    origin = headers.get("origin")
    if origin is None or method in _SAFE or path.startswith(OFREP_PREFIX):
        return None
    if origin.partition("://")[2] != headers.get("host"):
        return f"without tokens the API takes no changes from web pages of {origin}; configure TURNOUT_TOKENS"
    return None


def _hostname(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
