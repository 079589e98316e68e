"""Keys of one cluster: a certificate authority that lives for a moment, and one certificate for each role.

The CA's key signs three certificates and is thrown away: nobody can ever add a fourth. Head and workers are servers and
clients to each other; a client's certificate is good for connecting only. Who can read the cluster's folder (its owner)
can use the cluster; the head's own key is never written to a file that outlives the loading of it.
"""

from __future__ import annotations

import datetime
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from distributed.security import Security

#: No batch job lives so long; a node's clock may be an hour behind.
VALID = datetime.timedelta(days=400)
SKEW = datetime.timedelta(hours=1)
#: Where workers find their head; written last.
SETTINGS = "worker.json"
#: The files of a cluster's folder that others than the head read.
CA, WORKER, WORKER_KEY, CLIENT, CLIENT_KEY = (
    "ca.pem",
    "worker.pem",
    "worker-key.pem",
    "client.pem",
    "client-key.pem",
)


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key, PEM."""

    certificate: str
    key: str


@dataclass(frozen=True, slots=True)
class Keys:
    """What the CA left: its certificate and a pair for each role."""

    ca: str
    head: Pair
    worker: Pair
    client: Pair

    def security(self) -> Security:
        """For the head: scheduler to its workers and clients, and client of itself; no person's dask configuration
        has a say in it."""
        return Security(
            require_encryption=True,
            tls_ca_file=self.ca,
            tls_scheduler_cert=self.head.certificate,
            tls_scheduler_key=self.head.key,
            tls_client_cert=self.client.certificate,
            tls_client_key=self.client.key,
            tls_worker_cert=None,
            tls_worker_key=None,
            tls_ciphers=None,
            tls_min_version=None,
            tls_max_version=None,
        )


def make(cluster: str) -> Keys:
    """New keys for `cluster` (its id, which the certificates carry as their organisation)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(cluster, "authority")
    certificate = (
        _builder(name, name, key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    serves, connects = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH

    def pair(role: str, *uses: x509.ObjectIdentifier) -> Pair:
        own = ec.generate_private_key(ec.SECP256R1())
        signed = (
            _builder(_name(cluster, role), name, own.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        secret = own.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return Pair(_pem(signed), secret.decode())

    return Keys(
        _pem(certificate), pair("head", serves, connects), pair("worker", serves, connects), pair("client", connects)
    )


def write(keys: Keys, folder: Path) -> None:
    """Put what workers and clients need into `folder` (made if need be, mode 0700), each file 0600.

    Raises:
        OSError: the folder cannot be made or written.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    for name in (SETTINGS, CA, WORKER, WORKER_KEY, CLIENT, CLIENT_KEY):
        # An earlier head's, whose node died and whose job was put back into the queue: they fit nothing any more.
        (folder / name).unlink(missing_ok=True)
    write_secret(folder / CA, keys.ca)
    write_secret(folder / WORKER, keys.worker.certificate)
    write_secret(folder / WORKER_KEY, keys.worker.key)
    write_secret(folder / CLIENT, keys.client.certificate)
    write_secret(folder / CLIENT_KEY, keys.client.key)


def write_secret(path: Path, text: str) -> None:
    """A new file of mode 0600 from its first moment on. Raises OSError, FileExistsError."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def client_security(folder: Path) -> Security:
    """What a client on the same node and account uses: the key files of the cluster's `folder`."""
    return Security(
        require_encryption=True,
        tls_ca_file=str(folder / CA),
        tls_client_cert=str(folder / CLIENT),
        tls_client_key=str(folder / CLIENT_KEY),
    )


def _name(cluster: str, role: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, f"perijove cluster {cluster}"),
            x509.NameAttribute(NameOID.COMMON_NAME, role),
        ]
    )


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + VALID)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()
