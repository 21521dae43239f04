"""The provenance of a run: git, lock file, versions."""

import hashlib
import subprocess

from pipeline.tracking.provenance import git_state, provenance


def git(folder, *arguments):
    identity = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


def test_git_state_sees_commit_and_changes_of_its_own_clone_only(tmp_path):
    clone = tmp_path / "clone"
    source = clone / "pipeline" / "tracking" / "provenance.py"
    source.parent.mkdir(parents=True)
    source.write_text("one")
    git(tmp_path, "init", "clone")
    assert git_state(clone) == {}
    git(clone, "add", "pipeline")
    git(clone, "commit", "-m", "one")
    clean = git_state(clone)
    source.write_text("two")
    installed = clone / "venv"
    copy = installed / source.relative_to(clone)
    copy.parent.mkdir(parents=True)
    copy.write_text("one")
    assert len(clean["git.commit"]) == 40
    assert clean["git.dirty"] == "false"
    assert git_state(clone) == clean | {"git.dirty": "true"}
    assert git_state(installed) == {}


def test_provenance_hashes_the_lock_and_does_without_git(tmp_path, monkeypatch):
    (tmp_path / "uv.lock").write_bytes(b"lock")
    monkeypatch.setattr(subprocess, "run", lambda *a, **k: (_ for _ in ()).throw(FileNotFoundError))
    found = provenance(tmp_path)
    assert found["lock.sha256"] == hashlib.sha256(b"lock").hexdigest()
    assert found["version.tensorflow"]
    assert "git.commit" not in found
