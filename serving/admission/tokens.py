"""Bearer token that requests must send if one is configured."""

import hmac
from pathlib import Path

from serving.errors import Code, ServingError, invalid


def read_token(path: str) -> str | None:
    """Reads the bearer token from a file.

    Args:
        path: Path of the file; empty for no token.

    Returns:
        The token without surrounding white space; None for an empty path.

    Raises:
        ServingError: INVALID_ARGUMENT: The file cannot be read, or is empty.
    """
    if not path:
        return None
    try:
        token = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise invalid(f"cannot read --bearer-token-file {path}: {error}") from error
    if not token:
        raise invalid(f"--bearer-token-file {path} is empty; write one token into it")
    return token


def check_token(authorization: str, token: str) -> None:
    """Compares an Authorization header with the token, in constant time.

    Args:
        authorization: Value of the header; empty without one.
        token: The required token.

    Raises:
        ServingError: UNAUTHENTICATED: The header has another scheme or token.

    Example:
        >>> check_token("Bearer secret", "secret")
        >>> check_token("Basic secret", "secret")
        Traceback (most recent call last):
        serving.errors.ServingError: this server requires a bearer token; send it as "Authorization: Bearer TOKEN"
    """
    scheme, _, sent = authorization.partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(sent.strip().encode(), token.encode()):
        raise ServingError(
            Code.UNAUTHENTICATED, 'this server requires a bearer token; send it as "Authorization: Bearer TOKEN"'
        )
