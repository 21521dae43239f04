"""Provenance of a run: git commit, lock file, versions of packages."""

import hashlib
import platform
import subprocess
from importlib import metadata
from pathlib import Path

PACKAGES = ("vision-tfx", "tfx", "tensorflow", "keras", "tensorflow-datasets", "apache-beam", "ml-metadata", "mlflow")

_ROOT = Path(__file__).resolve().parents[2]


def provenance(root: Path = _ROOT) -> dict[str, str]:
    """Describes the running code, as text by name.

    Args:
        root: Folder that holds the package `pipeline`: the clone, or site-packages.

    Returns:
        `git.commit` and `git.dirty` ("true" if tracked files were changed) in a clone, `lock.sha256` if there is a
        uv.lock, `version.<package>` of the packages that determine the results of a run, `python` and `platform`.
        Entries that cannot be determined are left out.
    """
    lock = root / "uv.lock"
    lock_hash = {"lock.sha256": hashlib.sha256(lock.read_bytes()).hexdigest()} if lock.is_file() else {}
    return git_state(root) | lock_hash | package_versions()


def git_state(root: Path) -> dict[str, str]:
    """Returns commit and state of the clone at `root`; empty if it is not a clone, or if git is missing or fails.

    Args:
        root: Folder that holds the package `pipeline`.
    """
    # A virtual environment inside the clone of another project is not a clone of this one: git must track the file.
    if _git(root, "ls-files", "--error-unmatch", "pipeline/tracking/provenance.py") is None:
        return {}
    commit = _git(root, "rev-parse", "HEAD")
    changes = _git(root, "status", "--porcelain", "--untracked-files=no")
    if commit is None or changes is None:
        return {}
    return {"git.commit": commit, "git.dirty": str(bool(changes)).lower()}


def package_versions() -> dict[str, str]:
    """Returns the versions of Python, the platform and those of `PACKAGES` that are installed."""
    versions = {"python": platform.python_version(), "platform": platform.platform()}
    for package in PACKAGES:
        try:
            versions[f"version.{package}"] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _git(root: Path, *arguments: str) -> str | None:
    command = ["git", "-C", str(root), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
