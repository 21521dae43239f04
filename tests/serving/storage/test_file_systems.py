"""Versions below a base path, and the check whether a folder is complete."""

import os
import random
import shutil
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from serving.errors import ServingError
from serving.storage.completeness import unfinished
from serving.storage.file_systems import find_versions, open_storage
from serving.storage.variables_index import shard_sizes

EMPTY_MODEL = b"\x08\x01\x12\x00"  # a SavedModel with one empty graph


def test_folders_named_by_numbers_are_versions(tmp_path):
    for name in ("00000123", "00017", "20170111173521", "0", "2.denied", "v3", "-4", "5x", " 6", "\u0667", str(2**63)):
        (tmp_path / name).mkdir()
    (tmp_path / "8").write_text("a file")
    found = find_versions(open_storage(str(tmp_path)))
    assert found == {0: "0", 17: "00017", 123: "00000123", 20170111173521: "20170111173521"}


def test_one_of_several_with_the_same_number_wins(tmp_path):
    for name in ("00001", "1", "001", "0002", "02"):
        (tmp_path / name).mkdir()
    assert find_versions(open_storage(str(tmp_path))) == {1: "1", 2: "0002"}


def test_links_to_versions_are_followed(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "saved_model.pb").write_bytes(EMPTY_MODEL)
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "3").symlink_to(tmp_path / "elsewhere")
    storage = open_storage(str(tmp_path / "base"))
    assert find_versions(storage) == {3: "3"}
    assert storage.files("3").sizes == {"saved_model.pb": 4}


def test_dangling_links_are_not_files(tmp_path):
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").write_bytes(EMPTY_MODEL)
    (tmp_path / "1" / "notes").symlink_to(tmp_path / "none")
    assert open_storage(str(tmp_path)).files("1").sizes == {"saved_model.pb": 4}


def test_missing_base_path(tmp_path):
    for path in (str(tmp_path / "none"), f"file://{tmp_path}/none"):
        with pytest.raises(FileNotFoundError):
            find_versions(open_storage(path))


def test_file_uri_with_escapes(tmp_path):
    (tmp_path / "a b" / "1").mkdir(parents=True)
    assert find_versions(open_storage(f"file://{tmp_path}/a%20b")) == {1: "1"}


def test_age_counts_from_the_last_change_whatever_times_a_copy_keeps(tmp_path):
    file = tmp_path / "1" / "saved_model.pb"
    file.parent.mkdir()
    file.write_bytes(EMPTY_MODEL)
    os.utime(file, (0, 0))
    assert open_storage(str(tmp_path)).files("1").age < 5


def test_fsspec_storage(tmp_path):
    fsspec = pytest.importorskip("fsspec")
    pytest.importorskip("tensorflow")
    memory, root = fsspec.filesystem("memory"), f"/models-{uuid.uuid4().hex}"
    memory.pipe({f"{root}/7/saved_model.pb": EMPTY_MODEL, f"{root}/7/assets/words.txt": b"a", f"{root}/readme": b""})
    storage = open_storage(f"memory:/{root}")
    assert find_versions(storage) == {7: "7"}
    assert storage.files("7").sizes == {"saved_model.pb": 4, "assets/words.txt": 1}
    before = storage.files("7").stamps
    memory.pipe(f"{root}/7/assets/words.txt", b"ab")
    assert storage.files("7").stamps != before
    assert storage.read("7", "saved_model.pb") == EMPTY_MODEL
    copy = storage.fetch("7")
    assert Path(copy, "assets", "words.txt").read_bytes() == b"ab"
    storage.discard(copy)
    assert not Path(copy).exists()
    with pytest.raises(FileNotFoundError):
        find_versions(open_storage("memory://nothing-here"))


def test_tensorflow_storage():
    gfile = pytest.importorskip("tensorflow").io.gfile
    base = f"ram://models-{uuid.uuid4().hex}"
    gfile.makedirs(f"{base}/12/variables")
    with gfile.GFile(f"{base}/12/saved_model.pb", "wb") as file:
        file.write(EMPTY_MODEL)
    with gfile.GFile(f"{base}/12/variables/x", "wb") as file:
        file.write(b"abc")
    storage = open_storage(base + "/")
    assert find_versions(storage) == {12: "12"}
    assert storage.files("12").sizes == {"saved_model.pb": 4, "variables/x": 3}
    assert storage.read("12", "variables/x") == b"abc"
    assert storage.fetch("12") == f"{base}/12"
    with pytest.raises(FileNotFoundError):
        find_versions(open_storage("ram://nowhere"))


def test_unknown_scheme_names_the_package_to_install():
    pytest.importorskip("tensorflow")
    with pytest.raises(ServingError, match=r"cannot read nosuch://bucket/models.*install"):
        open_storage("nosuch://bucket/models")


# Completeness.


def problem(folder: Path) -> str | None:
    storage = open_storage(str(folder.parent))
    found = unfinished("the model", storage.files(folder.name).sizes, lambda name: storage.read(folder.name, name))
    return found and found.reason


@pytest.fixture(scope="module")
def variables(tmp_path_factory) -> Path:
    """A SavedModel with variables and an asset, built in another process: this one does not import TensorFlow."""
    pytest.importorskip("tensorflow")
    folder = tmp_path_factory.mktemp("whole") / "1"
    code = f"""
import tensorflow as tf
class Model(tf.Module):
    def __init__(self):
        self.words = tf.saved_model.Asset({str(_words(folder.parent))!r})
        self.w = tf.Variable(tf.ones([300, 4]))
        self.b = tf.Variable(tf.ones([4]))
    @tf.function(input_signature=[tf.TensorSpec([None, 300])])
    def __call__(self, x):
        return {{"y": x @ self.w + self.b, "size": tf.strings.length(tf.io.read_file(self.words.asset_path))}}
model = Model()
tf.saved_model.save(model, {str(folder)!r}, signatures=model.__call__)
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    return folder


def _words(folder: Path) -> Path:
    path = folder / "words.txt"
    path.write_text("one\ntwo\n")
    return path


@pytest.mark.lengthy
def test_complete_model(variables):
    assert problem(variables) is None
    index = (variables / "variables" / "variables.index").read_bytes()
    assert shard_sizes(index) == [(variables / "variables" / "variables.data-00000-of-00001").stat().st_size]


@pytest.mark.lengthy
def test_every_missing_part_is_noticed(variables, tmp_path):
    files = {
        "saved_model.pb": "Could not find SavedModel .pb or .pbtxt at supplied export directory path: the model",
        "variables/variables.index": "variables/variables.index is missing",
        "variables/variables.data-00000-of-00001": "variables/variables.data-00000-of-00001 is missing",
        "assets/words.txt": "assets/words.txt is missing",
    }
    for name, reason in files.items():
        copy = tmp_path / name.replace("/", "-")
        shutil.copytree(variables, copy)
        (copy / name).unlink()
        assert problem(copy) == reason


def test_missing_variables_are_noticed_even_without_their_folder(variables, tmp_path):
    shutil.copytree(variables, tmp_path / "1")
    shutil.rmtree(tmp_path / "1" / "variables")
    assert problem(tmp_path / "1") == "variables/variables.index is missing"


def test_every_truncated_part_is_noticed(variables, tmp_path):
    for name in ("saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"):
        whole = (variables / name).read_bytes()
        copy = tmp_path / name.replace("/", "-")
        shutil.copytree(variables, copy)
        for size in {0, 1, 7, len(whole) // 3, len(whole) // 2, len(whole) - 1}:
            (copy / name).write_bytes(whole[:size])
            assert problem(copy), f"{name} with {size} of {len(whole)} bytes"


def test_model_without_variables_is_complete(tmp_path):
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").write_bytes(EMPTY_MODEL)
    assert problem(tmp_path / "1") is None


def test_garbage_is_refused_quickly():
    rng = random.Random(0)
    for number in range(500):
        # With the footer of a table, so that the reader follows the bytes before it.
        index = rng.randbytes(rng.randrange(400)) + bytes.fromhex("57fb808b247547db") * (number % 2)
        content = {"saved_model.pb": rng.randbytes(rng.randrange(200)), "variables/variables.index": index}
        start = time.monotonic()
        unfinished("the model", {name: len(data) for name, data in content.items()}, content.__getitem__)
        assert time.monotonic() - start < 1
