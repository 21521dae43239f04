"""`vision-tfx ui`: opens MLflow on the metrics and plots of a home's runs, reachable from this host only."""

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
from pipeline.home import Home
from pipeline.options.command_line import CommandLine

HOST = "127.0.0.1"
START_SECONDS = 120  # MLflow takes 5 to 20 s to import, and longer on a busy host


def main(arguments: Sequence[str]) -> int:
    """Starts MLflow's server, prints its address once it answers, and stops it on Ctrl-C."""
    line = CommandLine("ui", "Opens MLflow on the metrics and plots of all runs; Ctrl-C stops it.")
    line.add("--port", "Port of MLflow's page on this host, 1 to 65535.", type=int, default=5000)
    line.add_home()
    given = line.read(arguments)
    home = Home(Path(given.home).expanduser().resolve())
    if not home.mlflow_database.is_file():
        raise UsageError(
            f"no run was logged in {home.root} yet; start one with `vision-tfx run`, or name another home with "
            "--home DIR"
        )
    check_port(given.port)
    # Nothing here uses the job runners; without them the server is one process instead of eight.
    environment = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    log_file = home.root / "logs" / "ui.log"
    log_file.parent.mkdir(exist_ok=True)
    with log_file.open("w") as log, interruptible():
        # A session of its own, because MLflow's launcher does not forward signals to the server that it starts.
        server = subprocess.Popen(  # noqa: S603
            server_command(home, given.port), stdout=log, stderr=log, env=environment, start_new_session=True
        )
        try:
            print(f"Starting MLflow on {home.mlflow_database} ...", flush=True)
            _wait_until_it_answers(server, given.port, log_file)
            # Without the type, MLflow 3 opens its pages for language models, which hide the registry.
            page = f"http://{HOST}:{given.port}/#/experiments?workflowType=machine_learning"
            print(f"MLflow: {page} (Ctrl-C stops it)", flush=True)
            return VisionTfxError.exit_code if server.wait() else 0
        except KeyboardInterrupt:
            return 0  # the usual way to stop it
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGTERM)
            server.wait()


def server_command(home: Home, port: int) -> list[str]:
    """Returns the command of MLflow's server on a home, reachable from this host only."""
    return [
        *(sys.executable, "-m", "mlflow", "server"),
        *("--backend-store-uri", f"sqlite:///{home.mlflow_database}"),
        *("--artifacts-destination", home.mlflow_artifacts.as_uri()),
        *("--host", HOST, "--port", str(port)),
        *("--workers", "1"),  # one reader; each worker costs 5 s and 300 MB
    ]


def check_port(port: int) -> None:
    """Checks that a port is free.

    Raises:
        UsageError: The port is out of range, or another program listens on it.
    """
    if not 1 <= port <= 65535:
        raise UsageError(f"--port is {port}, but must be at least 1 and at most 65535")
    with socket.socket() as probe:
        # The server does so too, because connections of an earlier server may linger.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            reason = error.strerror or "not available"
            raise UsageError(f"port {port} of {HOST} cannot be used ({reason}); choose another with --port") from None


def _wait_until_it_answers(server: subprocess.Popen[bytes], port: int, log_file: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise VisionTfxError(f"MLflow ended with exit code {server.returncode}; see its log {log_file}")
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex((HOST, port)) == 0:
                return
        time.sleep(0.2)
    raise VisionTfxError(f"MLflow does not answer after {START_SECONDS} s; see its log {log_file}")
