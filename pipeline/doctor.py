"""The checks of `vision-tfx doctor`."""

import importlib
import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from components.errors import UsageError
from pipeline.installation import INSTALL_ALL
from pipeline.options.preflight import SPARE_BYTES, check_writable

PACKAGES = (
    *("tfx", "tensorflow", "keras", "tensorflow-transform", "tensorflow-model-analysis", "tfx-bsl"),
    *("tensorflow-data-validation", "ml-metadata", "apache-beam", "tensorflow-datasets", "mlflow", "scikit-learn"),
)
# TFX's components in the pipeline, with the module of each.
TFX_COMPONENTS = {
    "StatisticsGen": "tfx.components.statistics_gen.component",
    "SchemaGen": "tfx.components.schema_gen.component",
    "ExampleValidator": "tfx.components.example_validator.component",
    "Transform": "tfx.components.transform.component",
    "Trainer": "tfx.components.trainer.component",
    "Evaluator": "tfx.components.evaluator.component",
}
_GIB = 1024**3


@dataclass(frozen=True)
class Check:
    """Result of one check.

    Args:
        name: Name of the check.
        status: "ok"; "warn" if a run may fail or be slow; "fail" if no run can succeed.
        found: Finding, such as a version.
        cure: Cure; empty if the status is "ok".

    Example:
        >>> python(version=(3, 14, 0)).status, python(version=(3, 12, 1)).status
        ('fail', 'ok')
    """

    name: str
    status: Literal["ok", "warn", "fail"]
    found: str
    cure: str = ""


def quick_checks(home: Path) -> list[Check]:
    """Runs the checks that import nothing heavy.

    Args:
        home: Home folder; it need not exist yet.
    """
    return [python(), glibc(), packages(), writable(home), disk(home), memory()]


def slow_checks() -> list[Check]:
    """Runs the checks that import TensorFlow and TFX, which takes 10 to 40 s."""
    return [tfx_components(), gpu()]


def python(version: tuple[int, ...] = sys.version_info[:3]) -> Check:
    """Checks the Python version: the locked packages have wheels for 3.11 to 3.13."""
    found = ".".join(map(str, version))
    if (3, 11) <= version[:2] <= (3, 13):
        return Check("Python", "ok", found)
    return Check("Python", "fail", found, "install Python 3.11, 3.12 or 3.13, then run make clean install")


def glibc(version: tuple[int, ...] = sys.version_info[:2], libc: tuple[str, str] | None = None) -> Check:
    """Checks the glibc version: TFX's wheels for Python 3.12 and 3.13 require 2.39, those for 3.11 do not."""
    name, number = libc or platform.libc_ver()
    found = f"Python {version[0]}.{version[1]} on {name or 'no glibc'} {number}".strip()
    if name != "glibc" or version[:2] < (3, 12) or tuple(map(int, number.split(".")[:2])) >= (2, 39):
        return Check("Python and glibc", "ok", found)
    cure = "TFX for Python 3.12 and later requires glibc 2.39; use Python 3.11 (make clean install PYTHON=python3.11)"
    return Check("Python and glibc", "fail", found, cure)


def packages(version: Callable[[str], str] = metadata.version) -> Check:
    """Checks that the packages of the extra `pipeline` are installed."""
    found, missing = [], []
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        return Check("packages", "fail", f"missing: {', '.join(missing)}", INSTALL_ALL)
    return Check("packages", "ok", ", ".join(found))


def tfx_components() -> Check:
    """Checks TFX's components: `tfx.v1.components.X` is silently None if its import failed."""
    try:
        components = importlib.import_module("tfx.v1").components
    except Exception as error:  # a broken environment raises errors of any type, and each is a finding
        return Check("TFX components", "fail", f"{type(error).__name__}: {error}", INSTALL_ALL)
    broken = [name for name in TFX_COMPONENTS if getattr(components, name, None) is None]
    if not broken:
        return Check("TFX components", "ok", ", ".join(TFX_COMPONENTS))
    return Check(
        "TFX components", "fail", f"{', '.join(broken)}: {_import_error(TFX_COMPONENTS[broken[0]])}", INSTALL_ALL
    )


def gpu() -> Check:
    """Warns if a GPU is present but TensorFlow cannot use it; a GPU is optional."""
    try:
        found = importlib.import_module("tensorflow").config.list_physical_devices("GPU")
    except Exception as error:  # as above
        return Check("GPU", "fail", f"TensorFlow: {error}", INSTALL_ALL)
    if found:
        return Check("GPU", "ok", ", ".join(device.name for device in found))
    if shutil.which("nvidia-smi"):
        cure = "install the CUDA libraries with make install EXTRAS='pipeline serving gpu'"
        return Check("GPU", "warn", "present, but TensorFlow cannot use it", cure)
    return Check("GPU", "ok", "none: training runs on the CPU")


def writable(home: Path) -> Check:
    """Checks that the home, or the nearest existing folder above it, can be written."""
    try:
        check_writable(_existing(home))
    except UsageError as error:
        return Check("home", "fail", str(error), "choose another with --home DIR or VISION_TFX_HOME")
    return Check("home", "ok", str(home))


def disk(home: Path) -> Check:
    """Checks the free space on the disk of the home."""
    free = shutil.disk_usage(_existing(home)).free
    found = f"{free / _GIB:.1f} GiB free"
    cure = "free some space, or choose a home on another disk with --home DIR"
    if free < SPARE_BYTES:
        return Check("disk", "fail", found, cure)
    return Check("disk", "warn", found, cure) if free < 5 * _GIB else Check("disk", "ok", found)


def memory() -> Check:
    """Checks the memory: a run on MNIST takes up to 4 GB."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    found = f"{total / _GIB:.1f} GiB"
    return (
        Check("memory", "ok", found) if total >= 4e9 else Check("memory", "warn", found, "use a host with 4 GB or more")
    )


def _existing(folder: Path) -> Path:
    return next(each for each in (folder, *folder.parents) if each.exists())


def _import_error(module: str) -> str:
    try:
        importlib.import_module(module)
    except Exception as error:  # as above
        return f"{type(error).__name__}: {error}"
    return "could not be imported"
