"""A full disk is recognised by the error's number or text; other exhausted resources are not mistaken for it."""

import errno
import shutil
import types

import pytest

from components.disk import has_space, is_full


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (OSError(errno.ENOSPC, "any text"), True),
        (RuntimeError("OSError: [Errno 28] No space left on device [while running 'Write']"), True),
        (RuntimeError("(sqlite3.OperationalError) database or disk is full"), True),
        (RuntimeError("OOM when allocating tensor"), False),
        (OSError(errno.EACCES, "Permission denied"), False),
    ],
)
def test_a_full_disk_is_recognised(error, full):
    assert is_full(error) is full


def test_a_disk_without_space_for_a_commit(tmp_path, monkeypatch):
    assert has_space(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: types.SimpleNamespace(free=2**18 - 1))
    assert not has_space(tmp_path)
