"""The demo page at `/`, and the list of models that it shows."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from serving.admission.tokens import check_token, read_token
from serving.config import ServerConfig
from serving.errors import ServingError
from serving.model_spec import ModelSpec

if TYPE_CHECKING:
    from serving.inference import Core

FILES = Path(__file__).parents[1] / "web"
# Written beside the model by whoever judged it: {"figures": [{"name", "split", "value", "unit", "low", "high"}],
# "warnings": [...], "mlflow": {"experiment_id", "run_id"}}.
RESULTS_FILE = "assets.extra/results.json"
# No page, script or style of elsewhere, whatever a label or a model's name may hold.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def routes(core: "Core", config: ServerConfig) -> Sequence[BaseRoute]:
    """The page, its files, and `/models.json`, which wants the bearer token where there is one.

    Args:
        core: Has the models.
        config: Address of MLflow, and the token's file.
    """
    token = read_token(config.bearer_token_file)

    async def page(_: Request) -> Response:
        return FileResponse(FILES / "index.html", headers=_HEADERS)

    async def models(request: Request) -> Response:
        if token is not None:
            try:
                check_token(request.headers.get("authorization", ""), token)
            except ServingError as error:
                return JSONResponse({"error": error.message}, error.code.http, {"WWW-Authenticate": "Bearer"})
        listed = await run_in_threadpool(_models, core)
        return JSONResponse({"models": listed, "mlflow_url": config.mlflow_url}, headers={"Cache-Control": "no-store"})

    return [Route("/", page), Route("/models.json", models), Mount("/web", StaticFiles(directory=FILES))]


def _models(core: "Core") -> list[dict[str, Any]]:
    """Every model: its available versions, newest first, and the results of the newest."""
    return [
        {"name": name, "versions": sorted(versions, reverse=True), "results": _results(core, name)}
        for name, versions in core.models.available().items()
    ]


def _results(core: "Core", name: str) -> Any:
    from tensorflow import io  # models may lie in a bucket

    try:
        with core.acquire(ModelSpec(name)) as held:
            file = f"{held.servable.folder.rstrip('/')}/{RESULTS_FILE}"
            if not io.gfile.exists(file):
                return None
            with io.gfile.GFile(file) as text:
                return json.loads(text.read())
    except Exception:  # unloaded meanwhile, no JSON, a file system's own error: the page shows no figures then
        return None
