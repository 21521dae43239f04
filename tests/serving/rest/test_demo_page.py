"""The demo page: its routes, and the page itself in headless Chromium, with a fake server."""

import base64
import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import urllib3

uvicorn = pytest.importorskip("uvicorn")
pytest.importorskip("tensorflow")

from starlette.applications import Starlette  # noqa: E402
from starlette.requests import Request  # noqa: E402
from starlette.responses import Response  # noqa: E402
from starlette.routing import Route  # noqa: E402

from serving.config import ServerConfig  # noqa: E402
from serving.errors import Code, ServingError  # noqa: E402
from serving.rest.demo_page import FILES, routes  # noqa: E402

SEVEN = Path(__file__).parents[3] / "docs" / "images" / "seven.png"
RESULTS = {
    "figures": [{"name": "top-1 error", "split": "test", "value": 2.78, "unit": "%", "low": 1.19, "high": 6.34}],
    "warnings": ["few <b>images</b>"],
    "mlflow": {"experiment_id": "1", "run_id": "abc"},
}


class Inference:
    """The models of a fake server, with a folder for each."""

    def __init__(self, fake: Any, root: Path) -> None:
        self.fake, self.root = fake, root
        self.models = SimpleNamespace(available=lambda: {name: each.versions for name, each in fake.models.items()})

    @contextlib.contextmanager
    def acquire(self, spec: Any) -> Iterator[Any]:
        if not self.fake.models[spec.name].versions:
            raise ServingError(Code.NOT_FOUND, "unloaded")
        yield SimpleNamespace(servable=SimpleNamespace(folder=str(self.root / spec.name)))


class Site:
    """The page's routes beside the fake's REST API, on a free port."""

    def __init__(self, fake: Any, root: Path, **settings: Any) -> None:
        self.fake, self.root = fake, root

        async def rest(request: Request) -> Response:
            text = await request.body()
            status, response = fake.respond(
                request.url.path, request.headers.get("authorization"), json.loads(text) if text else None
            )
            content = response if isinstance(response, bytes) else json.dumps(response).encode()
            return Response(content, status, media_type="application/json")

        config = ServerConfig(**settings)
        app = Starlette(
            routes=[Route("/v1/{path:path}", rest, methods=["GET", "POST"]), *routes(Inference(fake, root), config)]
        )
        listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        self._server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None))
        self._thread = threading.Thread(target=self._server.run, args=([listener],), daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)

    def results(self, name: str, text: str) -> None:
        folder = self.root / name / "assets.extra"
        folder.mkdir(parents=True)
        (folder / "results.json").write_text(text)

    def get(self, path: str, **headers: str) -> urllib3.BaseHTTPResponse:
        return urllib3.request("GET", self.url + path, headers=headers)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()


@pytest.fixture
def site(fake_server, tmp_path):
    site = Site(fake_server, tmp_path, mlflow_url="http://mlflow.example/")
    yield site
    site.stop()


# Routes


def test_page_loads_nothing_from_other_hosts(site):
    page = site.get("")
    assert page.headers["Content-Type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    for file in FILES.iterdir():
        text = file.read_text()
        assert "http:" not in text.replace("http://www.w3.org/2000/svg", "")
        assert "https:" not in text
        assert site.get(f"web/{file.name}").status == 200
    assert site.get("web/../demo_page.py").status == 404
    assert site.get("web/%2e%2e/demo_page.py").status == 404


def test_list_of_models(site, fake_server, fakes):
    fake_server.models = {"digits": fakes.FakeModel([9, 11]), "cats": fakes.FakeModel([]), "bad": fakes.FakeModel()}
    site.results("digits", json.dumps(RESULTS))
    site.results("bad", "{")
    response = site.get("models.json")
    assert response.headers["Cache-Control"] == "no-store"
    assert response.json() == {
        "models": [
            {"name": "digits", "versions": [11, 9], "results": RESULTS},
            {"name": "cats", "versions": [], "results": None},
            {"name": "bad", "versions": [11], "results": None},
        ],
        "mlflow_url": "http://mlflow.example/",
    }


def test_list_of_models_requires_the_token(fake_server, tmp_path):
    (tmp_path / "token").write_text("secret\n")
    site = Site(fake_server, tmp_path, bearer_token_file=str(tmp_path / "token"))
    try:
        assert site.get("").status == 200
        refused = site.get("models.json")
        assert (refused.status, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert site.get("models.json", Authorization="Bearer secret").status == 200
    finally:
        site.stop()


# Page


def outcome(browser) -> str:
    return browser.run("document.getElementById('outcome').textContent.trim()")


def error(browser) -> str:
    browser.wait("!document.getElementById('error').hidden")
    return browser.run("document.getElementById('error').textContent")


def visit(browser, site, fragment: str = "") -> None:
    browser.open(site.url + fragment)
    browser.wait("document.getElementById('version').textContent")


def bars(browser) -> list:
    browser.wait("document.querySelector('#outcome strong')")
    return browser.run("""[...document.querySelectorAll('#bars li')].map((li) =>
        [li.querySelector('.class-name').textContent, li.querySelector('.score').textContent,
         li.querySelector('.bar').style.width])""")


SEVENS = [
    *(["7", "90.00 %", "90%"], ["1", "5.00 %", "5%"], ["9", "3.00 %", "3%"]),
    *(["4", "1.00 %", "1%"], ["3", "1.00 %", "1%"]),
]


@pytest.mark.browser
def test_a_chosen_file(browser, site, fake_server):
    site.results("digits", json.dumps(RESULTS))
    visit(browser, site)
    assert outcome(browser) == "Choose an image."
    browser.choose_file("#file", SEVEN)
    assert bars(browser) == SEVENS
    assert outcome(browser).startswith("7 90.00 %, answered in")
    text = browser.run("document.body.innerText")
    for part in ("digits", "version 11", "2.78 %", "top-1 error, test", "95 % confidence 1.19 to 6.34"):
        assert part in text
    assert "few <b>images</b>" in text  # text, whatever it holds
    assert browser.run("document.getElementById('run').href") == "http://mlflow.example/#/experiments/1/runs/abc"
    assert base64.b64decode(fake_server_image(fake_server)) == SEVEN.read_bytes()
    assert browser.complaints() == []
    assert all(url.startswith((site.url, f"blob:{site.url}", "about:")) for url in browser.requested())


def fake_server_image(fake_server) -> str:
    return fake_server.last_body["inputs"]["image_bytes"][0]["b64"]


@pytest.mark.browser
def test_a_dropped_file(browser, site):
    visit(browser, site)
    browser.drop(SEVEN, 250, 300)
    assert bars(browser) == SEVENS
    assert browser.complaints() == []


@pytest.mark.browser
def test_the_camera(browser, site, fake_server, fakes):
    answer = {"classes": [["green", "red"]], "scores": [[0.75, 0.25]]}
    fake_server.models["digits"] = fakes.FakeModel(answer=answer)
    visit(browser, site)
    browser.run("document.getElementById('camera').click()")
    browser.wait("document.querySelector('#viewfinder[open] video')?.videoWidth")
    browser.press("Enter", 13, "\r")  # the focus is on the button
    assert [bar[0] for bar in bars(browser)] == ["green", "red"]
    assert not browser.run("document.getElementById('viewfinder').open")
    assert base64.b64decode(fake_server_image(fake_server)).startswith(b"\xff\xd8")  # a JPEG
    browser.run("document.getElementById('camera').click()")
    browser.wait("document.getElementById('viewfinder').open")
    browser.press("Escape", 27)
    browser.wait("!document.getElementById('viewfinder').open")
    assert browser.complaints() == []


@pytest.mark.browser
def test_the_keyboard_reaches_everything(browser, site, fake_server, fakes):
    fake_server.models["cats"] = fakes.FakeModel([3])
    visit(browser, site)
    reached = []
    for _ in range(9):
        browser.press("Tab", 9)
        reached.append(browser.run("document.activeElement.id || document.activeElement.textContent.trim()"))
    assert reached[:5] == ["model", "file", "choose", "camera", "From a terminal"]
    assert reached[5:8] == ["mlflow", "OpenAPI", "Readiness"]
    # The focused element is visible.
    browser.run("document.activeElement.blur()")
    browser.press("Tab", 9)
    browser.press("Tab", 9)
    assert browser.run("document.activeElement.id") == "file"
    assert browser.run("getComputedStyle(document.getElementById('drop')).outlineStyle") == "solid"
    # A screen reader announces the outcome.
    assert browser.run("document.getElementById('outcome').ariaLive") == "polite"
    assert browser.run("document.getElementById('error').role") == "alert"


@pytest.mark.browser
def test_a_file_that_is_not_an_image(browser, site, tmp_path):
    visit(browser, site)
    (tmp_path / "text.png").write_text("hello")
    browser.choose_file("#file", tmp_path / "text.png")
    assert error(browser) == "The model cannot decode this file. It accepts JPEG, PNG, GIF and BMP images."
    browser.choose_file("#file", SEVEN)  # the page still works
    assert bars(browser) == SEVENS
    assert browser.run("document.getElementById('error').hidden")


@pytest.mark.browser
def test_another_model_without_classes(browser, site, fake_server, fakes):
    answer = {"squared_error": [3.25], "code": [[1.0, 2.0]], "reconstruction": [[[[0.0], [1.0]], [[0.5], [0.25]]]]}
    fake_server.models["coder"] = fakes.FakeModel([4], answer=answer)
    visit(browser, site)
    browser.choose_file("#file", SEVEN)
    assert bars(browser) == SEVENS
    browser.run("document.getElementById('model').value = 'coder'")
    browser.run("document.getElementById('model').dispatchEvent(new Event('change'))")
    browser.wait("document.getElementById('numbers').textContent.includes('3.25')")
    assert outcome(browser).startswith("squared error 3.25, Answered in")
    pixels = "[...document.querySelector('canvas').getContext('2d').getImageData(0, 0, 2, 2).data]"
    assert browser.run(pixels) == [0, 0, 0, 255, 255, 255, 255, 255, 128, 128, 128, 255, 64, 64, 64, 255]
    assert browser.run("location.hash") == "#coder"
    browser.open("about:blank")
    visit(browser, site, "#coder")
    assert browser.run("document.getElementById('model').value") == "coder"


@pytest.mark.browser
def test_a_swap_meanwhile(browser, site, fake_server):
    visit(browser, site)
    fake_server.models["digits"].versions = [12]
    browser.choose_file("#file", SEVEN)
    assert bars(browser) == SEVENS
    assert browser.run("document.getElementById('version').textContent") == "version 12"


@pytest.mark.browser
def test_a_model_that_does_not_accept_images(browser, site, fake_server, fakes):
    fake_server.models = {"half": fakes.FakeModel(inputs={"x": {"dtype": "DT_FLOAT"}})}
    visit(browser, site)
    browser.choose_file("#file", SEVEN)
    assert error(browser) == "half does not accept encoded images, which this page sends."


@pytest.mark.browser
def test_responses_that_are_not_json(browser, site, fake_server, fakes):
    nan = {"classes": [["NaN", "b"]], "scores": [[float("nan"), float("-inf")]]}
    fake_server.models["digits"] = fakes.FakeModel(answer=nan)
    visit(browser, site)
    browser.choose_file("#file", SEVEN)
    assert [bar[:2] for bar in bars(browser)] == [["NaN", "0.00 %"], ["b", "0.00 %"]]
    fake_server.faults = [(200, b"<html>")]
    browser.choose_file("#file", SEVEN)
    assert error(browser) == "The server's response is not JSON."


@pytest.mark.browser
def test_a_server_that_is_gone(browser, site):
    visit(browser, site)
    site.stop()
    browser.choose_file("#file", SEVEN)
    assert error(browser) == "The server cannot be reached. Is it still running?"


@pytest.mark.browser
def test_no_model_yet(browser, site, fake_server):
    fake_server.models["digits"].versions = []
    browser.open(site.url)
    assert error(browser).startswith("No model is available yet.")
    fake_server.models["digits"].versions = [1]
    browser.run("dispatchEvent(new Event('visibilitychange'))")
    browser.wait("document.getElementById('version').textContent === 'version 1'")


@pytest.mark.browser
def test_the_token_form(browser, fake_server, tmp_path):
    (tmp_path / "token").write_text("secret")
    fake_server.token = "secret"  # noqa: S105
    site = Site(fake_server, tmp_path, bearer_token_file=str(tmp_path / "token"))
    try:
        browser.open(site.url)
        browser.wait("document.activeElement.id === 'token'")
        for letter in "secret":
            browser.press(letter, ord(letter.upper()), letter)
        browser.press("Enter", 13, "\r")
        browser.wait("document.getElementById('version').textContent")
        browser.choose_file("#file", SEVEN)
        assert bars(browser) == SEVENS
    finally:
        site.stop()


@pytest.mark.browser
def test_dark_and_light_and_narrow(browser, site):
    backgrounds = set()
    for scheme in ("light", "dark"):
        browser.scheme(scheme)
        visit(browser, site)
        backgrounds.add(browser.run("getComputedStyle(document.body).backgroundColor"))
        for width in (1120, 360):
            browser.size(width, 800)
            assert browser.run("document.documentElement.scrollWidth") <= width
    assert len(backgrounds) == 2
