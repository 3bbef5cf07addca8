"""The web server: who is let in, what is served, and under which headers.

Nothing is served to whom calls us by a name that is not ours (DNS rebinding), nothing is changed but with
a cookie that other sites' requests do not carry and a token that other sites' pages can't read, and nothing
comes from anywhere else than here.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import os
import time
from collections.abc import Awaitable, Callable
from ipaddress import ip_address

from aiohttp import web

from plait.control.web_orders import WebJob
from plait.errors import PlaitError
from plait.relay.rows import SORTS
from plait.views.web import metrics
from plait.views.web.access import LASTS, NONCE, Access, Rights, Visitor
from plait.views.web.feed import Feed
from plait.views.web.guard import Gate
from plait.views.web.history import SPANS, History
from plait.views.web.link import Silent
from plait.views.web.pages import pages

log = logging.getLogger("plait.web")

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self';"
    " frame-ancestors 'none'; object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
    "Server": "plait",
}
COOKIE = "plait"
CSRF = "X-Plait-Token"
BODY = 4096
"""Bytes of a request's body, at most: a password or a mode."""
STREAMS = 32
"""Browsers that watch at once."""
_PATIENCE = 10.0
"""Seconds that a body may take to come, or a browser to take what it is sent."""
_LIMIT = 500
"""Sessions in one answer."""
_LOCAL = ("localhost", "127.0.0.1", "::1")
"""Names of this host that no DNS server can give to another page: what a tunnel of ssh is called by."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Refused(PlaitError):
    """A request that is not answered as it wishes; ``status`` is HTTP's."""

    def __init__(self, status: int, message: str, hint: str | None = None, *, wait: float = 0.0) -> None:
        super().__init__(message, hint)
        self.status = status
        self.wait = wait


class Site:
    """All that is served."""

    def __init__(self, job: WebJob, feed: Feed, history: History, gate: Gate) -> None:
        self._names = frozenset(name.lower() for name in job.names)
        self._access = Access(bytes.fromhex(job.key), job.password, job.token)
        self._feed = feed
        self._history = history
        self._gate = gate
        self._pages = pages()
        self._metrics = job.metrics
        self._streams = 0
        self._told = 0.0

    def application(self) -> web.Application:
        """For aiohttp."""
        app = web.Application(middlewares=[self._around], client_max_size=BODY)
        app.on_response_prepare.append(_prepare)
        for where in self._pages:
            app.router.add_get(where, self._page)
        app.router.add_get("/api/me", self._me)
        app.router.add_post("/api/login", self._login)
        app.router.add_post("/api/logout", self._logout)
        app.router.add_get("/api/status", self._status)
        app.router.add_get("/api/connections", self._connections)
        app.router.add_get("/api/history", self._curves)
        app.router.add_get("/api/stream", self._stream, allow_head=False)
        app.router.add_post("/api/paths/{name}", self._mode)
        if self._metrics:
            app.router.add_get("/metrics", self._scrape)
        return app

    @web.middleware
    async def _around(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Everything passes here, refusals too."""
        self._gate.begin(request.transport)
        try:
            return await self._answer(request, handler)
        finally:
            self._gate.end(request.transport)

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            self._check_host(request)
            return await handler(request)
        except web.HTTPException as found:
            return _refusal(found.status, found.reason)
        except Refused as refused:
            return _refusal(refused.status, refused.message, refused.hint, wait=refused.wait)
        except Silent as silent:
            return _refusal(503, silent.message, silent.hint)
        except PlaitError as error:
            return _refusal(400, error.message, error.hint)
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception as error:
            log.error("internal fault: %s %s: %.300r", request.method, request.path[:80], error)
            return _refusal(500, "a fault in plait; its log says more")

    # Who it is.

    def _check_host(self, request: web.Request) -> None:
        said = request.headers.getall("Host", [])
        host = _bare(said[0]) if len(said) == 1 else ""
        sockname = request.get_extra_info("sockname")
        own = str(sockname[0]).partition("%")[0] if sockname else ""
        if host not in self._names and host not in _LOCAL and not _same(host, own):
            names = ", ".join(sorted({own, *self._names}))
            raise Refused(421, "this page is not called so", f"known: {names}; others go into [web] names")

    def _visitor(self, request: web.Request) -> Visitor:
        kind, _, bearer = request.headers.get("Authorization", "").partition(" ")
        bearer = bearer.strip() if kind.lower() == "bearer" else ""
        return self._access.visitor(request.cookies.get(COOKIE), bearer, time.time())

    def _reader(self, request: web.Request) -> Visitor:
        visitor = self._visitor(request)
        if visitor.rights is Rights.NONE:
            raise Refused(401, "who are you?", "log in, or send the token: Authorization: Bearer …")
        return visitor

    def _own_will(self, request: web.Request, visitor: Visitor) -> None:
        """Refuse what another site may have made this browser send."""
        origin = request.headers.get("Origin")
        if origin is not None and origin.partition("://")[2] != request.headers.get("Host"):
            raise Refused(403, "this comes from another site")
        if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            raise Refused(403, "this comes from another site")
        if visitor.rights is Rights.READ:
            raise Refused(403, "a token may only read", "log in with the password to change something")
        if not self._access.may_change(visitor, request.headers.get(CSRF)):
            raise Refused(403, f"the header {CSRF} is missing or wrong", "load the page again")

    # What is served.

    async def _page(self, request: web.Request) -> web.Response:
        page = self._pages[request.path]
        return web.Response(body=page.content, headers={"Content-Type": page.kind})

    async def _me(self, request: web.Request) -> web.Response:
        visitor = self._visitor(request)
        facts: dict[str, object] = {
            "rights": visitor.rights.value,
            "login": self._access.has_password,
            "open": self._access.open,
        }
        if visitor.rights is Rights.CHANGE:
            facts["token"] = self._access.csrf(visitor)
        return web.json_response(facts)

    async def _login(self, request: web.Request) -> web.Response:
        if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
            raise Refused(403, "this comes from another site")
        said = (await _json(request)).get("password")
        # Only now, with nothing awaited before the verdict: who holds bodies back must not guess more often.
        address, now = _address(request), time.time()
        if wait := self._access.wait(address, now):
            raise Refused(429, "too many wrong passwords", wait=wait)
        if not self._access.has_password:
            raise Refused(403, "there is no password to log in with", 'set one: password = "…" in [web]')
        if not isinstance(said, str) or not self._access.right_password(said, address, now):
            if not 0 <= now - self._told < 10.0:
                self._told = now
                log.warning("web page: wrong password from %s", address)
            raise Refused(401, "that is not the password")
        log.info("web page: %s has logged in", address)
        response = web.json_response({"rights": Rights.CHANGE.value})
        response.set_cookie(
            COOKIE,
            self._access.cookie(os.urandom(NONCE), now),
            max_age=LASTS,
            httponly=True,
            samesite="Strict",
            secure=request.secure,
        )
        return response

    async def _logout(self, request: web.Request) -> web.Response:
        visitor = self._reader(request)
        self._own_will(request, visitor)
        if visitor.nonce:
            self._access.end(visitor, time.time())
        response = web.json_response({})
        response.del_cookie(COOKIE, httponly=True, samesite="Strict")
        return response

    async def _status(self, request: web.Request) -> web.Response:
        self._reader(request)
        return web.json_response(await self._feed.status())

    async def _connections(self, request: web.Request) -> web.Response:
        self._reader(request)
        sort = request.query.get("sort", "rate")
        limit = request.query.get("limit", "100")
        if sort not in SORTS:
            raise Refused(400, "sessions can't be sorted so", f"known: {', '.join(SORTS)}")
        if not limit.isdecimal() or len(limit) > 4 or not 1 <= int(limit) <= _LIMIT:
            raise Refused(400, f"limit is 1 to {_LIMIT}")
        matching = request.query.get("filter", "")[:100]
        return web.json_response(await self._feed.connections(sort, int(limit), matching))

    async def _curves(self, request: web.Request) -> web.Response:
        self._reader(request)
        span = request.query.get("span", "live")
        if span == "live":
            return web.json_response(self._feed.recent())
        if span not in SPANS:
            raise Refused(400, "no such span", f"known: live, {', '.join(SPANS)}")
        return web.json_response(self._history.curves(time.time(), SPANS[span]))

    async def _mode(self, request: web.Request) -> web.Response:
        visitor = self._reader(request)
        self._own_will(request, visitor)
        name, mode = request.match_info["name"], (await _json(request)).get("mode")
        if not isinstance(mode, str) or len(mode) > 20:
            raise Refused(400, "which mode?", 'send {"mode": "backup"}')
        log.info("web page: %s sets the mode of a path", _address(request))
        return web.json_response(await self._feed.mode(name[:40], mode))

    async def _scrape(self, request: web.Request) -> web.Response:
        self._reader(request)
        page = metrics.page(await self._feed.status())
        return web.Response(body=page, headers={"Content-Type": metrics.CONTENT_TYPE})

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events: a snapshot now, and one a second. Who takes them slowly gets fewer."""
        self._reader(request)
        if self._streams >= STREAMS:
            raise Refused(503, "too many watch already", wait=10.0)
        self._streams += 1
        self._feed.watchers += 1
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        try:
            await response.prepare(request)
            try:
                await self._send(request, response, json.dumps(await self._feed.status()).encode())
            except PlaitError as error:
                await self._send(request, response, json.dumps({"silent": error.message}).encode())
            while True:
                await self._send(request, response, await self._feed.next())
                # A logout, or another password after a reload, ends what was begun with it.
                if self._visitor(request).rights is Rights.NONE:
                    return response
        except ConnectionError:
            # It has left; there is nobody to answer.
            return response
        finally:
            self._streams -= 1
            self._feed.watchers -= 1

    @staticmethod
    async def _send(request: web.Request, response: web.StreamResponse, text: bytes) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                await response.write(b"data: " + text + b"\n\n")
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionResetError from None


async def _prepare(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)


def _refusal(status: int, message: str, hint: str | None = None, *, wait: float = 0.0) -> web.Response:
    response = web.json_response({"error": message, "hint": hint}, status=status)
    if wait:
        response.headers["Retry-After"] = str(math.ceil(wait))
    if status == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="plait"'
    if status in (413, 421):
        response.force_close()
    return response


async def _json(request: web.Request) -> dict[str, object]:
    """The object that a request's body is."""
    if request.content_type != "application/json":
        raise Refused(415, "this is not JSON", "Content-Type: application/json")
    try:
        async with asyncio.timeout(_PATIENCE):
            found = json.loads(await request.read())
    except TimeoutError:
        raise Refused(408, "the body did not come") from None
    except (ValueError, RecursionError):
        raise Refused(400, "this is not JSON") from None
    if not isinstance(found, dict):
        raise Refused(400, "this is not a JSON object")
    return found


def _address(request: web.Request) -> str:
    peer = request.get_extra_info("peername")
    return str(peer[0]) if peer else ""


def _bare(host: str) -> str:
    """A ``Host`` without its port, brackets and a last dot."""
    if host.startswith("["):
        inside, bracket, _ = host[1:].partition("]")
        return inside.lower() if bracket else ""
    return host.partition(":")[0].rstrip(".").lower()


def _same(host: str, own: str) -> bool:
    """Whether a host is the address that the connection was made to."""
    try:
        return ip_address(host.partition("%")[0]) == ip_address(own)
    except ValueError:
        return False
