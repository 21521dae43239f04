"""TLS of both ports, from TensorFlow Serving's `SSLConfig`."""

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
    """What a server shows, and asks of its clients.

    Args:
        key: The server's private key, PEM.
        certificate: Its certificate chain, PEM.
        authority: Certificates, PEM, one of which must have signed a client's; empty for none.
        client_verify: Whether clients must show a certificate: mutual TLS.
    """

    key: str = field(repr=False)
    certificate: str
    authority: str = ""
    client_verify: bool = False

    def for_grpc(self) -> Any:
        """As `grpc.ServerCredentials`."""
        import grpc

        pair = (self.key.encode(), self.certificate.encode())
        return grpc.ssl_server_credentials([pair], self.authority.encode() or None, self.client_verify)

    def for_uvicorn(self) -> dict[str, Any]:
        """As arguments of `uvicorn.Config`."""
        return {"ssl_context_factory": lambda *_: self.context()}

    def context(self) -> ssl.SSLContext:
        """As a context of Python's own.

        Raises:
            ssl.SSLError: One of the PEM texts is none, or key and certificate do not belong together.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        with tempfile.TemporaryDirectory() as folder:  # OpenSSL reads files only; this folder is its owner's alone
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
    raise ssl.SSLError("the key is encrypted; give one without a password")


def read_ssl_config(path: str) -> Tls | None:
    """Reads an `SSLConfig` in text format, which holds PEM texts, not names of files.

    Args:
        path: The file; empty for no TLS.

    Raises:
        ServingError: INVALID_ARGUMENT: It cannot be read, is incomplete, or holds no good PEM.
    """
    if not path:
        return None
    given = read_text_proto(Path(path), "SSLConfig", _FIELDS)
    if missing := [name for name in ("server_key", "server_cert") if not given.get(name)]:
        raise invalid(f"{path}: {' and '.join(missing)} missing; TLS needs both, as PEM text")
    tls = Tls(given["server_key"], given["server_cert"], given.get("custom_ca", ""), bool(given.get("client_verify")))
    if tls.client_verify and not tls.authority:
        raise invalid(f"{path}: client_verify needs custom_ca, the PEM text of who signs the clients' certificates")
    try:
        tls.context()
    except (ssl.SSLError, ValueError) as error:
        hint = "server_key, server_cert and custom_ca are PEM texts themselves, not names of files"
        raise invalid(f"{path}: not usable for TLS: {error}; {hint}") from error
    return tls
