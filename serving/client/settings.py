"""Settings of a client's transport: timeouts, retries, credentials. Standard library only."""

from dataclasses import dataclass

MAX_BACKOFF_SECONDS = 5.0  # longest pause between two tries, for both protocols


@dataclass(frozen=True)
class ClientSettings:
    """Settings that both transports share.

    Args:
        timeout: Seconds after which one try is given up, once connected; at least 0.001.
        connect_timeout: Seconds after which one attempt to connect is given up; at least 0.001.
        retries: Number of further tries after a lost connection, a timeout or an overloaded server; at least 0.
        backoff: Seconds of the first pause between tries, at least 0.001. The pause doubles with each try, up to 5 s,
            and is lengthened by a random share, so that many clients do not come back at the same moment.
        token: Bearer token; None sends none.
        ca_file: PEM file of the certificate authority to trust; None means the system's authorities.
        client_certificate: PEM files of certificate and private key, for servers that require a client certificate;
            None sends no certificate.
        concurrency: Number of batches of images in flight at the same time; at least 1.
        batch_bytes: Bytes of encoded images after which a batch ends, at least 1. The default is 16 MiB: 21 MiB as
            base64, a fifth of the largest request that a server accepts by default.

    Raises:
        ValueError: A value is out of range.

    Example:
        >>> ClientSettings(retries=-1)
        Traceback (most recent call last):
        ValueError: retries is -1; use a value of at least 0
    """

    timeout: float = 30.0
    connect_timeout: float = 5.0
    retries: int = 3
    backoff: float = 0.1
    token: str | None = None
    ca_file: str | None = None
    client_certificate: tuple[str, str] | None = None
    concurrency: int = 4
    batch_bytes: int = 16 * 2**20

    def __post_init__(self) -> None:
        lowest = {
            "timeout": 0.001,
            "connect_timeout": 0.001,
            "retries": 0,
            "backoff": 0.001,
            "concurrency": 1,
            "batch_bytes": 1,
        }
        for name, least in lowest.items():
            if not getattr(self, name) >= least:  # NaN fails, too
                raise ValueError(f"{name} is {getattr(self, name)}; use a value of at least {least}")
