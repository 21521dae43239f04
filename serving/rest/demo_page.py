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
from serving.saved_model_files import RESULTS_FILE

if TYPE_CHECKING:
    from serving.inference import Inference

FILES = Path(__file__).parents[1] / "web"
# Nothing is loaded from other hosts, whatever a class name or a model's name may contain.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def routes(inference: "Inference", config: ServerConfig) -> Sequence[BaseRoute]:
    """Returns the routes of the page, its files, and `/models.json`, which requires the bearer token if there is one.

    Args:
        inference: Inference whose models the page lists.
        config: Settings, of which the address of MLflow and the file of the bearer token are used.
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
        listed = await run_in_threadpool(_models, inference)
        return JSONResponse({"models": listed, "mlflow_url": config.mlflow_url}, headers={"Cache-Control": "no-store"})

    return [Route("/", page), Route("/models.json", models), Mount("/web", StaticFiles(directory=FILES))]


def _models(inference: "Inference") -> list[dict[str, Any]]:
    """Lists every model with its available versions, newest first, and the results of the newest."""
    return [
        {"name": name, "versions": sorted(versions, reverse=True), "results": _results(inference, name)}
        for name, versions in inference.models.available().items()
    ]


def _results(inference: "Inference", name: str) -> Any:
    """Returns the content of the model's results file; None if there is none.

    Its format is {"figures": [{"name", "split", "value", "unit", "low", "high"}], "warnings": [...],
    "mlflow": {"experiment_id", "run_id"}}.
    """
    from tensorflow import io  # the model may be in a bucket

    try:
        with inference.acquire(ModelSpec(name)) as held:
            file = f"{held.servable.folder.rstrip('/')}/{RESULTS_FILE}"
            if not io.gfile.exists(file):
                return None
            with io.gfile.GFile(file) as text:
                return json.loads(text.read())
    except Exception:  # unloaded meanwhile, not JSON, or an error of any file system: the page then shows no results
        return None
