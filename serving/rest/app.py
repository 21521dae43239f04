"""The application on the HTTP port: TensorFlow Serving's REST API, health checks, OpenAPI and the demo page."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from serving.admission.admission_control import AdmissionControl
from serving.admission.tokens import check_token
from serving.config import ServerConfig
from serving.errors import ServingError
from serving.inference import Inference
from serving.metrics import Metrics
from serving.rest.api import RestApi
from serving.rest.demo_page import routes
from serving.rest.openapi import description


class HttpApp:
    """ASGI application. `/v1/...` bypasses Starlette's routing, which takes as long as a small model.

    Args:
        inference: Inference that answers the requests.
        admission: Admission control, which counts, limits and refuses requests.
        config: All settings.
        metrics: Metrics of the server.
        token: Bearer token that `/v1/...` and the metrics need, unlike the page and health checks; None accepts all
            requests.
    """

    def __init__(
        self,
        inference: Inference,
        admission: AdmissionControl,
        config: ServerConfig,
        metrics: Metrics,
        token: str | None,
    ) -> None:
        self._inference, self._admission, self._token = inference, admission, token
        self._api = RestApi(inference, admission, config, metrics)
        self._rest = Starlette(
            routes=[
                Route("/healthz", self._live),
                Route("/readyz", self._ready),
                Route("/openapi.json", self._describe),
                *routes(inference, config),
            ]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http" or not self._api.handles(scope["path"]):
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
        if self._admission.draining:
            return PlainTextResponse("draining\n", 503)
        available = self._inference.models.available()
        waiting = [name for name, versions in available.items() if not versions]
        if waiting:
            return PlainTextResponse(f"no version available: {', '.join(waiting)}\n", 503)
        return PlainTextResponse("ready\n")

    async def _describe(self, _: Request) -> Response:
        return JSONResponse(description())


def _authorization(scope: Scope) -> str:
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == b"authorization"), "")
