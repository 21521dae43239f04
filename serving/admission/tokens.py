"""The bearer token that requests must send, where one is configured."""

import hmac
from pathlib import Path

from serving.errors import Code, ServingError


def read_token(path: str) -> str | None:
    """The token in a file; None where no file is named.

    Raises:
        ServingError: The file cannot be read, or is empty.
    """
    if not path:
        return None
    try:
        token = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ServingError(Code.INVALID_ARGUMENT, f"--bearer-token-file {path} cannot be read: {error}") from error
    if not token:
        raise ServingError(Code.INVALID_ARGUMENT, f"--bearer-token-file {path} is empty; put one token in it")
    return token


def check_token(authorization: str, token: str) -> None:
    """Compares an Authorization header with the token, in a time that tells nothing.

    Raises:
        ServingError: UNAUTHENTICATED.
    """
    scheme, _, sent = authorization.partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(sent.strip().encode(), token.encode()):
        raise ServingError(
            Code.UNAUTHENTICATED, 'this server wants a bearer token; send it as "Authorization: Bearer TOKEN"'
        )
