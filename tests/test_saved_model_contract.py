"""The island and the mainland use the same names for the parts of a SavedModel."""

from pathlib import Path

import pytest

from components.export import layout
from serving import saved_model_files

WEB = Path(saved_model_files.__file__).parent / "web"


def test_names_of_the_server_are_those_of_the_export():
    assert saved_model_files.DEFAULT_SIGNATURE == layout.SERVING_DEFAULT
    assert saved_model_files.WARMUP_FILE == layout.WARMUP_FILE
    assert saved_model_files.RESULTS_FILE == layout.RESULTS_FILE


def test_the_demo_page_uses_the_default_signature():
    assert f".{layout.SERVING_DEFAULT}?.inputs" in (WEB / "server.js").read_text()


@pytest.mark.lengthy
def test_outputs_that_the_server_and_the_page_look_for():
    local = Path(saved_model_files.__file__).with_name("local.py").read_text()
    drawing, page = (WEB / "drawing.js").read_text(), (WEB / "page.js").read_text()
    for name in (layout.CLASSES, layout.SCORES):
        assert f'"{name}"' in local
        assert f"outputs.{name}" in drawing
    assert f"outputs.{layout.RECONSTRUCTION}" in page
    assert f"self._serve({layout.BYTES}=" in local
