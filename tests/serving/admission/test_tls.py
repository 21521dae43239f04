"""SSLConfig files: the ones that are accepted, and the errors of the others."""

import ssl

import pytest

from serving.admission.tls import read_ssl_config
from serving.errors import ServingError


@pytest.fixture(scope="module")
def authority(certificates):
    return certificates.Authority()


@pytest.fixture(scope="module")
def pair(authority):
    return authority.sign("server")


@pytest.fixture
def write(tmp_path):
    def write(**fields) -> str:
        lines = []
        for name, value in fields.items():
            text = value.replace("\n", "\\n") if isinstance(value, str) else value
            lines.append(f"{name}: {str(text).lower()}" if isinstance(value, bool) else f'{name}: "{text}"')
        path = tmp_path / "ssl.config"
        path.write_text("\n".join(lines))
        return str(path)

    return write


def test_no_file():
    assert read_ssl_config("") is None


def test_server_only(write, pair):
    tls = read_ssl_config(write(server_key=pair.key, server_cert=pair.certificate))
    assert (tls.key, tls.certificate, tls.authority, tls.client_verify) == (pair.key, pair.certificate, "", False)
    assert tls.context().verify_mode is ssl.CERT_NONE
    assert pair.key not in repr(tls)


def test_mutual(write, pair, authority):
    fields = {"server_key": pair.key, "server_cert": pair.certificate, "custom_ca": authority.certificate}
    tls = read_ssl_config(write(**fields, client_verify=True))
    assert tls.context().verify_mode is ssl.CERT_REQUIRED
    assert read_ssl_config(write(**fields)).context().verify_mode is ssl.CERT_NONE


def test_refusals(write, pair, authority, tmp_path):
    other, locked = authority.sign("other"), authority.sign("locked", b"secret")
    good = {"server_key": pair.key, "server_cert": pair.certificate}
    for fields, words in (
        ({"server_key": pair.key}, "server_cert missing"),
        ({}, "server_key and server_cert missing"),
        ({**good, "client_verify": True}, "client_verify needs custom_ca"),
        ({**good, "server_key": other.key}, "not usable for TLS"),
        ({**good, "server_key": locked.key}, "not usable for TLS"),
        ({**good, "server_key": "/etc/key.pem", "server_cert": "/etc/cert.pem"}, "not file names"),
        ({**good, "custom_ca": "nothing"}, "not usable for TLS"),
        ({**good, "client_certificate": "x"}, "client_certificate"),
    ):
        with pytest.raises(ServingError, match=words) as caught:
            read_ssl_config(write(**fields))
        assert caught.value.code.name == "INVALID_ARGUMENT"
        assert "ssl.config" in caught.value.message
    with pytest.raises(ServingError, match="cannot be read"):
        read_ssl_config(str(tmp_path / "nowhere"))
