"""Installation: the choice of Python, refusals in one sentence, missing packages. uv, getconf and Python are fakes."""

import shutil
import subprocess
from pathlib import Path

import pytest

from pipeline.cli import explain

INSTALL = Path(__file__).parent.parent / ".ci" / "install"


class Machine:
    """A PATH of fakes beside the real /bin, and a project that contains the install script only."""

    def __init__(self, folder: Path) -> None:
        self.project = folder / "project"
        self.bin = folder / "bin"
        self.bin.mkdir()
        (self.project / ".ci").mkdir(parents=True)
        shutil.copy(INSTALL, self.project / ".ci")
        for tool in ("sh", "sed", "dirname"):
            (self.bin / tool).symlink_to(shutil.which(tool) or tool)

    def fake(self, name: str, script: str) -> str:
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return str(path)

    def glibc(self, minor: int) -> None:
        self.fake("getconf", f"echo glibc 2.{minor}")

    def uv(self, *, finds: bool = True) -> None:
        found = "echo /found/python" if finds else "exit 2"
        self.fake("uv", f'[ "$1" = python ] && {{ {found}; exit; }}; echo "uv $*"')

    def install(self, *extras: str, **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [self.project / ".ci" / "install", *extras],
            env={"PATH": str(self.bin), "HOME": str(self.project)} | environment,
            capture_output=True,
            text=True,
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path)
    machine.glibc(36)
    machine.uv()
    return machine


def test_installed_python_is_preferred(machine: Machine):
    done = machine.install("pipeline", "serving")
    assert done.stdout == "uv sync --locked --python /found/python --extra pipeline --extra serving\n"
    assert done.returncode == 0


def test_python_is_downloaded_only_where_there_is_none(machine: Machine):
    machine.uv(finds=False)
    assert "--python 3.11" in machine.install().stdout.splitlines()[-1]


@pytest.mark.parametrize(("glibc", "asked"), [(31, ">=3.11,<3.12"), (38, ">=3.11,<3.12"), (39, ">=3.11,<3.14")])
def test_range_that_is_asked_for(machine: Machine, glibc: int, asked: str, tmp_path: Path):
    machine.glibc(glibc)
    machine.fake("uv", f'[ "$1" = python ] && {{ echo "$5" > {tmp_path}/range; exit 2; }}; exit 0')
    machine.install()
    assert (tmp_path / "range").read_text().strip() == asked


@pytest.mark.parametrize(
    ("version", "glibc", "refused"),
    [
        ("3.10", 39, "use Python 3.11, 3.12 or 3.13"),
        ("3.14", 41, "use Python 3.11, 3.12 or 3.13"),
        ("3.12", 36, "needs glibc 2.39, but this system has 2.36; use Python 3.11"),
        ("3.13", 38, "needs glibc 2.39"),
        ("3.13", 39, ""),
        ("3.11", 31, ""),
    ],
)
def test_chosen_python(machine: Machine, version: str, glibc: int, refused: str):
    machine.glibc(glibc)
    done = machine.install(PYTHON=machine.fake("mypython", f"echo {version}"))
    assert (done.returncode == 0) == (not refused)
    assert refused in done.stderr
    assert done.stderr.count("\n") == (1 if refused else 0)


def test_neither_uv_nor_python(machine: Machine):
    (machine.bin / "uv").unlink()
    done = machine.install()
    assert done.returncode == 1
    assert "neither uv nor python3 is on the PATH" in done.stderr


def test_uv_is_installed_where_it_is_missing(machine: Machine):
    (machine.bin / "uv").unlink()
    pip = machine.fake(
        "pip", 'echo "pip $*"; echo "#!/bin/sh\necho own uv \\$*" > .uv/bin/uv; /bin/chmod +x .uv/bin/uv'
    )
    machine.fake("python3", f'[ "$2" = venv ] && /bin/mkdir -p $3/bin && /bin/cp {pip} $3/bin/')
    done = machine.install("pipeline")
    assert "pip install --quiet uv" in done.stdout
    assert "own uv sync --locked" in done.stdout


def test_a_missing_package_is_reported_with_the_command_that_installs_it():
    message = explain(ModuleNotFoundError("No module named 'mlflow'", name="mlflow"))
    assert message.startswith("the Python package mlflow is not installed; `pip install 'vision-tfx[serving]'`")
    assert "make install" in message
