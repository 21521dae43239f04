"""How a client asks: timeouts, retries, credentials. Standard library only."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ClientSettings:
    """How a client asks.

    Args:
        timeout: Seconds that one try may take, at least once connected.
        connect_timeout: Seconds to connect in.
        retries: Further tries after a lost connection, a timeout, or an answer that says overloaded.
        token: Bearer token; none sends none.
        ca_file: PEM file of the certificate authority to trust; none means the system's.
        client_certificate: PEM files of certificate and key, for servers that want one.
        concurrency: Requests at the same time, where there are several to send.

    Raises:
        ValueError: Out of range.
    """

    timeout: float = 30.0
    connect_timeout: float = 5.0
    retries: int = 3
    token: str | None = None
    ca_file: str | None = None
    client_certificate: tuple[str, str] | None = None
    concurrency: int = 4

    def __post_init__(self) -> None:
        for name, least in (("timeout", 0.001), ("connect_timeout", 0.001), ("retries", 0), ("concurrency", 1)):
            if not getattr(self, name) >= least:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least {least}")
