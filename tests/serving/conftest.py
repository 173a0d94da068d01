"""Shared by the serving tests: SavedModels made once, and one server process that serves all of them.

`models_root` is read-only; a test that pushes versions copies what it needs into its own folder.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving import savedmodels
from tests.serving.processes import ServerProcess


@pytest.fixture(scope="session")
def models_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders scaled/{1,2,3}, pair/1, echo/1 and examples/1; see tests.serving.savedmodels."""
    root = tmp_path_factory.mktemp("models")
    savedmodels.build(root)
    return root


@pytest.fixture(scope="session")
def model_server(models_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One server process with all models; `.grpc_address`, `.rest_address`, `.url`. Not for changing."""
    config = tmp_path_factory.mktemp("config") / "models.config"
    config.write_text(savedmodels.config(models_root))
    flags = ["--allow_version_labels_for_unavailable_models", "--rest_api_max_body_bytes=8388608"]
    with ServerProcess(f"--model_config_file={config}", *flags) as server:
        yield server
        assert server.process.poll() is None, f"The server died during the tests:\n{server.output}"


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA, and a key and certificate for 127.0.0.1 signed by it, as PEM files."""
    import datetime
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    folder = tmp_path_factory.mktemp("tls")
    now = datetime.datetime.now(datetime.UTC)

    def certificate(name, key, issuer, issuer_key, ca):
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer or subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca, None), True)
            .add_extension(x509.SubjectAlternativeName(names), False)
            .sign(issuer_key or key, hashes.SHA256())
        )

    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca = certificate("test ca", ca_key, None, None, True)
    mine = certificate("127.0.0.1", key, ca.subject, ca_key, False)
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    for name, data in [("ca", ca.public_bytes(pem)), ("cert", mine.public_bytes(pem)), ("key", secret)]:
        (folder / f"{name}.pem").write_bytes(data)
    return folder
