"""Who is answered.

A server on this machine alone answers requests that name it as this machine, so that no web page which a browser has
open can reach it through a name of its own (DNS rebinding). One that others reach asks for a token instead. Neither
takes orders from a page of another origin: a form or a script there cannot send JSON without asking first.
"""

import asyncio
import base64
import binascii
import hmac
import ipaddress
import logging
import os
import secrets
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.datastructures import Headers, QueryParams
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from sam2_cog.http_base.answers import error_answer

logger = logging.getLogger(__name__)

TOKEN_VARIABLE = "SAM2_TOKEN"
TOKEN_COOKIE = "sam2_cog_token"


def is_loopback(host: str) -> bool:
    """Whether this name or address is reached from this machine only."""
    if host.rstrip(".").lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def token_for(host: str) -> str | None:
    """None for a server that only this machine reaches; else the environment's SAM2_TOKEN, or a new one."""
    return None if is_loopback(host) else os.environ.get(TOKEN_VARIABLE) or secrets.token_urlsafe(16)


class Guard:
    """Lets a request through that is for this server, and comes from no page of another origin."""

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI: answer 403 or 401 in one sentence, or pass the request on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = _wrong_origin(headers) or self._wrong_host(headers) or self._wrong_token(scope, headers)
        try:
            await (refusal or self._app)(scope, receive, send)
        except asyncio.CancelledError:  # the server stops, and has waited long enough: no fault to be logged
            logger.warning("%s was not finished, because the server was stopped", scope["path"])

    def _wrong_host(self, headers: Headers) -> Response | None:
        if self._token is not None or is_loopback(_host_name(headers.get("host", ""))):
            return None
        return error_answer(403, "this server answers only requests that name it as localhost")

    def _wrong_token(self, scope: Scope, headers: Headers) -> Response | None:
        if self._token is None or any(_same(offer, self._token) for offer in _offered_tokens(scope, headers)):
            return None
        wanted = "this server asks for the token that it printed when it started, as ?token=... or header"
        refusal = error_answer(401, wanted)
        refusal.headers["www-authenticate"] = "Basic"
        return refusal


def _wrong_origin(headers: Headers) -> Response | None:
    origin = headers.get("origin")
    if origin is None or urlsplit(origin).netloc == headers.get("host"):
        return None
    return error_answer(403, "this server takes nothing from pages of another origin")


def _host_name(host: str) -> str:
    """The name in a Host header, without port and brackets; empty where there is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _offered_tokens(scope: Scope, headers: Headers) -> list[str]:
    """As people and programs bring it: in the address, a cookie, `Authorization` (Bearer, Token, Basic) or `Token`."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    authorization = _basic_password(value) if scheme.lower() == "basic" else value
    offers = (QueryParams(scope["query_string"]).get("token"), _cookie(headers), authorization, headers.get("token"))
    return [offer.strip() for offer in offers if offer]


def _cookie(headers: Headers) -> str | None:
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(TOKEN_COOKIE)
    except CookieError:
        return None
    return morsel.value if morsel else None


def _basic_password(value: str) -> str:
    try:
        return base64.b64decode(value, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _same(offer: str, token: str) -> bool:
    return hmac.compare_digest(offer.encode("utf-8", "surrogateescape"), token.encode())
