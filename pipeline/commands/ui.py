"""`vision-tfx ui`: MLflow on what the runs of a home logged, for this machine only."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from components.errors import UsageError, VisionTfxError
from components.interruption import interruptible
from pipeline.cli import Parser, add_home
from pipeline.home import Home

HOST = "127.0.0.1"
START_SECONDS = 120  # MLflow imports for 5 to 20 s, on a busy machine longer


def main(arguments: Sequence[str]) -> int:
    """Starts MLflow's server, tells its address once it answers, and stops it on Ctrl-C."""
    parser = Parser(prog="vision-tfx ui", description="Opens MLflow on what the runs logged; Ctrl-C ends it.")
    parser.add_argument("--port", type=int, default=5000, help="default: 5000")
    add_home(parser)
    given = parser.parse_args(arguments)
    home = Home(Path(given.home).expanduser().resolve())
    if not home.mlflow_database.is_file():
        raise UsageError(f"no run was logged below {home.root} yet; `vision-tfx run` makes one, --home names another")
    check_port(given.port)
    # Without its job runners, which nothing here uses, the server is one process instead of eight.
    environment = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    log_file = home.root / "logs" / "ui.log"
    log_file.parent.mkdir(exist_ok=True)
    with log_file.open("w") as log, interruptible():
        # A session of its own: MLflow's launcher does not pass a signal on to the server that it starts.
        server = subprocess.Popen(  # noqa: S603
            server_command(home, given.port), stdout=log, stderr=log, env=environment, start_new_session=True
        )
        try:
            print(f"Starting MLflow on {home.mlflow_database} ...", flush=True)
            _wait_until_it_answers(server, given.port, log_file)
            # Without the type MLflow 3 opens on its pages for language models, which hide the registry.
            page = f"http://{HOST}:{given.port}/#/experiments?workflowType=machine_learning"
            print(f"MLflow: {page} (Ctrl-C ends it)", flush=True)
            return VisionTfxError.exit_code if server.wait() else 0
        except KeyboardInterrupt:
            return 0  # the usual way to end it
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGTERM)
            server.wait()


def server_command(home: Home, port: int) -> list[str]:
    """MLflow's server on a home, reachable from this machine only."""
    return [
        *(sys.executable, "-m", "mlflow", "server"),
        *("--backend-store-uri", f"sqlite:///{home.mlflow_database}"),
        *("--artifacts-destination", home.mlflow_artifacts.as_uri()),
        *("--host", HOST, "--port", str(port)),
        *("--workers", "1"),  # one reader; each worker costs 5 s and 300 MB
    ]


def check_port(port: int) -> None:
    """A port that is free.

    Raises:
        UsageError: It is out of range, or something else listens there.
    """
    if not 1 <= port <= 65535:
        raise UsageError(f"--port is {port}, but must be at least 1 and at most 65535")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does: the last one may linger
        try:
            probe.bind((HOST, port))
        except OSError as error:
            reason = error.strerror or "not available"
            raise UsageError(f"port {port} of {HOST} cannot be used ({reason}); take another with --port") from None


def _wait_until_it_answers(server: subprocess.Popen[bytes], port: int, log_file: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise VisionTfxError(f"MLflow ended with exit code {server.returncode}; its log is {log_file}")
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex((HOST, port)) == 0:
                return
        time.sleep(0.2)
    raise VisionTfxError(f"MLflow does not answer after {START_SECONDS} s; its log is {log_file}")
