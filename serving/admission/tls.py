"""TLS of both ports, configured by TensorFlow Serving's `SSLConfig`."""

import ssl
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from serving.errors import invalid
from serving.protobuf.text_format import read_text_proto

_FIELDS = {"server_key": str, "server_cert": str, "custom_ca": str, "client_verify": bool}


@dataclass(frozen=True)
class Tls:
    """TLS settings of a server.

    Args:
        key: Private key of the server, PEM text.
        certificate: Certificate chain of the server, PEM text.
        authority: Certificates of the authorities that sign client certificates, PEM text; empty for none.
        client_verify: Whether clients must present a certificate (mutual TLS).
    """

    key: str = field(repr=False)
    certificate: str
    authority: str = ""
    client_verify: bool = False

    def for_grpc(self) -> Any:
        """Returns `grpc.ServerCredentials`."""
        import grpc

        pair = (self.key.encode(), self.certificate.encode())
        return grpc.ssl_server_credentials([pair], self.authority.encode() or None, self.client_verify)

    def for_uvicorn(self) -> dict[str, Any]:
        """Returns arguments for `uvicorn.Config`."""
        return {"ssl_context_factory": lambda *_: self.context()}

    def context(self) -> ssl.SSLContext:
        """Returns a context of Python's `ssl` module.

        Raises:
            ssl.SSLError: A text is not PEM, or key and certificate do not belong together.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        with tempfile.TemporaryDirectory() as folder:  # OpenSSL reads files only; other users cannot read this folder
            key, certificate = Path(folder) / "key.pem", Path(folder) / "certificate.pem"
            key.write_text(self.key)
            certificate.write_text(self.certificate)
            context.load_cert_chain(certificate, key, password=_no_password)
        if self.authority:
            context.load_verify_locations(cadata=self.authority)
        if self.client_verify:
            context.verify_mode = ssl.CERT_REQUIRED
        return context


def _no_password() -> str:
    raise ssl.SSLError("the key is encrypted; use a key without a password")


def read_ssl_config(path: str) -> Tls | None:
    """Reads an `SSLConfig` in protobuf's text format, which contains PEM texts, not file names.

    Args:
        path: Path of the file; empty for no TLS.

    Returns:
        The TLS settings; None for an empty path.

    Raises:
        ServingError: INVALID_ARGUMENT: The file cannot be read, is incomplete, or contains unusable PEM texts.
    """
    if not path:
        return None
    given = read_text_proto(Path(path), "SSLConfig", _FIELDS)
    if missing := [name for name in ("server_key", "server_cert") if not given.get(name)]:
        raise invalid(f"{path}: {' and '.join(missing)} missing; add the PEM text")
    tls = Tls(given["server_key"], given["server_cert"], given.get("custom_ca", ""), bool(given.get("client_verify")))
    if tls.client_verify and not tls.authority:
        raise invalid(f"{path}: client_verify needs custom_ca; add the PEM text of the clients' certificate authority")
    try:
        tls.context()
    except (ssl.SSLError, ValueError) as error:
        hint = "server_key, server_cert and custom_ca must be PEM texts, not file names"
        raise invalid(f"{path}: not usable for TLS: {error}; {hint}") from error
    return tls
