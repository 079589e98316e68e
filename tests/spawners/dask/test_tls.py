"""The keys of a cluster: what they open, and what they do not. Handshakes are real, in memory."""

from __future__ import annotations

import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509
from distributed.security import Security
from perijove.spawners.dask import tls


def contexts(listens: Security, connects: Security, roles: tuple[str, str]) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """As distributed makes them."""
    return (
        listens.get_listen_args(roles[0])["ssl_context"],
        connects.get_connection_args(roles[1])["ssl_context"],
    )


def meet(server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    """A handshake and a byte each way. Raises ssl.SSLError."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = server.wrap_bio(to_server, to_client, server_side=True)
    other = client.wrap_bio(to_client, to_server)
    waiting = {one, other}
    while waiting:
        for side in list(waiting):
            try:
                side.do_handshake()
                waiting.discard(side)
            except ssl.SSLWantReadError:
                continue
    other.write(b"x")
    assert one.read(1) == b"x"
    one.write(b"y")
    assert other.read(1) == b"y"


def worker(folder: Path) -> Security:
    """As the arguments of `worker.py` make it."""
    return Security(
        require_encryption=True,
        tls_ca_file=str(folder / tls.CA),
        tls_worker_cert=str(folder / tls.WORKER),
        tls_worker_key=str(folder / tls.WORKER_KEY),
    )


@pytest.fixture
def keys() -> tls.Keys:
    return tls.make("abc")


@pytest.fixture
def folder(tmp_path: Path, keys: tls.Keys) -> Path:
    tls.write(keys, tmp_path / "abc")
    return tmp_path / "abc"


def test_head_workers_and_clients_of_a_cluster_reach_each_other(keys: tls.Keys, folder: Path) -> None:
    head, client = keys.security(), tls.client_security(folder)
    meet(*contexts(head, worker(folder), ("scheduler", "worker")))
    meet(*contexts(head, client, ("scheduler", "client")))
    meet(*contexts(worker(folder), head, ("worker", "scheduler")))
    meet(*contexts(worker(folder), worker(folder), ("worker", "worker")))
    meet(*contexts(worker(folder), client, ("worker", "client")))


def test_keys_of_another_cluster_open_nothing_and_are_not_believed(
    keys: tls.Keys, folder: Path, tmp_path: Path
) -> None:
    tls.write(tls.make("abc"), tmp_path / "other")  # even one of the same name
    for role, stranger in {
        "worker": worker(tmp_path / "other"),
        "client": tls.client_security(tmp_path / "other"),
    }.items():
        server, connects = contexts(keys.security(), stranger, ("scheduler", role))
        with pytest.raises(ssl.SSLError):
            meet(server, connects)
        connects.load_verify_locations(folder / tls.CA)  # it would believe our head
        with pytest.raises(ssl.SSLError):
            meet(server, connects)


def test_nobody_is_let_in_without_a_certificate(keys: tls.Keys, folder: Path) -> None:
    nobody = ssl.create_default_context(cafile=str(folder / tls.CA))
    nobody.check_hostname = False
    server = keys.security().get_listen_args("scheduler")["ssl_context"]
    with pytest.raises(ssl.SSLError, match=r"(?i)certificate"):
        meet(server, nobody)


def test_a_clients_certificate_is_good_for_connecting_only(keys: tls.Keys, folder: Path) -> None:
    posing = Security(
        require_encryption=True,
        tls_ca_file=str(folder / tls.CA),
        tls_scheduler_cert=str(folder / tls.CLIENT),
        tls_scheduler_key=str(folder / tls.CLIENT_KEY),
    )
    for role, other in {"worker": worker(folder), "client": tls.client_security(folder)}.items():
        with pytest.raises(ssl.SSLError, match=r"(?i)unsuitable certificate purpose|unsupported certificate"):
            meet(*contexts(posing, other, ("scheduler", role)))


def test_no_certificate_of_a_cluster_can_make_another(keys: tls.Keys) -> None:
    for pair in (keys.head, keys.worker, keys.client):
        certificate = x509.load_pem_x509_certificate(pair.certificate.encode())
        assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        assert not certificate.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(keys.ca.encode()))


def test_only_the_owner_reads_the_folder_and_the_heads_key_is_not_in_it(keys: tls.Keys, folder: Path) -> None:
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert {path.name for path in folder.iterdir()} == {tls.CA, tls.WORKER, tls.WORKER_KEY, tls.CLIENT, tls.CLIENT_KEY}
    assert not any(keys.head.key in path.read_text() for path in folder.iterdir())


def test_a_head_that_is_started_again_after_a_requeue_replaces_what_the_dead_one_left(
    keys: tls.Keys, folder: Path
) -> None:
    tls.write_secret(folder / tls.SETTINGS, "{}")
    again = tls.make("abc")
    tls.write(again, folder)
    assert (folder / tls.CA).read_text() == again.ca and not (folder / tls.SETTINGS).exists()
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_a_secret_is_never_written_into_what_somebody_else_has_put_there(folder: Path) -> None:
    (folder / "trap").symlink_to(folder / "elsewhere")
    with pytest.raises(FileExistsError):
        tls.write_secret(folder / "trap", "secret")
    assert not (folder / "elsewhere").exists()


def test_a_persons_dask_configuration_has_no_say(keys: tls.Keys, folder: Path) -> None:
    import dask

    with dask.config.set({"distributed.comm.require-encryption": False, "distributed.comm.tls.ca-file": "/nowhere"}):
        meet(*contexts(keys.security(), tls.client_security(folder), ("scheduler", "client")))
