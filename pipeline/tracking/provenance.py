"""Which code and which packages made a run: git commit, lock, versions."""

import hashlib
import platform
import subprocess
from importlib import metadata
from pathlib import Path

PACKAGES = ("vision-tfx", "tfx", "tensorflow", "keras", "tensorflow-datasets", "apache-beam", "ml-metadata", "mlflow")

_ROOT = Path(__file__).resolve().parents[2]


def provenance(root: Path = _ROOT) -> dict[str, str]:
    """Describes the code that is running, as text by name.

    Args:
        root: The folder that holds the package `pipeline`: the clone, or site-packages.

    Returns:
        `git.commit` and `git.dirty` ("true" when tracked files were changed) in a clone, `lock.sha256` where there is
        a uv.lock, `version.<package>` for the packages that decide what a run does, `python` and `platform`.
        What cannot be found is left out.
    """
    lock = root / "uv.lock"
    lock_hash = {"lock.sha256": hashlib.sha256(lock.read_bytes()).hexdigest()} if lock.is_file() else {}
    return git_state(root) | lock_hash | package_versions()


def git_state(root: Path) -> dict[str, str]:
    """The commit of the clone at `root`; empty where it is none, or where git is missing or does not answer."""
    # A virtual environment inside another project's clone must not be taken for it: git has to know the file.
    if _git(root, "ls-files", "--error-unmatch", "pipeline/tracking/provenance.py") is None:
        return {}
    commit = _git(root, "rev-parse", "HEAD")
    changes = _git(root, "status", "--porcelain", "--untracked-files=no")
    if commit is None or changes is None:
        return {}
    return {"git.commit": commit, "git.dirty": str(bool(changes)).lower()}


def package_versions() -> dict[str, str]:
    """Versions of Python, the platform and `PACKAGES`, as far as they are installed."""
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
