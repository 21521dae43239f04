"""What every test may rely on, however the suite was started."""

import os
import signal


def pytest_configure() -> None:
    """A shell lets its background jobs ignore Ctrl-C, and a dumb terminal has no live tables."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ["TERM"] = "xterm"
