"""What listens on the HTTP port: TensorFlow Serving's REST API, and beside it health, description and the demo page."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from serving.admission.gate import Gate
from serving.admission.tokens import check_token
from serving.config import ServerConfig
from serving.errors import ServingError
from serving.inference import Core
from serving.metrics import Metrics
from serving.rest.api import RestApi
from serving.rest.demo_page import routes
from serving.rest.openapi import description

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class HttpApp:
    """An ASGI application. `/v1/...` skips Starlette's routing, which would cost as much as a small model.

    Args:
        core: Answers.
        gate: Counts, limits and drains.
        config: All settings.
        metrics: What `/monitoring/prometheus/metrics` shows.
        token: Bearer token that `/v1/...` and metrics need; the page and health do not.
    """

    def __init__(self, core: Core, gate: Gate, config: ServerConfig, metrics: Metrics, token: str | None) -> None:
        self._core, self._gate, self._token = core, gate, token
        self._api = RestApi(core, gate, config, metrics)
        self._rest = Starlette(
            routes=[
                Route("/healthz", self._live),
                Route("/readyz", self._ready),
                Route("/openapi.json", self._describe),
                *routes(core, config),
            ]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http" or not self._api.takes(scope["path"]):
            await self._rest(scope, receive, send)
            return
        if self._token is not None:
            try:
                check_token(_authorization(scope), self._token)
            except ServingError as error:
                refusal = JSONResponse({"error": error.message}, error.code.http, {"WWW-Authenticate": "Bearer"})
                await refusal(scope, receive, send)
                return
        await self._api(scope, receive, send)

    async def _live(self, _: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def _ready(self, _: Request) -> Response:
        if self._gate.draining:
            return PlainTextResponse("draining\n", 503)
        available = self._core.models.available()
        waiting = [name for name, versions in available.items() if not versions]
        if waiting:
            return PlainTextResponse(f"no version available: {', '.join(waiting)}\n", 503)
        return PlainTextResponse("ready\n")

    async def _describe(self, _: Request) -> Response:
        return JSONResponse(description())


def _authorization(scope: Scope) -> str:
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == b"authorization"), "")
